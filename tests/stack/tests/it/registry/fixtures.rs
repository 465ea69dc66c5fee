//! The counts and ids that upstream's suites know (spec 05 §13, spec 06 §4.4 and §6).

use serde_json::{Value, json};
use stack::registry::store::{Query, StorageRecord};
use stack::registry::{Fixtures, Options};

use super::{column, results, start, start_with};

#[tokio::test]
async fn there_are_as_many_as_upstream_counts() {
    let peer = start();
    for (path, count) in [
        ("institutions?sort=name__asc&per_page=20", 5),
        ("objects", 14),
        ("objects?state=A&storage_option=Standard", 8),
        ("files", 62),
        ("files?institution_id=2&storage_option=Standard", 11),
        ("files?institution_id=2&storage_option=Standard&state=A", 10),
        ("files?institution_id=2&storage_option=Glacier-Deep-OH", 3),
        ("files?institution_id=2&storage_option=Glacier-OR", 2),
        ("files?institution_id=2&storage_option=Wasabi-VA", 2),
        ("files?institution_id=3&storage_option=Standard&state=A", 30),
        ("files?institution_id=3&storage_option=Standard&state=D", 2),
        ("files?institution_id=3&storage_option=Wasabi-OR", 3),
        ("files?institution_id=3&storage_option=Glacier-Deep-VA", 2),
        ("files?institution_id=4&storage_option=Standard", 7),
        ("checksums", 32),
        ("checksums?institution_id=2&algorithm=sha256", 2),
        ("storage_records", 88),
        ("events", 54),
        ("events?institution_id=2", 27),
        ("items", 33),
        ("items?action=Ingest&institution_id=2", 13),
        ("deletions", 3),
        ("alerts", 15),
    ] {
        assert_eq!(peer.client.count(path).await, count, "{path}");
    }
    assert_eq!(peer.registry.store().users().unwrap().len(), 9);
}

#[tokio::test]
async fn the_records_that_clients_are_tested_with_are_there() {
    let peer = start();
    let photos = peer.client.show("objects/show/institution1.edu%2Fphotos").await;
    assert_eq!(photos, peer.client.show("objects/show/1").await);
    for (field, value) in [
        ("title", "First Object for Institution One"),
        ("alt_identifier", "photos_from_the_1960s"),
        ("bag_name", "photos.tar"),
        ("etag", "etagforinst1photos"),
        ("internal_sender_identifier", "First internal identifier"),
        ("institution_identifier", "institution1.edu"),
    ] {
        assert_eq!(photos[field], value);
    }
    let file = peer.client.show("files/show/1").await;
    assert_eq!((&file["size"], &file["file_format"]), (&json!(243_855_000), &json!("image/jpeg")));
    let nested = |name: &str| file[name].as_array().unwrap().len();
    assert_eq!((nested("checksums"), nested("premis_events"), nested("storage_records")), (2, 4, 2));
    assert_eq!(peer.client.show("checksums/show/1").await["digest"], "12345678");
    let event = peer.client.show("events/show/a966ca54-ee5b-4606-81bd-7653dd5f3a63").await;
    assert_eq!((&event["id"], &event["event_type"]), (&json!(1), &json!("ingestion")));
    let event = peer.client.show("events/show/ac6a2b51-a2f4-4380-a3ca-8fa1d45ed6a6").await;
    assert_eq!((&event["intellectual_object_id"], &event["generic_file_id"]), (&json!(2), &json!(0)));
    let item = peer.client.show("items/show/1").await;
    assert_eq!((&item["name"], &item["object_identifier"]), (&json!("fake_bag_01.tar"), &json!("")));
    let names = column(&peer.client.show("items?action=Ingest&institution_id=2&sort=name__desc").await, "name");
    assert!(names.windows(2).all(|pair| pair[0].as_str() > pair[1].as_str()), "{names:?}");
    let curly =
        "files/show/institution2.edu%2Ftoads%2FPrakash_%2039%20Harv.%20J.L.%20%26%20Pub.%20Pol%E2%80%99y%20341%20.pdf";
    assert_eq!(peer.client.show(curly).await["id"], 19);
}

#[tokio::test]
async fn the_two_bags_of_the_restoration_tests_are_whole() {
    let peer = start();
    for (id, identifier, files, bytes) in
        [(7, "test.edu/btr-512-test-restore", 3, 45_182), (8, "test.edu/apt-test-restore", 4, 44_923)]
    {
        let object = peer.client.show(&format!("objects/show/{id}")).await;
        assert_eq!(
            (&object["identifier"], &object["file_count"], &object["size"]),
            (&json!(identifier), &json!(files), &json!(bytes))
        );
        let list = peer.client.show(&format!("files?intellectual_object_id={id}&state=A&sort=identifier")).await;
        for file in results(&list) {
            assert_eq!(file["checksums"].as_array().unwrap().len(), 4);
            let urls: Vec<&str> = file["storage_records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| record["url"].as_str().unwrap())
                .collect();
            let uuid = file["uuid"].as_str().unwrap();
            assert_eq!(
                urls,
                [
                    format!("https://s3.us-east-1.localhost:9899/preservation-va/{uuid}"),
                    format!("https://s3.us-west-2.localhost:9899/preservation-or/{uuid}"),
                ]
            );
        }
    }
    let file = peer.client.show("files/show/test.edu%2Fapt-test-restore%2Fdata%2Fsample.xml").await;
    assert_eq!((&file["id"], &file["uuid"]), (&json!(24), &json!("216cf80c-8d23-4435-bdac-3bfa715b064a")));
    assert_eq!((&file["checksums"][0]["algorithm"], &file["size"]), (&json!("sha512"), &json!(23_972)));
}

#[tokio::test]
async fn new_records_come_after_the_fixtures() {
    let peer = start();
    let created = peer.client.post("objects/create/4", &super::new_object("after")).await.with(201);
    assert_eq!(created["id"], 15);
}

#[test]
fn people_are_there_without_records() {
    let peer = start_with(Options { fixtures: Fixtures::People, ..Options::default() });
    let store = peer.registry.store();
    assert_eq!(store.users().unwrap().len(), 9);
    assert_eq!(store.list::<StorageRecord>(&Query::new()).unwrap().count, 0);
}

#[tokio::test]
async fn a_database_in_a_file_is_found_again_and_not_filled_twice() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        database: Some(folder.path().join("registry.db")),
        fixtures: Fixtures::Upstream,
        ..Options::default()
    };
    let before: Value = {
        let peer = start_with(options.clone());
        peer.client.post("items/create/4", &super::new_item("kept.tar")).await.with(201)
    };
    let peer = start_with(options);
    assert_eq!(peer.client.show("items/show/34").await["name"], before["name"]);
    assert_eq!(peer.client.count("items").await, 34);
}
