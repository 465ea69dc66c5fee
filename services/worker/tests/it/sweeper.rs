//! A sweep against embedded servers: ruling A.8, and what upstream's end-to-end test relies on.

use std::time::Duration;

use model::{Action, Stage, Status, Time, Topic, WorkItem};
use redis_store::ClaimTaken;

use worker::{CancellationToken, Part, Pass, Scan as _, Sweep, Sweeper};
use world::World;

async fn sweep(world: &World, mode: Sweep) {
    let sweeper = Sweeper {
        registry: world.client.clone(),
        store: world.store.clone(),
        publisher: world.publisher.clone(),
        lookup: world.lookup.clone(),
        mode,
    };
    sweeper.pass(&Part::Whole, &Pass::new(CancellationToken::new())).await.unwrap();
}

fn ago(hours: i64) -> Time {
    (Time::now().inner() - time::Duration::hours(hours)).into()
}

/// The Registry sets `updated_at` itself, so an item that nobody has touched for long is made past it.
fn untouched(world: &World, item: &WorkItem) {
    world.registry.store().age_work_item(item.id, Duration::from_hours(3)).unwrap();
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
