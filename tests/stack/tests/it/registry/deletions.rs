//! Marking as deleted (spec 05 §8) and the endpoints that make it possible in tests (§10).

use serde_json::{Value, json};
use stack::registry::{Fixtures, Options, Retention};

use super::{Peer, new_event, new_file, new_object, results, start, start_with};

/// An object with files of test.edu.
async fn object(peer: &Peer, name: &str, files: &[&str]) -> (Value, Vec<Value>) {
    let object = peer.client.post("objects/create/4", &new_object(name)).await.with(201);
    let mut created = Vec::new();
    for name in files {
        let mut file = new_file(&object, name);
        file["storage_records"] =
            json!([{ "url": "https://s3.example.com/a/1" }, { "url": "https://s3.example.com/b/1" }]);
        created.push(peer.client.post("files/create/4", &file).await.with(201));
    }
    (object, created)
}

async fn prepare(peer: &Peer, what: &str, record: &Value) -> Value {
    peer.client.post(&format!("prepare_{what}_delete/{}", record["id"]), &Value::Null).await.with(200)
}

async fn delete_error(peer: &Peer, what: &str, record: &Value) -> String {
    peer.client.delete(&format!("{what}/delete/{}", record["id"])).await.error(500)
}

#[tokio::test]
async fn a_prepared_file_is_deleted() {
    let peer = start();
    let (object, files) = object(&peer, "one", &["doc1"]).await;
    assert_eq!(delete_error(&peer, "files", &files[0]).await, "Missing deletion request work item");
    let item = prepare(&peer, "file", &files[0]).await;
    for (field, value) in [
        ("action", json!("Delete")),
        ("stage", json!("Requested")),
        ("status", json!("Started")),
        ("institution_id", json!(4)),
        ("name", object["bag_name"].clone()),
        ("intellectual_object_id", object["id"].clone()),
        ("generic_file_id", files[0]["id"].clone()),
        ("user", json!("admin@test.edu")),
        ("inst_approver", json!("admin@test.edu")),
        ("bucket", json!("blah.receiving.blah")),
        ("retry", json!(true)),
    ] {
        assert_eq!(item[field], value, "{field}");
    }
    assert!(item["deletion_request_id"].as_i64().unwrap() > 3);
    assert_eq!(item["etag"].as_str().unwrap().len(), 32);
    let deleted = peer.client.delete(&format!("files/delete/{}", files[0]["id"])).await.with(200);
    // The reply has the nested records of before.
    assert_eq!((&deleted["state"], deleted["storage_records"].as_array().unwrap().len()), (&json!("D"), 2));
    let shown = peer.client.show(&format!("files/show/{}", files[0]["id"])).await;
    assert_eq!((&shown["state"], &shown["storage_records"]), (&json!("D"), &Value::Null));
    assert_eq!((&shown["size"], &shown["uuid"]), (&files[0]["size"], &files[0]["uuid"]));
    let path = format!("events?event_type=deletion&generic_file_id={}", files[0]["id"]);
    let events = results(&peer.client.show(&path).await);
    assert_eq!(events.len(), 1);
    for (field, value) in [
        ("agent", json!("APTrust preservation services")),
        ("object", json!("Minio S3 library")),
        ("outcome", json!("Success")),
        ("detail", json!("All copies of this file have been deleted from preservation storage")),
        ("outcome_detail", json!("admin@test.edu")),
        (
            "outcome_information",
            json!(
                "File deleted at the request of admin@test.edu. Institutional approver: admin@test.edu. \
                 This event confirms all preservation copies have been deleted."
            ),
        ),
        ("institution_id", json!(4)),
        ("intellectual_object_id", object["id"].clone()),
    ] {
        assert_eq!(events[0][field], value, "{field}");
    }
    assert_eq!(delete_error(&peer, "files", &files[0]).await, "File is already in deleted state");
}

#[tokio::test]
async fn a_prepared_object_is_deleted_after_its_files() {
    let peer = start();
    let (object, files) = object(&peer, "two", &["doc1", "doc2"]).await;
    let item = prepare(&peer, "object", &object).await;
    assert_eq!(item["generic_file_id"], 0);
    assert_eq!(delete_error(&peer, "objects", &object).await, "cannot delete object with active files");
    for file in &files {
        peer.client.delete(&format!("files/delete/{}", file["id"])).await.with(200);
    }
    let deleted = peer.client.delete(&format!("objects/delete/{}", object["id"])).await.with(200);
    assert_eq!((&deleted["state"], &deleted["institution"]["identifier"]), (&json!("D"), &json!("test.edu")));
    let path = format!("events?event_type=deletion&intellectual_object_id={}", object["id"]);
    let events = results(&peer.client.show(&path).await);
    assert_eq!(events.len(), 3);
    let own: Vec<&Value> = events.iter().filter(|event| event["generic_file_id"] == 0).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["detail"], "Object deleted from preservation storage");
    assert_eq!(
        own[0]["outcome_information"],
        "Object deleted at the request of admin@test.edu. Institutional approver: admin@test.edu."
    );
    assert_eq!(delete_error(&peer, "objects", &object).await, "Object is already in deleted state");
    // What was deleted may come back with another storage option.
    let mut again = peer.client.show(&format!("objects/show/{}", object["id"])).await;
    (again["state"], again["storage_option"]) = (json!("A"), json!("Glacier-OH"));
    let path = format!("objects/update/{}", object["id"]);
    assert_eq!(peer.client.put(&path, &again).await.with(200)["storage_option"], "Glacier-OH");
}

