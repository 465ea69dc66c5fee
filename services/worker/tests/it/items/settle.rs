//! The outcome of an item is written however long that takes, and nothing that the loop cannot do counts against the item.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Action, Stage, Status, Topic};
use stack::registry::Fault;
use tokio::sync::Notify;
use worker::{Done, Rules, Stop, Task};
use world::{RECORD, Script, World, until};

/// A stage that takes the Registry's ability to write away before it returns this.
fn breaks_the_registry(world: &World, fault: Fault, times: usize, returns: Result<Done, Stop>) -> Script {
    let faults = world.registry.faults().clone();
    Script::new(move |_| {
        let (faults, returns) = (faults.clone(), returns.clone());
        async move {
            faults.add_for("PUT", "/", fault, times);
            returns
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_thrown_away_because_the_registry_does_not_write() {
    let world = World::new().await;
    let script = breaks_the_registry(&world, Fault::Status(503), usize::MAX, Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    // What Redis keeps is saved each time before the Registry is tried.
    world.until_record(item.id, Topic::IngestRecord, |result| result.finished_at.is_set()).await;
    let first = world.record(item.id, Topic::IngestRecord).await.finished_at;
    world.until_record(item.id, Topic::IngestRecord, |result| result.finished_at != first).await;
    assert_eq!(world.look(item.id).await.status, Status::Started);
    assert_eq!(world.load(Topic::IngestRecord).await, (0, 1, 0), "its message is held");
    world.registry.faults().clear();
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
    running.stop().await;
    assert_eq!((script.runs(item.id), world.record(item.id, Topic::IngestRecord).await.attempt), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_answer_was_lost_is_recognised_and_followed() {
    let world = World::new().await;
    let script = breaks_the_registry(&world, Fault::CutAfter, 1, Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!((script.runs(item.id), world.look(item.id).await.stage), (1, Stage::Cleanup));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_refused_is_put_before_an_administrator() {
    let world = World::new().await;
    let script = breaks_the_registry(&world, Fault::Status(400), 1, Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    let refused = world.until(item.id, |item| item.needs_admin_review).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert!(!refused.retry && refused.note.contains("400"), "{}", refused.note);
    assert_eq!((script.runs(item.id), refused.is_claimed()), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_must_stop_before_it_can_save_leaves_no_death_behind() {
    let world = World::new().await;
    let script = breaks_the_registry(&world, Fault::Status(503), usize::MAX, Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    world.until_record(item.id, Topic::IngestRecord, |result| result.finished_at.is_set()).await;
    running.stop().await;
    world.registry.faults().clear();
    let second = Script::succeeds();
    let running = world.start(RECORD, &second);
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((script.runs(item.id), second.runs(item.id)), (1, 1));
    assert_eq!(world.store.trouble(item.id, Topic::IngestRecord).await.unwrap().deaths, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_reads_but_does_not_write_kills_nobody() {
    let world = World::new().await;
    let item = world.ingest().await;
    let script = Script::succeeds();
    world.registry.faults().add_for("PUT", "/", Fault::Status(503), usize::MAX);
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_record(item.id, Topic::IngestRecord, |result| result.finished_at.is_set()).await;
    world.registry.faults().clear();
    let waiting = world.until(item.id, |item| item.note.contains("could not be marked as started")).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    running.stop().await;
    assert_eq!((waiting.retry, waiting.is_claimed(), script.runs(item.id)), (true, false, 0));
    assert_eq!(world.record(item.id, Topic::IngestRecord).await.attempt, 0);
    assert_eq!(world.store.trouble(item.id, Topic::IngestRecord).await.unwrap().deaths, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_answer_was_lost_is_settled_as_ours() {
    let world = World::new().await;
    let item = world.ingest().await;
    let script = Script::succeeds();
    // The client repeats a save by itself; each of its tries loses the answer.
    world.registry.faults().add_for("PUT", "/", Fault::CutAfter, 12);
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    let waiting = world.until(item.id, |item| !item.is_claimed() && item.status == Status::Started).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    running.stop().await;
    assert!(waiting.retry && !waiting.needs_admin_review, "{waiting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_sends_an_item_back_to_an_earlier_one() {
    let world = World::new().await;
    let script = Script::new(async |_| {
        Err(Stop::Back { stage: Stage::CopyToStaging, note: "Two files are gone from staging".to_owned() })
    });
    let (item, running) = world.at_work(&script).await;
    let back = world.until(item.id, |item| item.stage == Stage::CopyToStaging).await;
    world.until_load(Topic::IngestStaging, (1, 0, 0)).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!(
        (&back.status, back.retry, back.note.as_str()),
        (&Status::Pending, true, "Two files are gone from staging")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_item_is_announced_last_of_all_and_only_its_end() {
    let world = World::new().await;
    let topic = "e2e_deletion_post_test";
    world.nsqd.create(topic, Some("tests")).await.unwrap();
    let announces = |returns: Result<Done, Stop>| {
        Script::new(move |task: Task| {
            let returns = returns.clone();
            async move {
                task.announce_end(topic, task.item.id.to_string());
                returns
            }
        })
    };
    let wait = Stop::Waiting { note: "not yet".to_owned(), delay: Duration::from_hours(1) };
    for (returns, announced) in [(Err(wait), 0), (Ok(Done::default()), 1), (Err(Stop::fatal("x", "no approval")), 2)] {
        let item = world.item(Action::Delete, Stage::Requested, |_| {}).await;
        let running = world.start(Rules::deletion(), &announces(returns));
        world.publish(Topic::DeleteItem, item.id).await;
        world.until(item.id, |item| item.is_completed() || item.note == "not yet").await;
        running.stop().await;
        assert_eq!(world.depth(topic).await, announced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_look_at_the_registry_hides_neither_a_lost_claim_nor_a_shutdown() {
    for is_shutdown in [false, true] {
        let world = World::new().await;
        let item = world.ingest().await;
        let cancelled = Arc::new(Notify::new());
        let notice = Arc::clone(&cancelled);
        let faults = world.registry.faults().clone();
        let script = Script::new(move |task: Task| {
            let (notice, faults) = (Arc::clone(&notice), faults.clone());
            async move {
                // From here on, each look takes longer than this test.
                faults.add_for("GET", "/", Fault::Delay(Duration::from_mins(10)), usize::MAX);
                task.cancelled.cancelled().await;
                notice.notify_one();
                faults.clear();
                Err(Stop::Cancelled)
            }
        });
        let running = world.start(RECORD, &script);
        world.publish(Topic::IngestRecord, item.id).await;
        until("the stage runs", || script.runs(item.id) == 1).await;
        // By then it looks whether the item is still its own, which it does four times in the life of a claim.
        let begun = Instant::now();
        until("a look has begun", || begun.elapsed() > world::CLAIM_TTL / 2).await;
        if is_shutdown {
            running.stop().await;
        } else {
            world.store.delete_item(item.id).await.unwrap();
            cancelled.notified().await;
            running.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_in_time_whatever_its_item_is_at() {
    let slow = Fault::Delay(Duration::from_mins(10));
    // The looks before and under the claim, the mark, and the end.
    for (method, skipped) in [("GET", 0), ("GET", 1), ("PUT", 0), ("PUT", 1)] {
        let world = World::new().await;
        let item = world.ingest().await;
        world.registry.faults().add_for(method, "/", Fault::Delay(Duration::ZERO), skipped);
        world.registry.faults().add_for(method, "/", slow, usize::MAX);
        let script = Script::succeeds();
        let running = world.start(RECORD, &script);
        world.publish(Topic::IngestRecord, item.id).await;
        world.until_load(Topic::IngestRecord, (0, 1, 0)).await;
        running.stop().await;
        world.registry.faults().clear();
        let second = Script::succeeds();
        let running = world.start(RECORD, &second);
        world.until(item.id, |item| item.stage == Stage::Cleanup).await;
        running.stop().await;
        assert!(script.runs(item.id) + second.runs(item.id) <= 2, "{method} {skipped}");
        assert_eq!(world.store.trouble(item.id, Topic::IngestRecord).await.unwrap().deaths, 0, "{method} {skipped}");
    }
}
