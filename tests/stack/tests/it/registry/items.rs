//! Work items (spec 05 §6.7).

use serde_json::{Value, json};

use super::{new_item, start};

#[tokio::test]
async fn an_item_is_created_and_overwritten() {
    let peer = start();
    let mut item = peer.client.post("items/create/4", &new_item("a.tar")).await.with(201);
    assert_eq!(
        (&item["note"], &item["queued_at"], &item["retry"]),
        (&json!(""), &json!("0001-01-01T00:00:00Z"), &json!(true))
    );
    assert_eq!(item.get("object_identifier"), None);
    item["queued_at"] = json!("2024-05-06T07:08:09Z");
    item["retry"] = json!(false);
    item["storage_option"] = json!("of no table");
    let path = format!("items/update/{}", item["id"]);
    let updated = peer.client.put(&path, &item).await.with(200);
    assert_eq!(
        (&updated["queued_at"], &updated["retry"], &updated["created_at"]),
        (&item["queued_at"], &json!(false), &item["created_at"])
    );
    // A difference to objects and files: the time of creation is taken from the JSON.
    item["created_at"] = json!("2001-01-01T00:00:00Z");
    assert_eq!(peer.client.put(&path, &item).await.with(200)["created_at"], "2001-01-01T00:00:00Z");
}

/// A must: the delete and restore workers read them.
#[tokio::test]
async fn a_view_shows_the_identifiers() {
    let peer = start();
    let item = peer.client.show("items/show/33").await;
    assert_eq!(item["object_identifier"], "institution2.edu/toads");
    assert_eq!(item["generic_file_identifier"], "institution2.edu/toads/toad10");
    assert_eq!(
        (&item["storage_option"], &item["institution_identifier"]),
        (&json!("Standard"), &json!("institution2.edu"))
    );
}

/// A must and a quirk: ingest sets the object of an item that had none, and nothing else is held fast either.
#[tokio::test]
async fn no_change_is_refused() {
    let peer = start();
    let mut item = peer.client.post("items/create/4", &new_item("a.tar")).await.with(201);
    item["intellectual_object_id"] = json!(7);
    (item["name"], item["action"], item["etag"]) = (json!("b.tar"), json!("Delete"), json!("1".repeat(40)));
    peer.client.put(&format!("items/update/{}", item["id"]), &item).await.with(200);
    let shown = peer.client.show(&format!("items/show/{}", item["id"])).await;
    assert_eq!(
        (&shown["object_identifier"], &shown["name"]),
        (&json!("test.edu/btr-512-test-restore"), &json!("b.tar"))
    );
}

/// A must: what is empty is NULL, and the other way round.
#[tokio::test]
async fn an_empty_node_is_null() {
    let peer = start();
    let mut item = peer.client.post("items/create/4", &new_item("a.tar")).await.with(201);
    let path = format!("items/update/{}", item["id"]);
    (item["node"], item["pid"]) = (json!("host"), json!(17));
    peer.client.put(&path, &item).await.with(200);
    assert_eq!(peer.client.count("items?name=a.tar&node__is_null=true").await, 0);
    assert_eq!(peer.client.count("items?name=a.tar&node__not_null=true&queued_at__is_null=true").await, 1);
    (item["node"], item["pid"]) = (json!(""), json!(0));
    peer.client.put(&path, &item).await.with(200);
    assert_eq!(peer.client.count("items?name=a.tar&node__is_null=true").await, 1);
}

/// A must: nothing about items is unique.
#[tokio::test]
async fn two_items_may_be_alike() {
    let peer = start();
    for _ in 0..2 {
        peer.client.post("items/create/4", &new_item("twice.tar")).await.with(201);
    }
    assert_eq!(peer.client.count("items?name=twice.tar").await, 2);
}

/// With the quirk that note and outcome are judged by the name.
#[tokio::test]
async fn every_wrong_field_has_its_line() {
    let peer = start();
    let error = peer.client.post("items/create/0", &json!({ "note": "there", "outcome": "there" })).await.error(400);
    let mut lines: Vec<&str> = error.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "Action: Action is missing or invalid.",
            "BagDate: BagDate is required.",
            "Bucket: Bucket is required.",
            "DateProcessed: DateProcessed is required.",
            "ETag: ETag is required (32-40 bytes).",
            "InstitutionID: InstitutionID is required.",
            "Name: Name is required.",
            "Note: Note cannot be empty.",
            "Outcome: Outcome cannot be empty.",
            "Stage: Stage is missing or invalid.",
            "Status: Status is missing or invalid.",
            "User: User must be a valid email address.",
        ]
    );
    for (field, value, takes) in [
        ("etag", json!("0".repeat(31)), false),
        ("etag", json!(format!("{}-1234567", "0".repeat(32))), true),
        ("etag", json!(format!("{}-12345678", "0".repeat(32))), false),
        ("name", json!("n".repeat(1000)), true),
        ("name", json!("n".repeat(1001)), false),
        ("user", json!("nobody"), false),
        ("stage", json!("receive"), false),
    ] {
        let mut item = new_item("a.tar");
        item[field] = value;
        assert_eq!(peer.client.post("items/create/4", &item).await.status == 201, takes, "{field}");
    }
}

#[tokio::test]
async fn ids_in_path_and_body_must_agree() {
    let peer = start();
    let text = "resource or institution id mismatch";
    assert_eq!(peer.client.post("items/create/3", &new_item("a.tar")).await.error(400), text);
    let mut item: Value = peer.client.show("items/show/1").await;
    assert_eq!(peer.client.put("items/update/2", &item).await.error(400), text);
    item["institution_id"] = json!(3);
    assert_eq!(peer.client.put("items/update/1", &item).await.error(400), text);
}

#[tokio::test]
async fn a_restoration_is_told_each_time_it_is_saved() {
    let peer = start();
    let before = peer.client.count("alerts?type=Restoration+Completed").await;
    let mut item = peer.client.show("items/show/33").await;
    item["note"] = json!("File restored to https://s3.example.com/a.b.");
    for saved in 1..=2 {
        peer.client.put("items/update/33", &item).await.with(200);
        // To the two active people of institution 3, each time.
        assert_eq!(peer.client.count("alerts?type=Restoration+Completed").await, before + 2 * saved);
    }
    let alert = &super::results(&peer.client.show("alerts?type=Restoration+Completed&per_page=1").await)[0];
    assert!(alert["content"].as_str().unwrap().ends_with("https://s3.example.com/a.b"), "{alert}");
}
