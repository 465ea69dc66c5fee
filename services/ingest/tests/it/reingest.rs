//! The reingest manager: what of a bag the Registry knows already, and what follows for its files.

use std::time::Duration;

use ingest::ReingestManager;
use model::{
    Access, Checksum, GenericFile, IntellectualObject, Stage, State, Status, StorageOption, StorageRecord, Time, Topic,
    WorkItem,
};
use stack::registry::Fault;
use worker::Rules;

use crate::known::{Bag, Place, until};

const RULES: Rules = Rules::ingest(Topic::IngestReingestCheck, "Finished reingest check");
const SHOW: &str = "/admin-api/v3/objects/show";
const FILES: &str = "/admin-api/v3/files";

/// Records a bag as an earlier ingest did, stored like this.
async fn record(place: &Place, bag: &Bag, option: StorageOption) -> IntellectualObject {
    record_as(place, bag, option, State::Active).await
}

async fn record_as(place: &Place, bag: &Bag, option: StorageOption, state: State) -> IntellectualObject {
    let object = IntellectualObject {
        identifier: bag.object.identifier(),
        bag_name: bag.object.bag_name().to_owned(),
        institution_id: bag.object.institution_id,
        title: "A bag".to_owned(),
        access: Access::Institution,
        state: state.clone(),
        storage_option: option.clone(),
        ..IntellectualObject::default()
    };
    let object = place.world.client.save_object(&object).await.unwrap();
    let file = |file: &model::IngestFile| GenericFile {
        identifier: file.identifier(),
        institution_id: bag.object.institution_id,
        intellectual_object_id: object.id,
        uuid: file.uuid.clone(),
        size: file.size,
        file_format: "text/plain".to_owned(),
        state: state.clone(),
        storage_option: option.clone(),
        last_fixity_check: Time::now(),
        storage_records: vec![StorageRecord { url: format!("https://s3/b/{}", file.uuid), ..Default::default() }]
            .into(),
        checksums: file
            .checksums
            .iter()
            .filter(|sum| sum.source == model::ChecksumSource::Ingest)
            .map(|sum| Checksum {
                algorithm: sum.algorithm.clone(),
                digest: sum.digest.clone(),
                datetime: sum.datetime,
                ..Checksum::default()
            })
            .collect(),
        ..GenericFile::default()
    };
    let files: Vec<GenericFile> = bag.files.iter().filter(|file| file.is_preservable()).map(file).collect();
    for files in files.chunks(100).filter(|files| !files.is_empty()) {
        place.world.client.create_files(bag.object.institution_id, files).await.unwrap();
    }
    object
}

/// The bag as it was, under other UUIDs.
fn earlier(bag: &Bag) -> Bag {
    let mut earlier = bag.clone();
    for file in &mut earlier.files {
        file.uuid = model::IngestFile::new("", "").uuid;
    }
    earlier
}

