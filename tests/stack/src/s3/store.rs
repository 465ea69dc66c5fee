//! What the server knows and keeps: the index in memory, the journal and the data files behind it, changed together.
//!
//! A change is checked, appended to the journal and then made in the index, all under one lock, so that a condition
//! cannot change between its check and the write. No bytes of objects move under the lock. All of this may wait for the
//! disk: callers on the runtime use `spawn_blocking`.

mod recover;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use s3s::dto::Timestamp;
use s3s::{S3Result, s3_error};

use super::clock::Clock;
use super::conditions::{WriteCondition, is_second_of};
use super::files::{Files, Lease, Name};
use super::index::{Bucket, Entry, Index, Upload};
use super::journal::{Journal, Record};
use super::model::{Checksum, Class, Etag, Object, Part, Restore, Start, disk_error};

#[derive(Debug)]
pub(crate) struct Store {
    state: RwLock<State>,
    pub(crate) files: Arc<Files>,
    pub(crate) clock: Clock,
    /// Buckets whose objects are archived as soon as they are stored, as a lifecycle rule of no days would do.
    archived: BTreeMap<String, Class>,
    /// Removed at the end when the data is not to be kept.
    temporary: Option<PathBuf>,
    /// Keeps other servers out of the folder.
    _lock: File,
}

#[derive(Debug)]
struct State {
    index: Index,
    journal: Journal,
}

/// An object that was found, and the promise that its files stay while this is held.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) object: Object,
    pub(crate) lease: Lease,
}

