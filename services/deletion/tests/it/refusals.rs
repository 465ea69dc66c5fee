//! What is refused, or waits, before S3 is asked anything (03 D4, D21, D25).

use model::{Action, GenericFile, Stage, State, Status, StorageOption, Topic, WorkItem};
use stack::registry::store::Subject;

use crate::place::{Place, RETENTION, anew};

/// Runs the item, and checks that it ends so, with everything where it was.
async fn refused(place: &Place, file: &GenericFile, item: &WorkItem, why: &str) {
    place.watch_s3();
    let over = place.run(item).await;
    place.assert_s3_was_not_asked();
    assert!(over.note.contains(why), "{} is not {why}", over.note);
    assert!(over.status != Status::Success && over.needs_admin_review, "{over:?}");
    assert_eq!(place.world.client.file(file.id).await.unwrap().state, State::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d4_nothing_goes_without_both_approvals() {
    let place = Place::new().await;
    let (_, files) = place.object(&StorageOption::Standard, 2).await;
    let good = place.file_deletion(&files[0]).await;
    let other = place.file_deletion(&files[1]).await;
    let change = async |change: &dyn Fn(&mut WorkItem)| {
        let mut item = WorkItem { id: 0, status: Status::Pending, retry: true, ..good.clone() };
        change(&mut item);
        let saved = place.world.client.save_work_item(&item).await.unwrap();
        place.world.look(saved.id).await
    };
    // The good one stays out of the way.
    for item in [&good, &other] {
        let over = WorkItem { status: Status::Cancelled, retry: false, ..item.clone() };
        place.world.client.save_work_item(&over).await.unwrap();
    }

    let item = change(&|item| item.deletion_request_id = 0).await;
    refused(&place, &files[0], &item, &format!("No deletion request for work item {}", item.id)).await;
    let item = change(&|item| item.deletion_request_id = other.deletion_request_id).await;
    refused(&place, &files[0], &item, "does not name").await;

    let requester = place.world.registry.store().user_by_email("admin@test.edu").unwrap().unwrap();
    let asked = place.world.registry.actions().request_deletion(Subject::File(files[0].id), requester, String::new());
    let open = asked.await.unwrap().id;
    let item = change(&|item| item.deletion_request_id = open).await;
    refused(&place, &files[0], &item, &format!("Deletion request {open} has no approver")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d4_nothing_goes_before_its_period_has_passed() {
    let place = Place::new().await;
    for (option, bucket, days) in [
        (StorageOption::GlacierOh, "BUCKET_GLACIER_OH", RETENTION.glacier),
        (StorageOption::GlacierDeepVa, "BUCKET_GLACIER_DEEP_VA", RETENTION.glacier_deep),
        (StorageOption::WasabiOr, "BUCKET_WASABI_OR", RETENTION.wasabi),
    ] {
        let (object, files) = place.object(&option, 2).await;
        let item = place.object_deletion(&object).await;
        // What is prepared is a year old: one file comes anew.
        let uuid = format!("{:08x}-0000-4000-8000-{:012x}", object.id, 99);
        let young =
            GenericFile { id: 0, identifier: format!("{}/data/young", object.identifier), uuid, ..anew(&files[0]) };
        place.world.client.create_files(4, &[young]).await.unwrap();
        refused(
            &place,
            &files[0],
            &item,
            &format!("has not passed minimum retention period of {days} days for {option}"),
        )
        .await;
        assert_eq!(place.keys(bucket).await.len(), 2, "{option}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d25_other_work_on_the_object_goes_first() {
    let place = Place::new().await;
    let (object, files) = place.object(&StorageOption::Standard, 1).await;
    let restoration = place
        .world
        .item(Action::RestoreObject, Stage::Requested, |item| {
            item.name.clone_from(&object.bag_name);
            item.intellectual_object_id = object.id;
        })
        .await;
    let item = place.file_deletion(&files[0]).await;
    let running = place.start();
    place.watch_s3();
    place.world.publish(Topic::DeleteItem, item.id).await;
    let waiting = place.world.until(item.id, |item| item.note.starts_with("Waiting for")).await;
    place.assert_s3_was_not_asked();
    assert!(waiting.note.contains(&restoration.id.to_string()) && waiting.retry, "{}", waiting.note);
    running.stop().await;
}
