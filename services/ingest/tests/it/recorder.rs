//! The recorder: what stands in the Registry afterwards, whatever went wrong on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use model::{
    Algorithm, ChecksumSource, EventType, GenericFile, IngestChecksum, IngestFile, IngestObject, List, PremisEvent,
    Stage, Status, StorageOption, StoredCopy, Time, Topic, WorkItem,
};
use registry::Query;
use stack::registry::Fault;
use worker::{ItemWorker, Program, Rules};
use world::{Running, World, until};

const OBJECTS: &str = "/admin-api/v3/objects/";
const EVENTS: &str = "/admin-api/v3/events/";
const FILES: &str = "/admin-api/v3/files/";
const BATCHES: &str = "/admin-api/v3/files/create_batch/";
const UPDATES: &str = "/admin-api/v3/files/update/";

fn start(world: &World) -> Running {
    let rules = Rules::ingest(Topic::IngestRecord, "Finished recording ingest data in Registry");
    let program: Program<ItemWorker, ()> = Program {
        name: "w",
        about: "",
        kind: ItemWorker::new(rules).requeue_delay(Duration::from_millis(50)),
        stage: worker::Stage::Unfinished,
    };
    // Where requests are counted, or a pause would be long, a busy machine must not cost the claim.
    world.run(&program, &[("CLAIM_TTL", "5s")], ingest::record)
}

/// Runs the service until the item is as the test wants it.
async fn run(world: &World, item: i64, wanted: impl Fn(&WorkItem) -> bool) -> WorkItem {
    let running = start(world);
    world.publish(Topic::IngestRecord, item).await;
    let item = world.until(item, wanted).await;
    running.stop().await;
    item
}

fn is_recorded(item: &WorkItem) -> bool {
    item.stage == Stage::Cleanup
}

/// A verified file with two copies, of which one manifest tells.
fn file(object: &IngestObject, path: &str) -> IngestFile {
    let mut file = IngestFile::new(&object.identifier(), path);
    (file.size, file.file_format) = (100, "text/plain".to_owned());
    let now = Time::now();
    for algorithm in [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
        file.set_checksum(IngestChecksum::new(ChecksumSource::Ingest, algorithm, "0123abcd", now));
    }
    if path.starts_with("data/") {
        file.set_checksum(IngestChecksum::new(ChecksumSource::Manifest, Algorithm::Md5, "0123abcd", now));
    }
    for bucket in ["va", "or"] {
        file.set_stored_copy(StoredCopy {
            provider: "AWS".into(),
            bucket: bucket.into(),
            url: format!("https://s3/{bucket}/{}", file.uuid),
            stored_at: now,
            verified_at: now,
            ..StoredCopy::default()
        });
    }
    file
}

/// A bag as the verifier leaves it.
async fn bag(world: &World, payload: usize) -> (WorkItem, IngestObject) {
    let item = world.ingest().await;
    let mut object = IngestObject::new(&item.bucket, &item.name, &item.etag, "test.edu", item.institution_id, 4096);
    object.file_count = i64::try_from(payload).unwrap() + 2;
    let names = (0..payload).map(|number| format!("data/{number}"));
    let files: Vec<_> =
        names.chain(["bagit.txt", "bag-info.txt"].map(str::to_owned)).map(|name| file(&object, &name)).collect();
    world.store.save_object(item.id, &object).await.unwrap();
    world.store.save_files(item.id, &files).await.unwrap();
    (item, object)
}

/// A bag that was ingested to the end.
async fn ingested(world: &World, payload: usize) -> IngestObject {
    let (item, object) = bag(world, payload).await;
    close(world, run(world, item.id, is_recorded).await).await;
    redis_object(world, item.id, &object).await
}

/// As cleanup does: a newer item of the same bag may go on.
async fn close(world: &World, mut item: WorkItem) {
    (item.status, item.retry) = (Status::Success, false);
    world.client.save_work_item(&item).await.unwrap();
}