async fn checked(place: &Place, item: &WorkItem) -> WorkItem {
    let running = place.start(RULES, ReingestManager::new(&place.ground().await));
    place.world.publish(Topic::IngestReingestCheck, item.id).await;
    let ended = |item: &WorkItem| item.stage == Stage::CopyToStaging || item.status == Status::Failed;
    let item = place.world.until(item.id, ended).await;
    running.stop().await;
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_nobody_knows_is_left_as_it_is() {
    let place = Place::new().await;
    let (item, bag) = place.item(Stage::ReingestCheck, |_| {}).await;
    let ended = checked(&place, &item).await;
    assert_eq!((ended.note.as_str(), ended.status), ("Finished reingest check", Status::Pending));
    let object = place.object(&item).await.unwrap();
    assert!(!object.is_reingest && object.id == 0);
    assert_eq!(place.file(&item, "data/a").await, bag.files[5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_files_keep_their_uuids_and_only_changed_ones_are_saved() {
    let place = Place::new().await;
    let (item, bag) = place.item(Stage::ReingestCheck, |bag| bag.add_payload("data/c")).await;
    let mut before = earlier(&bag);
    before.files.retain(|file| file.path_in_bag != "data/b");
    before.add_payload("data/gone");
    for sum in before.file("data/c").checksums.iter_mut() {
        sum.digest = sum.digest.chars().rev().collect();
    }
    let known = record(&place, &before, StorageOption::Standard).await;
    assert_eq!(checked(&place, &item).await.stage, Stage::CopyToStaging);
    let object = place.object(&item).await.unwrap();
    assert!(object.is_reingest && object.id == known.id);
    for (path, is_known, needs_save) in
        [("data/a", true, false), ("data/b", false, true), ("data/c", true, true), ("bag-info.txt", true, false)]
    {
        let file = place.file(&item, path).await;
        assert_eq!((file.is_reingest, file.needs_save, file.id > 0), (is_known, needs_save, is_known), "{path}");
        if is_known {
            let uuid = before.file(path).uuid.clone();
            assert_eq!((file.registry_urls[..].to_vec(), file.uuid), (vec![format!("https://s3/b/{uuid}")], uuid));
        } else {
            assert!(file.registry_urls.is_empty());
        }
    }
    assert!(place.world.store.file(item.id, &format!("{}/data/gone", object.identifier())).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_saved_again_under_its_uuid_and_a_deleted_object_takes_the_new_option() {
    let place = Place::new().await;
    let (item, bag) =
        place.item(Stage::ReingestCheck, |bag| bag.object.storage_option = StorageOption::GlacierOh).await;
    let before = earlier(&bag);
    record_as(&place, &before, StorageOption::Standard, State::Deleted).await;
    assert_eq!(checked(&place, &item).await.stage, Stage::CopyToStaging);
    let object = place.object(&item).await.unwrap();
    assert_eq!((object.is_reingest, object.storage_option), (true, StorageOption::GlacierOh));
    let file = place.file(&item, "data/a").await;
    assert_eq!((file.is_reingest, file.needs_save), (true, true));
    assert_eq!(file.uuid, before.files.iter().find(|file| file.path_in_bag == "data/a").unwrap().uuid);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_27_all_files_follow_the_object_s_option_even_if_none_was_known() {
    let place = Place::new().await;
    let (item, bag) = place
        .item(Stage::ReingestCheck, |bag| {
            bag.object.storage_option = StorageOption::WasabiVa;
            bag.files.iter_mut().for_each(|file| file.storage_option = StorageOption::WasabiVa);
        })
        .await;
    let mut before = earlier(&bag);
    before.files.clear();
    before.add_payload("data/another");
    record(&place, &before, StorageOption::GlacierVa).await;
    assert_eq!(checked(&place, &item).await.stage, Stage::CopyToStaging);
    assert_eq!(place.object(&item).await.unwrap().storage_option, StorageOption::GlacierVa);
    for file in &bag.files {
        assert_eq!(place.file(&item, &file.path_in_bag).await.storage_option, StorageOption::GlacierVa);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_j_74_a_path_that_the_old_option_cannot_keep_fails_the_item() {
    let place = Place::new().await;
    let path = format!("data/{}", "é".repeat(400));
    let (item, bag) = place.item(Stage::ReingestCheck, |bag| bag.add_payload(&path)).await;
    record(&place, &Bag { files: vec![], ..bag.clone() }, StorageOption::WasabiOr).await;
    let ended = checked(&place, &item).await;
    assert_eq!((ended.note, ended.status), (format!("File name '{path}' is too long to store"), Status::Failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_cost_two_kinds_of_requests_and_few_of_them() {
    let place = Place::new().await;
    let many = |bag: &mut Bag| (0..1000).for_each(|number| bag.add_payload(&format!("data/{number}")));
    let (item, bag) = place.item(Stage::ReingestCheck, many).await;
    record(&place, &earlier(&bag), StorageOption::Standard).await;
    // One more of either kind, and the stage would not get through: 1,004 files are three pages of 500.
    let faults = place.world.registry.faults();
    for (path, requests) in [(SHOW, 1), (FILES, 3)] {
        faults.add(path, Fault::Delay(Duration::ZERO), requests);
        faults.add(path, Fault::Status(503), usize::MAX);
    }
    assert_eq!(checked(&place, &item).await.stage, Stage::CopyToStaging);
    let mut pages = place.world.store.files(item.id, 1000);
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.files.iter().all(|file| file.is_reingest == file.is_preservable()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_killed_is_followed_by_another() {
    let place = Place::new().await;
    let many = |bag: &mut Bag| (0..500).for_each(|number| bag.add_payload(&format!("data/{number}")));
    let (item, bag) = place.item(Stage::ReingestCheck, many).await;
    record(&place, &earlier(&bag), StorageOption::GlacierVa).await;
    // The first page comes at once, the second not before the worker is dead.
    let faults = place.world.registry.faults();
    faults.add(FILES, Fault::Delay(Duration::ZERO), 1);
    faults.add(FILES, Fault::Delay(Duration::from_mins(1)), 1);
    place.world.publish(Topic::IngestReingestCheck, item.id).await;
    let running = place.start(RULES, ReingestManager::new(&place.ground().await));
    until("the first page is marked", async || place.file(&item, "bag-info.txt").await.is_reingest).await;
    running.kill();
    faults.clear();
    let object = place.object(&item).await.unwrap();
    assert!(!object.is_reingest, "it is saved last");
    assert_eq!(checked(&place, &item).await.stage, Stage::CopyToStaging);
    let object = place.object(&item).await.unwrap();
    assert_eq!((object.is_reingest, object.storage_option), (true, StorageOption::GlacierVa));
    for path in ["data/0", "data/499", "data/a"] {
        let file = place.file(&item, path).await;
        assert_eq!((file.is_reingest, file.needs_save, file.storage_option), (true, false, StorageOption::GlacierVa));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_27_a_registry_that_is_away_fails_no_item() {
    let place = Place::new().await;
    let (item, _) = place.item(Stage::ReingestCheck, |_| {}).await;
    place.world.registry.faults().add(SHOW, Fault::CutBefore, usize::MAX);
    let running = place.start(RULES, ReingestManager::new(&place.ground().await));
    place.world.publish(Topic::IngestReingestCheck, item.id).await;
    let failed = |item: &WorkItem| item.note.contains("objects/show") && item.node.is_empty();
    let item = place.world.until(item.id, failed).await;
    running.stop().await;
    assert!(item.retry && !item.needs_admin_review && item.status != Status::Failed, "{item:?}");
    assert_eq!(place.world.record(item.id, Topic::IngestReingestCheck).await.attempt, 0, "no attempt is counted");
    assert_eq!(place.world.load(Topic::IngestReingestCheck).await.2, 1, "it comes again");
}
