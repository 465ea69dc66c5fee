//! Saving objects, work items, events, checksums and storage records. Files with what is nested in them are in `files`.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::record::{by_id, find, insert, update};
use super::records::{Checksum, GenericFile, IntellectualObject, PremisEvent, StorageRecord, User, WorkItem};
use super::validation::Validate as _;
use super::{Error, Result, Store, alerts, number};
use crate::registry::time::Time;
use crate::registry::vocabulary::{ACTIVE, COMPLETED, DEFAULT_PROFILE, DELETED};

impl Store {
    /// Creates an object, or overwrites the one with its id.
    ///
    /// The storage option of an active object stays what it is, without a word; that of a deleted one may change. Every
    /// other change is taken: the real server checks changes and then forgets the result (spec 05 §5.3).
    pub fn save_object(&self, mut object: IntellectualObject) -> Result<IntellectualObject> {
        self.change(|db| {
            if object.id > 0 {
                let stored: IntellectualObject = by_id(db, object.id)?.ok_or(Error::NoRows)?;
                keep(&mut object.storage_option, &stored.storage_option, &stored.state);
                object.created_at = stored.created_at;
            }
            if object.bagit_profile_identifier.is_empty() {
                DEFAULT_PROFILE.clone_into(&mut object.bagit_profile_identifier);
            }
            stamp(&mut object.created_at, &mut object.updated_at);
            object.validate()?;
            (object.institution, object.generic_files, object.premis_events) = (None, None, None);
            if object.id > 0 {
                update(db, &object)?;
            } else {
                object.id = insert(db, &object)?;
            }
            Ok(object)
        })
    }

    /// Creates a work item, or overwrites the one with its id: all of it, nothing is merged or compared.
    pub fn save_item(&self, mut item: WorkItem) -> Result<WorkItem> {
        self.change(|db| {
            save_item(db, &mut item)?;
            Ok(item)
        })
    }

    /// Cancels a work item that is not completed.
    pub fn cancel_item(&self, id: i64, user: &User) -> Result<WorkItem> {
        self.change(|db| {
            let mut item: WorkItem = by_id(db, id)?.ok_or(Error::NoRows)?;
            if COMPLETED.contains(&&*item.status) {
                return Err(Error::Conflict("this work item is completed already"));
            }
            "Cancelled".clone_into(&mut item.status);
            item.note = format!("Cancelled by {}", user.email);
            item.retry = false;
            save_item(db, &mut item)?;
            Ok(item)
        })
    }

    /// Stores an event as it is: nothing in it is validated (spec 05 §6.6).
    ///
    /// After a fixity check the file's `last_fixity_check` follows in a transaction of its own, so that a file which
    /// is not there gives an error although the event stays.
    pub fn create_event(&self, mut event: PremisEvent) -> Result<PremisEvent> {
        if event.id != 0 {
            return Err(Error::Unsupported);
        }
        stamp(&mut event.created_at, &mut event.updated_at);
        event.id = self.change(|db| insert(db, &event))?;
        if event.event_type == "fixity check" {
            self.change(|db| {
                let mut file: GenericFile = by_id(db, event.generic_file_id)?.ok_or(Error::NoRows)?;
                file.last_fixity_check = event.date_time;
                file.updated_at = Time::now();
                update(db, &file)
            })?;
        }
        Ok(event)
    }

    /// Adds a checksum to a file of the institution.
    pub fn create_checksum(&self, institution: i64, mut checksum: Checksum) -> Result<Checksum> {
        if checksum.id != 0 {
            return Err(Error::Unsupported);
        }
        self.change(|db| {
            owned(db, institution, checksum.generic_file_id, "checksum")?;
            insert_checksum(db, &mut checksum)?;
            Ok(checksum)
        })
    }

    /// Adds a storage record to a file of the institution.
    pub fn create_storage_record(&self, institution: i64, mut record: StorageRecord) -> Result<StorageRecord> {
        if record.id != 0 {
            return Err(Error::Unsupported);
        }
        self.change(|db| {
            owned(db, institution, record.generic_file_id, "storage record")?;
            record.validate()?;
            record.id = insert(db, &record)?;
            Ok(record)
        })
    }
}

/// While a record is active its storage option cannot change.
pub(super) fn keep(submitted: &mut String, stored: &str, state: &str) {
    if state == ACTIVE && submitted != stored {
        stored.clone_into(submitted);
    }
}

pub(super) fn stamp(created_at: &mut Time, updated_at: &mut Time) {
    let now = Time::now();
    if created_at.is_none() {
        *created_at = now;
    }
    *updated_at = now;
}

fn owned(db: &Connection, institution: i64, file: i64, what: &str) -> Result<()> {
    let file_record: Option<GenericFile> = by_id(db, file)?;
    match file_record {
        None => Err(Error::other(format!("Can't save {what}. GenericFile {file} does not exist"))),
        Some(file) if file.institution_id != institution => {
            Err(Error::other(format!("Can't save {what}. Institution ID mismatch")))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn insert_checksum(db: &Connection, checksum: &mut Checksum) -> Result<()> {
    stamp(&mut checksum.created_at, &mut checksum.updated_at);
    checksum.validate()?;
    checksum.id = insert(db, checksum)?;
    Ok(())
}

pub(super) fn save_item(db: &Connection, item: &mut WorkItem) -> Result<()> {
    stamp(&mut item.created_at, &mut item.updated_at);
    item.validate()?;
    if item.id > 0 {
        update(db, item)?;
    } else {
        item.id = insert(db, item)?;
    }
    alerts::restored(db, item)
}

/// The latest successful event of a type for an object as a whole.
pub(super) fn latest_object_event(db: &Connection, object: i64, event_type: &str) -> Result<Option<PremisEvent>> {
    let values = [number(object), Value::Text(event_type.to_owned())];
    let rest = "WHERE intellectual_object_id = ? AND generic_file_id IS NULL AND event_type = ? \
                ORDER BY created_at DESC LIMIT 1";
    find(db, rest, &values)
}

/// Marks as deleted; the rows stay for ever.
pub(super) fn mark_deleted(state: &mut String, updated_at: &mut Time) {
    DELETED.clone_into(state);
    *updated_at = Time::now();
}
