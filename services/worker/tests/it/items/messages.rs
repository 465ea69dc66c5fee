//! What becomes of messages: rulings A.5 and A.6, shutdown, and messages that are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::{Stage, Status, Topic};

use worker::{Answer, Delivery, Done, Handler, Program, QueueWorker, Stop, Task};
use world::{MSG_TIMEOUT, RECORD, Script, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn rule_a5_a_duplicate_of_work_that_goes_on_waits_as_a_new_message() {
    let world = World::new().await;
    let script = Script::waits();
    let (item, running) = world.at_work(&script).await;
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 1, 1)).await;
    assert_eq!(script.runs(item.id), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a5_nsqd_delivers_no_message_a_sixth_time() {
    let world = World::new().await;
    let item = world.ingest().await;
    let script = Script::new(async |_| Err(Stop::failed("x", "no")));
    let running = world.start_with(RECORD, &script, &[("W_MAX_ATTEMPTS", "12")]);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| !item.retry).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!(script.runs(item.id), 12);
    // Twelve attempts are three messages of at most five deliveries: four requeues, then a new message.
    let (messages, requeued, timed_out) = world.counts(Topic::IngestRecord).await;
    assert_eq!((messages, requeued, timed_out), (3, 9, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a6_work_that_outlasts_the_time_out_keeps_its_message_by_touching() {
    let world = World::new().await;
    let item = world.ingest().await;
    // Time itself is the matter here: more than twice nsqd's time-out.
    let script = Script::new(async |_| {
        tokio::time::sleep(MSG_TIMEOUT * 5 / 2).await;
        Ok(Done::default())
    });
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!((script.runs(item.id), world.counts(Topic::IngestRecord).await), (1, (1, 0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a6_before_the_last_deadline_the_message_is_replaced_while_the_work_goes_on() {
    let world = World::with(|options| options.max_msg_timeout = Duration::from_secs(31)).await;
    let (script, gate) = Script::gated(Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    // A second after delivery it is thirty seconds to the last deadline.
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    assert_eq!(world.look(item.id).await.status, Status::Started);
    gate.notify_one();
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!(script.runs(item.id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_releases_its_items_and_another_takes_them_up() {
    let world = World::new().await;
    let first = Script::waits();
    let (item, running) = world.at_work(&first).await;
    running.stop().await;
    let released = world.look(item.id).await;
    assert_eq!((&released.status, released.is_claimed(), released.retry), (&Status::Pending, false, true));
    assert!(released.note.contains("Waiting for new worker because container"), "{}", released.note);
    world.until_load(Topic::IngestRecord, (1, 0, 0)).await;
    let result = world.store.work_result(item.id, Topic::IngestRecord).await.unwrap().unwrap();
    assert_eq!(result.attempt, 0);
    let second = Script::succeeds();
    let running = world.start(RECORD, &second);
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((first.runs(item.id), second.runs(item.id)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stage_finishes_while_the_worker_stops_is_finished() {
    let world = World::new().await;
    let script = Script::new(async |task: Task| {
        task.cancelled.cancelled().await;
        Ok(Done::default())
    });
    let (item, running) = world.at_work(&script).await;
    running.stop().await;
    assert_eq!(world.look(item.id).await.stage, Stage::Cleanup);
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_items_are_dropped_and_white_space_does_not_count() {
    let world = World::new().await;
    let item = world.ingest().await;
    let script = Script::succeeds();
    let running = world.start(RECORD, &script);
    let topic = Topic::IngestRecord.as_str().parse().unwrap();
    for body in ["nonsense", "0", "-4", "99999999999999999999999", "123456789"] {
        world.publisher.publish(&topic, body).await.unwrap();
    }
    world.publisher.publish(&topic, format!(" {}\n", item.id)).await.unwrap();
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_waits_while_the_registry_is_away() {
    let world = World::new().await;
    let item = world.ingest().await;
    let script = Script::succeeds();
    world.registry_is_away(true);
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    world.registry_is_away(false);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!(script.runs(item.id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_without_its_message_takes_no_other_hostage() {
    let world = World::with(|options| options.max_msg_timeout = Duration::from_secs(31)).await;
    let (first, second) = (world.ingest().await, world.ingest().await);
    let (script, gate) = Script::gated(Ok(Done::default()));
    let running = world.start_with(RECORD, &script, &[("W_WORKERS", "1")]);
    world.publish(Topic::IngestRecord, first.id).await;
    // Its message was replaced, and its place is still taken.
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    world.publish(Topic::IngestRecord, second.id).await;
    world.until_load(Topic::IngestRecord, (1, 0, 1)).await;
    // Time itself is the matter: longer than a message lives that nobody touches.
    let begun = Instant::now();
    until("nsqd's time-out is over", || begun.elapsed() > MSG_TIMEOUT * 3 / 2).await;
    assert_eq!(world.load(Topic::IngestRecord).await, (1, 0, 1), "it waits in nsqd and nowhere else");
    gate.notify_one();
    world.until(first.id, |item| item.stage == Stage::Cleanup).await;
    until("the second is taken up", || script.runs(second.id) == 1).await;
    gate.notify_one();
    world.until(second.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    let (_, requeued, timed_out) = world.counts(Topic::IngestRecord).await;
    assert_eq!((requeued, timed_out), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_messages_of_a_waiting_item_only_the_one_that_counts_stays() {
    let world = World::with(|options| options.max_msg_timeout = Duration::from_secs(31)).await;
    let item = world.ingest().await;
    let wait = Stop::Waiting { note: "not yet".to_owned(), delay: Duration::from_hours(1) };
    let (script, gate) = Script::gated(Err(wait));
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    gate.notify_one();
    world.until(item.id, |item| item.note == "not yet").await;
    // The one that replaced the first during the work, and the one that is due in an hour.
    world.until_load(Topic::IngestRecord, (0, 0, 2)).await;
    // As the replacement does when it comes: it is one too many.
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 2)).await;
    // An administrator's requeue is none.
    world.registry.actions().requeue(item.id, "Record").await.unwrap();
    until("it is taken up again", || script.runs(item.id) == 2).await;
    running.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_item_and_always_fails_ends() {
    struct Fails(Arc<AtomicUsize>);
    impl Handler for Fails {
        async fn handle(&self, _: Delivery) -> Answer {
            self.0.fetch_add(1, Ordering::Relaxed);
            Answer::Again(Duration::from_millis(10))
        }
    }
    let world = World::new().await;
    let program: Program<QueueWorker, ()> =
        Program { name: "w", about: "", kind: QueueWorker::new(Topic::FixityCheck), stage: worker::Stage::Unfinished };
    for (most, deliveries) in [("3", 3), ("40", 5)] {
        let count = Arc::<AtomicUsize>::default();
        let fails = Fails(Arc::clone(&count));
        let running = world.run(&program, &[("W_MAX_ATTEMPTS", most)], |context| context.run(fails, 1));
        world.publish(Topic::FixityCheck, 4711).await;
        until("it is delivered", || count.load(Ordering::Relaxed) == deliveries).await;
        world.until_load(Topic::FixityCheck, (0, 0, 0)).await;
        running.stop().await;
        assert_eq!(count.load(Ordering::Relaxed), deliveries);
    }
}
