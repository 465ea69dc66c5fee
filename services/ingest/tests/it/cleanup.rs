//! Cleanup: what goes, what stays, and in which order.

use futures_util::future::join_all;
use ingest::Cleanup;
use model::{Stage, Status, Topic, WorkItem};
use stack::s3::{Fault, FaultKind, Operation};
use worker::Rules;
use worker::settings::EndToEnd;
use world::Running;

use crate::known::{Place, RECEIVING, STAGING, UNSAFE, until};

const RULES: Rules = Rules::ingest(Topic::IngestCleanup, "Finished cleanup. Ingest complete.");
const OBJECT: i64 = 4711;

/// An item whose ingest is recorded: its tar and these objects of staging are there.
async fn recorded(place: &Place, staged: usize, change: impl FnOnce(&mut model::IngestObject)) -> WorkItem {
    let (item, bag) = place.item(Stage::Cleanup, |_| {}).await;
    let mut object = bag.object;
    object.etag = place.put(RECEIVING, &item.name).await;
    object.should_delete_from_receiving = true;
    object.id = OBJECT;
    change(&mut object);
    place.world.store.save_object(item.id, &object).await.unwrap();
    let keys: Vec<String> = (0..staged).map(|number| format!("{}/{number}", item.id)).collect();
    for keys in keys.chunks(100) {
        join_all(keys.iter().map(|key| place.put(STAGING, key))).await;
    }
    item
}

async fn start(place: &Place, end_to_end: EndToEnd) -> Running {
    let staging = buckets::Staging { bucket: STAGING.to_owned() };
    place.start(RULES, Cleanup::new(&place.ground().await, &staging, end_to_end).unwrap())
}

