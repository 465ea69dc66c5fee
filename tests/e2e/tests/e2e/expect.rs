//! What must be true of a bag once it has been through: of its work items, of its object, files and events in the Registry, of the
//! copies in S3, of what is left of it elsewhere (06 §5.3 to §5.5).

use std::collections::BTreeMap;

use digests::{Algorithm, Algorithms, Digests};
use e2e::System;
use model::metadata::{has_unusual_space, query_escape};
use model::{EventType, GenericFile, PremisEvent, Stage, State, Status, StorageOption, WorkItem, bucket::TABLE, note};
use stack::settings::{PRESERVATION_BUCKETS, STAGING_BUCKET, receiving_bucket};

use crate::bag::{Bag, INSTITUTION};
use crate::catalog::Broken;

/// Names of what is counted of events: the type, and the text that tells one from another.
type Counts = BTreeMap<(String, String), usize>;

/// A file, after all versions of its bag.
struct Expected<'b> {
    bytes: &'b [u8],
    /// Of the contents that it had one after the other, and the payload manifests in which they were listed.
    stored: Vec<(Digests, &'b [Algorithm])>,
}

impl Expected<'_> {
    /// Of what it holds now.
    fn digests(&self) -> &Digests {
        &self.stored[self.stored.len() - 1].0
    }
}

/// The buckets of an option, the primary one first, and whether Wasabi has them.
pub(crate) fn buckets(option: &StorageOption) -> Vec<(&'static str, bool)> {
    let name =
        |setting: &str| PRESERVATION_BUCKETS.iter().find(|(name, _)| *name == setting).map(|(_, bucket)| *bucket);
    let rows = TABLE.iter().filter(|row| row.option == *option);
    rows.map(|row| (name(row.bucket.name).expect("the stack has this bucket"), row.site.provider.is_wasabi())).collect()
}

/// How an ingest went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Road {
    Smooth,
    /// Its workers were killed and cut off: the last of them may have found it done.
    Rough,
}

/// All versions of a bag are preserved, the last one on top, and nothing is left of the work.
pub(crate) async fn preserved(system: &System, versions: &[&Bag], road: Road) {
    let last = versions.last().expect("at least one version");
    let items = system.items(&last.tar_name()).await.unwrap();
    assert_eq!(items.len(), versions.len(), "one work item for each version: {items:#?}");
    recorded(system, versions).await;
    for item in &items {
        ingested(item, road);
        left_nothing(system, item.id).await;
    }
    let receiving = system.keys(&receiving_bucket(INSTITUTION), &last.tar_name()).await.unwrap();
    assert!(receiving.is_empty(), "it is still in receiving: {receiving:?}");
}

/// A finished ingest, in the words of upstream.
pub(crate) fn ingested(item: &WorkItem, road: Road) {
    let stands = (&item.stage, &item.status, item.outcome.as_str());
    assert_eq!(stands, (&Stage::Cleanup, &Status::Success, note::INGEST_COMPLETE), "{item:#?}");
    let found_done = road == Road::Rough && item.note.starts_with("Cleanup succeeded. Ingest complete.");
    assert!(found_done || item.note == "Finished cleanup. Ingest complete.", "{item:#?}");
    assert!(!item.retry && !item.needs_admin_review && !item.is_claimed(), "{item:#?}");
    assert!(item.intellectual_object_id > 0 && item.queued_at.is_set() && item.date_processed.is_set(), "{item:#?}");
}

/// Neither Redis nor staging has anything of an item.
pub(crate) async fn left_nothing(system: &System, item: i64) {
    let staged = system.keys(STAGING_BUCKET, &format!("{item}/")).await.unwrap();
    assert!(staged.is_empty(), "WorkItem {item} left in staging: {staged:?}");
    let keys = system.redis_keys().await.unwrap();
    assert!(!keys.contains(&item.to_string()), "WorkItem {item} left its hash in Redis");
}