impl Store {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Index) -> S3Result<T>) -> S3Result<T> {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner).index)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index, &mut Journal) -> S3Result<T>) -> S3Result<T> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State { index, journal } = &mut *state;
        change(index, journal)
    }

    pub(crate) fn create_bucket(&self, name: &str, region: &str) -> S3Result<()> {
        let created = self.clock.now();
        self.change(|index, journal| {
            if index.buckets.contains_key(name) {
                let message = "Your previous request to create the named bucket succeeded and you already own it.";
                return Err(s3_error!(BucketAlreadyOwnedByYou, "{message}"));
            }
            let record = Record::Bucket { name: name.to_owned(), created, region: region.to_owned() };
            journal.append(&record).map_err(disk_error)?;
            index.buckets.insert(name.to_owned(), Bucket::new(created, region.to_owned()));
            Ok(())
        })
    }

    pub(crate) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        self.change(|index, journal| {
            let bucket = index.bucket(name)?;
            if !bucket.objects.is_empty() || !bucket.uploads.is_empty() {
                return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
            }
            journal.append(&Record::DropBucket { name: name.to_owned() }).map_err(disk_error)?;
            index.buckets.remove(name);
            Ok(())
        })
    }

    /// The class that an object gets in this bucket.
    pub(crate) fn class(&self, bucket: &str, wanted: Option<Class>) -> Class {
        let class = wanted.unwrap_or_default();
        self.archived.get(bucket).copied().filter(|_| !class.is_archive()).unwrap_or(class)
    }

    pub(crate) fn find(&self, bucket: &str, key: &str) -> S3Result<Found> {
        // The lease comes first: what is looked up after it cannot go away.
        let lease = self.files.lease();
        let (entry, reader) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.index.entry(bucket, key)?.clone(), state.journal.reader())
        };
        let object = reader.object(entry.place).map_err(disk_error)?;
        Ok(Found { entry, object, lease })
    }

    /// Stores an object, in place of the one that has its key.
    pub(crate) fn put(&self, object: Object, names: Vec<Name>, condition: &WriteCondition) -> S3Result<()> {
        let (old, reader) = self.change(|index, journal| {
            let bucket = index.bucket_mut(&object.bucket)?;
            let slot = bucket.objects.get_mut(&*object.key);
            condition.check(slot.as_deref())?;
            let record = Record::Put(object);
            let place = journal.append(&record).map_err(disk_error)?;
            let Record::Put(object) = record else { return Err(s3_error!(InternalError)) };
            let entry = Entry::new(&object, place);
            let old = match slot {
                Some(slot) => Some(std::mem::replace(slot, entry)),
                None => bucket.objects.insert(object.key.into(), entry),
            };
            names.into_iter().for_each(Name::keep);
            Ok((old, journal.reader()))
        })?;
        if let Some(old) = old {
            self.files.discard(&reader.object(old.place).map_err(disk_error)?.segments);
        }
        Ok(())
    }

    /// Makes the object that `assemble` makes of an upload, which ends by that. Parts that it leaves out go away.
    pub(crate) fn complete_upload(
        &self,
        (bucket, key, id): (&str, &str, &str),
        condition: &WriteCondition,
        assemble: impl FnOnce(&Upload) -> S3Result<Object>,
    ) -> S3Result<(Etag, Option<Checksum>)> {
        let (answer, upload, segments, old) = self.change(|index, journal| {
            let mut object = assemble(index.upload(bucket, key, id)?)?;
            condition.check(index.bucket(bucket)?.objects.get(key))?;
            object.upload = Some(id.to_owned());
            let record = Record::Put(object);
            let place = journal.append(&record).map_err(disk_error)?;
            let Record::Put(object) = record else { return Err(s3_error!(InternalError)) };
            let entry = Entry::new(&object, place);
            let old = index.bucket_mut(bucket)?.objects.insert(key.into(), entry);
            let old = old.map(|old| (old, journal.reader()));
            let upload = index.complete_upload(&object);
            Ok(((object.etag, object.checksum), upload, object.segments, old))
        })?;
        let used: HashSet<u64> = segments.iter().map(|segment| segment.file).collect();
        for part in upload.into_iter().flat_map(|upload| upload.parts.into_values()) {
            if part.segments.iter().any(|segment| !used.contains(&segment.file)) {
                self.files.discard(&part.segments);
            }
        }
        if let Some((old, reader)) = old {
            self.files.discard(&reader.object(old.place).map_err(disk_error)?.segments);
        }
        Ok(answer)
    }

    /// Deletes the object if it is there. The bucket must be.
    pub(crate) fn delete(&self, bucket: &str, key: &str, condition: &WriteCondition) -> S3Result<()> {
        let old = self.change(|index, journal| {
            let objects = &mut index.bucket_mut(bucket)?.objects;
            let Some(entry) = objects.get(key) else { return condition.check(None).map(|()| None) };
            condition.check(Some(entry))?;
            journal.append(&Record::Delete { bucket: bucket.to_owned(), key: key.to_owned() }).map_err(disk_error)?;
            Ok(objects.remove(key).map(|old| (old, journal.reader())))
        })?;
        if let Some((old, reader)) = old {
            self.files.discard(&reader.object(old.place).map_err(disk_error)?.segments);
        }
        Ok(())
    }

    /// Decides on a temporary copy of an archived object, given its class and the present copy, and writes it down.
    pub(crate) fn restore<T>(
        &self,
        bucket: &str,
        key: &str,
        decide: impl FnOnce(Class, Option<Restore>) -> S3Result<(Restore, T)>,
    ) -> S3Result<T> {
        let now = self.clock.now();
        self.change(|index, journal| {
            let entry = index.entry(bucket, key)?;
            let (restore, answer) = decide(entry.class, entry.restore(now))?;
            let record = Record::Restore { bucket: bucket.to_owned(), key: key.to_owned(), restore };
            journal.append(&record).map_err(disk_error)?;
            if let Some(entry) = index.bucket_mut(bucket)?.objects.get_mut(key) {
                entry.restore = Some(Box::new(restore));
            }
            Ok(answer)
        })
    }

    pub(crate) fn start_upload(&self, id: &str, start: Start) -> S3Result<()> {
        self.change(|index, journal| {
            index.bucket(&start.bucket)?;
            let record = Record::Upload { id: id.to_owned(), start };
            journal.append(&record).map_err(disk_error)?;
            if let Record::Upload { id, start } = record {
                index.add_upload(id, start);
            }
            Ok(())
        })
    }

    /// Stores a part, in place of the one that has its number.
    pub(crate) fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: u16,
        new: (Part, Vec<Name>),
    ) -> S3Result<()> {
        let (part, names) = new;
        let old = self.change(|index, journal| {
            index.upload(bucket, key, id)?;
            let record = Record::Part { id: id.to_owned(), number, part };
            journal.append(&record).map_err(disk_error)?;
            names.into_iter().for_each(Name::keep);
            match (record, index.uploads.get_mut(id)) {
                (Record::Part { part, .. }, Some(upload)) => Ok(upload.parts.insert(number, part)),
                _ => Ok(None),
            }
        })?;
        if let Some(old) = old {
            self.files.discard(&old.segments);
        }
        Ok(())
    }

    /// Ends an upload without an object, if it was started when the client says, to the second.
    pub(crate) fn abort_upload(&self, bucket: &str, key: &str, id: &str, started: Option<&Timestamp>) -> S3Result<()> {
        let upload = self.change(|index, journal| {
            let upload = index.upload(bucket, key, id)?;
            if started.is_some_and(|started| !is_second_of(started, upload.start.started)) {
                return Err(s3_error!(PreconditionFailed, "The upload was not started at the time you specified"));
            }
            journal.append(&Record::Abort { id: id.to_owned() }).map_err(disk_error)?;
            Ok(index.remove_upload(id))
        })?;
        for part in upload.into_iter().flat_map(|upload| upload.parts.into_values()) {
            self.files.discard(&part.segments);
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            tracing::warn!(folder = %folder.display(), %error, "a temporary folder could not be removed");
        }
    }
}
