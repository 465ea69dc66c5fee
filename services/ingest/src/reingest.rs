//! `reingest_manager`: whether the Registry knows the object already (02 §6 and §13). If so, its files keep their UUIDs, those that did
//! not change need not be saved again, and an object that is not deleted keeps its storage option.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use model::{Algorithm, ChecksumSource, GenericFile, IngestFile, State, StorageOption, note};
use registry::Query;
use worker::{Done, ItemStage, Stop, Task};

use crate::Ground;
use crate::files::{self, FileError, FileWork, Limits};
use crate::storable::is_storable;

/// How many files the Registry is asked for at a time; it sends all their events with them.
const PAGE: u16 = 500;
/// How the storage option is given to files. Nothing but Redis takes part in it.
const LIMITS: Limits = Limits { in_flight: 64, errors: 10, tries: 1, pause: Duration::ZERO };
/// The digests that tell whether a file changed: `sha1` is not compared (02 §6.1).
const COMPARED: [Algorithm; 3] = [Algorithm::Sha512, Algorithm::Sha256, Algorithm::Md5];

/// Finds out what of a bag is stored.
#[derive(Debug)]
pub struct ReingestManager {
    ground: Ground,
}

/// Gives files the storage option that their object has.
struct Adopt {
    option: StorageOption,
}

impl ReingestManager {
    pub fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone() }
    }
}

impl ItemStage for ReingestManager {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let mut object = self.ground.object(task).await?;
        let identifier = object.identifier();
        let known = match task.until_cancelled(task.registry.object(&identifier)).await? {
            Ok(known) => known,
            Err(error) if error.is_not_found() => return Ok(Done::default()),
            Err(error) => return Err(error.into()),
        };
        // The Registry keeps an active object's option, whatever it is sent, so its files must keep it too.
        if known.state == State::Active && known.storage_option != object.storage_option {
            let option = known.storage_option.clone();
            object.storage_option = option.clone();
            let total = u64::try_from(object.file_count).unwrap_or_default();
            files::each(task, total, LIMITS, Adopt { option }).await?;
        }
        self.compare(task, known.id, &identifier).await?;
        // Saved last: a run that was cut off begins anew.
        object.id = known.id;
        object.is_reingest = true;
        task.store.save_object(task.item.id, &object).await?;
        Ok(Done::default())
    }
}

impl ReingestManager {
    /// Goes through the object's files in the Registry, deleted ones too, and marks those that the bag has.
    async fn compare(&self, task: &Task, object: i64, identifier: &str) -> Result<(), Stop> {
        let query = Query::new().filter("intellectual_object_id", object).sort("identifier").per_page(PAGE).page(1);
        let mut pages = pin!(task.registry.pages::<GenericFile>(query));
        let (mut known, mut changed) = (0_u64, 0_u64);
        while let Some(page) = task.until_cancelled(pages.try_next()).await?? {
            let identifiers: Vec<&str> = page.results.iter().map(|file| file.identifier.as_str()).collect();
            let ours = task.store.files_by_identifier(task.item.id, &identifiers).await?;
            let mut marked = Vec::with_capacity(ours.len());
            for (theirs, ours) in page.results.iter().zip(ours) {
                let Some(mut file) = ours else { continue };
                mark(&mut file, theirs);
                known += 1;
                changed += u64::from(file.needs_save);
                marked.push(file);
            }
            task.store.save_files(task.item.id, &marked).await?;
        }
        tracing::info!(
            work_item_id = task.item.id,
            "WorkItem {}: {identifier} is known, with {known} files of this bag, {changed} of them changed",
            task.item.id
        );
        Ok(())
    }
}

/// Notes in a file of the bag what the Registry has of it.
fn mark(file: &mut IngestFile, known: &GenericFile) {
    file.id = known.id;
    file.uuid.clone_from(&known.uuid);
    file.is_reingest = true;
    file.needs_save = known.state == State::Deleted || !is_same(file, known);
    for record in &known.storage_records {
        if !file.registry_urls.contains(&record.url) {
            file.registry_urls.push(record.url.clone());
        }
    }
}