/// The object, its files, their copies and all events.
pub(crate) async fn recorded(system: &System, versions: &[&Bag]) {
    let (first, last) = (versions[0], versions[versions.len() - 1]);
    let object = system.object(&last.identifier()).await.unwrap();
    let object = object.unwrap_or_else(|| panic!("the Registry does not know {}", last.identifier()));
    let expected = expected(versions);
    let payload = |sizes: fn(usize) -> usize| -> i64 {
        let files = expected.iter().filter(|(path, _)| path.starts_with("data/"));
        files.map(|(_, file)| i64::try_from(sizes(file.bytes.len())).unwrap()).sum()
    };
    assert_eq!((&object.title, &object.state, &object.storage_option), (&last.title, &State::Active, &first.option));
    assert_eq!((object.institution_id, object.bag_name.as_str()), (4, last.name.as_str()), "{object:#?}");
    assert_eq!(object.file_count, i64::try_from(expected.len()).unwrap(), "{object:#?}");
    assert_eq!((object.payload_file_count, object.payload_size), (payload(|_| 1), payload(|size| size)), "{object:#?}");

    let files = system.files(object.id).await.unwrap();
    let paths: Vec<&str> = files.iter().filter_map(GenericFile::path_in_bag).collect();
    let mut wanted: Vec<&str> = expected.keys().copied().collect();
    wanted.sort_by_key(|path| paths.iter().position(|there| there == path));
    assert_eq!(paths, wanted, "the files of {}", object.identifier);

    let mut counts: BTreeMap<i64, Counts> = BTreeMap::new();
    for event in system.events(object.id).await.unwrap() {
        assert!(
            event.outcome.as_str() == "Success" && event.date_time.is_set() && !event.agent.is_empty(),
            "{event:#?}"
        );
        *counts.entry(event.generic_file_id).or_default().entry(key(&event)).or_default() += 1;
    }
    for file in &files {
        let expected = &expected[file.path_in_bag().unwrap()];
        is_as_expected(file, expected, &first.option);
        let counted = counts.remove(&file.id).unwrap_or_default();
        assert_eq!(counted, events_of(expected, &first.option), "the events of {}", file.identifier);
        copies(system, file, expected, &object.identifier, &first.option).await;
    }
    let of_object = counts.remove(&0).unwrap_or_default();
    let by_type = |kind: EventType| -> usize {
        of_object.iter().filter(|((name, _), _)| *name == kind.as_str()).map(|(_, count)| count).sum()
    };
    let kinds =
        [EventType::Creation, EventType::IdentifierAssignment, EventType::Ingestion, EventType::AccessAssignment];
    assert_eq!(kinds.map(by_type), [1, 1, versions.len(), versions.len()], "{of_object:#?}");
    assert!(counts.is_empty(), "events of other files: {counts:#?}");
}

fn expected<'b>(versions: &[&'b Bag]) -> BTreeMap<&'b str, Expected<'b>> {
    let mut files: BTreeMap<&str, Expected<'_>> = BTreeMap::new();
    for bag in versions {
        for (path, bytes) in bag.preserved() {
            let listed = if path.starts_with("data/") { bag.manifests } else { &[] };
            let file = files.entry(path).or_insert(Expected { bytes: &[], stored: Vec::new() });
            if file.stored.is_empty() || file.bytes != bytes {
                file.bytes = bytes;
                file.stored.push((Digests::of(Algorithms::ALL, bytes), listed));
            }
        }
    }
    files
}

fn is_as_expected(file: &GenericFile, expected: &Expected<'_>, option: &StorageOption) {
    let size = i64::try_from(expected.bytes.len()).unwrap();
    assert_eq!((&file.state, &file.storage_option, file.size), (&State::Active, option, size), "{file:#?}");
    assert!(file.last_fixity_check.is_set() && file.mtime.is_set(), "{file:#?}");
    let format = match file.identifier.rsplit_once('.') {
        Some((_, "txt")) => Some("text/plain"),
        Some((_, "csv")) => Some("text/csv"),
        Some((_, "json")) => Some("application/json"),
        Some((_, "xml")) => Some("application/xml"),
        _ => None,
    };
    assert!(format.is_none_or(|format| file.file_format == format) && !file.file_format.is_empty(), "{file:#?}");
    assert_eq!(file.checksums.len(), 4 * expected.stored.len(), "{file:#?}");
    for (algorithm, digest) in expected.digests().iter() {
        let newest = file.latest_checksum(&model::Algorithm::from(algorithm.as_str()));
        assert_eq!(newest.map(|checksum| checksum.digest.as_str()), Some(digest), "{algorithm:?} of {file:#?}");
    }
}

