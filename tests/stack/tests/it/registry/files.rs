//! Files, their checksums and storage records (spec 05 §6.3–6.5).

use serde_json::{Value, json};

use super::{Peer, new_event, new_file, new_object, results, start};

async fn object(peer: &Peer, name: &str) -> Value {
    peer.client.post("objects/create/4", &new_object(name)).await.with(201)
}

/// A file with two checksums, two storage records and two events.
fn full(object: &Value, name: &str) -> Value {
    let mut file = new_file(object, name);
    let at = "2024-05-06T07:08:09+02:00";
    let checksum =
        |algorithm: &str| json!({ "algorithm": algorithm, "digest": "abc", "datetime": at, "institution_id": 4 });
    file["checksums"] = json!([checksum("md5"), checksum("sha256")]);
    file["storage_records"] = json!([{ "url": "https://s3.example.com/a/1" }, { "url": "https://s3.example.com/b/1" }]);
    file["premis_events"] = json!([new_event("ingestion"), new_event("replication")]);
    file
}

#[tokio::test]
async fn a_file_is_saved_with_what_is_nested_in_it() {
    let peer = start();
    let object = object(&peer, "nested").await;
    let created = peer.client.post("files/create/4", &full(&object, "data/a")).await.with(201);
    // The reply echoes what was sent, with ids and times filled in.
    assert_eq!(created["last_fixity_check"], "2024-05-06T07:08:09.123456789Z");
    assert_eq!(created["checksums"][0]["datetime"], "2024-05-06T07:08:09+02:00");
    for nested in ["checksums", "storage_records", "premis_events"] {
        for record in created[nested].as_array().unwrap() {
            assert!(record["id"].as_i64().unwrap() > 0);
            assert_eq!(record["generic_file_id"], created["id"]);
        }
    }
    let event = &created["premis_events"][1];
    assert_eq!((&event["institution_id"], &event["intellectual_object_id"]), (&json!(4), &object["id"]));
    let identifier = created["identifier"].as_str().unwrap().replace('/', "%2F");
    let shown = peer.client.show(&format!("files/show/{identifier}")).await;
    assert_eq!(shown["checksums"].as_array().unwrap().len(), 2);
    assert_eq!(shown["last_fixity_check"], "2024-05-06T07:08:09.123457Z");
    assert_eq!(shown["checksums"][0]["datetime"], "2024-05-06T05:08:09Z");
    assert_eq!(shown["premis_events"][0].get("generic_file_identifier"), None);
}

#[tokio::test]
async fn nested_records_without_id_are_added_and_those_with_one_are_left() {
    let peer = start();
    let object = object(&peer, "again").await;
    let mut file = peer.client.post("files/create/4", &full(&object, "data/a")).await.with(201);
    let path = format!("files/update/{}", file["id"]);
    file["checksums"][0]["digest"] = json!("changed");
    file["storage_records"] = json!([{ "url": "https://s3.example.com/a/1" }]);
    file["premis_events"] = Value::Null;
    peer.client.put(&path, &file).await.with(200);
    let shown = peer.client.show(&format!("files/show/{}", file["id"])).await;
    let lengths =
        ["checksums", "storage_records", "premis_events"].map(|nested| shown[nested].as_array().unwrap().len());
    // A quirk: the same storage record twice is two.
    assert_eq!(lengths, [2, 3, 2]);
    assert!(shown["checksums"].as_array().unwrap().iter().all(|checksum| checksum["digest"] == "abc"));
}