/// Whether the digests say so. Where there is none to compare, nothing does (defect 27 of 02 §16).
fn is_same(file: &IngestFile, known: &GenericFile) -> bool {
    let both = COMPARED.iter().filter_map(|algorithm| {
        let ours = file.checksum(&ChecksumSource::Ingest, algorithm)?;
        Some((&ours.digest, &known.latest_checksum(algorithm)?.digest))
    });
    let mut same = both.map(|(ours, theirs)| ours.eq_ignore_ascii_case(theirs)).peekable();
    same.peek().is_some() && same.all(|same| same)
}

impl FileWork for Adopt {
    fn wants(&self, file: &IngestFile) -> bool {
        file.storage_option != self.option
    }

    async fn run(&self, file: &mut IngestFile, _: &Task) -> Result<(), FileError> {
        if !is_storable(file, &self.option) {
            return Err(FileError::Fatal(note::name_too_long(&file.path_in_bag)));
        }
        file.storage_option = self.option.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::{Checksum, IngestChecksum, StorageRecord, Time};

    use super::*;

    fn ours(digests: &[(Algorithm, &str)]) -> IngestFile {
        let mut file = IngestFile::new("test.edu/bag", "data/a");
        for (algorithm, digest) in digests {
            let checksum = IngestChecksum::new(ChecksumSource::Ingest, algorithm.clone(), digest, Time::UNSET);
            file.checksums.push(checksum);
        }
        file
    }

    fn theirs(digests: &[(Algorithm, &str, &str)]) -> GenericFile {
        let checksums = digests.iter().map(|(algorithm, digest, year)| Checksum {
            algorithm: algorithm.clone(),
            digest: (*digest).to_owned(),
            datetime: format!("{year}-01-01T00:00:00Z").parse().unwrap(),
            ..Checksum::default()
        });
        GenericFile {
            id: 7,
            uuid: "u".to_owned(),
            state: State::Active,
            checksums: checksums.collect(),
            ..GenericFile::default()
        }
    }

    #[test]
    fn the_newest_digests_tell_whether_a_file_changed() {
        use Algorithm::{Md5, Sha1, Sha256};
        let old_and_new = theirs(&[(Md5, "a0", "2024"), (Md5, "b1", "2025"), (Sha1, "c2", "2025")]);
        for (digests, same) in [
            (&[(Md5, "B1"), (Sha1, "other")][..], true),
            (&[(Md5, "a0")], false),
            (&[(Md5, "b1"), (Sha256, "d3")], true),
        ] {
            assert_eq!(is_same(&ours(digests), &old_and_new), same, "{digests:?}");
        }
    }

    #[test]
    fn defect_02_27_without_a_digest_to_compare_a_file_counts_as_changed() {
        let known = theirs(&[(Algorithm::Sha1, "c2", "2025")]);
        let mut file = ours(&[(Algorithm::Sha1, "c2"), (Algorithm::Md5, "b1")]);
        mark(&mut file, &known);
        assert!(file.needs_save && file.is_reingest);
    }

    #[test]
    fn a_known_file_keeps_its_uuid_and_a_deleted_one_is_saved_again() {
        let url = "https://s3/b/u".to_owned();
        let records = vec![StorageRecord { url: url.clone(), ..StorageRecord::default() }];
        let active = GenericFile { storage_records: records.into(), ..theirs(&[(Algorithm::Md5, "b1", "2025")]) };
        let mut file = ours(&[(Algorithm::Md5, "b1")]);
        mark(&mut file, &active);
        mark(&mut file, &active);
        assert_eq!((file.id, file.uuid.as_str(), file.is_reingest, file.needs_save), (7, "u", true, false));
        assert_eq!(file.registry_urls[..], [url]);
        mark(&mut file, &GenericFile { state: State::Deleted, ..active });
        assert!(file.needs_save);
    }
}
