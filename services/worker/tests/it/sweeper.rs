//! A sweep against embedded servers: ruling A.8, and what upstream's end-to-end test relies on.

use std::time::Duration;

use model::{Action, Stage, Status, Time, Topic, WorkItem};
use nsq::Publisher;
use redis_store::ClaimTaken;
use stack::registry::Fault;

use worker::{CancellationToken, Part, Pass, Scan as _, Sweep, Sweeper};
use world::World;

async fn sweep(world: &World, mode: Sweep) {
    try_to_sweep(world, mode, world.publisher.clone()).await.unwrap();
}

async fn try_to_sweep(world: &World, mode: Sweep, publisher: Publisher) -> anyhow::Result<()> {
    let (registry, store, lookup) = (world.client.clone(), world.store.clone(), world.lookup.clone());
    let sweeper = Sweeper { registry, store, publisher, lookup, mode };
    sweeper.pass(&Part::Whole, &Pass::new(CancellationToken::new())).await
}

fn ago(hours: i64) -> Time {
    (Time::now().inner() - time::Duration::hours(hours)).into()
}

/// The Registry sets `updated_at` itself, so an item that nobody has touched for long is made past it.
fn untouched(world: &World, item: &WorkItem) {
    untouched_for(world, item, 3);
}

fn untouched_for(world: &World, item: &WorkItem, hours: u64) {
    world.registry.store().age_work_item(item.id, Duration::from_hours(hours)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a8_the_item_of_a_dead_worker_is_published_again_once_an_hour() {
    let world = World::new().await;
    let item = world.ingest().await;
    let dead = world.store.take_claim(item.id, Topic::IngestRecord, "gone", Duration::from_millis(1)).await.unwrap();
    let ClaimTaken::Ours(dead) = dead else { panic!("it was claimed") };
    dead.leave();
    // What cannot be read hides nothing else.
    let odd = world.ingest().await;
    world.put(odd.id, "claim:ingest08_record", "{").await;
    let alive = world.ingest().await;
    let _alive = world.store.take_claim(alive.id, Topic::IngestRecord, "busy", Duration::from_hours(1)).await.unwrap();
    let over = world.item(Action::Ingest, Stage::Record, |item| item.status = Status::Cancelled).await;
    let left = world.store.take_claim(over.id, Topic::IngestRecord, "gone", Duration::from_millis(1)).await.unwrap();
    let ClaimTaken::Ours(left) = left else { panic!("it was claimed") };
    left.leave();
    for _ in 0..2 {
        sweep(&world, Sweep::Stranded).await;
    }
    world.until_load(Topic::IngestRecord, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a8_an_item_that_waits_in_an_idle_topic_is_published_again() {
    let world = World::new().await;
    let queued = async |stage: Stage, queued_at: Time| {
        let item = world.item(Action::Ingest, stage, |item| item.queued_at = queued_at).await;
        untouched(&world, &item);
        item
    };
    let _stranded = queued(Stage::Store, ago(2)).await;
    let _recent = queued(Stage::Validate, Time::now()).await;
    // Its topic is busy, so its message may still be there.
    let _waiting = queued(Stage::Record, ago(2)).await;
    world.publish(Topic::IngestRecord, 4711).await;
    for _ in 0..2 {
        sweep(&world, Sweep::Stranded).await;
    }
    world.until_load(Topic::IngestStorage, (1, 0, 0)).await;
    assert_eq!(world.load(Topic::IngestBagValidation).await, (0, 0, 0));
    assert_eq!(world.load(Topic::IngestRecord).await, (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_never_queued_is_queued_once() {
    let world = World::new().await;
    let requested = world.item(Action::RestoreFile, Stage::Requested, |item| item.created_at = ago(1)).await;
    let fresh = world.item(Action::RestoreObject, Stage::Requested, |_| {}).await;
    for _ in 0..2 {
        sweep(&world, Sweep::Stranded).await;
    }
    world.until_load(Topic::RestoreFile, (1, 0, 0)).await;
    assert!(world.look(requested.id).await.queued_at.is_set());
    assert_eq!(world.load(Topic::RestoreObject).await, (0, 0, 0), "the Registry may be about to queue it");
    assert!(!world.look(fresh.id).await.queued_at.is_set());
}

#[tokio::test(flavor = "multi_thread")]
async fn end_to_end_every_request_is_queued_at_once_and_nothing_else() {
    let world = World::new().await;
    for action in [Action::Delete, Action::GlacierRestore, Action::RestoreFile, Action::RestoreObject] {
        world.item(action, Stage::Requested, |_| {}).await;
    }
    let taken = world.item(Action::Delete, Stage::Requested, |item| item.node = "host".to_owned()).await;
    let ingest = world.item(Action::Ingest, Stage::Receive, |_| {}).await;
    for _ in 0..2 {
        sweep(&world, Sweep::Unqueued).await;
    }
    for topic in [Topic::DeleteItem, Topic::RestoreGlacier, Topic::RestoreFile, Topic::RestoreObject] {
        world.until_load(topic, (1, 0, 0)).await;
    }
    for item in [taken, ingest] {
        assert!(!world.look(item.id).await.queued_at.is_set());
    }
    assert_eq!(world.load(Topic::IngestPrefetch).await, (0, 0, 0));
}

/// An item between two attempts: nobody has it, and it is not `Pending`.
async fn between_attempts(world: &World, hours: u64) -> WorkItem {
    let item = world.item(Action::GlacierRestore, Stage::Requested, |item| item.status = Status::Started).await;
    untouched_for(world, &item, hours);
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_waits_for_its_next_attempt_is_found() {
    let world = World::new().await;
    let _stranded = between_attempts(&world, 3).await;
    let waiting = between_attempts(&world, 3).await;
    let later = Some(Duration::from_hours(1));
    world.store.save_wake(waiting.id, Topic::RestoreGlacier, later).await.unwrap();
    for _ in 0..2 {
        sweep(&world, Sweep::Stranded).await;
    }
    world.until_load(Topic::RestoreGlacier, (1, 0, 0)).await;
}

/// As an nsqd leaves it that was killed with all the messages that it kept for later.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_that_an_nsqd_forgot_are_published_again_in_one_pass() {
    let world = World::new().await;
    for _ in 0..1000 {
        between_attempts(&world, 3).await;
    }
    sweep(&world, Sweep::Stranded).await;
    world.until_load(Topic::RestoreGlacier, (1000, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_for_a_day_is_published_although_its_topic_is_never_idle() {
    let world = World::new().await;
    let _long = between_attempts(&world, 25).await;
    let _short = between_attempts(&world, 23).await;
    world.publish(Topic::RestoreGlacier, 4711).await;
    for _ in 0..2 {
        sweep(&world, Sweep::Stranded).await;
    }
    world.until_load(Topic::RestoreGlacier, (2, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_item_that_cannot_be_saved_holds_up_no_other() {
    let world = World::new().await;
    for _ in 0..3 {
        world.item(Action::RestoreFile, Stage::Requested, |item| item.created_at = ago(1)).await;
    }
    let stranded = world.item(Action::Ingest, Stage::Store, |item| item.queued_at = ago(2)).await;
    untouched(&world, &stranded);
    world.registry.faults().add_for("PUT", "/", Fault::Status(400), 1);
    let error = try_to_sweep(&world, Sweep::Stranded, world.publisher.clone()).await.unwrap_err();
    assert!(error.to_string().starts_with("1 times something could not be"), "{error:#}");
    world.until_load(Topic::RestoreFile, (2, 0, 0)).await;
    world.until_load(Topic::IngestStorage, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_published_is_published_by_the_next_sweep() {
    let world = World::new().await;
    let stranded = world.item(Action::Ingest, Stage::Store, |item| item.queued_at = ago(2)).await;
    untouched(&world, &stranded);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = Publisher::new(&nobody.to_string()).unwrap();
    try_to_sweep(&world, Sweep::Stranded, nowhere).await.unwrap_err();
    sweep(&world, Sweep::Stranded).await;
    world.until_load(Topic::IngestStorage, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_are_queued_in_one_pass() {
    let world = World::new().await;
    for _ in 0..250 {
        world.item(Action::RestoreFile, Stage::Requested, |_| {}).await;
    }
    sweep(&world, Sweep::Unqueued).await;
    world.until_load(Topic::RestoreFile, (250, 0, 0)).await;
}
