//! Deletions on embedded servers: what is refused before a byte goes, and what is gone afterwards (03 §5 and §13).

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod place;
mod refusals;

use model::{EventType, GenericFile, State, Status, StorageOption, Topic, note};
use stack::registry::Fault as RegistryFault;
use stack::s3::{Fault, FaultKind, Operation};

use crate::place::Place;

const VA: &str = "BUCKET_STANDARD_VA";
const OR: &str = "BUCKET_STANDARD_OR";

async fn assert_is_gone(place: &Place, before: &GenericFile) {
    let file = place.world.client.file(before.id).await.unwrap();
    assert_eq!((&file.state, file.storage_records.len()), (&State::Deleted, 0), "{}", file.identifier);
}

/// One event for each of these files, and one for the object if it is told.
async fn assert_events(place: &Place, object: i64, files: &[GenericFile], of_object: usize) {
    let events = place.deletions(object).await;
    for file in files {
        let of_file = events.iter().filter(|event| event.generic_file_id == file.id).count();
        assert_eq!(of_file, 1, "{}", file.identifier);
    }
    let others = events.iter().filter(|event| event.generic_file_id == 0 && event.event_type == EventType::Deletion);
    assert_eq!((others.count(), events.len()), (of_object, files.len() + of_object));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_from_every_bucket_and_the_others_stay() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 2).await;
    let item = place.file_deletion(&files[0]).await;
    let over = place.run(&item).await;
    assert_eq!((&over.status, over.outcome.as_str()), (&Status::Success, note::FILE_DELETED), "{over:?}");
    assert_eq!(over.note, note::deleted(&item.user, &item.inst_approver, ""));
    for bucket in [VA, OR] {
        assert_eq!(place.keys(bucket).await, [files[1].uuid.as_str()]);
    }
    assert_is_gone(&place, &files[0]).await;
    assert_eq!(place.world.client.file(files[1].id).await.unwrap().state, State::Active);
    assert_eq!(place.world.client.object(object.id).await.unwrap().state, State::Active);
    assert_events(&place, object.id, &files[..1], 0).await;
    assert!(place.world.keys(0).await.is_empty(), "nothing is left in Redis");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_goes_with_all_its_files_page_by_page() {
    const FILES: usize = 450;
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, FILES).await;
    let item = place.object_deletion(&object).await;
    let over = place.run(&item).await;
    assert_eq!((&over.status, over.outcome.as_str()), (&Status::Success, note::OBJECT_DELETED), "{over:?}");
    for bucket in [VA, OR] {
        assert!(place.keys(bucket).await.is_empty());
    }
    for file in &files {
        assert_is_gone(&place, file).await;
    }
    assert_eq!(place.world.client.object(object.id).await.unwrap().state, State::Deleted);
    assert_events(&place, object.id, &files, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d5_files_that_cannot_be_deleted_are_tried_once_and_the_rest_goes() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 450).await;
    let item = place.object_deletion(&object).await;
    // More than a page of them: nothing that was stored in Oregon may go.
    let denied = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
    let oregon = place.bucket(OR).name().to_owned();
    for operation in [Operation::DeleteObject, Operation::DeleteObjects] {
        place.s3.faults().add(Fault::new(denied.clone()).bucket(&oregon).operation(operation)).unwrap();
    }
    let over = place.run(&item).await;
    assert!(over.note.contains("Access") && over.needs_admin_review, "{}", over.note);
    assert!(place.keys(VA).await.is_empty(), "each was tried");
    assert_eq!(place.keys(OR).await.len(), files.len());
    assert_eq!(place.deletions(object.id).await.len(), 0, "none is reported that has a copy left");

    place.s3.faults().reset();
    let requeued = place.world.registry.actions().requeue(item.id, "Requested").await.unwrap();
    assert_eq!(requeued.id, item.id);
    let over = place.run(&item).await;
    assert_eq!(over.status, Status::Success, "{}", over.note);
    assert_events(&place, object.id, &files, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d20_what_is_deleted_already_is_no_error() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 2).await;
    for _ in 0..2 {
        let item = place.file_deletion(&files[0]).await;
        assert_eq!(place.run(&item).await.outcome, note::FILE_DELETED);
    }
    for _ in 0..2 {
        let item = place.object_deletion(&object).await;
        assert_eq!(place.run(&item).await.outcome, note::OBJECT_DELETED);
    }
    assert_events(&place, object.id, &files, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_object_are_deleted_in_any_order_and_none_waits_for_another_item() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 2).await;
    let first = place.file_deletion(&files[0]).await;
    let second = place.file_deletion(&files[1]).await;
    assert_eq!(place.run(&second).await.status, Status::Success, "though the first has not begun");
    assert_eq!(place.run(&first).await.status, Status::Success);
    assert_events(&place, object.id, &files, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_gone_already_is_no_error() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 1).await;
    place.bucket(VA).delete(&files[0].uuid).await.unwrap();
    let item = place.file_deletion(&files[0]).await;
    assert_eq!(place.run(&item).await.status, Status::Success);
    assert_events(&place, object.id, &files, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_of_the_registry_make_no_second_event() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 3).await;
    let item = place.object_deletion(&object).await;
    place.world.registry.faults().add_for("DELETE", "/", RegistryFault::CutAfter, 2);
    assert_eq!(place.run(&item).await.status, Status::Success);
    assert_events(&place, object.id, &files, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_deletion_is_ended_by_the_next_run() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 250).await;
    let item = place.object_deletion(&object).await;
    // Between the copies of Virginia and those of Oregon, and then before all is reported.
    let slow = FaultKind::Latency { milliseconds: 3_600_000 };
    let oregon = place.bucket(OR).name().to_owned();
    place.s3.faults().add(Fault::new(slow).bucket(&oregon).operation(Operation::DeleteObjects)).unwrap();
    let running = place.start();
    place.world.publish(Topic::DeleteItem, item.id).await;
    stack::testing::until("copies to be gone", async || match place.keys(VA).await.len() {
        250 => Err("none is gone"),
        _ => Ok(()),
    })
    .await;
    running.kill();
    assert_eq!(place.keys(OR).await.len(), 250);
    assert_eq!(place.deletions(object.id).await.len(), 0);

    place.s3.faults().reset();
    place.world.registry.faults().add_for("DELETE", "/", RegistryFault::Status(503), usize::MAX);
    let running = place.start();
    place.world.publish(Topic::DeleteItem, item.id).await;
    stack::testing::until("copies to be gone in Oregon", async || match place.keys(OR).await.len() {
        250 => Err("none is gone"),
        _ => Ok(()),
    })
    .await;
    running.kill();
    place.world.registry.faults().clear();

    let over = place.run(&item).await;
    assert_eq!(over.status, Status::Success, "{}", over.note);
    assert_events(&place, object.id, &files, 1).await;
    assert!(place.keys(VA).await.is_empty() && place.keys(OR).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_counts_as_no_attempt() {
    let place = Place::new().await;
    let (_, files) = place.object(&StorageOption::Standard, 1).await;
    let item = place.file_deletion(&files[0]).await;
    let away = FaultKind::Status { status: 503, code: "SlowDown".to_owned() };
    place.s3.faults().add(Fault::new(away).operation(Operation::DeleteObject).times(8)).unwrap();
    assert_eq!(place.run(&item).await.status, Status::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn wasabis_minimum_period_is_named_in_words() {
    let place = Place::new().await;
    let (_, files) = place.object(&StorageOption::WasabiTx, 1).await;
    let item = place.file_deletion(&files[0]).await;
    let denied = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
    place.s3.faults().add(Fault::new(denied).operation(Operation::DeleteObject)).unwrap();
    let over = place.run(&item).await;
    assert!(over.note.contains(note::WASABI_DENIED), "{}", over.note);
    assert_eq!(place.keys("BUCKET_WASABI_TX").await.len(), 1);
}
