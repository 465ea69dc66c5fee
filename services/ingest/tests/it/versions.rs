//! Which ingests are taken up: 01 §4.4 as rulings A.5, A.11, A.12 and B.16 amend it.

use std::time::Duration;

use ingest::{Institutions, Versions};
use model::{Action, Stage, Status, Time, Topic};
use redis_store::{LeaseName, LeaseTaken, Owner};
use stack::s3::S3;
use storage::Storage;
use worker::{ItemWorker, Program, Rules};
use world::{Running, Script, World};

fn start(world: &World, topic: Topic, receiving: Option<Storage>, script: &Script) -> Running {
    let program: Program<ItemWorker, ()> = Program {
        name: "w",
        about: "",
        kind: ItemWorker::new(Rules::ingest(topic, "Done")).requeue_delay(Duration::from_millis(50)),
        stage: worker::Stage::Unfinished,
    };
    let script = script.clone();
    world.run(&program, &[], async move |context| {
        let clients = context.plan.clients()?;
        let institutions = Institutions::new(clients.registry.clone());
        let versions = Versions::new(topic, &clients, institutions, receiving);
        context.run_admitting(clients, versions, script).await
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_waits_while_another_item_works_on_its_object() {
    let world = World::new().await;
    let item = world.ingest().await;
    let deletion = world.item(Action::Delete, Stage::Requested, |_| {}).await;
    let object = format!("test.edu/{}", item.name.trim_end_matches(".tar"));
    let taken = world
        .store
        .take_lease(LeaseName::Object(&object), Owner::Item(deletion.id), "other", Duration::from_hours(1))
        .await
        .unwrap();
    let LeaseTaken::Ours(lock) = taken else { panic!("the lock is taken") };
    let script = Script::succeeds();
    let running = start(&world, Topic::IngestRecord, None, &script);
    world.publish(Topic::IngestRecord, item.id).await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    assert_eq!(script.runs(item.id), 0);
    lock.release().await.unwrap();
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_a11_an_error_of_redis_does_not_pass_for_an_ingest_that_is_done() {
    let world = World::new().await;
    let item = world.item(Action::Ingest, Stage::Cleanup, |_| {}).await;
    let script = Script::succeeds();
    // A document that cannot be read is an error and not an absence.
    let identifier = format!("test.edu/{}", item.name.trim_end_matches(".tar"));
    world.put(item.id, &format!("object:{identifier}"), "{").await;
    let running = start(&world, Topic::IngestCleanup, None, &script);
    world.publish(Topic::IngestCleanup, item.id).await;
    // Nobody can read it tomorrow either: an administrator is told.
    let refused = world.until(item.id, |item| item.needs_admin_review).await;
    running.stop().await;
    assert_eq!((&refused.status, refused.retry, script.runs(item.id)), (&Status::Pending, false, 0));
    assert!(refused.note.contains("holds no document of ours"), "{}", refused.note);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_bag_waits_for_the_older_one_and_cancels_it_before_it_is_stored() {
    let world = World::new().await;
    let hour = time::Duration::HOUR;
    let earlier = (Time::now().inner() - hour).into();
    let old = world.item(Action::Ingest, Stage::Validate, |item| item.bag_date = earlier).await;
    let new = world
        .item(Action::Ingest, Stage::Validate, |item| {
            item.name.clone_from(&old.name);
            item.etag = "ffffffffffffffffffffffffffffffff".to_owned();
            item.date_processed = (Time::now().inner() + hour).into();
        })
        .await;
    let script = Script::succeeds();
    let running = start(&world, Topic::IngestBagValidation, None, &script);
    world.publish(Topic::IngestBagValidation, new.id).await;
    world.until_load(Topic::IngestBagValidation, (0, 0, 1)).await;
    assert_eq!(world.look(new.id).await.status, Status::Pending);
    world.publish(Topic::IngestBagValidation, old.id).await;
    let cancelled = world.until(old.id, |item| item.status == Status::Cancelled).await;
    assert!(cancelled.needs_admin_review && !cancelled.retry);
    assert!(cancelled.note.contains(&format!("in WorkItem {}", new.id)), "{}", cancelled.note);
    running.stop().await;
    assert_eq!((script.runs(old.id), script.runs(new.id)), (0, 0));
    assert_eq!(world.load(Topic::IngestCleanup).await, (0, 0, 0), "nothing is published for a cancelled item (B.16)");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_ends_when_its_tar_has_changed_or_is_gone() {
    let world = World::new().await;
    let bucket = "aptrust.receiving.test.test.edu";
    let s3 = S3::start(stack::s3::Options { buckets: vec![bucket.to_owned()], ..Default::default() }).await.unwrap();
    let provider = storage::Provider {
        name: model::Provider::Aws,
        host: s3.address().to_string(),
        scheme: storage::Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let config = storage::Config { providers: vec![provider], regions: vec![], limits: storage::Limits::default() };
    let receiving = Some(storage::Storage::new(&config, &storage::Budget::new(0)).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("tar");
    std::fs::write(&tar, "bag").unwrap();
    let validate =
        async |etag: &str| world.item(Action::Ingest, Stage::Validate, |item| item.etag = etag.to_owned()).await;
    // md5 of `bag`.
    let same = validate("4a82715423d654d61838e81060a4cdf1").await;
    let changed = validate("ffffffffffffffffffffffffffffffff").await;
    let gone = validate("ffffffffffffffffffffffffffffffff").await;
    for item in [&same, &changed] {
        s3.import(bucket, &item.name, &tar).await.unwrap();
    }
    let script = Script::succeeds();
    let running = start(&world, Topic::IngestBagValidation, receiving, &script);
    for item in [&same, &changed, &gone] {
        world.publish(Topic::IngestBagValidation, item.id).await;
    }
    world.until(same.id, |item| item.stage == Stage::ReingestCheck).await;
    let changed = world.until(changed.id, |item| item.status == Status::Cancelled).await;
    let gone = world.until(gone.id, |item| item.status == Status::Suspended).await;
    running.stop().await;
    assert!(
        changed.note.contains("a newer version of bag") && !changed.retry && !changed.needs_admin_review,
        "{changed:?}"
    );
    assert!(gone.note.contains("was deleted from") && !gone.retry && gone.needs_admin_review, "{gone:?}");
    assert_eq!((script.runs(same.id), script.runs(changed.id), script.runs(gone.id)), (1, 0, 0));
}
