//! How often an item is tried, and what it looks like afterwards: ruling A.9.

use std::time::Duration;

use model::{Action, Stage, Status, Topic};

use worker::{Done, Rules, Stop, Task};
use world::{RECORD, Script, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn rule_a9_attempts_are_counted_across_workers_also_where_nothing_follows() {
    let world = World::new().await;
    let item = world.item(Action::Delete, Stage::Requested, |_| {}).await;
    let script = Script::new(async |_| Err(Stop::failed("x", "S3 says no")));
    let mut running = world.start_with(Rules::deletion(), &script, &[("W_MAX_ATTEMPTS", "3")]);
    world.publish(Topic::DeleteItem, item.id).await;
    until("the first attempt", || script.runs(item.id) >= 1).await;
    running.stop().await;
    running = world.start_with(Rules::deletion(), &script, &[("W_MAX_ATTEMPTS", "3")]);
    let given_up = world.until(item.id, |item| !item.retry).await;
    world.until_load(Topic::DeleteItem, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!((&given_up.status, given_up.needs_admin_review), (&Status::Started, true));
    assert_eq!(given_up.note, "S3 says no Will not retry: failed 3 times. Interim processing data persists.");
    assert_eq!((given_up.is_claimed(), script.runs(item.id)), (false, 3));
    let result = world.store.work_result(item.id, Topic::DeleteItem).await.unwrap().unwrap();
    assert_eq!(result.attempt, 0, "a requeue by an administrator starts afresh");
    assert_eq!(result.errors.iter().map(|error| error.work_item_id).collect::<Vec<_>>(), [item.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a9_a_fatal_error_sets_failed_for_a_deletion_too() {
    let world = World::new().await;
    let item = world.item(Action::Delete, Stage::Requested, |_| {}).await;
    let script = Script::new(async |_| Err(Stop::fatal("x", "no approval")));
    let running = world.start(Rules::deletion(), &script);
    world.publish(Topic::DeleteItem, item.id).await;
    let failed = world.until(item.id, |item| item.status == Status::Failed).await;
    world.until_load(Topic::DeleteItem, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!((failed.note.as_str(), failed.retry, failed.needs_admin_review), ("no approval", false, true));
    assert_eq!(script.runs(item.id), 1);
    assert_eq!(world.keys(0).await, [item.id.to_string()], "after a failure its data stays (A.10)");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a9_a_failure_of_the_system_gives_the_attempt_back_until_patience_ends() {
    let world = World::new().await;
    let script = Script::new(async |_| Err(Stop::System("S3 answers 503".to_owned())));
    let (item, running) = world.at_work(&script).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    let waiting = world.look(item.id).await;
    assert_eq!((waiting.note.as_str(), waiting.retry, waiting.is_claimed()), ("S3 answers 503", true, false));
    let result = world.store.work_result(item.id, Topic::IngestRecord).await.unwrap().unwrap();
    assert_eq!(result.attempt, 0);
    assert!(world.store.trouble(item.id, Topic::IngestRecord).await.unwrap().failing_since.is_set());
    running.stop().await;
    // The same worker with no patience left.
    let running = world.start_with(RECORD, &script, &[("SYSTEM_RETRY_LIMIT", "0s")]);
    world.publish(Topic::IngestRecord, item.id).await;
    let given_up = world.until(item.id, |item| !item.retry).await;
    running.stop().await;
    assert!(given_up.note.starts_with("S3 answers 503 Will not retry"), "{}", given_up.note);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a9_waiting_is_no_failure() {
    let world = World::new().await;
    let item = world.ingest().await;
    let delay = Duration::from_millis(10);
    let script = Script::new(move |_| async move { Err(Stop::Waiting { note: "be patient".to_owned(), delay }) });
    // An attempt that counted would be the last.
    let running = world.start_with(RECORD, &script, &[("W_MAX_ATTEMPTS", "1")]);
    world.publish(Topic::IngestRecord, item.id).await;
    until("it is looked at again and again", || script.runs(item.id) >= 4).await;
    running.stop().await;
    let waiting = world.look(item.id).await;
    assert_eq!((waiting.note.as_str(), waiting.retry, waiting.is_claimed()), ("be patient", true, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_stops_at_its_message_and_counts_as_an_attempt() {
    let world = World::new().await;
    let (bad, good) = (world.ingest().await, world.ingest().await);
    let bad_name = bad.name.clone();
    let script = Script::new(move |task: Task| {
        let bad_name = bad_name.clone();
        async move {
            assert_ne!(task.item.name, bad_name, "a defect");
            Ok(Done::default())
        }
    });
    let running = world.start_with(RECORD, &script, &[("W_MAX_ATTEMPTS", "2")]);
    world.publish(Topic::IngestRecord, bad.id).await;
    world.publish(Topic::IngestRecord, good.id).await;
    let given_up = world.until(bad.id, |item| !item.retry).await;
    world.until(good.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert!(given_up.note.contains("panicked"), "{}", given_up.note);
    assert_eq!((script.runs(bad.id), script.runs(good.id)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_over_which_workers_die_is_given_up_in_the_end() {
    let world = World::new().await;
    let item = world.ingest().await;
    let trouble = redis_store::Trouble { deaths: 10, ..Default::default() };
    world.store.save_trouble(item.id, Topic::IngestRecord, trouble).await.unwrap();
    let script = Script::waits();
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    until("the stage runs", || script.runs(item.id) == 1).await;
    running.kill();
    let running = world.start(RECORD, &script);
    let given_up = world.until(item.id, |item| !item.retry).await;
    running.stop().await;
    assert!(given_up.needs_admin_review && given_up.note.starts_with("11 workers in a row died"), "{}", given_up.note);
    assert_eq!(script.runs(item.id), 1);
}
