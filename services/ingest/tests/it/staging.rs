//! Files out of the tar into staging (02 §7).

use buckets::Staging;
use futures_util::TryStreamExt as _;
use ingest::StagingUploader;
use model::{Algorithm, ChecksumSource, IngestChecksum, Stage, Status, Time, Topic};
use stack::s3::{Fault, FaultKind, Operation};
use storage::{Attributes, Depth};
use world::{Running, until};

use crate::place::{Bag, Place, RECEIVING, STAGING};

const TOPIC: Topic = Topic::IngestStaging;

fn start(place: &Place) -> Running {
    place.start(TOPIC, &[("W_MAX_ATTEMPTS", "1")], |ground, _| {
        StagingUploader::new(ground, &Staging { bucket: STAGING.to_owned() }).unwrap()
    })
}

async fn staged(place: &Place, bag: &Bag) -> Vec<String> {
    let keys = place.bucket(STAGING).list(&format!("{}/", bag.item.id), Depth::All).into_entries();
    keys.map_ok(|entry| entry.key).try_collect().await.unwrap()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("bagit.txt", b"BagIt-Version: 1.0\n".to_vec()),
        ("bag-info.txt", b"Source-Organization: us\n".to_vec()),
        ("manifest-md5.txt", b"x data/a\n".to_vec()),
        ("data/a", b"hello".to_vec()),
        ("data/no-break\u{a0}space", b"there".to_vec()),
        ("data/empty", Vec::new()),
        ("data/same", b"as before".to_vec()),
        ("data/large", vec![7; (17 << 20) + 5]),
    ]
}

/// Also 02 §16 #20: what is not preserved, and what did not change, is not staged.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_20_only_what_will_be_preserved_is_staged_with_one_request_each() {
    let place = Place::new().await;
    let unchanged = |files: &mut Vec<model::IngestFile>| files[6].needs_save = false;
    let bag = place.bag(Stage::CopyToStaging, &files(), |_, files| unchanged(files)).await;
    for (bucket, operation) in [(STAGING, Operation::PutObject), (RECEIVING, Operation::GetObject)] {
        place.count(bucket, operation);
    }
    let running = start(&place);
    place.world.publish(TOPIC, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::FormatIdentification).await;
    running.stop().await;
    assert_eq!(staged(&place, &bag).await.len(), 5);
    let counted = (place.counted(RECEIVING, Operation::GetObject), place.counted(STAGING, Operation::PutObject));
    assert_eq!(counted, (1, 4), "the large one goes in parts");
    let file = place.file(&bag, "data/no-break\u{a0}space").await;
    assert!(file.copied_to_staging_at.is_set());
    let stat = place.bucket(STAGING).stat(&format!("{}/{}", bag.item.id, file.uuid)).await.unwrap();
    assert_eq!((stat.size, stat.content_type.as_deref()), (5, Some("text/plain")));
    assert_eq!(stat.metadata["bagpath-encoded"], "data%2Fno-break%C2%A0space");
    assert_eq!((&*stat.metadata["bag"], &*stat.metadata["institution"]), (&*bag.object.identifier(), "test.edu"));
    let object = place.world.store.object(bag.item.id, &bag.object.identifier()).await.unwrap().unwrap();
    assert!(object.copied_to_staging_at.is_set());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_19_another_tar_and_other_bytes_are_not_staged() {
    let place = Place::new().await;
    let replaced = place.bag(Stage::CopyToStaging, &files(), |_, _| ()).await;
    let other = place.bucket(RECEIVING).put_bytes(&replaced.item.name, "new".into(), Attributes::default()).await;
    let wrong = place
        .bag(Stage::CopyToStaging, &[("data/a", b"a".to_vec()), ("data/b", b"b".to_vec())], |_, files| {
            let digest = "0".repeat(32);
            files[0].set_checksum(IngestChecksum::new(ChecksumSource::Ingest, Algorithm::Md5, &digest, Time::now()));
        })
        .await;
    let gone = place.bag(Stage::CopyToStaging, &files(), |_, _| ()).await;
    place.bucket(RECEIVING).delete(&gone.item.name).await.unwrap();
    let twice = [("data/a", b"a".to_vec()), ("data/a", b"a".to_vec()), ("data/z", b"z".to_vec())];
    let twice = place.bag(Stage::CopyToStaging, &twice, |_, _| ()).await;
    let running = start(&place);
    for bag in [&replaced, &wrong, &gone, &twice] {
        place.world.publish(TOPIC, bag.item.id).await;
    }
    let is = |bag: &Bag| place.world.until(bag.item.id, |item| !item.retry);
    let (replaced, wrong_item, gone, twice) =
        (is(&replaced).await, is(&wrong).await, is(&gone).await, is(&twice).await);
    running.stop().await;
    assert_eq!(replaced.note, model::note::bag_changed(&replaced, other.unwrap().etag.as_str()));
    assert_eq!((&replaced.status, &gone.status, &twice.status), (&Status::Failed, &Status::Failed, &Status::Failed));
    assert_eq!(gone.note, model::note::bag_gone(&gone));
    assert_eq!(twice.note, "File 'data/a' occurs twice in the tar");
    assert!(wrong_item.note.starts_with("1 files were not copied"), "{}", wrong_item.note);
    assert_eq!(staged(&place, &wrong).await.len(), 1, "the good one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_has_staged_is_not_staged_again_and_a_lost_record_is_named() {
    let place = Place::new().await;
    let names: Vec<String> = (0..250).map(|number| format!("data/{number}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), name.clone().into_bytes())).collect();
    let bag = place.bag(Stage::CopyToStaging, &files, |_, _| ()).await;
    place.count(STAGING, Operation::PutObject);
    let slow = Fault::new(FaultKind::Latency { milliseconds: 100 }).bucket(STAGING).operation(Operation::PutObject);
    place.s3.faults().add(slow).unwrap();
    let running = start(&place);
    place.world.publish(TOPIC, bag.item.id).await;
    until("it is in the middle", || place.counted(STAGING, Operation::PutObject) > 210).await;
    running.kill();
    let running = start(&place);
    place.world.until(bag.item.id, |item| item.stage == Stage::FormatIdentification).await;
    running.stop().await;
    assert_eq!(staged(&place, &bag).await.len(), 250);
    // Of two batches that were on their way, all but the 64 in flight had ended each time, and were saved: 136 at least.
    assert!(place.counted(STAGING, Operation::PutObject) <= 250 + (250 - 136), "not all again");
    let lost = place.bag(Stage::CopyToStaging, &files[..3], |_, files| drop(files.pop())).await;
    let running = start(&place);
    place.world.publish(TOPIC, lost.item.id).await;
    let lost_item = place.world.until(lost.item.id, |item| !item.retry).await;
    running.stop().await;
    let identifier = lost.object.file_identifier("data/2");
    let expected = format!("IngestFileGet ({}, {identifier}): redis: nil", lost.item.id);
    assert!(lost_item.note.starts_with(&expected), "{}", lost_item.note);
}
