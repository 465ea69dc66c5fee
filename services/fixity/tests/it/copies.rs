//! Which copies are read, when they are due, and what an end-to-end test hears, against embedded servers (03 §6).

use fixity::Terms;
use model::topic::e2e;
use model::{Action, GenericFile, PremisEvent, Stage, State, Status, StorageRecord, WorkItem};
use stack::s3::FaultKind;
use worker::settings::{EndToEnd, FixityCopies};
use world::until;

use crate::place::{DAYS, OR, Place, VA, days_ago, failing};

fn all(terms: &mut Terms) {
    terms.copies = FixityCopies::All;
}

/// Outcome and URL of each.
fn told<'e>(events: &'e [PremisEvent], urls: &'e [String]) -> Vec<(&'e str, &'e str)> {
    let of = |event: &PremisEvent| urls.iter().find(|url| event.outcome_information.contains(url.as_str())).unwrap();
    events.iter().map(|event| (event.outcome.as_str(), of(event).as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_copy_has_an_event_of_its_own() {
    let place = Place::new().await;
    let file = place.file(b"as it was", |_| {}).await;
    place.put(OR, &file, b"as it is!").await;
    let running = place.start_with(all);
    let events = place.check(&file).await;
    let urls = [place.url(VA, &file), place.url(OR, &file)];
    assert_eq!(told(&events, &urls), [("Success", &*urls[0]), ("Failed", &*urls[1])]);

    // None of them is due now.
    place.count(VA);
    place.count(OR);
    assert_eq!(place.check(&file).await.len(), 2);
    running.stop().await;
    assert_eq!((place.counted(VA), place.counted(OR)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_archived_is_left_alone() {
    let place = Place::with(&[OR]).await;
    let file = place.file(b"bytes", |_| {}).await;
    let running = place.start_with(all);
    let events = place.check(&file).await;
    running.stop().await;
    let urls = [place.url(VA, &file)];
    assert_eq!(told(&events, &urls), [("Success", &*urls[0])]);
    assert_eq!(place.requeued().await, 0);
}

/// The first event makes the file look as if it were not due any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_ends_between_two_copies_goes_on_with_the_second() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.count(VA);
    place.reads(OR, failing(), |fault| fault.times(2));
    let running = place.start_with(all);
    let events = place.check(&file).await;
    running.stop().await;
    let urls = [place.url(VA, &file), place.url(OR, &file)];
    assert_eq!(told(&events, &urls), [("Success", &*urls[0]), ("Success", &*urls[1])]);
    assert_eq!((place.requeued().await, place.counted(VA)), (1, 1));
}

/// A copy that an unknown bucket hosts does not hide the others, and one that was lost does not either.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_lost_or_elsewhere_keeps_no_other_from_being_read() {
    let place = Place::new().await;
    let elsewhere = StorageRecord { url: "https://elsewhere.org/bucket/key".to_owned(), ..StorageRecord::default() };
    let hosted = |uuid: &str| {
        let url = |name| place.buckets.iter().find(|bucket| bucket.name() == name).unwrap().url(uuid);
        [VA, OR].map(|name| StorageRecord { url: url(name), ..StorageRecord::default() })
    };
    let records = |file: &mut GenericFile| {
        file.storage_records = [elsewhere].into_iter().chain(hosted(&file.uuid)).collect::<Vec<_>>().into();
    };
    let file = place.file(b"bytes", records).await;
    place.lose(VA, &file).await;
    let running = place.start_with(all);
    let events = place.check(&file).await;
    running.stop().await;
    let urls = [place.url(VA, &file), place.url(OR, &file)];
    assert_eq!(told(&events, &urls), [("Failed", &*urls[0]), ("Success", &*urls[1])]);
}

/// As at ingest: the date of the digests is that of the last check, and no event tells of a URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_ingested_lately_is_not_due_in_any_copy() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |file| file.last_fixity_check = days_ago(DAYS - 1)).await;
    let running = place.start_with(all);
    assert!(place.check(&file).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_to_end_test_has_files_checked_that_are_not_due_and_hears_of_them() {
    let place = Place::new().await;
    place.world.nsqd.create(e2e::FIXITY, None).await.unwrap();
    let file = place.file(b"bytes", |file| file.last_fixity_check = days_ago(1)).await;
    let running = place.start();
    assert!(place.check(&file).await.is_empty());
    running.stop().await;
    assert_eq!(place.world.depth(e2e::FIXITY).await, 0);
    let running = place.start_with(|terms| terms.end_to_end = EndToEnd::On);
    assert_eq!(place.check(&file).await.len(), 1);
    running.stop().await;
    assert_eq!(place.world.depth(e2e::FIXITY).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_meanwhile_is_not_reported_lost() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.lose(VA, &file).await;
    place.reads(VA, FaultKind::Stall, |fault| fault.times(1));
    place.count(VA);
    let running = place.start();
    place.publish(file.id).await;
    until("it reads", || place.counted(VA) == 1).await;
    place.world.client.save_file(&GenericFile { state: State::Deleted, ..file.clone() }).await.unwrap();
    place.s3.faults().reset();
    place.idle().await;
    running.stop().await;
    assert!(place.events(&file).await.is_empty());
}

/// The Registry hears of a deletion when all copies are gone, which may take a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_a_deletion_took_is_not_reported_lost() {
    let place = Place::new().await;
    let lost = async |change: &dyn Fn(&GenericFile, &mut WorkItem)| {
        let file = place.file(b"bytes", |_| {}).await;
        place.lose(VA, &file).await;
        let item = |item: &mut WorkItem| {
            item.intellectual_object_id = file.intellectual_object_id;
            item.status = Status::Started;
            change(&file, item);
        };
        (place.world.item(Action::Delete, Stage::Requested, item).await, file)
    };
    let running = place.start();
    let (mut of_file, first) = lost(&|file, item| item.generic_file_id = file.id).await;
    assert!(place.check(&first).await.is_empty());
    // Another file is not deleted with it, and one that nobody deletes any more is lost.
    let (_, other) = lost(&|_, item| item.generic_file_id = first.id).await;
    assert_eq!(place.check(&other).await.len(), 1);
    of_file.status = Status::Cancelled;
    place.world.client.save_work_item(&of_file).await.unwrap();
    let (_, of_object) = lost(&|_, _| {}).await;
    assert!(place.check(&of_object).await.is_empty());
    running.stop().await;
}
