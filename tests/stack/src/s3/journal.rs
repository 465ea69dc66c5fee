//! The journal: one line of JSON for each change, appended, and read again when a kept folder is opened.
//!
//! The records are also where everything stands that need not be in memory; the index says at which place.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Object, Part, Restore, Start};

/// One change.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Record {
    Bucket { name: String, created: i64, region: String },
    DropBucket { name: String },
    Put(Object),
    Delete { bucket: String, key: String },
    Restore { bucket: String, key: String, restore: Restore },
    Upload { id: String, start: Start },
    Part { id: String, number: u16, part: Part },
    Abort { id: String },
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    offset: u64,
    length: u32,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<File>,
    end: u64,
}

impl Journal {
    /// Opens or creates it and hands every record to `apply`. A last line without its end was never acknowledged and goes.
    pub(crate) fn open(path: &Path, mut apply: impl FnMut(Record, Place) -> io::Result<()>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut lines = BufReader::with_capacity(1 << 20, &file);
        let (mut end, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let place = Place { offset: end, length: length(read)? };
            let record = serde_json::from_slice(&line).map_err(|error| broken(path, end, &error))?;
            apply(record, place)?;
            end += read as u64;
        }
        file.set_len(end)?;
        Ok(Self { file: Arc::new(file), end })
    }

    /// Appends, or leaves the journal as it was.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<Place> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let place = Place { offset: self.end, length: length(line.len())? };
        if let Err(error) = self.file.write_all_at(&line, self.end) {
            // Half a line must not stand before the next one.
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += line.len() as u64;
        Ok(place)
    }

    /// Reads records while others are appended.
    pub(crate) fn reader(&self) -> Reader {
        Reader(self.file.clone())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Reader(Arc<File>);

impl Reader {
    /// The object written at this place.
    pub(crate) fn object(&self, place: Place) -> io::Result<Object> {
        let mut line = vec![0; usize::try_from(place.length).unwrap_or(usize::MAX)];
        self.0.read_exact_at(&mut line, place.offset)?;
        match serde_json::from_slice(&line)? {
            Record::Put(object) => Ok(object),
            other => Err(io::Error::other(format!("the journal has {other:?} where an object should be"))),
        }
    }
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::other("a record of more than 4 GiB"))
}

fn broken(path: &Path, offset: u64, error: &serde_json::Error) -> io::Error {
    io::Error::other(format!("{} is not a journal of this server, at byte {offset}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str) -> Record {
        Record::Bucket { name: name.into(), created: 1, region: "us-east-1".into() }
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names = Vec::new();
        Journal::open(path, |record, _| {
            if let Record::Bucket { name, .. } = record {
                names.push(name);
            }
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, |_, _| Ok(())).unwrap();
        journal.append(&bucket("one")).unwrap();
        journal.append(&bucket("two")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let complete = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
            assert_eq!(names(&path).len(), complete, "cut at {cut}");
        }
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        Journal::open(&path, |_, _| Ok(())).unwrap().append(&bucket("three")).unwrap();
        assert_eq!(names(&path), ["one", "three"]);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "not a journal\n").unwrap();
        let error = Journal::open(&path, |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("is not a journal of this server, at byte 0"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"not a journal\n", "it must be left alone");
    }
}
