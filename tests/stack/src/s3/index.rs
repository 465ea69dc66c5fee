//! What is in memory: the buckets, their keys in order with what lists show, and the uploads that are going on.
//!
//! It knows nothing of disks: the store appends to the journal first and then tells the index.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use s3s::{S3Result, s3_error};

use super::journal::Place;
use super::model::{Checksum, Class, Etag, Object, Part, Restore, Start};

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// What became of the last uploads, for clients that did not get the answer.
    completed: VecDeque<Completed>,
}

/// So many completed uploads are remembered.
const MOST_COMPLETED: usize = 1000;

/// An upload that became an object, and what was answered.
#[derive(Debug)]
struct Completed {
    id: String,
    bucket: String,
    key: String,
    etag: Etag,
    checksum: Option<Checksum>,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) created: i64,
    pub(crate) region: String,
    pub(crate) objects: BTreeMap<Box<str>, Entry>,
    /// The uploads by key and id, as they are listed.
    pub(crate) uploads: BTreeMap<(String, String), i64>,
}

/// What is kept in memory for each object: its size does not depend on the object, except for the key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) size: u64,
    pub(crate) etag: Etag,
    pub(crate) modified: i64,
    pub(crate) class: Class,
    pub(crate) restore: Option<Box<Restore>>,
    pub(crate) place: Place,
}

impl Entry {
    pub(crate) fn new(object: &Object, place: Place) -> Self {
        let Object { size, etag, modified, class, .. } = *object;
        Self { size, etag, modified, class, restore: None, place }
    }

    /// The temporary copy, if there is one or will be one.
    pub(crate) fn restore(&self, now: i64) -> Option<Restore> {
        self.restore.as_deref().copied().filter(|restore| now < restore.expires)
    }

    /// Whether the bytes can be read now.
    pub(crate) fn check_readable(&self, now: i64) -> S3Result<()> {
        if self.class.is_archive() && self.restore(now).is_none_or(|restore| now < restore.ready) {
            return Err(s3_error!(InvalidObjectState, "The operation is not valid for the object's storage class"));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) start: Start,
    pub(crate) parts: BTreeMap<u16, Part>,
}

impl Index {
    pub(crate) fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(crate) fn entry(&self, bucket: &str, key: &str) -> S3Result<&Entry> {
        let entry = self.bucket(bucket)?.objects.get(key);
        entry.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// The upload of this id, if it is one of this key.
    pub(crate) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<&Upload> {
        self.bucket(bucket)?;
        let upload = self.uploads.get(id).filter(|it| it.start.bucket == bucket && it.start.key == key);
        upload.ok_or_else(|| {
            s3_error!(NoSuchUpload, "The specified upload does not exist. It may have been aborted or completed.")
        })
    }

    pub(crate) fn add_upload(&mut self, id: String, start: Start) {
        if let Some(bucket) = self.buckets.get_mut(&start.bucket) {
            bucket.uploads.insert((start.key.clone(), id.clone()), start.started);
        }
        self.uploads.insert(id, Upload { start, parts: BTreeMap::new() });
    }

    pub(crate) fn remove_upload(&mut self, id: &str) -> Option<Upload> {
        let upload = self.uploads.remove(id)?;
        if let Some(bucket) = self.buckets.get_mut(&upload.start.bucket) {
            bucket.uploads.remove(&(upload.start.key.clone(), id.to_owned()));
        }
        Some(upload)
    }
}

impl Index {
    /// Ends the upload that this object was made of and remembers that; none if the object is of no upload that goes on.
    pub(crate) fn complete_upload(&mut self, object: &Object) -> Option<Upload> {
        let id = object.upload.as_ref()?;
        let Object { bucket, key, etag, checksum, .. } = object;
        if self.completed.len() == MOST_COMPLETED {
            self.completed.pop_front();
        }
        let (id, bucket, key, checksum) = (id.clone(), bucket.clone(), key.clone(), checksum.clone());
        let upload = self.remove_upload(&id);
        self.completed.push_back(Completed { id, bucket, key, etag: *etag, checksum });
        upload
    }

    /// What was answered when this upload was completed with parts that make this ETag.
    pub(crate) fn completed(&self, bucket: &str, key: &str, id: &str, etag: Etag) -> Option<(Etag, Option<Checksum>)> {
        let is_it = |it: &&Completed| it.id == id && it.bucket == bucket && it.key == key && it.etag == etag;
        self.completed.iter().find(is_it).map(|it| (it.etag, it.checksum.clone()))
    }
}

/// One page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(Box<str>, Entry)>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page goes on, when this one is not the last.
    pub(crate) next: Option<After>,
}

/// What a page begins after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Key(String),
    /// All keys with this common prefix.
    Prefix(String),
}