/// The same bag again, of which these files are changed, as the verifier leaves it.
async fn again(world: &World, first: &IngestObject, changed: &[&str]) -> (WorkItem, IngestObject) {
    let standing = world.client.object(&first.identifier()).await.unwrap();
    let item = world.item(model::Action::Ingest, Stage::Record, |item| item.name.clone_from(&first.s3_key)).await;
    let object = IngestObject {
        id: standing.id,
        is_reingest: true,
        premis_events: List::new(),
        saved_to_registry_at: Time::UNSET,
        should_delete_from_receiving: false,
        ..first.clone()
    };
    let mut files = Vec::new();
    for path in changed {
        let known = world.client.file(&object.file_identifier(path)).await.unwrap();
        let mut file = file(&object, path);
        (file.id, file.uuid, file.is_reingest) = (known.id, known.uuid, true);
        file.registry_urls = known.storage_records.iter().map(|copy| copy.url.clone()).collect();
        let urls = file.registry_urls.clone();
        for (copy, url) in file.storage_records.iter_mut().zip(&urls) {
            copy.url.clone_from(url);
        }
        files.push(file);
    }
    world.store.save_object(item.id, &object).await.unwrap();
    world.store.save_files(item.id, &files).await.unwrap();
    (item, object)
}

async fn redis_object(world: &World, item: i64, object: &IngestObject) -> IngestObject {
    world.store.object(item, &object.identifier()).await.unwrap().unwrap()
}

/// How many of the events of an object, its files' not counted, are of which type.
async fn object_events(world: &World, id: i64) -> BTreeMap<String, usize> {
    let query = Query::new().filter("intellectual_object_id", id).per_page(1000).page(1);
    let events: Vec<PremisEvent> = world.client.all(query).try_collect().await.unwrap();
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| event.generic_file_id == 0) {
        *counts.entry(event.event_type.to_string()).or_default() += 1;
    }
    counts
}

