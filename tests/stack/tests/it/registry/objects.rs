//! Objects (spec 05 §5.3, §6.2).

use serde_json::{Value, json};

use super::{new_file, new_object, start};

#[tokio::test]
async fn an_object_is_created_shown_and_overwritten() {
    let peer = start();
    let created = peer.client.post("objects/create/4", &new_object("one")).await.with(201);
    assert!(created["bagit_profile_identifier"].as_str().unwrap().ends_with("aptrust-v2.2.json"));
    assert_eq!(
        (&created["institution"], &created["generic_files"], &created["premis_events"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let id = created["id"].as_i64().unwrap();
    let shown = peer.client.show(&format!("objects/show/{id}")).await;
    assert_eq!(
        (&shown["institution_identifier"], &shown["file_count"], &shown["size"]),
        (&json!("test.edu"), &json!(0), &json!(0))
    );
    let mut changed = created.clone();
    changed["description"] = json!("<b>&\"'; DROP TABLE work_items;--");
    let updated = peer.client.put(&format!("objects/update/{id}"), &changed).await;
    assert!(updated.text.contains("\\u003cb\\u003e\\u0026"), "{updated:?}");
    let updated = updated.with(200);
    assert_eq!((&updated["description"], &updated["title"]), (&changed["description"], &created["title"]));
    assert_ne!(updated["updated_at"], created["updated_at"]);
    // Everything is overwritten; what is not sent is emptied.
    let bare = new_object("one").as_object().unwrap().clone();
    let mut bare = Value::Object(bare);
    bare["id"] = json!(id);
    assert_eq!(peer.client.put(&format!("objects/update/{id}"), &bare).await.with(200)["description"], "");
}

#[tokio::test]
async fn ids_in_path_and_body_must_agree() {
    let peer = start();
    let text = "resource or institution id mismatch";
    let mut object = new_object("two");
    assert_eq!(peer.client.post("objects/create/3", &object).await.error(400), text);
    object["id"] = json!(7);
    assert_eq!(peer.client.post("objects/create/4", &object).await.error(400), text);
    assert_eq!(peer.client.put("objects/update/8", &object).await.error(400), text);
    object["institution_id"] = json!(3);
    assert_eq!(peer.client.put("objects/update/7", &object).await.error(400), text);
}

#[tokio::test]
async fn every_wrong_field_has_its_line() {
    let peer = start();
    let error = peer.client.post("objects/create/0", &json!({})).await.error(400);
    let mut lines: Vec<&str> = error.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "Access: Invalid access value",
            "Identifier: Identifier is required",
            "InstitutionID: Invalid institution id",
            "State: State must be 'A' or 'D'.",
            "StorageOption: Invalid storage option",
            "Title: Title is required",
        ]
    );
    let mut wrong = new_object("three");
    wrong["access"] = json!("Institution");
    assert_eq!(peer.client.post("objects/create/4", &wrong).await.error(400), "Access: Invalid access value");
}

#[tokio::test]
async fn a_duplicate_identifier_is_500_even_of_a_deleted_object() {
    let peer = start();
    let mut object = new_object("four");
    object["identifier"] = json!("institution2.edu/deleted");
    let text =
        "ERROR #23505 duplicate key value violates unique constraint \"index_intellectual_objects_on_identifier\"";
    assert_eq!(peer.client.post("objects/create/4", &object).await.error(500), text);
    assert_eq!(peer.client.show("objects/show/institution2.edu%2Fdeleted").await["state"], "D");
}

/// A must: this is how a re-ingest after a deletion changes the option.
#[tokio::test]
async fn the_storage_option_stays_while_active_and_changes_when_deleted() {
    let peer = start();
    let option = async |id: i64| {
        let mut object = peer.client.show(&format!("objects/show/{id}")).await;
        object["storage_option"] = json!("Wasabi-TX");
        object["state"] = json!("A");
        object["created_at"] = json!("2001-01-01T00:00:00Z");
        let created_at = peer.client.show(&format!("objects/show/{id}")).await["created_at"].clone();
        let updated = peer.client.put(&format!("objects/update/{id}"), &object).await.with(200);
        assert_eq!(updated["created_at"], created_at);
        updated["storage_option"].clone()
    };
    assert_eq!(option(1).await, "Standard");
    assert_eq!(option(14).await, "Wasabi-TX");
}

/// A quirk: the other rules on changes are checked and forgotten.
#[tokio::test]
async fn an_identifier_may_change() {
    let peer = start();
    let mut object = peer.client.show("objects/show/2").await;
    object["identifier"] = json!("institution1.edu/renamed");
    assert_eq!(peer.client.put("objects/update/2", &object).await.with(200)["identifier"], "institution1.edu/renamed");
}

/// A quirk: payload is told by a pattern, in which the identifier's own underscore is a wildcard.
#[tokio::test]
async fn counters_see_active_files_and_payload_by_pattern() {
    let peer = start();
    let object = peer.client.post("objects/create/4", &new_object("under_score")).await.with(201);
    for name in ["data/a", "bag-info.txt"] {
        peer.client.post("files/create/4", &new_file(&object, name)).await.with(201);
    }
    let mut stray = new_file(&object, "data/b");
    stray["identifier"] = json!("test.edu/underXscore/data/b");
    let stray = peer.client.post("files/create/4", &stray).await.with(201);
    let path = format!("objects/show/{}", object["id"]);
    let counters = |object: &Value| {
        ["file_count", "size", "payload_file_count", "payload_size"].map(|name| object[name].as_i64().unwrap())
    };
    assert_eq!(counters(&peer.client.show(&path).await), [3, 36, 2, 24]);
    let mut gone = stray.clone();
    gone["state"] = json!("D");
    peer.client.put(&format!("files/update/{}", stray["id"]), &gone).await.with(200);
    assert_eq!(counters(&peer.client.show(&path).await), [2, 24, 1, 12]);
    assert_eq!(
        peer.client.count("objects?identifier=test.edu%2Funder_score&size__gteq=24&file_count__lteq=2").await,
        1
    );
}

#[tokio::test]
async fn json_that_cannot_be_read_is_400_around_500() {
    let peer = start();
    for path in ["objects/create/4", "files/create/4", "files/create_batch/4", "items/create/4", "checksums/create/4"] {
        for body in ["", "{", "\"text\"", "{\"id\":\"one\"}", "[{\"id\":1.5}]"] {
            let reply = peer.client.send(reqwest::Method::POST, &super::admin(path), body, "application/json").await;
            assert_eq!((reply.status, reply.kind.as_str()), (400, "text/plain; charset=utf-8"), "{path} {body}");
            assert_eq!(reply.json()["StatusCode"], 500, "{path} {body}");
        }
    }
    for path in ["events/create", "objects/init_batch_delete"] {
        peer.client.send(reqwest::Method::POST, &super::admin(path), "{", "application/json").await.error(500);
    }
}
