//! Files from staging into preservation storage, and their verification (02 §9 and §10).

use buckets::Staging;
use ingest::{PreservationUploader, PreservationVerifier};
use model::metadata::{Destination, metadata};
use model::{IngestFile, Provider, Stage, Status, StorageOption, StoredCopy, Time, Topic, WorkItem, note};
use stack::s3::{Fault, FaultKind, Operation};
use storage::Attributes;
use world::Running;

use crate::place::{Bag, Place, STAGING};

const VA: &str = "bucket-standard-va";
const OR: &str = "bucket-standard-or";

fn upload(place: &Place) -> Running {
    place.start(Topic::IngestStorage, &[("W_MAX_ATTEMPTS", "3")], |ground, buckets| {
        PreservationUploader::new(ground, &Staging { bucket: STAGING.to_owned() }, buckets).unwrap()
    })
}

fn verify(place: &Place) -> Running {
    place.start(Topic::IngestStorageValidation, &[("W_MAX_ATTEMPTS", "1")], PreservationVerifier::new)
}

async fn staged(place: &Place, option: &StorageOption, count: usize) -> (Bag, Vec<String>) {
    let names: Vec<String> = (0..count).map(|number| format!("data/{number}  b")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), name.clone().into_bytes())).collect();
    let bag = place.bag(Stage::Store, &files, |object, _| object.storage_option = option.clone()).await;
    for (name, bytes) in &files {
        place.stage_file(&bag, name, bytes).await;
    }
    (bag, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_22_amazon_copies_by_itself_with_metadata_one_request_a_copy() {
    let place = Place::new().await;
    let (bag, names) = staged(&place, &StorageOption::Standard, 20).await;
    place.count(VA, Operation::CopyObject);
    place.count(OR, Operation::CopyObject);
    place.count(STAGING, Operation::GetObject);
    // The primary copy takes a second try and stays the first.
    let fails = Fault::new(FaultKind::Status { status: 500, code: "InternalError".to_owned() });
    place.s3.faults().add(fails.bucket(VA).operation(Operation::CopyObject).times(2)).unwrap();
    let running = upload(&place);
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::StorageValidation).await;
    running.stop().await;
    assert_eq!(place.counted(OR, Operation::CopyObject), 20);
    assert!(place.counted(VA, Operation::CopyObject) <= 22);
    assert_eq!(place.counted(STAGING, Operation::GetObject), 0);
    for name in &names {
        let file = place.file(&bag, name).await;
        let copies: Vec<&str> = file.storage_records.iter().map(|copy| copy.bucket.as_str()).collect();
        assert_eq!(copies, [VA, OR]);
        let row = place.buckets.of(&StorageOption::Standard)[1];
        assert_eq!(file.storage_records[1].url, row.url(&file.uuid));
        let stat = place.bucket(OR).stat(&file.uuid).await.unwrap();
        assert_eq!(stat.content_type.as_deref(), Some("text/plain"));
        for (name, value) in metadata(&file, Destination::Preservation(&Provider::Aws)).unwrap() {
            assert_eq!(stat.metadata[name], value, "{name} of {}", file.path_in_bag);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_01_16_what_goes_to_wasabi_in_texas_has_its_path_encoded() {
    let place = Place::new().await;
    let (bag, names) = staged(&place, &StorageOption::WasabiTx, 2).await;
    let running = upload(&place);
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::StorageValidation).await;
    running.stop().await;
    let file = place.file(&bag, &names[0]).await;
    let stat = place.bucket("bucket-wasabi-tx").stat(&file.uuid).await.unwrap();
    assert_eq!(stat.metadata["bagpath-encoded"], "data%2F0++b");
    assert_eq!(file.storage_records[0].provider, "Wasabi-TX");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_copy_is_refused_files_go_through_the_worker_and_nobody_asks_for_ever() {
    let place = Place::new().await;
    let (bag, _) = staged(&place, &StorageOption::GlacierOh, 100).await;
    let target = "bucket-glacier-oh";
    place.count(target, Operation::CopyObject);
    place.count(target, Operation::PutObject);
    let refuses = Fault::new(FaultKind::Status { status: 403, code: "AccessDenied".to_owned() });
    place.s3.faults().add(refuses.bucket(target).operation(Operation::CopyObject)).unwrap();
    let running = upload(&place);
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::StorageValidation).await;
    running.stop().await;
    assert_eq!(place.counted(target, Operation::PutObject), 100);
    let asked = place.counted(target, Operation::CopyObject);
    assert!((1..100).contains(&asked), "{asked} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_c19_what_staging_lost_sends_the_item_back_at_most_twice() {
    let place = Place::new().await;
    let (bag, names) = staged(&place, &StorageOption::Standard, 3).await;
    let lost = place.file(&bag, &names[1]).await;
    place.bucket(STAGING).delete(&format!("{}/{}", bag.item.id, lost.uuid)).await.unwrap();
    let note = note::lost_in_staging(1, &lost.identifier());
    // Attempts that failed for another reason are no ways back.
    let mut earlier = place.world.record(bag.item.id, Topic::IngestStorage).await;
    earlier.attempt = 2;
    place.world.store.save_work_result(bag.item.id, &earlier).await.unwrap();
    let running = upload(&place);
    for _ in 0..2 {
        place.world.publish(Topic::IngestStorage, bag.item.id).await;
        let mut back = place.world.until(bag.item.id, |item| item.stage == Stage::CopyToStaging).await;
        assert_eq!((&back.note, &back.status, back.retry), (&note, &Status::Pending, true));
        back.stage = Stage::Store;
        place.world.client.save_work_item(&back).await.unwrap();
    }
    assert_eq!(place.file(&bag, &names[0]).await.storage_records.len(), 2, "the others are stored");
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    let failed = place.world.until(bag.item.id, |item| !item.retry).await;
    assert_eq!((&failed.status, &failed.note, failed.needs_admin_review), (&Status::Failed, &note, true));

    // Whoever requeues it means that it may go back again.
    let requeued = WorkItem { status: Status::Pending, retry: true, needs_admin_review: false, ..failed };
    place.world.client.save_work_item(&requeued).await.unwrap();
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::CopyToStaging).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_without_buckets_fails_and_reports_nothing_stored() {
    let place = Place::new().await;
    let (bag, _) = staged(&place, &"standard".into(), 1).await;
    let running = upload(&place);
    place.world.publish(Topic::IngestStorage, bag.item.id).await;
    let failed = place.world.until(bag.item.id, |item| item.status == Status::Failed).await;
    running.stop().await;
    assert_eq!(failed.note, "No preservation bucket keeps storage option 'standard'");
}

/// Stored in both buckets as the uploader leaves it.
async fn stored(place: &Place, change: impl Fn(&mut Vec<IngestFile>)) -> Bag {
    let files = [("data/a", b"a".to_vec()), ("data/b", b"b".to_vec())];
    let copied = |files: &mut Vec<IngestFile>| {
        for file in files.iter_mut() {
            for bucket in [VA, OR] {
                let (provider, bucket) = ("AWS".to_owned(), bucket.to_owned());
                file.set_stored_copy(StoredCopy { provider, bucket, stored_at: Time::now(), ..StoredCopy::default() });
            }
        }
        change(files);
    };
    let bag = place.bag(Stage::StorageValidation, &files, |_, files| copied(files)).await;
    for (path, bytes) in files {
        let uuid = place.file(&bag, path).await.uuid;
        for bucket in [VA, OR] {
            let bytes = bytes.clone().into();
            place.bucket(bucket).put_bytes(&uuid, bytes, Attributes::default()).await.unwrap();
        }
    }
    bag
}

#[tokio::test(flavor = "multi_thread")]
async fn every_copy_is_verified_with_one_request_and_not_twice() {
    let place = Place::new().await;
    let verified = |files: &mut Vec<IngestFile>| files[1].storage_records[0].verified_at = Time::now();
    let bag = stored(&place, verified).await;
    place.count(VA, Operation::HeadObject);
    place.count(OR, Operation::HeadObject);
    let running = verify(&place);
    place.world.publish(Topic::IngestStorageValidation, bag.item.id).await;
    place.world.until(bag.item.id, |item| item.stage == Stage::Record).await;
    running.stop().await;
    let heads = (place.counted(VA, Operation::HeadObject), place.counted(OR, Operation::HeadObject));
    assert_eq!(heads, (1, 2));
    let copy = &place.file(&bag, "data/a").await.storage_records[0];
    assert_eq!((copy.size, copy.etag.as_str()), (1, "0cc175b9c0f1b6a831c399e269772661"));
    assert!(copy.verified_at.is_set() && copy.error.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_23_a_missing_copy_and_one_of_other_bytes_are_no_verified_copies() {
    let place = Place::new().await;
    let missing = stored(&place, |files| files[0].storage_records.as_vec().truncate(1)).await;
    let other = stored(&place, |_| ()).await;
    let uuid = place.file(&other, "data/a").await.uuid;
    place.bucket(OR).put_bytes(&uuid, "x".into(), Attributes::default()).await.unwrap();
    place.bucket(VA).put_bytes(&uuid, "too long".into(), Attributes::default()).await.unwrap();
    let running = verify(&place);
    for bag in [&missing, &other] {
        place.world.publish(Topic::IngestStorageValidation, bag.item.id).await;
    }
    let missing_item = place.world.until(missing.item.id, |item| !item.retry).await;
    let other_item = place.world.until(other.item.id, |item| !item.retry).await;
    running.stop().await;
    assert!(missing_item.note.contains(&format!("has no copy in {OR}")), "{}", missing_item.note);
    let text = "Preservation size 8 does not match recorded file size 1";
    assert!(other_item.note.contains(text) && other_item.note.contains("etag"), "{}", other_item.note);
    let file = place.file(&other, "data/a").await;
    assert_eq!(file.storage_records[0].error, text);
    assert!(file.storage_records.iter().all(|copy| !copy.verified_at.is_set()));
    assert!(place.file(&other, "data/b").await.storage_records.iter().all(|copy| copy.verified_at.is_set()));
}
