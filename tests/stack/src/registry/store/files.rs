//! Files with their checksums, storage records and events: saved in one transaction, alone or many at once.

use std::collections::HashMap;

use rusqlite::Connection;

use super::record::{Record, by_id, insert, select, update};
use super::records::{Checksum, GenericFile, PremisEvent, StorageRecord};
use super::saving::{insert_checksum, keep, stamp};
use super::validation::Validate as _;
use super::{Error, Page, Query, Result, Store, text};
use crate::registry::time::Time;

/// What the database gives a file that names no time of its last check.
const NEVER_CHECKED: Time = Time::new(time::macros::datetime!(2000-01-01 00:00:00 UTC));

/// In which order nested records come.
#[derive(Clone, Copy)]
pub(super) enum Nested {
    /// As they were inserted.
    Unordered,
    /// Newest first.
    Newest,
}

impl Store {
    /// Creates a file, or overwrites the one with its id. Nested records without id are added, those with one are left
    /// alone. Everything is saved, or nothing.
    pub fn save_file(&self, file: GenericFile) -> Result<GenericFile> {
        self.change(|db| save_file(db, file))
    }

    /// Creates files, all or none. Each must belong to the institution.
    pub fn save_files(&self, institution: i64, files: Vec<GenericFile>) -> Result<Vec<GenericFile>> {
        if files.iter().any(|file| file.institution_id != institution) {
            return Err(Error::other("GenericFile.InstitutionID must match request institution ID"));
        }
        self.change(|db| files.into_iter().map(|file| save_file(db, file)).collect())
    }

    /// Adds to a file what is nested in it: events and checksums newest first.
    pub fn fill_file(&self, file: GenericFile) -> Result<GenericFile> {
        let mut files = [file];
        fill(&self.read(), &mut files, Nested::Newest)?;
        let [file] = files;
        Ok(file)
    }

    /// One page of files, with what is nested in them.
    pub fn list_files(&self, query: &Query) -> Result<Page<GenericFile>> {
        let mut page = self.list::<GenericFile>(query)?;
        fill(&self.read(), &mut page.results, Nested::Unordered)?;
        Ok(page)
    }
}

fn save_file(db: &Connection, mut file: GenericFile) -> Result<GenericFile> {
    if file.id > 0 {
        let stored: GenericFile = by_id(db, file.id)?.ok_or(Error::NoRows)?;
        keep(&mut file.storage_option, &stored.storage_option, &stored.state);
        file.created_at = stored.created_at;
    }
    stamp(&mut file.created_at, &mut file.updated_at);
    file.validate()?;
    if file.id > 0 {
        update(db, &file)?;
    } else {
        if file.last_fixity_check.is_none() {
            file.last_fixity_check = NEVER_CHECKED;
        }
        file.id = insert(db, &file)?;
    }
    for checksum in file.checksums.iter_mut().flatten().filter(|checksum| checksum.id == 0) {
        checksum.generic_file_id = file.id;
        insert_checksum(db, checksum)?;
    }
    for record in file.storage_records.iter_mut().flatten().filter(|record| record.id == 0) {
        record.generic_file_id = file.id;
        record.validate()?;
        record.id = insert(db, record)?;
    }
    for event in file.premis_events.iter_mut().flatten().filter(|event| event.id == 0) {
        event.generic_file_id = file.id;
        event.institution_id = file.institution_id;
        event.intellectual_object_id = file.intellectual_object_id;
        stamp(&mut event.created_at, &mut event.updated_at);
        event.validate()?;
        event.id = insert(db, event)?;
    }
    Ok(file)
}

pub(super) fn fill(db: &Connection, files: &mut [GenericFile], order: Nested) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = files.iter().map(|file| file.id).collect();
    let ids = serde_json::to_string(&ids).map_err(|error| Error::other(error.to_string()))?;
    let (events, checksums) = match order {
        Nested::Unordered => ("id", "id"),
        Nested::Newest => ("date_time DESC, id", "created_at DESC, id"),
    };
    let mut checksums = nested::<Checksum>(db, &ids, checksums, |checksum| checksum.generic_file_id)?;
    let mut records = nested::<StorageRecord>(db, &ids, "id", |record| record.generic_file_id)?;
    let mut events = nested::<PremisEvent>(db, &ids, events, |event| event.generic_file_id)?;
    for file in files {
        file.checksums = checksums.remove(&file.id);
        file.storage_records = records.remove(&file.id);
        file.premis_events = events.remove(&file.id);
    }
    Ok(())
}

fn nested<R: Record>(db: &Connection, ids: &str, order: &str, of: fn(&R) -> i64) -> Result<HashMap<i64, Vec<R>>> {
    let rest = format!("WHERE generic_file_id IN (SELECT value FROM json_each(?)) ORDER BY {order}");
    let mut by_file = HashMap::<i64, Vec<R>>::new();
    for record in select::<R>(db, &rest, &[text(ids)])? {
        by_file.entry(of(&record)).or_default().push(record);
    }
    Ok(by_file)
}