/// What to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    pub(crate) after: Option<&'a After>,
    pub(crate) limit: usize,
}

impl Bucket {
    pub(crate) fn new(created: i64, region: String) -> Self {
        Self { created, region, objects: BTreeMap::new(), uploads: BTreeMap::new() }
    }

    /// One page. The time depends on what the page shows, not on what the bucket holds.
    pub(crate) fn list(&self, select: Selection<'_>) -> Page {
        let mut page = Page::default();
        let mut start = match select.after {
            Some(After::Key(key)) if **key >= *select.prefix => Bound::Excluded(key.clone()),
            Some(After::Prefix(prefix)) if **prefix >= *select.prefix => match after_prefix(prefix) {
                Some(bound) => bound,
                None => return page,
            },
            _ => Bound::Included(select.prefix.to_owned()),
        };
        let mut last = None;
        loop {
            let from = start.as_ref().map(String::as_str);
            let Some((key, entry)) = self.objects.range::<str, _>((from, Bound::Unbounded)).next() else { return page };
            if !key.starts_with(select.prefix) {
                return page;
            }
            if page.objects.len() + page.prefixes.len() == select.limit {
                page.next = last;
                return page;
            }
            let rest = &key[select.prefix.len()..];
            let cut = if select.delimiter.is_empty() { None } else { rest.find(select.delimiter) };
            if let Some(at) = cut {
                let common = key[..select.prefix.len() + at + select.delimiter.len()].to_owned();
                page.prefixes.push(common.clone());
                let next = after_prefix(&common);
                last = Some(After::Prefix(common));
                match next {
                    Some(bound) => start = bound,
                    None => return page,
                }
            } else {
                page.objects.push((key.clone(), entry.clone()));
                start = Bound::Excluded(key.to_string());
                last = Some(After::Key(key.to_string()));
            }
        }
    }
}

/// The bound after all keys that begin so; none when nothing can come after them.
fn after_prefix(prefix: &str) -> Option<Bound<String>> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The next character in the order of UTF-8, which is the order of code points, without the surrogates.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(Bound::Included(characters.into_iter().collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::journal::{Journal, Record};
    use super::*;

    fn bucket(keys: &[String]) -> Bucket {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal"), |_, _| Ok(())).unwrap();
        let place = journal.append(&Record::DropBucket { name: String::new() }).unwrap();
        let etag = Etag { md5: [0; 16], parts: 0 };
        let entry = Entry { size: 0, etag, modified: 0, class: Class::Standard, restore: None, place };
        let objects = keys.iter().map(|key| (key.as_str().into(), entry.clone())).collect();
        Bucket { created: 0, region: String::new(), objects, uploads: BTreeMap::new() }
    }

    /// All pages put together, and what a naive list would be.
    fn compare(keys: &[String], prefix: &str, delimiter: &str, limit: usize) {
        let bucket = bucket(keys);
        let (mut shown, mut after) = (Vec::new(), None);
        loop {
            let page = bucket.list(Selection { prefix, delimiter, after: after.as_ref(), limit });
            let here = page.objects.len() + page.prefixes.len();
            assert!(here <= limit && (page.next.is_none() || here == limit));
            shown.extend(page.objects.into_iter().map(|(key, _)| (key.to_string(), false)));
            shown.extend(page.prefixes.into_iter().map(|prefix| (prefix, true)));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let mut expected: Vec<(String, bool)> = keys
            .iter()
            .filter(|key| key.starts_with(prefix))
            .map(|key| match key[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty()) {
                Some(at) => (key[..prefix.len() + at + delimiter.len()].to_owned(), true),
                None => (key.clone(), false),
            })
            .collect();
        expected.sort();
        expected.dedup();
        shown.sort();
        assert_eq!(shown, expected);
    }

    proptest! {
        #[test]
        fn pages_add_up_to_the_whole_list(
            keys in prop::collection::vec("[ab/\u{d7ff}\u{10ffff}]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop::sample::select(vec!["", "/", "a", "\u{10ffff}", "b/"]),
            limit in 1_usize..8,
        ) {
            compare(&keys, &prefix, delimiter, limit);
        }
    }

    #[test]
    fn nothing_comes_after_the_last_characters() {
        assert_eq!(after_prefix("a"), Some(Bound::Included("b".to_owned())));
        assert_eq!(after_prefix("a\u{10ffff}"), Some(Bound::Included("b".to_owned())));
        assert_eq!(after_prefix("\u{10ffff}"), None);
    }
}
