//! What befalls pre-fetch: it is killed, run again, and its servers are away. Nothing is lost, and nothing is told wrongly.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::{IngestFile, Provider, Stage, Status, Topic};
use stack::s3::{Fault, FaultKind, Operation};
use storage::Attributes;
use world::CLAIM_TTL;

use crate::receiving::{Place, RECEIVING, STAGING, md5, same_each_time, tar};

/// A bag of so many small files and a large one, with a manifest.
fn bag(files: usize) -> Vec<u8> {
    let large: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
    let paths: Vec<String> = (0..files).map(|number| format!("bag/data/{number:05}.txt")).collect();
    let lines: Vec<String> = paths.iter().map(|path| format!("{}  {}", md5(path.as_bytes()), &path[4..])).collect();
    let manifest = format!("{}\n{} data/large\n00 data/absent\n", lines.join("\n"), md5(&large));
    let mut named: Vec<(&str, &[u8])> = vec![("bag/manifest-md5.txt", manifest.as_bytes()), ("bag/data/large", &large)];
    named.extend(paths.iter().map(|path| (&**path, path.as_bytes())));
    named.push(("bag/aptrust-info.txt", b"Title: x\nStorage-Option: Wasabi-VA\n"));
    tar(&named)
}

fn comparable(files: BTreeMap<String, IngestFile>) -> Vec<IngestFile> {
    let bare = |file: IngestFile| IngestFile { object_identifier: String::new(), ..same_each_time(file) };
    files.into_values().map(bare).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_again_and_again_leaves_what_an_undisturbed_one_does() {
    let place = Place::new().await;
    let bag = bag(3000);
    let (_, expected, files) = place.good(bag.clone()).await;
    let item = place.item(bag).await;
    place.world.publish(Topic::IngestPrefetch, item.id).await;
    // At the first file, at the last, and before what manifests say is added.
    for (operation, after) in [(Operation::PutObject, 0), (Operation::PutObject, 1), (Operation::GetObject, 0)] {
        let stall = Fault::new(FaultKind::Stall).bucket(STAGING).operation(operation).after(after).times(1);
        place.s3.faults().add(stall).unwrap();
        let running = place.start().await;
        world::until("it has come so far", || place.s3.faults().list().is_empty()).await;
        running.kill();
        place.s3.faults().reset();
        assert!(place.object_of(&item).await.is_none(), "the object comes last");
    }
    // Wherever it is by then.
    let running = place.start().await;
    let begun = Instant::now();
    world::until("it has worked for a while", || begun.elapsed() > CLAIM_TTL + Duration::from_millis(800)).await;
    running.kill();
    let running = place.start().await;
    place.world.until(item.id, |item| item.stage == Stage::Validate).await;
    running.stop().await;
    let object = place.object_of(&item).await.unwrap();
    assert_eq!((object.file_count, &object.tags), (expected.file_count, &expected.tags));
    assert_eq!(comparable(place.files(&item).await), comparable(files));
}

/// Upstream doubles counts, manifests and tags.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_09_a_second_run_begins_from_nothing() {
    let place = Place::new().await;
    let (item, first, files) = place.good(bag(20)).await;
    // What a Go worker may have left: a file that no entry of the tar, and no line of a manifest, means.
    let stray = IngestFile::new("test.edu/bag", "*data/stray");
    let stray = IngestFile { object_identifier: first.identifier(), ..stray };
    place.world.store.save_file(item.id, &stray).await.unwrap();
    let mut again = place.world.look(item.id).await;
    again.stage = Stage::Receive;
    place.world.client.save_work_item(&again).await.unwrap();
    place.fetched(std::slice::from_ref(&again)).await;
    assert_eq!(place.object_of(&item).await.unwrap(), first);
    assert_eq!(comparable(place.files(&item).await), comparable(files));
}

