//! Who works on an item: rulings A.1 to A.4, A.7, A.10 to A.12.

use std::time::Duration;

use model::{Action, IngestObject, Stage, Status, Time, Topic, WorkItem};
use redis_store::{ClaimTaken, Claimant, LeaseName, LeaseTaken, Owner};

use worker::{Done, Rules, Task};
use world::{RECORD, Script, World, until};

const LONG: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_item_goes_to_the_next_stage_and_topic() {
    let world = World::new().await;
    let script = Script::succeeds();
    let (item, running) = world.at_work(&script).await;
    let done = world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    assert_eq!((&done.status, done.retry, done.is_claimed()), (&Status::Pending, true, false));
    assert_eq!(done.note, "Witnessed");
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!(script.runs(item.id), 1);
    let result = world.store.work_result(item.id, Topic::IngestRecord).await.unwrap().unwrap();
    assert_eq!((result.attempt, result.has_succeeded()), (1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a1_an_item_in_work_leaves_nothing_but_its_hash_in_the_items_database() {
    let world = World::new().await;
    let (script, gate) = Script::gated(Ok(Done::default()));
    let (item, running) = world.at_work(&script).await;
    assert_eq!(world.keys(0).await, [item.id.to_string()]);
    let locks = world.keys(1).await;
    assert!(locks.len() == 1 && locks[0].starts_with("object:test.edu/"), "{locks:?}");
    gate.notify_one();
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!(world.keys(1).await, Vec::<String>::new(), "what was recorded is locked no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a2_the_claim_of_a_killed_worker_dies_and_another_takes_over() {
    let world = World::new().await;
    let first = Script::waits();
    let (item, running) = world.at_work(&first).await;
    running.kill();
    let second = Script::succeeds();
    let running = world.start(RECORD, &second);
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((first.runs(item.id), second.runs(item.id)), (1, 1));
    let result = world.store.work_result(item.id, Topic::IngestRecord).await.unwrap().unwrap();
    assert_eq!(result.attempt, 1, "a death is no attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a3_an_item_of_a_go_worker_is_left_alone_and_its_message_kept() {
    let world = World::new().await;
    let claimed = async |since: Time| {
        let mut item = world.ingest().await;
        item.mark_started("go-host", 1, Topic::IngestRecord, since);
        world.client.save_work_item(&item).await.unwrap();
        item
    };
    let busy = claimed(Time::now()).await;
    let old = claimed((Time::now().inner() - time::Duration::hours(25)).into()).await;
    let script = Script::succeeds();
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, busy.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    world.publish(Topic::IngestRecord, old.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    running.stop().await;
    for item in [busy, old] {
        let now = world.look(item.id).await;
        assert_eq!((now.node.as_str(), &now.status, script.runs(item.id)), ("go-host", &Status::Started, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a4_an_item_that_an_administrator_cancels_is_dropped_and_not_written_again() {
    let world = World::new().await;
    let script = Script::waits();
    let (item, running) = world.at_work(&script).await;
    let mut started = world.until(item.id, |item| item.status == Status::Started).await;
    started.mark_no_longer_in_progress(Stage::Record, Status::Cancelled, "Cancelled by hand");
    started.retry = false;
    world.client.save_work_item(&started).await.unwrap();
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    let now = world.look(item.id).await;
    assert_eq!((&now.status, now.note.as_str()), (&Status::Cancelled, "Cancelled by hand"));
    assert_eq!(world.load(Topic::IngestCleanup).await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a4_a_worker_that_lost_its_claim_stops_and_writes_nothing() {
    let world = World::new().await;
    let script = Script::waits();
    let (item, running) = world.at_work(&script).await;
    let started = world.until(item.id, |item| item.status == Status::Started).await;
    // Somebody deletes the hash, claim and all, and claims the item.
    world.store.delete_item(item.id).await.unwrap();
    let ClaimTaken::Ours(theirs) = world.store.take_claim(item.id, Topic::IngestRecord, "other", LONG).await.unwrap()
    else {
        panic!("the claim was not deleted");
    };
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    running.stop().await;
    let now = world.look(item.id).await;
    assert_eq!((now.note, now.updated_at), (started.note, started.updated_at));
    theirs.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a4_an_item_whose_claim_is_gone_is_put_back_and_not_taken_for_a_go_workers() {
    let world = World::new().await;
    let script = Script::waits();
    let (item, running) = world.at_work(&script).await;
    world.until(item.id, |item| item.status == Status::Started).await;
    world.store.delete_item(item.id).await.unwrap();
    // It is let go of, and taken up again.
    until("the stage runs again", || script.runs(item.id) == 2).await;
    running.stop().await;
    let released = world.look(item.id).await;
    assert_eq!((&released.status, released.is_claimed(), released.retry), (&Status::Pending, false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_a_dead_worker_that_cannot_be_taken_over_yet_is_not_taken_for_a_go_workers() {
    let world = World::new().await;
    let first = Script::waits();
    let (item, running) = world.at_work(&first).await;
    world.until(item.id, |item| item.status == Status::Started).await;
    running.kill();
    // Another item has its object, so that whoever claims it must step back.
    let object = format!("test.edu/{}", item.name.trim_end_matches(".tar"));
    let owner = Owner::Item(item.id);
    world.store.release_lease(LeaseName::Object(&object), owner).await.unwrap();
    let other = world.ingest().await;
    let taken = world.store.take_lease(LeaseName::Object(&object), Owner::Item(other.id), "other", LONG).await.unwrap();
    let LeaseTaken::Ours(lock) = taken else { panic!("the lock is taken") };
    let second = Script::succeeds();
    let running = world.start(RECORD, &second);
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    assert!(
        world.store.claimant(item.id, Topic::IngestRecord).await.unwrap().is_some(),
        "its claim is there, and dies"
    );
    lock.release().await.unwrap();
    while !world.store.claimant(item.id, Topic::IngestRecord).await.unwrap().unwrap().is_dead() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((first.runs(item.id), second.runs(item.id)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_whose_next_worker_died_is_not_taken_for_a_go_workers_by_the_one_before() {
    let world = World::new().await;
    let first = Script::waits();
    let (item, running) = world.at_work(&first).await;
    let started = world.until(item.id, |item| item.status == Status::Started).await;
    // Another one took over, when this one could not renew its claim, and died over the item.
    world.client.save_work_item(&WorkItem { pid: started.pid + 1, ..started }).await.unwrap();
    let dead = r#"{"token":"c3b9ac3c-9c10-4b0e-8a4f-0f6c1e5a8d11","host":"next","heartbeat":1,"lifetime":2000}"#;
    world.put(item.id, "claim:ingest08_record", dead).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    let claim = world.store.claimant(item.id, Topic::IngestRecord).await.unwrap();
    assert!(claim.as_ref().is_some_and(Claimant::is_dead), "{claim:?}");

    let second = Script::succeeds();
    let running = world.start(RECORD, &second);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a7_an_item_that_stands_at_our_next_stage_is_published_there() {
    let world = World::new().await;
    let item = world.item(Action::Ingest, Stage::Cleanup, |_| {}).await;
    let script = Script::succeeds();
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestCleanup, (1, 0, 0)).await;
    world.until_load(Topic::IngestRecord, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!(script.runs(item.id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a10_nothing_is_left_in_redis_of_an_item_that_is_done_for_good() {
    let world = World::new().await;
    let item = world.item(Action::Delete, Stage::Requested, |_| {}).await;
    let script = Script::new(async |task: Task| {
        task.store.save_object(task.item.id, &IngestObject::default()).await?;
        Ok(Done { note: Some("Gone".to_owned()), ..Done::default() })
    });
    let running = world.start(Rules::deletion(), &script);
    world.publish(Topic::DeleteItem, item.id).await;
    let done = world.until(item.id, |item| item.status == Status::Success).await;
    assert_eq!((&done.stage, done.note.as_str()), (&Stage::Resolve, "Gone"));
    world.until_load(Topic::DeleteItem, (0, 0, 0)).await;
    assert_eq!(world.keys(0).await, Vec::<String>::new());
    // As a worker leaves it that is killed before it deletes: the message comes again.
    world.store.save_object(item.id, &IngestObject::default()).await.unwrap();
    world.publish(Topic::DeleteItem, item.id).await;
    world.until_load(Topic::DeleteItem, (0, 0, 0)).await;
    running.stop().await;
    assert_eq!((world.keys(0).await, script.runs(item.id)), (Vec::<String>::new(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a12_two_items_of_one_object_wait_for_each_other() {
    let world = World::new().await;
    let deletion = world.item(Action::Delete, Stage::Requested, |_| {}).await;
    let item = world.ingest().await;
    let object = format!("test.edu/{}", item.name.trim_end_matches(".tar"));
    let owner = Owner::Item(deletion.id);
    let taken = world.store.take_lease(LeaseName::Object(&object), owner.clone(), "other", LONG).await.unwrap();
    let LeaseTaken::Ours(lock) = taken else { panic!("the lock is taken") };
    let script = Script::succeeds();
    let running = world.start(RECORD, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    assert_eq!(script.runs(item.id), 0);
    // The lock of an item that is over does not hold anybody up.
    lock.leave();
    let mut over = deletion;
    over.status = Status::Success;
    over.retry = false;
    world.client.save_work_item(&over).await.unwrap();
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
}