async fn cleaned(place: &Place, item: &WorkItem, end_to_end: EndToEnd) -> WorkItem {
    let running = start(place, end_to_end).await;
    place.world.publish(Topic::IngestCleanup, item.id).await;
    let item = place.world.until(item.id, |item| !item.retry).await;
    place.world.until_load(Topic::IngestCleanup, (0, 0, 0)).await;
    running.stop().await;
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_and_the_item_is_complete() {
    let place = Place::new().await;
    let item = recorded(&place, 3, |_| {}).await;
    let ended = cleaned(&place, &item, EndToEnd::Off).await;
    assert_eq!((&ended.status, &ended.stage), (&Status::Success, &Stage::Cleanup));
    assert_eq!(
        (ended.note.as_str(), ended.outcome.as_str()),
        ("Finished cleanup. Ingest complete.", "Ingest complete")
    );
    assert_eq!((ended.intellectual_object_id, ended.retry, ended.needs_admin_review), (OBJECT, false, false));
    assert!(place.keys(STAGING).await.is_empty() && place.keys(RECEIVING).await.is_empty());
    assert!(place.world.keys(0).await.is_empty(), "Redis too");
    assert_eq!(place.world.depth("e2e_ingest_post_test").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_01_the_staged_files_of_other_items_stay() {
    let place = Place::new().await;
    let item = recorded(&place, 2, |_| {}).await;
    let others = [format!("{}0/uuid", item.id), format!("{}", item.id), format!("{}.txt", item.id)];
    for key in &others {
        place.put(STAGING, key).await;
    }
    assert_eq!(cleaned(&place, &item, EndToEnd::Off).await.status, Status::Success);
    let mut kept = place.keys(STAGING).await;
    kept.sort();
    let mut expected = others.to_vec();
    expected.sort();
    assert_eq!(kept, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_02_a_newer_upload_stays() {
    let place = Place::new().await;
    let item = recorded(&place, 1, |object| object.etag = "0123456789abcdef0123456789abcdef".to_owned()).await;
    assert_eq!(cleaned(&place, &item, EndToEnd::Off).await.status, Status::Success);
    assert_eq!(place.keys(RECEIVING).await, [item.name]);
    assert!(place.keys(STAGING).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_is_not_to_go_stays_and_one_that_is_gone_is_no_error() {
    let place = Place::new().await;
    let kept = recorded(&place, 0, |object| object.should_delete_from_receiving = false).await;
    let gone = recorded(&place, 0, |_| {}).await;
    place.bucket(RECEIVING).delete(&gone.name).await.unwrap();
    for item in [&kept, &gone] {
        assert_eq!(cleaned(&place, item, EndToEnd::Off).await.status, Status::Success);
    }
    assert_eq!(place.keys(RECEIVING).await, [kept.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_name_is_not_that_of_a_receiving_bucket_is_left_alone() {
    let place = Place::new().await;
    let item = recorded(&place, 0, |object| object.s3_bucket = UNSAFE.to_owned()).await;
    place.put(UNSAFE, &item.name).await;
    let ended = cleaned(&place, &item, EndToEnd::Off).await;
    let said = format!("Can't delete {} from receiving because bucket precious doesn't look safe", item.name);
    assert!(ended.note.starts_with(&said), "{}", ended.note);
    assert_eq!(place.keys(UNSAFE).await, [item.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_28_an_object_without_an_id_is_not_cleaned_up() {
    let place = Place::new().await;
    let item = recorded(&place, 1, |object| object.id = 0).await;
    let ended = cleaned(&place, &item, EndToEnd::Off).await;
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.note.contains("has no id in Registry") && ended.needs_admin_review, "{}", ended.note);
    assert_eq!((place.keys(STAGING).await.len(), place.keys(RECEIVING).await.len()), (1, 1));
    assert!(place.object(&item).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_28_a_deletion_that_fails_is_counted_and_nothing_later_is_deleted() {
    let place = Place::new().await;
    let item = recorded(&place, 2, |_| {}).await;
    let denied = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
    place.s3.faults().add(Fault::new(denied).bucket(STAGING).operation(Operation::DeleteObjects)).unwrap();
    let ended = cleaned(&place, &item, EndToEnd::On).await;
    assert!(
        ended.note.ends_with(" Will not retry: failed 3 times. Interim processing data persists."),
        "{}",
        ended.note
    );
    assert_eq!((ended.status, ended.needs_admin_review), (Status::Started, true));
    assert_eq!(place.keys(RECEIVING).await, [&*item.name], "the tar goes after staging");
    assert!(place.object(&item).await.is_some(), "Redis goes last");
    assert_eq!(place.world.depth("e2e_ingest_post_test").await, 1, "its end is told all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_28_redis_knows_the_item_until_its_tar_is_gone() {
    let place = Place::new().await;
    let item = recorded(&place, 1, |_| {}).await;
    let denied = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
    place.s3.faults().add(Fault::new(denied).bucket(RECEIVING).operation(Operation::DeleteObject)).unwrap();
    let ended = cleaned(&place, &item, EndToEnd::Off).await;
    assert!(ended.needs_admin_review && ended.status == Status::Started, "{}", ended.note);
    assert!(place.object(&item).await.is_some());
    assert_eq!(place.keys(RECEIVING).await, [item.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_to_the_end_to_end_test() {
    let place = Place::new().await;
    let first = recorded(&place, 0, |_| {}).await;
    let again = recorded(&place, 0, |object| object.is_reingest = true).await;
    for (item, topic) in [(first, "e2e_ingest_post_test"), (again, "e2e_reingest_post_test")] {
        assert_eq!(cleaned(&place, &item, EndToEnd::On).await.status, Status::Success);
        assert_eq!(place.world.depth(topic).await, 1, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_is_emptied_by_a_request_for_a_thousand_objects() {
    let place = Place::new().await;
    let item = recorded(&place, 1100, |_| {}).await;
    // One more of either kind, and the item would not be complete.
    for operation in [Operation::ListObjects, Operation::DeleteObjects] {
        let denied = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
        place.s3.faults().add(Fault::new(denied).bucket(STAGING).operation(operation).after(2)).unwrap();
    }
    assert_eq!(cleaned(&place, &item, EndToEnd::Off).await.status, Status::Success);
    place.s3.faults().reset();
    assert!(place.keys(STAGING).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_that_is_killed_is_followed_by_another() {
    let place = Place::new().await;
    let item = recorded(&place, 1100, |_| {}).await;
    // The first thousand go, and the rest not before the worker is dead.
    place
        .s3
        .faults()
        .add(Fault::new(FaultKind::Stall).bucket(STAGING).operation(Operation::ListObjects).after(1))
        .unwrap();
    place.world.publish(Topic::IngestCleanup, item.id).await;
    let running = start(&place, EndToEnd::On).await;
    let before = format!("{}/0", item.id);
    until("a thousand are deleted", async || place.bucket(STAGING).find(&before).await.unwrap().is_none()).await;
    running.kill();
    place.s3.faults().reset();
    assert_eq!(place.keys(RECEIVING).await, [&*item.name]);
    let running = start(&place, EndToEnd::On).await;
    place.world.until(item.id, |item| item.status == Status::Success).await;
    place.world.until_load(Topic::IngestCleanup, (0, 0, 0)).await;
    running.stop().await;
    assert!(place.keys(STAGING).await.is_empty() && place.keys(RECEIVING).await.is_empty());
    assert!(place.world.keys(0).await.is_empty());
    assert_eq!(place.world.depth("e2e_ingest_post_test").await, 1);
}