/// Upstream takes a connection that breaks for a corrupt bag, which fails for good.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_05_a_download_that_breaks_is_no_corrupt_bag() {
    let place = Place::new().await;
    let cut = Fault::new(FaultKind::Cut { after_bytes: 700_000 }).bucket(RECEIVING).operation(Operation::GetObject);
    place.s3.faults().add(cut.clone().times(2)).unwrap();
    let (_, object, _) = place.good(bag(20)).await;
    assert_eq!(object.file_count, 23, "it goes on where it broke");

    let cut = Fault { kind: FaultKind::Cut { after_bytes: 0 }, ..cut };
    place.s3.faults().add(cut).unwrap();
    let item = place.item(bag(20)).await;
    let running = place.start().await;
    place.world.publish(Topic::IngestPrefetch, item.id).await;
    let waiting = place.world.until(item.id, |item| item.note.contains("GET of")).await;
    assert!(waiting.retry && waiting.status != Status::Failed, "{waiting:?}");
    assert_eq!(place.world.record(item.id, Topic::IngestPrefetch).await.attempt, 0, "no attempt of its own");
    running.stop().await;
}

/// Upstream goes on when what it writes down is lost, and the validator then refuses a good bag.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_06_a_copy_that_cannot_be_written_is_no_fault_of_the_bag() {
    let place = Place::new().await;
    let status = FaultKind::Status { status: 503, code: "SlowDown".to_owned() };
    place.s3.faults().add(Fault::new(status).bucket(STAGING)).unwrap();
    let item = place.item(bag(20)).await;
    let running = place.start().await;
    place.world.publish(Topic::IngestPrefetch, item.id).await;
    let waiting = place.world.until(item.id, |item| item.note.contains("PUT of")).await;
    running.stop().await;
    assert!(waiting.retry && waiting.status != Status::Failed, "{waiting:?}");
    assert!(place.object_of(&item).await.is_none());
    assert_eq!(place.world.record(item.id, Topic::IngestPrefetch).await.attempt, 0);
}

/// Upstream takes an answer of Redis that it does not get for a file that is not there, and writes an empty record over it.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_07_a_record_that_cannot_be_read_is_not_written_over() {
    let place = Place::new().await;
    let item = place.item(bag(20)).await;
    let running = place.start().await;
    // The manifest is read when every record is there. Meanwhile one of them is damaged.
    place.s3.faults().add(Fault::new(FaultKind::Stall).bucket(STAGING).operation(Operation::GetObject)).unwrap();
    place.world.publish(Topic::IngestPrefetch, item.id).await;
    let identifier = format!("{}/data/00007.txt", model::identifier::of_object("test.edu", &item.name));
    let deadline = Instant::now() + Duration::from_mins(1);
    while place.files(&item).await.len() < 23 {
        assert!(Instant::now() < deadline, "{} files are recorded", place.files(&item).await.len());
        tokio::task::yield_now().await;
    }
    place.world.put(item.id, &format!("file:{identifier}"), "{").await;
    place.s3.faults().reset();
    let ended = place.world.until(item.id, |item| item.note.contains("holds no document of ours")).await;
    running.stop().await;
    assert_ne!(ended.stage, Stage::Validate);
    assert!(place.world.store.file(item.id, &identifier).await.is_err(), "it stands as it was");
}

/// The tar is the one that the item was made of, or none (rulings: conditional GET).
#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_was_replaced_is_not_read() {
    let place = Place::new().await;
    let item = place.item(bag(5)).await;
    let receiving = place.storage.bucket(&Provider::Aws, RECEIVING).unwrap();
    receiving.put_bytes(&item.name, tar(&[("bag/data/new", b"new")]).into(), Attributes::default()).await.unwrap();
    let running = place.start().await;
    place.world.publish(Topic::IngestPrefetch, item.id).await;
    let waiting = place.world.until(item.id, |item| item.note.contains("not what was expected")).await;
    running.stop().await;
    // The next time, admission says what has become of it.
    assert!(waiting.status != Status::Failed, "{waiting:?}");
    assert!(place.files(&item).await.is_empty());
}
