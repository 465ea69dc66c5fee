//! What is sent for each call, to the letter, and what is made of the answer.

use model::{GenericFile, IntellectualObject, PremisEvent, WorkItem};
use registry::{Client, Kind, Query, Settings};

use super::server::{Answer, KEY, Server, ends, limits, reply};

/// Every record has an id; a list of one is a list.
const ANY: &str = r#"{"id":7,"count":1,"next":"","previous":"","results":[{"id":7}]}"#;

async fn willing() -> Server {
    Server::always(Answer::Bytes(reply(200, ANY))).await
}

#[tokio::test]
async fn each_call_has_its_method_and_path() {
    let server = willing().await;
    let client = server.client();
    ends(async {
        client.institution("institution1.edu").await.unwrap();
        client.institution(3).await.unwrap();
        client.object("institution1.edu/photos").await.unwrap();
        client.object(1).await.unwrap();
        client.file("test.edu/a b & c?/x_\u{2019}.txt").await.unwrap();
        client.event("a966ca54-ee5b-4606-81bd-7653dd5f3a63").await.unwrap();
        client.work_item(5).await.unwrap();
        let object = IntellectualObject { institution_id: 4, ..IntellectualObject::default() };
        client.save_object(&object).await.unwrap();
        client.save_object(&IntellectualObject { id: 9, ..object }).await.unwrap();
        let item = WorkItem { institution_id: 4, ..WorkItem::default() };
        client.save_work_item(&item).await.unwrap();
        client.save_work_item(&WorkItem { id: 9, ..item }).await.unwrap();
        let file = GenericFile { institution_id: 4, ..GenericFile::default() };
        client.save_file(&file).await.unwrap();
        client.create_files(4, std::slice::from_ref(&file)).await.unwrap();
        client.save_file(&GenericFile { id: 9, ..file }).await.unwrap();
        client.create_event(&PremisEvent::default()).await.unwrap();
        client.delete_object(8).await.unwrap();
        client.delete_file(8).await.unwrap();
        client.list::<WorkItem>(&Query::new().sort("name").filter("action", "Restore File").page(2)).await.unwrap();
        client.list::<IntellectualObject>(&Query::new()).await.unwrap();
    })
    .await;
    let expected = [
        "GET /admin-api/v3/institutions/show/institution1.edu",
        "GET /admin-api/v3/institutions/show/3",
        "GET /admin-api/v3/objects/show/institution1.edu%2Fphotos",
        "GET /admin-api/v3/objects/show/1",
        "GET /admin-api/v3/files/show/test.edu%2Fa%20b%20%26%20c%3F%2Fx_%E2%80%99.txt",
        "GET /admin-api/v3/events/show/a966ca54-ee5b-4606-81bd-7653dd5f3a63",
        "GET /admin-api/v3/items/show/5",
        "POST /admin-api/v3/objects/create/4",
        "PUT /admin-api/v3/objects/update/9",
        "POST /admin-api/v3/items/create/4",
        "PUT /admin-api/v3/items/update/9",
        "POST /admin-api/v3/files/create/4",
        "POST /admin-api/v3/files/create_batch/4",
        "PUT /admin-api/v3/files/update/9",
        "POST /admin-api/v3/events/create",
        "DELETE /admin-api/v3/objects/delete/8",
        "DELETE /admin-api/v3/files/delete/8",
        "GET /admin-api/v3/items?action=Restore+File&page=2&sort=name",
        "GET /admin-api/v3/objects",
    ];
    assert_eq!(server.lines(), expected);
}

#[tokio::test]
async fn every_request_carries_who_asks_and_the_record() {
    let server = willing().await;
    let item = WorkItem { id: 9, name: "a<b.tar".into(), ..WorkItem::default() };
    ends(server.client().save_work_item(&item)).await.unwrap();
    let asked = server.asked().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for line in [
        "content-type: application/json",
        "accept: application/json",
        "x-pharos-api-user: system@aptrust.org",
        &format!("x-pharos-api-key: {KEY}"),
    ] {
        assert!(head.contains(line), "no {line} in {head}");
    }
    assert_eq!(body, model::to_json(&item).unwrap());
    assert!(body.contains(r"a\u003cb.tar"));
}