/// A quirk: one or the other will do.
#[tokio::test]
async fn an_item_for_one_file_licenses_its_siblings() {
    let peer = start();
    let (_, files) = object(&peer, "three", &["doc1", "doc2"]).await;
    prepare(&peer, "file", &files[0]).await;
    peer.client.delete(&format!("files/delete/{}", files[1]["id"])).await.with(200);
}

#[tokio::test]
async fn an_object_needs_an_item_of_its_own_and_an_ingest() {
    let peer = start();
    let (object, files) = object(&peer, "four", &["doc1"]).await;
    prepare(&peer, "file", &files[0]).await;
    peer.client.delete(&format!("files/delete/{}", files[0]["id"])).await.with(200);
    let text = "Error checking for last ingest event: pg: no rows in result set";
    assert_eq!(delete_error(&peer, "objects", &object).await, text);
    let mut event = new_event("ingestion");
    event["intellectual_object_id"] = object["id"].clone();
    peer.client.post("events/create", &event).await.with(201);
    assert_eq!(delete_error(&peer, "objects", &object).await, "Missing deletion request work item");
}

#[tokio::test]
async fn the_item_must_name_an_approver_and_a_request_that_was_approved() {
    let peer = start();
    let (_, files) = object(&peer, "five", &["doc1"]).await;
    let mut item = prepare(&peer, "file", &files[0]).await;
    let path = format!("items/update/{}", item["id"]);
    let approver = item["inst_approver"].take();
    peer.client.put(&path, &item).await.with(200);
    assert_eq!(delete_error(&peer, "files", &files[0]).await, "Deletion work item is missing institutional approver");
    (item["inst_approver"], item["deletion_request_id"]) = (approver, json!(0));
    peer.client.put(&path, &item).await.with(200);
    let text = format!("No deletion request for work item {}", item["id"]);
    assert_eq!(delete_error(&peer, "files", &files[0]).await, text);
    // Request 1 of the fixtures waits for somebody to agree.
    item["deletion_request_id"] = json!(1);
    peer.client.put(&path, &item).await.with(200);
    assert_eq!(delete_error(&peer, "files", &files[0]).await, "Deletion request 1 has no approver");
    item["deletion_request_id"] = json!(99);
    assert!(peer.client.put(&path, &item).await.error(500).starts_with("ERROR #23503"));
}

#[tokio::test]
async fn the_retention_period_must_have_passed() {
    let retention = Retention { standard: 3, ..Retention::default() };
    let peer = start_with(Options { retention, fixtures: Fixtures::People, ..Options::default() });
    let (_, files) = object(&peer, "six", &["doc1"]).await;
    assert_eq!(delete_error(&peer, "files", &files[0]).await, "File has not passed minimum retention period");
    prepare(&peer, "file", &files[0]).await;
    peer.client.delete(&format!("files/delete/{}", files[0]["id"])).await.with(200);
    // As shipped, by storage option; Wasabi-TX is the one that is forgotten.
    let peer = start();
    for (option, text) in [
        ("Standard", "Missing deletion request work item"),
        ("Wasabi-TX", "Missing deletion request work item"),
        ("Wasabi-OR", "File has not passed minimum retention period"),
        ("Glacier-VA", "File has not passed minimum retention period"),
        ("Glacier-Deep-VA", "File has not passed minimum retention period"),
    ] {
        let object = peer.client.post("objects/create/4", &new_object(option)).await.with(201);
        let mut file = new_file(&object, "doc");
        file["storage_option"] = json!(option);
        let file = peer.client.post("files/create/4", &file).await.with(201);
        assert_eq!(delete_error(&peer, "files", &file).await, text, "{option}");
    }
}

#[tokio::test]
async fn preparing_is_for_test_environments() {
    let peer = start_with(Options { test_environment: false, fixtures: Fixtures::Upstream, ..Options::default() });
    for path in ["prepare_file_delete/21", "prepare_object_delete/7"] {
        assert_eq!(peer.client.post(path, &Value::Null).await.error(405), "operation not supported");
    }
    let peer = start();
    for path in ["prepare_file_delete/999", "prepare_object_delete/999"] {
        peer.client.post(path, &Value::Null).await.with(404);
    }
}
