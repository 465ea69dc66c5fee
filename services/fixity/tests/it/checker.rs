//! What a check reads, what it records, and when its message is answered, against embedded servers (03 §6).

use model::{Checksum, GenericFile, List, PremisEvent, State, StorageOption, StorageRecord, Topic};
use stack::registry::Fault;
use stack::s3::FaultKind;
use world::{MSG_TIMEOUT, until};

use crate::place::{DAYS, OR, Place, VA, days_ago, failing, sha256};

/// Where events are created.
const EVENTS: &str = "/admin-api/v3/events/create";

/// Outcome and information of each.
fn told(events: &[PremisEvent]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event.outcome.as_str(), event.outcome_information.as_str())).collect()
}

fn outcomes(events: &[PremisEvent]) -> Vec<&str> {
    events.iter().map(|event| event.outcome.as_str()).collect()
}

/// The event of 6.4, of the Virginia copy.
#[tokio::test(flavor = "multi_thread")]
async fn keep_03_k3_a_copy_that_matches_is_recorded_with_its_url() {
    let place = Place::new().await;
    let file = place.file(b"fifteen bytes..", |_| {}).await;
    place.count(VA);
    place.count(OR);
    let running = place.start();
    let events = place.check(&file).await;
    running.stop().await;
    let digest = sha256(b"fifteen bytes..");
    assert_eq!(told(&events), [("Success", &*format!("Fixity matches at {}: {digest}", place.url(VA, &file)))]);
    let event = &events[0];
    assert_eq!(
        (event.detail.as_str(), &event.outcome_detail),
        ("Fixity check against registered hash", &format!("sha256:{digest}"))
    );
    assert_eq!((event.generic_file_id, &event.generic_file_identifier), (file.id, &file.identifier));
    assert_eq!((event.intellectual_object_id, event.institution_id), (1, 4));
    assert_eq!(place.last_check(&file).await.to_whole_second(), event.date_time.to_whole_second());
    assert_eq!((place.counted(VA), place.counted(OR)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_03_k3_a_copy_that_differs_is_read_twice_and_then_recorded_as_failed() {
    let place = Place::new().await;
    let file = place.file(b"as it was", |_| {}).await;
    place.put(VA, &file, b"as it is!").await;
    place.count(VA);
    let running = place.start();
    let events = place.check(&file).await;
    running.stop().await;
    let (url, expected, actual) = (place.url(VA, &file), sha256(b"as it was"), sha256(b"as it is!"));
    let information = format!("Fixity did not match at {url}. Expected {expected}, got {actual}");
    assert_eq!(told(&events), [("Failed", &*information)]);
    assert_eq!(events[0].outcome_detail, format!("sha256:{actual}"));
    assert_eq!(place.counted(VA), 2);
    assert_eq!(place.last_check(&file).await.to_whole_second(), events[0].date_time.to_whole_second());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d11_a_copy_that_is_missing_is_looked_for_and_then_recorded_as_failed() {
    let place = Place::new().await;
    let file = place.file(b"lost", |_| {}).await;
    place.lose(VA, &file).await;
    place.count(VA);
    let running = place.start();
    let events = place.check(&file).await;
    running.stop().await;
    let information =
        format!("Fixity did not match at {}. Expected {}, got no object", place.url(VA, &file), sha256(b"lost"));
    assert_eq!(told(&events), [("Failed", &*information)]);
    assert_eq!(place.counted(VA), 3);
}

/// A copy that was read wrongly once is none that is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_right_at_the_second_look_matches() {
    let place = Place::new().await;
    let file = place.file(b"as it was", |_| {}).await;
    place.put(VA, &file, b"as it is!").await;
    place.count(VA);
    place.reads(VA, FaultKind::Stall, |fault| fault.after(1).times(1));
    let running = place.start();
    place.publish(file.id).await;
    until("it looks again", || place.counted(VA) == 2).await;
    place.put(VA, &file, b"as it was").await;
    place.s3.faults().reset();
    place.idle().await;
    running.stop().await;
    assert_eq!(outcomes(&place.events(&file).await), ["Success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_in_capitals_are_the_same() {
    let place = Place::new().await;
    let capitals = |file: &mut GenericFile| {
        file.checksums =
            file.checksums.iter().cloned().map(|sum| Checksum { digest: sum.digest.to_uppercase(), ..sum }).collect();
    };
    let file = place.file(b"bytes", capitals).await;
    let running = place.start();
    assert_eq!(outcomes(&place.check(&file).await), ["Success"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d11_a_server_that_fails_is_asked_again() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.count(VA);
    place.reads(VA, failing(), |fault| fault.times(2));
    let running = place.start();
    assert_eq!(outcomes(&place.check(&file).await), ["Success"]);
    running.stop().await;
    assert_eq!(place.counted(VA), 3);
    assert_eq!(place.requeued().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d11_a_connection_that_is_cut_goes_on_where_it_was() {
    let place = Place::new().await;
    let bytes: Vec<u8> = (0..8_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let file = place.file(&bytes, |_| {}).await;
    place.reads(VA, FaultKind::Cut { after_bytes: 3_000_001 }, |fault| fault.times(1));
    let running = place.start();
    let events = place.check(&file).await;
    running.stop().await;
    let information = format!("Fixity matches at {}: {}", place.url(VA, &file), sha256(&bytes));
    assert_eq!(told(&events), [("Success", &*information)]);
}

/// What cannot be read is neither intact nor lost: nothing is recorded, and the file stays due.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_given_up_and_stays_due() {
    let refused = |status, code: &str| FaultKind::Status { status, code: code.to_owned() };
    for fault in [failing(), refused(403, "AccessDenied"), refused(404, "NoSuchBucket")] {
        let place = Place::new().await;
        let file = place.file(b"bytes", |_| {}).await;
        place.reads(VA, fault.clone(), |fault| fault);
        let running = place.start();
        assert_eq!(told(&place.check(&file).await), [], "{fault:?}");
        running.stop().await;
        assert_eq!(place.requeued().await, 2, "three deliveries of {fault:?}");
        assert_eq!(place.last_check(&file).await, file.last_fixity_check);
    }
}

/// Upstream answers while the file waits to be read.
#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d12_a_message_is_answered_when_the_event_stands() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.reads(VA, FaultKind::Stall, |fault| fault.times(1));
    place.count(VA);
    let running = place.start();
    place.publish(file.id).await;
    until("it reads", || place.counted(VA) == 1).await;
    assert_eq!(place.world.load(Topic::FixityCheck).await, (0, 1, 0));
    place.world.registry.faults().add_for("POST", EVENTS, Fault::Status(503), usize::MAX);
    place.s3.faults().reset();
    place.until_requeued().await;
    assert_eq!(told(&place.events(&file).await), []);
    place.world.registry.faults().clear();
    place.idle().await;
    running.stop().await;
    assert_eq!(outcomes(&place.events(&file).await), ["Success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_takes_longer_than_nsqd_waits_is_checked_once() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    let longer = MSG_TIMEOUT + MSG_TIMEOUT / 2;
    place.reads(VA, FaultKind::Latency { milliseconds: longer.as_millis().try_into().unwrap() }, |fault| fault);
    let running = place.start();
    assert_eq!(outcomes(&place.check(&file).await), ["Success"]);
    running.stop().await;
    assert_eq!(place.world.counts(Topic::FixityCheck).await, (1, 0, 0), "messages, requeued, timed out");
}

/// As SIGKILL ends a process in the middle of a file.
#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d12_what_a_dead_process_was_reading_another_checks() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.reads(VA, FaultKind::Stall, |fault| fault.times(1));
    place.count(VA);
    let killed = place.start();
    place.publish(file.id).await;
    until("it reads", || place.counted(VA) == 1).await;
    killed.kill();
    let running = place.start();
    place.idle().await;
    running.stop().await;
    assert_eq!(outcomes(&place.events(&file).await), ["Success"]);
}

/// As SIGTERM ends it: the message is published again at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_was_reading_that_is_told_to_stop_waits_for_another() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    place.reads(VA, FaultKind::Stall, |fault| fault.times(1));
    place.count(VA);
    let stopped = place.start();
    place.publish(file.id).await;
    until("it reads", || place.counted(VA) == 1).await;
    stopped.stop().await;
    assert_eq!(place.world.load(Topic::FixityCheck).await, (1, 0, 0));
    let running = place.start();
    place.idle().await;
    running.stop().await;
    assert_eq!(outcomes(&place.events(&file).await), ["Success"]);
}

/// Upstream's process ends there.
#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d10_a_connection_that_ends_while_the_event_is_recorded_leaves_one_event() {
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Status(502)] {
        let place = Place::new().await;
        let file = place.file(b"bytes", |_| {}).await;
        place.world.registry.faults().add_for("POST", EVENTS, fault, 1);
        let running = place.start();
        assert_eq!(outcomes(&place.check(&file).await), ["Success"], "{fault:?}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_nothing_to_check_of_is_not_read() {
    let place = Place::new().await;
    let mut files = vec![
        place.file(b"a", |file| file.storage_option = StorageOption::GlacierDeepOh).await,
        place.file(b"b", |file| file.storage_option = StorageOption::GlacierVa).await,
        place.file(b"c", |file| file.state = State::Deleted).await,
        place.file(b"d", |file| file.checksums = List::default()).await,
        place.file(b"e", |file| file.last_fixity_check = days_ago(DAYS - 1)).await,
    ];
    let elsewhere = StorageRecord { url: "https://elsewhere.org/bucket/key".to_owned(), ..StorageRecord::default() };
    files.push(place.file(b"f", |file| file.storage_records = vec![elsewhere].into()).await);
    let buckets = [VA, OR, "bucket-glacier-deep-oh", "bucket-glacier-va"];
    for bucket in buckets {
        place.count(bucket);
    }
    let running = place.start();
    for file in &files {
        assert_eq!(told(&place.check(file).await), [], "{file:?}");
        assert_eq!(place.last_check(file).await, file.last_fixity_check);
    }
    running.stop().await;
    assert_eq!(buckets.map(|bucket| place.counted(bucket)), [0; 4]);
    assert_eq!(place.requeued().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_03_k6_a_message_is_the_id_of_a_file_whatever_white_space_is_around_it() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    let running = place.start();
    place.publish(format!(" {}\r\n", file.id)).await;
    place.idle().await;
    running.stop().await;
    assert_eq!(outcomes(&place.events(&file).await), ["Success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_names_no_file_is_answered_and_the_next_is_checked() {
    let place = Place::new().await;
    let file = place.file(b"bytes", |_| {}).await;
    let running = place.start();
    for body in ["99999999", "0", "-1", "12abc", "test.edu/bag/data/file", "9223372036854775808", " "] {
        place.publish(body).await;
    }
    assert_eq!(outcomes(&place.check(&file).await), ["Success"]);
    running.stop().await;
    assert_eq!(place.requeued().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_read_at_a_time() {
    let place = Place::new().await;
    let mut files = Vec::new();
    for number in 0..20 {
        files.push(place.file(format!("file {number}").as_bytes(), |_| {}).await);
    }
    place.reads(VA, FaultKind::Stall, |fault| fault);
    place.count(VA);
    let running = place.start();
    for file in &files {
        place.publish(file.id).await;
    }
    until("four are read", || place.counted(VA) == 4).await;
    place.s3.faults().reset();
    place.idle().await;
    running.stop().await;
    for file in &files {
        assert_eq!(outcomes(&place.events(file).await), ["Success"]);
    }
}
