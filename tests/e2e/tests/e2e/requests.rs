//! What is asked for once bags are preserved: restorations, fixity checks, deletions (06 §5.6, §5.7). A service that is not built yet
//! has its tests listed as skipped.

use std::collections::BTreeMap;
use std::io::Read as _;

use e2e::System;
use model::{Action, EventType, GenericFile, IntellectualObject, Stage, State, Status, Topic, WorkItem, note};
use stack::settings::restore_bucket;
use stack::testing::{skip, until};

use crate::bag::{Bag, INSTITUTION};
use crate::expect::buckets;

/// Whether all of these are built; if not, that is said of the test.
pub(crate) fn can(system: &System, test: &str, services: &[&str]) -> bool {
    let missing: Vec<&str> = services.iter().copied().filter(|service| !system.is_finished(service)).collect();
    if !missing.is_empty() {
        skip(test, &format!("not built yet: {}", missing.join(", ")));
    }
    missing.is_empty()
}

async fn object_of(system: &System, bag: &Bag) -> IntellectualObject {
    system.object(&bag.identifier()).await.unwrap().expect("the bag was ingested")
}

async fn file_of(system: &System, bag: &Bag, path: &str) -> GenericFile {
    system.registry.file(&format!("{}/{path}", bag.identifier())).await.unwrap()
}

/// A request as the Registry makes it, which `apt_queue` finds; at its end.
async fn ask(system: &System, bag: &Bag, change: impl FnOnce(&mut WorkItem)) -> WorkItem {
    let ingest = system.items(&bag.tar_name()).await.unwrap().pop().expect("the bag was ingested");
    let object = object_of(system, bag).await;
    let mut item = WorkItem {
        name: ingest.name,
        etag: ingest.etag,
        bucket: ingest.bucket,
        size: ingest.size,
        bag_date: ingest.bag_date,
        date_processed: ingest.date_processed,
        institution_id: ingest.institution_id,
        stage: Stage::Requested,
        status: Status::Pending,
        retry: true,
        user: "e2e@aptrust.org".to_owned(),
        note: "Restoration requested".to_owned(),
        outcome: "Restoration requested".to_owned(),
        object_identifier: object.identifier,
        intellectual_object_id: object.id,
        ..WorkItem::default()
    };
    change(&mut item);
    let saved = system.registry.save_work_item(&item).await.unwrap();
    over(system, saved.id).await
}

/// An item at its end.
async fn over(system: &System, id: i64) -> WorkItem {
    until("a request to be done", async || match system.registry.work_item(id).await.unwrap() {
        item if item.is_completed() || !item.retry => Ok(item),
        item => Err(item),
    })
    .await
}

fn succeeded(item: &WorkItem, outcome: &str) {
    let stands = (&item.stage, &item.status, item.outcome.as_str());
    assert_eq!(stands, (&Stage::Resolve, &Status::Success, outcome), "{item:#?}");
    assert!(!item.retry && !item.needs_admin_review && !item.is_claimed(), "{item:#?}");
}

/// The bag comes back with every file that it had; `bag-info.txt` is rewritten.
pub(crate) async fn an_object_is_restored(system: &System, bag: &Bag) {
    let item = ask(system, bag, |item| item.action = Action::RestoreObject).await;
    succeeded(&item, note::BAG_RESTORED);
    let key = format!("{}.tar", bag.identifier());
    assert!(item.note.contains("https://") && item.note.contains(&key), "{item:#?}");
    let tar = system.bytes(&restore_bucket(INSTITUTION), &key).await.unwrap();
    let mut restored = BTreeMap::new();
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        restored.insert(path.split_once('/').map(|(_, rest)| rest.to_owned()).unwrap_or_default(), bytes);
    }
    for (path, bytes) in bag.preserved() {
        let there = restored.get(path).unwrap_or_else(|| panic!("{path} was not restored, but {:?}", restored.keys()));
        assert!(path == "bag-info.txt" || there == bytes, "{path} was restored with other bytes");
    }
}

pub(crate) async fn a_file_is_restored(system: &System, bag: &Bag, path: &str) {
    let file = file_of(system, bag, path).await;
    let item = ask(system, bag, |item| {
        item.action = Action::RestoreFile;
        item.generic_file_id = file.id;
        item.generic_file_identifier.clone_from(&file.identifier);
    })
    .await;
    succeeded(&item, note::FILE_RESTORED);
    assert!(item.note.contains("https://") && item.note.contains(&file.identifier), "{item:#?}");
    let bytes = system.bytes(&restore_bucket(INSTITUTION), &file.identifier).await.unwrap();
    assert!(bytes == bag.part(path), "{path} was restored with other bytes");
}

pub(crate) async fn a_files_fixity_is_checked(system: &System, bag: &Bag, path: &str) {
    let file = file_of(system, bag, path).await;
    system.publish(Topic::FixityCheck, file.id).await.unwrap();
    let event = until("the event of a fixity check", async || {
        let events = system.events(file.intellectual_object_id).await.unwrap();
        let checked = |event: &model::PremisEvent| {
            event.generic_file_id == file.id
                && event.event_type == EventType::FixityCheck
                && event.outcome_information.starts_with("Fixity matches at")
        };
        events.iter().find(|event| checked(event)).cloned().ok_or(events)
    })
    .await;
    assert_eq!(event.outcome.as_str(), "Success", "{event:#?}");
    let after = system.registry.file(file.id).await.unwrap();
    assert!(after.last_fixity_check > file.last_fixity_check, "{after:#?}");
}

/// One file goes, and every copy of it; the others stay.
pub(crate) async fn a_file_is_deleted(system: &System, bag: &Bag, path: &str) {
    let file = file_of(system, bag, path).await;
    let item = over(system, system.prepare_file_deletion(file.id).unwrap()).await;
    succeeded(&item, note::FILE_DELETED);
    is_gone(system, bag, &file).await;
    assert_eq!(object_of(system, bag).await.state, State::Active);
}

pub(crate) async fn an_object_is_deleted(system: &System, bag: &Bag) {
    let object = object_of(system, bag).await;
    let files = system.files(object.id).await.unwrap();
    let item = over(system, system.prepare_object_deletion(object.id).unwrap()).await;
    succeeded(&item, note::OBJECT_DELETED);
    assert_eq!(object_of(system, bag).await.state, State::Deleted);
    for file in files {
        is_gone(system, bag, &file).await;
    }
}

async fn is_gone(system: &System, bag: &Bag, before: &GenericFile) {
    let file = system.registry.file(before.id).await.unwrap();
    assert_eq!((&file.state, file.storage_records.len()), (&State::Deleted, 0), "{file:#?}");
    for (bucket, _) in buckets(&bag.option) {
        assert_eq!(system.bucket(bucket).find(&file.uuid).await.unwrap(), None, "{} in {bucket}", file.identifier);
    }
    let events = system.events(file.intellectual_object_id).await.unwrap();
    let deletions = events.iter().filter(|event| {
        event.generic_file_id == file.id
            && event.event_type == EventType::Deletion
            && event.outcome.as_str() == "Success"
    });
    assert_eq!(deletions.count(), 1, "{events:#?}");
}