fn counts(expected: &[(&EventType, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(event, count)| (event.to_string(), *count)).collect()
}

/// Digests, copies and events of a file.
async fn parts(world: &World, object: &IngestObject, path: &str) -> (usize, usize, usize) {
    let file: GenericFile = world.client.file(&object.file_identifier(path)).await.unwrap();
    (file.checksums.len(), file.storage_records.len(), file.premis_events.len())
}

async fn assert_stands_once(world: &World, object: &IngestObject, payload: usize) {
    let standing = world.client.object(&object.identifier()).await.unwrap();
    let first = [
        (&EventType::Creation, 1),
        (&EventType::IdentifierAssignment, 1),
        (&EventType::Ingestion, 1),
        (&EventType::AccessAssignment, 1),
    ];
    assert_eq!(object_events(world, standing.id).await, counts(&first));
    let query = Query::new().filter("intellectual_object_id", standing.id).per_page(1000).page(1);
    let files: Vec<GenericFile> = world.client.all(query).try_collect().await.unwrap();
    assert_eq!(files.len(), payload + 1, "each is there, and bagit.txt is not");
    for file in files {
        let events = if file.identifier.ends_with("bag-info.txt") { 8 } else { 9 };
        let parts = (file.checksums.len(), file.storage_records.len(), file.premis_events.len());
        assert_eq!(parts, (4, 2, events), "{}", file.identifier);
    }
}

/// Lets so many requests of a kind pass and refuses the next.
fn at_most(world: &World, path: &str, requests: usize) {
    world.registry.faults().add(path, Fault::Delay(Duration::ZERO), requests);
    world.registry.faults().add(path, Fault::Status(418), usize::MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bag_is_recorded_with_five_requests_and_its_batches() {
    let world = World::new().await;
    let (item, object) = bag(&world, 250).await;
    at_most(&world, OBJECTS, 1);
    at_most(&world, EVENTS, 4);
    at_most(&world, FILES, 3);
    let ended = run(&world, item.id, |item| is_recorded(item) || item.status == Status::Failed).await;
    assert_eq!(
        (ended.stage, ended.status, ended.note.as_str(), ended.intellectual_object_id),
        (Stage::Cleanup, Status::Pending, "Finished recording ingest data in Registry", 0)
    );
    world.registry.faults().clear();
    assert_stands_once(&world, &object, 250).await;
    let standing = world.client.object(&object.identifier()).await.unwrap();
    let saved = redis_object(&world, item.id, &object).await;
    assert!(saved.should_delete_from_receiving && saved.saved_to_registry_at.is_set());
    assert_eq!((saved.id, standing.etag), (standing.id, item.etag));
    assert!(saved.premis_events.iter().all(|event| event.id > 0 && event.intellectual_object_id == standing.id));
    let known = world.client.file(&object.file_identifier("data/7")).await.unwrap();
    let file = world.store.file(item.id, &known.identifier).await.unwrap().unwrap();
    assert_eq!((file.id, file.uuid, file.saved_to_registry_at.is_set()), (known.id, known.uuid, true));
    let bagit = world.store.file(item.id, &object.file_identifier("bagit.txt")).await.unwrap().unwrap();
    assert!(!bagit.saved_to_registry_at.is_set() && bagit.premis_events.is_empty());
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_adds_to_changed_files_and_leaves_the_others_alone() {
    let world = World::new().await;
    let first = ingested(&world, 5).await;
    let (item, object) = again(&world, &first, &["data/0", "bag-info.txt"]).await;
    run(&world, item.id, is_recorded).await;
    assert_eq!(parts(&world, &object, "data/0").await, (8, 2, 9 + 7));
    assert_eq!(parts(&world, &object, "bag-info.txt").await, (8, 2, 8 + 6));
    assert_eq!(parts(&world, &object, "data/1").await, (4, 2, 9));
    let expected = [
        (&EventType::Creation, 1),
        (&EventType::IdentifierAssignment, 1),
        (&EventType::Ingestion, 2),
        (&EventType::AccessAssignment, 2),
    ];
    assert_eq!(object_events(&world, object.id).await, counts(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_25_lost_answers_record_nothing_twice() {
    let world = World::new().await;
    let (item, object) = bag(&world, 150).await;
    let faults = world.registry.faults();
    faults.add_for("POST", OBJECTS, Fault::CutAfter, 1);
    faults.add_for("POST", EVENTS, Fault::CutAfter, 3);
    faults.add_for("POST", BATCHES, Fault::CutAfter, 2);
    close(&world, run(&world, item.id, is_recorded).await).await;
    assert_stands_once(&world, &object, 150).await;
    let first = redis_object(&world, item.id, &object).await;
    let (item, object) = again(&world, &first, &["data/0", "data/1", "data/2"]).await;
    faults.add_for("PUT", UPDATES, Fault::CutAfter, 2);
    run(&world, item.id, is_recorded).await;
    for path in ["data/0", "data/1", "data/2"] {
        assert_eq!(parts(&world, &object, path).await, (8, 2, 9 + 7), "{path}");
    }
}

/// The look-up that would find the update out fails too, so that the next run has to do it.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_looked_up_before_it_is_sent_again() {
    let world = World::new().await;
    let first = ingested(&world, 2).await;
    let (item, object) = again(&world, &first, &["data/0"]).await;
    let faults = world.registry.faults();
    faults.add_for("PUT", UPDATES, Fault::CutAfter, 1);
    faults.add_for("PUT", UPDATES, Fault::Status(418), usize::MAX);
    faults.add_for("GET", "/admin-api/v3/files/show/", Fault::Status(500), 1);
    run(&world, item.id, is_recorded).await;
    assert_eq!(parts(&world, &object, "data/0").await, (8, 2, 9 + 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_killed_again_and_again_records_everything_once() {
    let world = World::new().await;
    let (item, object) = bag(&world, 900).await;
    world.registry.faults().add_for("POST", BATCHES, Fault::Delay(Duration::from_millis(200)), usize::MAX);
    world.publish(Topic::IngestRecord, item.id).await;
    let recorded = || world.registry.store().list_files(&stack::registry::store::Query::new()).unwrap().count;
    for _ in 0..3 {
        let before = recorded();
        let running = start(&world);
        // The answers to what is there now are lost with the worker, most likely.
        until("a batch stands", || recorded() > before).await;
        running.kill();
        if recorded() > 900 {
            break;
        }
    }
    let running = start(&world);
    world.until(item.id, is_recorded).await;
    running.stop().await;
    assert_stands_once(&world, &object, 900).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_24_a_registry_that_is_away_fails_no_object() {
    let world = World::new().await;
    let (item, object) = bag(&world, 1).await;
    world.registry.faults().add_for("POST", OBJECTS, Fault::Status(500), 1);
    world.registry.faults().add_for("POST", BATCHES, Fault::Status(500), 1);
    run(&world, item.id, is_recorded).await;
    assert_stands_once(&world, &object, 1).await;
    assert_eq!(world.record(item.id, Topic::IngestRecord).await.attempt, 1, "none counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_refused_fails_the_item() {
    let world = World::new().await;
    let (item, _) = bag(&world, 1).await;
    world.registry.faults().add_for("POST", OBJECTS, Fault::Status(400), usize::MAX);
    let failed = run(&world, item.id, |item| item.status == Status::Failed).await;
    assert!(failed.note.starts_with("Server returned status code 400. POST http://"), "{}", failed.note);
    assert!(failed.needs_admin_review && failed.stage == Stage::Record);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_26_an_update_that_cannot_be_made_is_an_error_and_keeps_back_no_other() {
    let world = World::new().await;
    let first = ingested(&world, 3).await;
    let (item, object) = again(&world, &first, &["data/0", "data/1"]).await;
    let identifier = object.file_identifier("data/0");
    let broken = world.store.file(item.id, &identifier).await.unwrap().unwrap();
    world.store.save_file(item.id, &IngestFile { storage_records: List::new(), ..broken }).await.unwrap();
    let failed = run(&world, item.id, |item| item.status == Status::Failed).await;
    assert_eq!(failed.note, "This file has no StorageRecords");
    assert_eq!(parts(&world, &object, "data/0").await, (4, 2, 9));
    assert_eq!(parts(&world, &object, "data/1").await, (8, 2, 16));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_bag_made_is_left_alone() {
    let world = World::new().await;
    let first = ingested(&world, 1).await;
    let object = IngestObject { id: 0, saved_to_registry_at: Time::UNSET, premis_events: List::new(), ..first };
    // The reingest manager did not see it.
    let second = world.item(model::Action::Ingest, Stage::Record, |item| item.name.clone_from(&object.s3_key)).await;
    let other = IngestObject { etag: "ffffffffffffffffffffffffffffffff".into(), ..object.clone() };
    world.store.save_object(second.id, &other).await.unwrap();
    let failed = run(&world, second.id, |item| item.status == Status::Failed).await;
    assert!(failed.note.contains("Push this item to Reingest Check"), "{}", failed.note);
    // The same tar, and files with other UUIDs.
    let third = world.item(model::Action::Ingest, Stage::Record, |item| item.name.clone_from(&object.s3_key)).await;
    world.store.save_object(third.id, &object).await.unwrap();
    world.store.save_file(third.id, &file(&object, "data/0")).await.unwrap();
    let failed = run(&world, third.id, |item| item.status == Status::Failed).await;
    assert!(failed.note.contains("data/0 is in Registry with UUID"), "{}", failed.note);
    assert_eq!(parts(&world, &object, "data/0").await, (4, 2, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_in_another_storage_option_is_told_and_recorded() {
    let world = World::new().await;
    let first = ingested(&world, 1).await;
    let (item, object) = again(&world, &first, &["data/0"]).await;
    let identifier = object.file_identifier("data/0");
    let other = world.store.file(item.id, &identifier).await.unwrap().unwrap();
    let other = IngestFile { storage_option: StorageOption::GlacierOh, ..other };
    world.store.save_file(item.id, &other).await.unwrap();
    run(&world, item.id, is_recorded).await;
    assert_eq!(world.record(item.id, Topic::IngestRecord).await.attempt, 2, "the first attempt tells of it");
    assert_eq!(parts(&world, &object, "data/0").await, (8, 2, 16));
}