#[tokio::test]
async fn a_base_with_a_path_is_honoured() {
    let server = willing().await;
    let url = format!("{}/registry/", server.url);
    let settings = Settings { url: &url, version: "v3", user: "a@b.edu", key: KEY };
    let client = Client::new(settings, limits()).unwrap();
    ends(client.object(1)).await.unwrap();
    assert_eq!(server.lines(), ["GET /registry/admin-api/v3/objects/show/1"]);
}

#[test]
fn settings_that_cannot_work_are_refused_without_telling_the_key() {
    let new = |url: &str, user: &str, key: &str| {
        let settings = Settings { url, version: "v3", user, key };
        assert!(!format!("{settings:?}").contains(KEY));
        Client::new(settings, limits()).map(drop)
    };
    for (url, user, key) in [
        ("", "a@b.edu", KEY),
        ("registry.example", "a@b.edu", KEY),
        ("ftp://registry.example", "a@b.edu", KEY),
        ("https://me:secret@registry.example", "a@b.edu", KEY),
        ("https://registry.example/?a=b", "a@b.edu", KEY),
        ("https://registry.example", "a\n@b.edu", KEY),
        ("https://registry.example", "a@b.edu", "the-key-that-is-secret\r\nX: y"),
    ] {
        let error = new(url, user, key).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    assert_eq!(new("https://registry.example", "a@b.edu", KEY), Ok(()));
}

#[tokio::test]
async fn what_makes_no_sense_is_not_sent() {
    let server = willing().await;
    let client = server.client();
    let file = GenericFile { id: 3, identifier: "e.edu/b/f".into(), ..GenericFile::default() };
    let errors = [
        ends(client.create_files(4, &[])).await.unwrap_err(),
        ends(client.create_files(4, &[GenericFile::default(), file])).await.unwrap_err(),
        ends(client.create_event(&PremisEvent { id: 1, ..PremisEvent::default() })).await.unwrap_err(),
        ends(client.object("..")).await.unwrap_err(),
        ends(client.object(".")).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind(), Kind::NotSent { .. }) && !error.is_transient(), "{error}");
    }
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn an_answer_to_another_question_is_no_record() {
    for body in ["{}", "[]", "null", "17", r#"{"error":"no"}"#, r#"{"id":0}"#, "<html>Sign in</html>", r#"{"id":"x"}"#]
    {
        let server = Server::always(Answer::Bytes(reply(200, body))).await;
        let error = ends(server.client().object(1)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::BadAnswer { .. }) && !error.is_transient(), "{body}: {error}");
        let url = format!("GET {}/admin-api/v3/objects/show/1: ", server.url);
        assert!(error.to_string().starts_with(&url), "{error}");
        let listed = ends(server.client().list::<WorkItem>(&Query::new())).await;
        assert!(matches!(listed.unwrap_err().kind(), Kind::BadAnswer { .. }), "{body}");
        assert_eq!(server.lines().len(), 2, "it is not asked again");
    }
}

#[tokio::test]
async fn a_batch_must_come_back_whole() {
    let file = GenericFile::default();
    for body in [r#"{"results":[{"id":1}]}"#, r#"{"results":null}"#, r#"{"results":[{"id":1},{}]}"#] {
        let server = Server::always(Answer::Bytes(reply(201, body))).await;
        let error = ends(server.client().create_files(4, &[file.clone(), file.clone()])).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::BadAnswer { .. }), "{error}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_deletion_needs_no_body() {
    let server = Server::start(|number, _| match number {
        0 => Answer::Bytes(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()),
        _ => Answer::Bytes(reply(200, "whatever")),
    })
    .await;
    ends(server.client().delete_file(1)).await.unwrap();
    ends(server.client().delete_object(1)).await.unwrap();
}