/// A must: whatever fails, nothing of it is there afterwards.
#[tokio::test]
async fn an_error_anywhere_rolls_back_everything() {
    let peer = start();
    let object = object(&peer, "rollback").await;
    let before =
        [peer.client.count("files").await, peer.client.count("checksums").await, peer.client.count("events").await];
    let mut wrong = full(&object, "data/a");
    wrong["premis_events"][1]["outcome"] = json!("Failed");
    let error = peer.client.post("files/create/4", &wrong).await.error(400);
    assert_eq!(error, "Outcome: Event requires a valid Outcome value");
    let batch = json!([full(&object, "data/a"), full(&object, "data/b"), full(&object, "data/a")]);
    let error = peer.client.post("files/create_batch/4", &batch).await.error(500);
    assert_eq!(
        error,
        "ERROR #23505 duplicate key value violates unique constraint \"index_generic_files_on_identifier\""
    );
    let after =
        [peer.client.count("files").await, peer.client.count("checksums").await, peer.client.count("events").await];
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_batch_comes_back_in_its_order() {
    let peer = start();
    let object = object(&peer, "batch").await;
    let files: Vec<Value> = (0..10).rev().map(|number| full(&object, &format!("data/{number}"))).collect();
    let list = peer.client.post("files/create_batch/4", &json!(files)).await.with(201);
    assert_eq!((&list["count"], &list["next"], &list["previous"]), (&json!(10), &json!(""), &json!("")));
    for (sent, got) in files.iter().zip(results(&list)) {
        assert_eq!(sent["identifier"], got["identifier"]);
        assert!(got["id"].as_i64().unwrap() > 0 && got["checksums"][1]["id"].as_i64().unwrap() > 0);
    }
    let list = peer.client.show(&format!("files?intellectual_object_id={}&sort=identifier", object["id"])).await;
    assert!(results(&list).iter().all(|file| file["premis_events"].as_array().unwrap().len() == 2));
    let none = peer.client.post("files/create_batch/4", &json!([])).await.with(201);
    assert_eq!((&none["count"], &none["results"]), (&json!(0), &json!([])));
    let mut alien = full(&object, "data/alien");
    alien["institution_id"] = json!(3);
    let error = peer.client.post("files/create_batch/4", &json!([alien])).await.error(500);
    assert_eq!(error, "GenericFile.InstitutionID must match request institution ID");
}

/// A quirk: zero is NULL, so a file without bytes has no size that a filter could meet.
#[tokio::test]
async fn a_file_without_bytes_has_size_zero_and_matches_no_filter() {
    let peer = start();
    let object = object(&peer, "empty").await;
    let mut file = new_file(&object, "data/empty");
    file["size"] = json!(0);
    let created = peer.client.post("files/create/4", &file).await.with(201);
    assert_eq!(peer.client.show(&format!("files/show/{}", created["id"])).await["size"], 0);
    assert_eq!(peer.client.count("files?size__lteq=0").await, 0);
}

/// A quirk: the default of the database on creation, an error on update.
#[tokio::test]
async fn a_file_never_checked_is_of_2000_and_cannot_be_set_back() {
    let peer = start();
    let object = object(&peer, "unchecked").await;
    let mut file = new_file(&object, "data/a");
    file["last_fixity_check"] = json!("0001-01-01T00:00:00Z");
    let mut created = peer.client.post("files/create/4", &file).await.with(201);
    assert_eq!(created["last_fixity_check"], "2000-01-01T00:00:00Z");
    created["last_fixity_check"] = Value::Null;
    let error = peer.client.put(&format!("files/update/{}", created["id"]), &created).await.error(500);
    assert!(error.starts_with("ERROR #23502 null value in column \"last_fixity_check\""), "{error}");
}

#[tokio::test]
async fn every_wrong_field_has_its_line() {
    let peer = start();
    let error = peer.client.post("files/create/0", &json!({ "size": -1 })).await.error(400);
    let mut lines: Vec<&str> = error.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "FileFormat: FileFormat is required",
            "Identifier: Identifier is required",
            "InstitutionID: Invalid institution id",
            "IntellectualObjectID: Intellectual object ID is required",
            "Size: Size cannot be negative",
            "State: State must be 'A' or 'D'.",
            "StorageOption: Invalid storage option",
            "UUID: Valid UUID required",
        ]
    );
}

#[tokio::test]
async fn the_storage_option_stays_while_active() {
    let peer = start();
    for (id, expected) in [(1, "Standard"), (10, "Glacier-VA")] {
        let mut file = peer.client.show(&format!("files/show/{id}")).await;
        file["storage_option"] = json!("Glacier-VA");
        let updated = peer.client.put(&format!("files/update/{id}"), &file).await.with(200);
        assert_eq!((&updated["storage_option"], &updated["created_at"]), (&json!(expected), &file["created_at"]));
    }
}

#[tokio::test]
async fn a_checksum_is_added_to_a_file_of_the_institution() {
    let peer = start();
    let checksum =
        json!({ "algorithm": "md5", "digest": "abc", "datetime": "2024-05-06T07:08:09.5Z", "generic_file_id": 11 });
    let created = peer.client.post("checksums/create/3", &checksum).await.with(201);
    assert_eq!(created["datetime"], checksum["datetime"]);
    let shown = peer.client.show(&format!("checksums/show/{}", created["id"])).await;
    assert_eq!((&shown["state"], &shown["institution_id"]), (&json!("A"), &json!(3)));
    assert_eq!(shown["generic_file_identifier"], "institution2.edu/chocolate/picture1");
    assert_eq!(
        peer.client.post("checksums/create/2", &checksum).await.error(500),
        "Can't save checksum. Institution ID mismatch"
    );
    let mut wrong = checksum.clone();
    wrong["generic_file_id"] = json!(999);
    assert_eq!(
        peer.client.post("checksums/create/3", &wrong).await.error(500),
        "Can't save checksum. GenericFile 999 does not exist"
    );
    wrong["id"] = json!(1);
    assert_eq!(peer.client.post("checksums/create/3", &wrong).await.error(405), "operation not supported");
    wrong = json!({ "generic_file_id": 11 });
    assert_eq!(peer.client.post("checksums/create/3", &wrong).await.error(400).lines().count(), 3);
}

#[tokio::test]
async fn a_storage_record_is_added_to_a_file_of_the_institution() {
    let peer = start();
    let record = json!({ "generic_file_id": 11, "url": "https://s3.example.com/bucket/key" });
    let created = peer.client.post("storage_records/create/3", &record).await.with(201);
    assert_eq!(peer.client.show(&format!("storage_records/show/{}", created["id"])).await, created);
    assert_eq!(peer.client.count("storage_records?generic_file_id=11").await, 3);
    let error = peer.client.post("storage_records/create/2", &record).await.error(500);
    assert_eq!(error, "Can't save storage record. Institution ID mismatch");
    let wrong = json!({ "generic_file_id": 11, "url": "nowhere" });
    assert_eq!(
        peer.client.post("storage_records/create/3", &wrong).await.error(400),
        "URL: Storage record requires a valid URL"
    );
}
