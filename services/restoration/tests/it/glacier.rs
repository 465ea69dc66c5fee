//! Out of Glacier (03 §4), on an S3 whose clock the tests move.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buckets::Retrieval;
use model::{Action, IntellectualObject, Stage, State, Status, StorageOption, Time, Topic, WorkItem, note};
use registry::Query;
use stack::registry::Fault as RegistryFault;
use stack::s3::{FaultKind, Operation};
use storage::Restored;
use world::Running;

use crate::place::{Place, TARGET};

const OHIO: &str = "bucket-glacier-oh";
/// The longest that S3 takes for the tier `Standard`.
const THAWS: Duration = Duration::from_hours(5);

async fn object(place: &Place, files: usize) -> IntellectualObject {
    let names: Vec<String> = (0..files).map(|at| format!("data/{at:03}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), name.clone().into_bytes())).collect();
    place.object("bag", &StorageOption::GlacierOh, &files, |_| ()).await
}

/// A request for the object, taken up.
async fn begun(place: &Place, object: &IntellectualObject, file: i64) -> (WorkItem, Running) {
    let item = place.request(Action::GlacierRestore, object, file).await;
    let running = place.start_glacier(Retrieval::default());
    place.world.publish(Topic::RestoreGlacier, item.id).await;
    (item, running)
}

async fn waiting(place: &Place, item: &WorkItem) -> WorkItem {
    place.world.until(item.id, |item| item.note == note::GLACIER_PENDING && !item.is_claimed()).await
}

async fn ended(place: &Place, item: &WorkItem, status: Status) -> WorkItem {
    let item = place.world.until(item.id, |item| !item.retry).await;
    assert_eq!(item.status, status, "{item:?}");
    item
}

/// What was made for the restorers, the oldest first.
async fn followers(place: &Place, object: &IntellectualObject) -> Vec<WorkItem> {
    let query = Query::new().filter("intellectual_object_id", object.id).sort("id");
    let items = place.world.client.list::<WorkItem>(&query).await.unwrap().results;
    items.into_iter().filter(|item| item.action != Action::GlacierRestore).collect()
}

fn refuse(place: &Place, status: u16, code: &str, times: u64) {
    let kind = FaultKind::Status { status, code: code.to_owned() };
    place.s3.faults().add(Place::fault(OHIO, Operation::RestoreObject, kind).times(times)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d8_objects_of_1_2_and_300_files_are_handed_over_once_all_files_are_there() {
    for files in [1, 2, 300] {
        let place = Place::new().await;
        let object = object(&place, files).await;
        let (item, running) = begun(&place, &object, 0).await;
        let waits = waiting(&place, &item).await;
        assert_eq!((waits.status, waits.needs_admin_review), (Status::Started, false));
        assert!(followers(&place, &object).await.is_empty());
        place.s3.clock().advance(THAWS);
        let item = ended(&place, &item, Status::Success).await;
        assert_eq!(item.note, note::glacier_done(&object.identifier));
        let made = followers(&place, &object).await;
        let [next] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!(
            (&next.action, &next.stage, &next.status),
            (&Action::RestoreObject, &Stage::Requested, &Status::Pending)
        );
        assert_eq!((next.note.as_str(), next.outcome.as_str()), (note::MOVED_FROM_GLACIER, note::MOVED_FROM_GLACIER));
        assert!(next.retry && next.queued_at.is_set(), "{next:?}");
        running.stop().await;
        let restored = place.world.until(next.id, |_| true).await;
        place.restored(place.start_bag(), Topic::RestoreObject, &restored, Status::Success).await;
        assert!(place.bucket(TARGET).find("test.edu/bag.tar").await.unwrap().is_some(), "{files} files");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_handed_to_the_restorer_of_files_and_no_other_is_asked_for() {
    let place = Place::new().await;
    let object = object(&place, 2).await;
    let file = place.file(&object, "data/001").await;
    let (item, running) = begun(&place, &object, file.id).await;
    waiting(&place, &item).await;
    place.s3.clock().advance(THAWS);
    ended(&place, &item, Status::Success).await;
    running.stop().await;
    let made = followers(&place, &object).await;
    let [next] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!((&next.action, next.generic_file_id), (&Action::RestoreFile, file.id));
    place.world.until_load(Topic::RestoreFile, (1, 0, 0)).await;
    let other = place.file(&object, "data/000").await;
    assert_eq!(place.bucket(OHIO).stat(&other.uuid).await.unwrap().restored, Restored::No);
}

/// A file that is there may be gone from Glacier: whoever asked for it again would fail over that.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_asks_only_for_what_is_not_there_yet() {
    let place = Place::new().await;
    let object = object(&place, 3).await;
    let late = place.file(&object, "data/002").await;
    for path in ["data/000", "data/001"] {
        let file = place.file(&object, path).await;
        place.bucket(OHIO).restore(&file.uuid, 10, storage::Tier::Standard).await.unwrap();
    }
    place.s3.clock().advance(THAWS);
    let (item, running) = begun(&place, &object, 0).await;
    waiting(&place, &item).await;
    for path in ["data/000", "data/001"] {
        place.bucket(OHIO).delete(&place.file(&object, path).await.uuid).await.unwrap();
    }
    place.s3.clock().advance(THAWS);
    ended(&place, &item, Status::Success).await;
    running.stop().await;
    assert!(matches!(place.bucket(OHIO).stat(&late.uuid).await.unwrap().restored, Restored::Until(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_that_was_asked_before_or_is_busy_is_waited_for() {
    for (status, code) in [(409, "RestoreAlreadyInProgress"), (503, "SlowDown")] {
        let place = Place::new().await;
        let object = object(&place, 2).await;
        refuse(&place, status, code, u64::MAX);
        let (item, running) = begun(&place, &object, 0).await;
        let waits = waiting(&place, &item).await;
        assert!(waits.retry && !waits.needs_admin_review, "{code}: {waits:?}");
        place.s3.faults().reset();
        waiting(&place, &item).await;
        until_asked(&place, &object).await;
        place.s3.clock().advance(THAWS);
        ended(&place, &item, Status::Success).await;
        running.stop().await;
    }
}

/// Waits until S3 brings both files back.
async fn until_asked(place: &Place, object: &IntellectualObject) {
    for path in ["data/000", "data/001"] {
        let file = place.file(object, path).await;
        let asked = async || place.bucket(OHIO).stat(&file.uuid).await.unwrap().restored != Restored::No;
        let patience = tokio::time::timeout(Duration::from_mins(1), async {
            while !asked().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(patience.await.is_ok(), "{path} was never asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d7_what_glacier_refuses_fails_the_item_and_every_file_is_named() {
    let place = Place::new().await;
    let object = object(&place, 3).await;
    for path in ["data/000", "data/001"] {
        place.bucket(OHIO).delete(&place.file(&object, path).await.uuid).await.unwrap();
    }
    let (item, running) = begun(&place, &object, 0).await;
    let item = ended(&place, &item, Status::Failed).await;
    running.stop().await;
    for path in ["data/000", "data/001"] {
        assert!(item.note.contains(&format!("will not restore test.edu/bag/{path}")), "{}", item.note);
    }
    assert!(!item.note.contains("data/002") && item.needs_admin_review, "{item:?}");
    assert!(followers(&place, &object).await.is_empty());
    for (status, code) in [(403, "AccessDenied"), (400, "InvalidArgument")] {
        let place = Place::new().await;
        let object = self::object(&place, 1).await;
        refuse(&place, status, code, u64::MAX);
        let (item, running) = begun(&place, &object, 0).await;
        let item = ended(&place, &item, Status::Failed).await;
        running.stop().await;
        assert!(item.note.contains(code), "{}", item.note);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_active_files_is_refused() {
    let place = Place::new().await;
    let files = [("data/a", b"a".to_vec())];
    let object = place.object("bag", &StorageOption::GlacierOh, &files, |file| file.state = State::Deleted).await;
    let (item, running) = begun(&place, &object, 0).await;
    let item = ended(&place, &item, Status::Failed).await;
    running.stop().await;
    assert!(item.note.contains("no files"), "{}", item.note);
}

/// Both in one: an S3 that never answers, and that the failure is the system's and not the item's.
/// All that this process logs while it asks S3, to the level that a service can be set to.
#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d22_nothing_that_signs_a_request_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
    tracing::subscriber::set_global_default(subscriber.with_writer(move || writer.clone()).finish()).unwrap();
    let place = Place::new().await;
    let object = object(&place, 1).await;
    let (item, running) = begun(&place, &object, 0).await;
    waiting(&place, &item).await;
    refuse(&place, 403, "AccessDenied", u64::MAX);
    ended(&place, &item, Status::Failed).await;
    running.stop().await;
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("1 of 1 files are still in Glacier"), "the log was not read: {logged}");
    for secret in ["AWS4-HMAC-SHA256", "Signature="] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d23_s3_that_does_not_answer_is_given_up_and_tried_again() {
    let place = Place::new().await;
    let object = object(&place, 1).await;
    place.s3.faults().add(Place::fault(OHIO, Operation::RestoreObject, FaultKind::Stall)).unwrap();
    let (item, running) = begun(&place, &object, 0).await;
    let last = place.world.until(item.id, |item| item.note.contains("restore") && !item.is_claimed()).await;
    assert!(last.retry && !last.needs_admin_review && last.status == Status::Started, "{last:?}");
    assert_eq!(place.world.record(item.id, Topic::RestoreGlacier).await.attempt, 0, "the attempt was given back");
    place.s3.faults().reset();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d24_the_item_that_follows_is_neither_lost_nor_made_twice() {
    // Its creation is carried out, but nobody hears of it.
    let place = Place::new().await;
    let object = object(&place, 2).await;
    let (item, running) = begun(&place, &object, 0).await;
    waiting(&place, &item).await;
    let create = "/admin-api/v3/items/create";
    place.world.registry.faults().add_for("POST", create, RegistryFault::CutAfter, 1);
    place.s3.clock().advance(THAWS);
    ended(&place, &item, Status::Success).await;
    running.stop().await;
    assert_eq!(followers(&place, &object).await.len(), 1);
    place.world.until_load(Topic::RestoreObject, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d24_a_follower_that_waits_is_published_again_and_one_that_failed_is_replaced() {
    for (status, retry, made) in [(Status::Pending, true, 1), (Status::Success, false, 1), (Status::Started, false, 2)]
    {
        let place = Place::new().await;
        let object = object(&place, 2).await;
        let (item, running) = begun(&place, &object, 0).await;
        waiting(&place, &item).await;
        let known = place.world.look(item.id).await.after_glacier();
        let known = WorkItem { status: status.clone(), retry, queued_at: Time::now(), ..known };
        place.world.client.save_work_item(&known).await.unwrap();
        place.s3.clock().advance(THAWS);
        ended(&place, &item, Status::Success).await;
        running.stop().await;
        assert_eq!(followers(&place, &object).await.len(), made, "{status:?}");
        let sent = u64::from(status != Status::Success);
        place.world.until_load(Topic::RestoreObject, (sent, 0, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_followed_by_one_that_ends_the_item() {
    let place = Place::new().await;
    let object = object(&place, 300).await;
    let (item, running) = begun(&place, &object, 0).await;
    place.world.until(item.id, |item| item.is_claimed() || item.note == note::GLACIER_PENDING).await;
    running.kill();
    let running = place.start_glacier(Retrieval::default());
    waiting(&place, &item).await;
    place.s3.clock().advance(THAWS);
    ended(&place, &item, Status::Success).await;
    running.stop().await;
    assert_eq!(followers(&place, &object).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_expires_before_the_restorer_comes_is_no_restoration() {
    let place = Place::new().await;
    let object = object(&place, 1).await;
    let file = place.file(&object, "data/000").await;
    let (item, running) = begun(&place, &object, file.id).await;
    waiting(&place, &item).await;
    place.s3.clock().advance(THAWS);
    ended(&place, &item, Status::Success).await;
    running.stop().await;
    place.s3.clock().advance(Duration::from_hours(12 * 24));
    let next = followers(&place, &object).await.remove(0);
    let last = place.restored(place.start_file(), Topic::RestoreFile, &next, Status::Started).await;
    assert!(last.needs_admin_review && last.note.contains(&file.uuid), "{}", last.note);
    assert_eq!(place.fetched(&file.identifier).await, None);
}
