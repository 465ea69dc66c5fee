//! Restore and delete requests, approval, requeueing, and what is said to nsqd and Redis (spec 05 §7.4–7.8, musts by
//! 07 E.29).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use stack::registry::store::{Error, GenericFile, Subject, User};
use stack::registry::{Fixtures, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Peer, results, start_with};

/// A server that answers everything in the same way and keeps what it was sent.
struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 4096];
                // A request of ours is small and comes in one piece on loopback.
                while let Ok(length) = stream.read(&mut buffer).await
                    && length > 0
                {
                    kept.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if answer.starts_with("HTTP") {
                        break;
                    }
                }
            }
        });
        Self { address, heard }
    }

    /// First line and body of each request.
    fn heard(&self) -> Vec<(String, String)> {
        let parts = |text: &String| {
            let line = text.lines().next().unwrap_or_default().to_owned();
            (line, text.rsplit("\r\n").next().unwrap_or_default().to_owned())
        };
        self.heard.lock().unwrap().iter().map(parts).collect()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

async fn start_beside(answer: &'static str) -> (Peer, Listener) {
    let nsqd = Listener::start(answer).await;
    let options = Options { nsqd: Some(nsqd.address), fixtures: Fixtures::Upstream, ..Options::default() };
    (start_with(options), nsqd)
}

fn user(peer: &Peer, email: &str) -> User {
    peer.registry.store().user_by_email(email).unwrap().unwrap()
}

async fn requeue(peer: &Peer, id: i64, stage: &str) -> super::Reply {
    let body = format!("stage={}", stage.replace(' ', "+"));
    let path = format!("/admin-api/v3/items/requeue/{id}");
    peer.client.send(Method::PUT, &path, body, "application/x-www-form-urlencoded").await
}

#[tokio::test]
async fn requeueing_resets_the_item_and_publishes_it() {
    let (peer, nsqd) = start_beside(OK).await;
    let mut item = peer.client.show("items/show/28").await;
    (item["node"], item["pid"], item["needs_admin_review"]) = (json!("host"), json!(7), json!(true));
    (item["status"], item["queued_at"]) = (json!("Failed"), json!("2024-05-06T07:08:09Z"));
    peer.client.put("items/update/28", &item).await.with(200);
    let reply = requeue(&peer, 28, "Copy To Staging").await.with(200);
    assert_eq!(reply, json!({ "Message": "Requeued WorkItem 28 to Copy To Staging", "StatusCode": 200 }));
    let line = "POST /pub?topic=ingest04_staging HTTP/1.1".to_owned();
    assert_eq!(nsqd.heard(), [(line, "28".to_owned())]);
    let shown = peer.client.show("items/show/28").await;
    for (field, value) in [
        ("stage", json!("Copy To Staging")),
        ("status", json!("Pending")),
        ("retry", json!(true)),
        ("needs_admin_review", json!(false)),
        ("node", json!("")),
        ("pid", json!(0)),
        ("outcome", json!("")),
        ("note", json!("Requeued for Copy To Staging")),
        ("queued_at", item["queued_at"].clone()),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
}

#[tokio::test]
async fn requeueing_knows_the_stages() {
    let (peer, nsqd) = start_beside(OK).await;
    assert_eq!(requeue(&peer, 28, "Package").await.error(500), "item cannot be requeued to the specified stage");
    assert_eq!(requeue(&peer, 28, "").await.error(500), "item cannot be requeued to the specified stage");
    // For others than ingest any stage will do, if there is one of that name.
    assert_eq!(requeue(&peer, 31, "Nonsense").await.error(400), "Stage: Stage is missing or invalid.");
    requeue(&peer, 31, "Package").await.with(200);
    requeue(&peer, 999, "Package").await.with(404);
    assert_eq!(nsqd.heard()[0].0, "POST /pub?topic=restore_object HTTP/1.1");
    assert_eq!(nsqd.heard().len(), 1);
}

#[tokio::test]
async fn an_nsqd_that_refuses_or_is_not_there_is_500() {
    let (peer, _nsqd) = start_beside("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let text = "nsqd returned status code 503 when attempting to queue data";
    assert_eq!(requeue(&peer, 28, "Record").await.error(500), text);
    let (peer, _nsqd) = start_beside("what?\r\n").await;
    assert!(requeue(&peer, 28, "Record").await.error(500).starts_with("Nsqd returned an error when queuing data"));
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let peer = start_with(Options { nsqd: Some(gone), fixtures: Fixtures::Upstream, ..Options::default() });
    assert!(requeue(&peer, 28, "Record").await.error(500).starts_with("Nsqd returned an error when queuing data"));
}

#[tokio::test]
async fn redis_delete_deletes_the_hash_of_the_item() {
    let redis = Listener::start("+OK\r\n").await;
    let options = Options { redis: Some((redis.address, 3)), fixtures: Fixtures::Upstream, ..Options::default() };
    let peer = start_with(options);
    let reply = peer.client.delete("items/redis_delete/28").await.with(200);
    assert_eq!(reply, json!({ "Message": "Deleted WorkItem 28 from Redis.", "StatusCode": 200 }));
    let heard = redis.heard.lock().unwrap().concat();
    assert_eq!(heard, "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nDEL\r\n$2\r\n28\r\n");
    peer.client.delete("items/redis_delete/999").await.with(404);
    let redis = Listener::start("-ERR invalid DB index\r\n").await;
    let options = Options { redis: Some((redis.address, 99)), fixtures: Fixtures::Upstream, ..Options::default() };
    let error = start_with(options).client.delete("items/redis_delete/28").await.error(500);
    assert_eq!(error, "Error deleting WorkItem 28 from Redis: -ERR invalid DB index");
}

#[tokio::test]
async fn an_object_restore_copies_the_last_ingest() {
    let (peer, nsqd) = start_beside(OK).await;
    let item = peer.client.post("objects/init_restore/1", &Value::Null).await.with(201);
    for (field, value) in [
        ("name", json!("photos.tar")),
        ("etag", json!("1f594a4e5bb944e59c74aefe781a3726")),
        ("action", json!("Restore Object")),
        ("stage", json!("Requested")),
        ("status", json!("Pending")),
        ("note", json!("Not started")),
        ("outcome", json!("Not started")),
        ("user", json!("system@aptrust.org")),
        ("retry", json!(true)),
        ("size", peer.client.show("objects/show/1").await["size"].clone()),
        ("generic_file_id", json!(0)),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    assert_ne!(item["queued_at"], "0001-01-01T00:00:00Z");
    assert_eq!(peer.client.show(&format!("items/show/{}", item["id"])).await["status"], "Pending");
    assert_eq!(nsqd.heard(), [("POST /pub?topic=restore_object HTTP/1.1".to_owned(), item["id"].to_string())]);
    // Names of fixtures end in `.tar` as those of items do, so that the second request finds the first.
    let text = "task cannot be completed because this object has pending work items";
    assert_eq!(peer.client.post("objects/init_restore/1", &Value::Null).await.error(409), text);
    peer.client.post("objects/init_restore/999", &Value::Null).await.with(404);
}

/// A quirk: what the workers record is named so that the check never matches.
#[tokio::test]
async fn an_object_of_the_workers_is_restored_twice() {
    let (peer, _nsqd) = start_beside(OK).await;
    for _ in 0..2 {
        let item = peer.client.post("objects/init_restore/7", &Value::Null).await.with(201);
        assert_eq!(
            (&item["name"], &item["etag"]),
            (&json!("btr-512-test-restore.tar"), &json!("00000000000000000000000000000000-1"))
        );
        assert_eq!(item["bucket"], "aptrust.receiving.test.test.edu");
    }
}

#[tokio::test]
async fn glacier_is_asked_for_what_is_only_there_and_short_etags_fail() {
    let (peer, nsqd) = start_beside(OK).await;
    let error = peer.client.post("objects/init_restore/10", &Value::Null).await.error(400);
    assert_eq!(error, "ETag: ETag is required (32-40 bytes).");
    let mut object = peer.client.show("objects/show/10").await;
    object["etag"] = json!("0".repeat(32));
    peer.client.put("objects/update/10", &object).await.with(200);
    let item = peer.client.post("objects/init_restore/10", &Value::Null).await.with(201);
    assert_eq!(item["action"], "Glacier Restore");
    assert_eq!(nsqd.heard()[0].0, "POST /pub?topic=restore_glacier HTTP/1.1");
}

#[tokio::test]
async fn a_file_restore_names_the_file_and_is_not_asked_for_twice() {
    let (peer, nsqd) = start_beside(OK).await;
    let requester = user(&peer, "user@test.edu");
    let item = peer.registry.actions().request_file_restore(24, requester.clone()).await.unwrap();
    assert_eq!((item.action.as_str(), item.generic_file_id, item.user.as_str()), ("Restore File", 24, "user@test.edu"));
    assert!(!item.queued_at.is_none());
    assert_eq!(nsqd.heard()[0].0, "POST /pub?topic=restore_file HTTP/1.1");
    let again = peer.registry.actions().request_file_restore(24, requester).await;
    assert!(matches!(again, Err(Error::Pending)), "{again:?}");
}

/// The token that stands in the latest alert.
async fn token(peer: &Peer) -> String {
    let alerts = peer.client.show("alerts?type=Deletion+Requested&per_page=1").await;
    let content = results(&alerts)[0]["content"].as_str().unwrap().to_owned();
    assert!(content.contains(&format!("{}/deletions/review/", peer.registry.url())), "{content}");
    content.rsplit("token=").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_deletion_is_requested_approved_and_carried_out() {
    let (peer, nsqd) = start_beside(OK).await;
    let (actions, administrator) = (peer.registry.actions(), user(&peer, "admin@test.edu"));
    let url = peer.registry.url();
    let request = actions.request_deletion(Subject::File(24), administrator.clone(), url).await.unwrap();
    let view = &results(&peer.client.show("deletions?institution_id=4").await)[0];
    assert_eq!(
        (&view["requested_by_email"], &view["file_count"], &view["object_count"]),
        (&json!("admin@test.edu"), &json!(1), &json!(0))
    );
    let wrong = actions.approve_deletion(request.id, administrator.clone(), "wrong".to_owned()).await;
    assert!(matches!(wrong, Err(Error::Token)), "{wrong:?}");
    let token = token(&peer).await;
    // Who asked may agree, since test.edu has one administrator.
    let (_, items) = actions.approve_deletion(request.id, administrator.clone(), token.clone()).await.unwrap();
    assert_eq!(nsqd.heard(), [("POST /pub?topic=delete_item HTTP/1.1".to_owned(), items[0].id.to_string())]);
    let item = peer.client.show(&format!("items/show/{}", items[0].id)).await;
    for (field, value) in [
        ("action", json!("Delete")),
        ("stage", json!("Requested")),
        ("status", json!("Pending")),
        ("user", json!("admin@test.edu")),
        ("inst_approver", json!("admin@test.edu")),
        ("generic_file_id", json!(24)),
        ("size", json!(23_972)),
        ("deletion_request_id", json!(request.id)),
        // A quirk.
        ("queued_at", json!("0001-01-01T00:00:00Z")),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    let again = actions.approve_deletion(request.id, administrator.clone(), token.clone()).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    let cancelled = actions.cancel_deletion(request.id, administrator, token).await;
    assert!(matches!(cancelled, Err(Error::Conflict(_))), "{cancelled:?}");
    assert_eq!(peer.client.count("alerts?type=Deletion+Confirmed&institution_id=4").await, 1);
    // The worker marks its item as started, and then deletes.
    let mut item = item;
    item["status"] = json!("Started");
    peer.client.put(&format!("items/update/{}", items[0].id), &item).await.with(200);
    peer.client.delete("files/delete/24").await.with(200);
    let file: GenericFile = peer.registry.store().find(24).unwrap().unwrap();
    assert_eq!(file.state, "D");
}

#[tokio::test]
async fn who_may_request_and_approve() {
    let (peer, _nsqd) = start_beside(OK).await;
    let actions = peer.registry.actions();
    let ask = async |subject: Subject, email: &str| {
        actions.request_deletion(subject, user(&peer, email), peer.registry.url()).await.map(|request| request.id)
    };
    for email in ["user@test.edu", "system@aptrust.org"] {
        let refused = ask(Subject::Object(7), email).await;
        assert!(matches!(refused, Err(Error::Denied)), "{email}: {refused:?}");
    }
    let refused = ask(Subject::Object(7), "admin@inst1.edu").await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let id = ask(Subject::Object(7), "admin@test.edu").await.unwrap();
    let token = token(&peer).await;
    for email in ["user@test.edu", "admin@inst1.edu"] {
        let refused = actions.approve_deletion(id, user(&peer, email), token.clone()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{email}: {refused:?}");
    }
    let cancelled = actions.cancel_deletion(id, user(&peer, "admin@test.edu"), token).await.unwrap();
    assert_eq!(cancelled.cancelled_by.unwrap().email, "admin@test.edu");
    assert_eq!(peer.client.count("alerts?type=Deletion+Cancelled&institution_id=4").await, 1);
    // Shown with people and objects in full; a quirk of the list: the canceller's name is the approver's.
    let shown = peer.client.show(&format!("deletions/show/{id}")).await;
    assert_eq!((&shown["cancelled_by"]["id"], &shown["confirmed_by"]), (&json!(8), &Value::Null));
    assert_eq!(shown["intellectual_objects"][0]["identifier"], "test.edu/btr-512-test-restore");
    let view = &results(&peer.client.show("deletions?per_page=1").await)[0];
    assert_eq!((&view["cancelled_by_id"], &view["cancelled_by_email"]), (&json!(8), &json!("")));
}

#[tokio::test]
async fn a_file_with_work_in_hand_is_not_deleted() {
    let (peer, _nsqd) = start_beside(OK).await;
    let mut item = peer.client.show("items/show/32").await;
    item["etag"] = json!("0".repeat(32));
    let ask =
        || peer.registry.actions().request_deletion(Subject::File(49), user(&peer, "admin@inst1.edu"), String::new());
    assert!(matches!(ask().await, Err(Error::Pending)));
    item["status"] = json!("Cancelled");
    peer.client.put("items/update/32", &item).await.with(200);
    ask().await.unwrap();
}

#[tokio::test]
async fn batch_deletion_checks_in_order() {
    let (peer, _nsqd) = start_beside(OK).await;
    let ask = async |requestor: i64, objects: &[i64], key: &str| {
        let body = json!({ "institutionId": 2, "requestorId": requestor, "objectIds": objects, "secretKey": key });
        peer.client.post("objects/init_batch_delete", &body).await
    };
    let key = "00000000-0000-0000-0000-000000000000";
    assert_eq!(ask(99, &[99], "wrong").await.error(400), "invalid token");
    assert_eq!(ask(99, &[99], key).await.error(404), "pg: no rows in result set");
    assert_eq!(ask(3, &[99], key).await.error(400), "invalid requestor id");
    assert_eq!(ask(5, &[99], key).await.error(400), "invalid requestor id");
    for objects in [&[2, 99][..], &[2, 2], &[2, 4], &[]] {
        assert_eq!(ask(2, objects, key).await.error(400), "one or more object ids is invalid", "{objects:?}");
    }
    ask(2, &[1, 2], key).await.error(409);
    let request = ask(2, &[2, 3], key).await.with(201);
    assert_eq!(
        (&request["requested_by"]["email"], &request["confirmed_by"]),
        (&json!("admin@inst1.edu"), &Value::Null)
    );
    assert_eq!(
        (request["intellectual_objects"].as_array().unwrap().len(), request.get("work_item")),
        (2, Some(&Value::Null))
    );
    let peer = start_with(Options { batch_deletion_key: String::new(), ..Options::default() });
    let error = peer.client.post("objects/init_batch_delete", &json!({ "secretKey": "" })).await.error(500);
    assert_eq!(error, "Configuration setting for BatchDeletionKey is missing or invalid");
}