/// What tells the events of a file from each other (06 §5.4).
fn key(event: &PremisEvent) -> (String, String) {
    let text = match event.event_type {
        EventType::IdentifierAssignment | EventType::Replication => &event.outcome_information,
        _ => &event.outcome_detail,
    };
    (event.event_type.as_str().to_owned(), text.clone())
}

fn events_of(expected: &Expected<'_>, option: &StorageOption) -> Counts {
    let mut counts = Counts::new();
    let mut add = |kind: EventType, text: &str| {
        *counts.entry((kind.as_str().to_owned(), text.to_owned())).or_default() += 1;
    };
    add(EventType::IdentifierAssignment, "Assigned bag/filepath identifier");
    add(EventType::IdentifierAssignment, "Assigned url identifier");
    for (digests, listed) in &expected.stored {
        for (algorithm, digest) in digests.iter() {
            add(EventType::DigestCalculation, &format!("{}:{digest}", algorithm.as_str()));
        }
        for algorithm in *listed {
            add(EventType::FixityCheck, &format!("{}:{}", algorithm.as_str(), digests.get(*algorithm).unwrap()));
        }
        add(EventType::Ingestion, &format!("md5:{}", digests.get(Algorithm::Md5).unwrap()));
        if buckets(option).len() > 1 {
            add(EventType::Replication, "Replicated to secondary storage");
        }
    }
    counts
}

/// Every copy is where its URL says, holds the bytes, and says what it is.
async fn copies(system: &System, file: &GenericFile, expected: &Expected<'_>, object: &str, option: &StorageOption) {
    let buckets = buckets(option);
    let mut there: Vec<&str> = file.storage_records.iter().filter_map(|record| record.url.rsplit('/').nth(1)).collect();
    there.sort_unstable();
    let mut wanted: Vec<&str> = buckets.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    assert_eq!(there, wanted, "{file:#?}");
    let path = file.path_in_bag().unwrap();
    for record in &file.storage_records {
        assert!(record.url.starts_with("https://") && record.key() == file.uuid, "{record:?} of {}", file.identifier);
    }
    for (bucket, is_wasabi) in buckets {
        let stat = system.bucket(bucket).stat(&file.uuid).await.unwrap();
        let bagpath = if is_wasabi || has_unusual_space(path) {
            ("bagpath-encoded", query_escape(path))
        } else {
            ("bagpath", path.to_owned())
        };
        let digest = |algorithm| expected.digests().get(algorithm).unwrap().to_owned();
        let wanted: BTreeMap<String, String> = [
            ("institution", INSTITUTION.to_owned()),
            ("bag", object.to_owned()),
            ("md5", digest(Algorithm::Md5)),
            ("sha256", digest(Algorithm::Sha256)),
            bagpath,
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        assert_eq!(stat.metadata, wanted, "{} in {bucket}", file.identifier);
        assert_eq!(stat.content_type.as_deref(), Some(file.file_format.as_str()), "{} in {bucket}", file.identifier);
        let stored = system.bytes(bucket, &file.uuid).await.unwrap();
        assert!(stored == expected.bytes, "{} in {bucket} holds {} other bytes", file.identifier, stored.len());
    }
}

/// A broken bag has failed, for its reason. Its tar is left for the depositor, and its data in Redis for administrators (07 B.16).
pub(crate) async fn refused(system: &System, broken: &Broken) {
    let items = system.items(&broken.bag.tar_name()).await.unwrap();
    let [item] = &items[..] else { panic!("one work item, not {items:#?}") };
    assert_eq!((&item.status, item.outcome.as_str()), (&Status::Failed, note::INGEST_FAILED), "{item:#?}");
    assert_eq!(item.note, broken.note);
    assert!(!item.retry && item.needs_admin_review && !item.is_claimed(), "{item:#?}");
    assert!(item.stage == Stage::Receive || item.stage == Stage::Validate, "{item:#?}");
    assert_eq!(system.object(&broken.bag.identifier()).await.unwrap(), None);
    let receiving = receiving_bucket(INSTITUTION);
    assert!(system.bytes(&receiving, &item.name).await.unwrap() == broken.tar, "the tar is another one");
    assert!(system.redis_keys().await.unwrap().contains(&item.id.to_string()), "its hash in Redis is gone");
}
