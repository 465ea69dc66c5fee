//! Opening a data folder: the journal is read, made smaller if it is mostly history, and files of nothing are removed.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};

use super::super::clock::Clock;
use super::super::files::Files;
use super::super::index::{Bucket, Entry, Index};
use super::super::journal::{Journal, Record};
use super::super::model::{Class, Segment};
use super::{State, Store};

/// A journal with fewer records than this is not worth making smaller.
const SMALL: usize = 10_000;

impl Store {
    /// Opens `folder`, or a temporary one that goes away with the store.
    pub(crate) fn open(
        folder: Option<PathBuf>,
        clock: Clock,
        archived: BTreeMap<String, Class>,
    ) -> anyhow::Result<Arc<Self>> {
        let temporary = folder.is_none();
        let folder =
            folder.unwrap_or_else(|| std::env::temp_dir().join(format!("preserv-s3-{}", uuid::Uuid::new_v4())));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let lock_path = folder.join("lock");
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&lock_path);
        let lock = lock.with_context(|| format!("cannot write to {}", lock_path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("the folder {} is in use by another S3 server", folder.display());
        }
        let (index, journal, files) = recover(&folder).with_context(|| format!("cannot use {}", folder.display()))?;
        let state = RwLock::new(State { index, journal });
        Ok(Arc::new(Self {
            state,
            files: Arc::new(files),
            clock,
            archived,
            temporary: temporary.then_some(folder),
            _lock: lock,
        }))
    }
}

fn recover(folder: &Path) -> io::Result<(Index, Journal, Files)> {
    let path = folder.join("journal");
    let (mut index, mut records) = (Index::default(), 0_usize);
    let mut journal = Journal::open(&path, |record, place| {
        records += 1;
        replay(&mut index, record, |object| Entry::new(object, place));
        Ok(())
    })?;
    let live: usize = index.buckets.values().map(|bucket| 1 + bucket.objects.len()).sum::<usize>()
        + index.uploads.values().map(|upload| 1 + upload.parts.len()).sum::<usize>();
    let smaller = folder.join("journal.new");
    let mut rewritten = None;
    if records > SMALL.max(2 * live) {
        // What a server that died here left.
        let _ = fs::remove_file(&smaller);
        rewritten = Some(Journal::open(&smaller, |_, _| Ok(()))?);
    }
    let files = visit(&mut index, &journal, rewritten.as_mut())?;
    if let Some(rewritten) = rewritten {
        fs::rename(&smaller, &path)?;
        journal = rewritten;
    }
    Ok((index, journal, Files::open(&folder.join("data"), &files)?))
}

/// What a change does to the index. Records of things that have gone since do nothing.
fn replay(index: &mut Index, record: Record, entry: impl FnOnce(&super::Object) -> Entry) {
    match record {
        Record::Bucket { name, created, region } => {
            index.buckets.insert(name, Bucket::new(created, region));
        }
        Record::DropBucket { name } => {
            index.buckets.remove(&name);
        }
        Record::Put(object) => {
            index.complete_upload(&object);
            let entry = entry(&object);
            if let Some(bucket) = index.buckets.get_mut(&object.bucket) {
                bucket.objects.insert(object.key.into(), entry);
            }
        }
        Record::Delete { bucket, key } => {
            if let Some(bucket) = index.buckets.get_mut(&bucket) {
                bucket.objects.remove(&*key);
            }
        }
        Record::Restore { bucket, key, restore } => {
            if let Some(entry) = index.buckets.get_mut(&bucket).and_then(|bucket| bucket.objects.get_mut(&*key)) {
                entry.restore = Some(Box::new(restore));
            }
        }
        Record::Upload { id, start } => index.add_upload(id, start),
        Record::Part { id, number, part } => {
            if let Some(upload) = index.uploads.get_mut(&id) {
                upload.parts.insert(number, part);
            }
        }
        Record::Abort { id } => {
            index.remove_upload(&id);
        }
    }
}

/// Goes through everything that is live: returns its files, and writes it to the smaller journal if there is one.
fn visit(index: &mut Index, old: &Journal, mut new: Option<&mut Journal>) -> io::Result<HashSet<u64>> {
    let reader = old.reader();
    let mut files = HashSet::new();
    let mut note = |segments: &[Segment]| files.extend(segments.iter().map(|segment| segment.file));
    for (name, bucket) in &mut index.buckets {
        if let Some(new) = &mut new {
            let (created, region) = (bucket.created, bucket.region.clone());
            new.append(&Record::Bucket { name: name.clone(), created, region })?;
        }
        for (key, entry) in &mut bucket.objects {
            let object = reader.object(entry.place)?;
            note(&object.segments);
            let Some(new) = &mut new else { continue };
            entry.place = new.append(&Record::Put(object))?;
            if let Some(restore) = entry.restore.as_deref().copied() {
                new.append(&Record::Restore { bucket: name.clone(), key: key.to_string(), restore })?;
            }
        }
    }
    for (id, upload) in &index.uploads {
        if let Some(new) = &mut new {
            new.append(&Record::Upload { id: id.clone(), start: upload.start.clone() })?;
        }
        for (number, part) in &upload.parts {
            note(&part.segments);
            if let Some(new) = &mut new {
                new.append(&Record::Part { id: id.clone(), number: *number, part: part.clone() })?;
            }
        }
    }
    Ok(files)
}
