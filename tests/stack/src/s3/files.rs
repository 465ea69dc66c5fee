//! The data files: numbered, written once, never changed, so that no key is ever a path. Runs of zero bytes become holes.
//!
//! Which of them belong to which object is the journal's business; what the journal does not name is removed at start.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::model::Segment;

/// Files in one folder, so that no folder grows beyond what file systems handle well.
const PER_FOLDER: u64 = 4096;

/// The unit in which zero bytes are looked for: the block of common file systems.
const BLOCK: usize = 4096;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    next: AtomicU64,
    leases: Mutex<Leases>,
}

/// Who still reads, and what waits to be removed until they have ended.
#[derive(Debug, Default)]
struct Leases {
    next: u64,
    active: BTreeSet<u64>,
    garbage: VecDeque<(u64, u64)>,
}

impl Files {
    /// Opens the folder and removes the files that `known` does not have.
    pub(crate) fn open(folder: &Path, known: &HashSet<u64>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for group in fs::read_dir(folder)? {
            for file in fs::read_dir(group?.path())? {
                let path = file?.path();
                let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                if number.is_none_or(|number: u64| !known.contains(&number)) {
                    fs::remove_file(path)?;
                }
            }
        }
        let next = known.iter().max().map_or(1, |last| last + 1);
        Ok(Self { folder: folder.to_owned(), next: AtomicU64::new(next), leases: Mutex::default() })
    }

    /// A new file, removed again unless it is kept.
    pub(crate) fn create(self: &Arc<Self>) -> io::Result<DataFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path(number);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_folder(&path)?;
                options.open(&path)?
            }
            other => other?,
        };
        Ok(DataFile { file, position: 0, name: Name { files: self.clone(), number, kept: false } })
    }

    /// Other names for the files of these segments.
    pub(crate) fn link(self: &Arc<Self>, segments: &[Segment]) -> io::Result<Vec<(Segment, Name)>> {
        let mut linked = Vec::with_capacity(segments.len());
        for segment in segments {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (from, to) = (self.path(segment.file), self.path(number));
            match fs::hard_link(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && from.exists() => {
                    self.create_folder(&to)?;
                    fs::hard_link(&from, &to)?;
                }
                // A file system allows only so many names for a file.
                Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                    fs::copy(&from, &to)?;
                }
                other => other?,
            }
            let name = Name { files: self.clone(), number, kept: false };
            linked.push((Segment { file: number, ..*segment }, name));
        }
        Ok(linked)
    }

    /// The bytes of a segment, to be read from its beginning to its end.
    pub(crate) fn read_segment(&self, segment: &Segment) -> io::Result<io::Take<File>> {
        let mut file = File::open(self.path(segment.file))?;
        file.seek(io::SeekFrom::Start(segment.offset))?;
        Ok(file.take(segment.length))
    }

    /// Nothing that was there when the lease began goes away before it ends.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.next += 1;
        let number = leases.next;
        leases.active.insert(number);
        Lease { files: self.clone(), number }
    }

    /// Removes the files as soon as nobody can read them any more.
    pub(crate) fn discard(&self, segments: &[Segment]) {
        {
            let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            let stamp = leases.next;
            leases.garbage.extend(segments.iter().map(|segment| (stamp, segment.file)));
        }
        self.sweep();
    }

    fn sweep(&self) {
        loop {
            let number = {
                let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
                let oldest = leases.active.first().copied().unwrap_or(u64::MAX);
                match leases.garbage.front() {
                    Some((stamp, _)) if *stamp < oldest => leases.garbage.pop_front().map(|(_, number)| number),
                    _ => None,
                }
            };
            let Some(number) = number else { return };
            self.remove(number);
        }
    }

    fn remove(&self, number: u64) {
        if let Err(error) = fs::remove_file(self.path(number)) {
            tracing::warn!(number, %error, "a data file could not be removed");
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join((number / PER_FOLDER).to_string()).join(number.to_string())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))
    }
}

/// See [`Files::lease`].
#[derive(Debug)]
pub(crate) struct Lease {
    files: Arc<Files>,
    number: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.files.leases.lock().unwrap_or_else(PoisonError::into_inner).active.remove(&self.number);
        self.files.sweep();
    }
}

/// The name of a file that goes away with this value unless it is kept.
#[derive(Debug)]
pub(crate) struct Name {
    files: Arc<Files>,
    number: u64,
    kept: bool,
}

impl Name {
    /// The journal knows the file now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.kept {
            self.files.remove(self.number);
        }
    }
}

/// A file being written, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct DataFile {
    file: File,
    position: u64,
    name: Name,
}

impl DataFile {
    /// Appends. What is all zeros, within a block, is left out: it reads as zeros all the same.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Where the run of bytes to write began, if there is one.
        let mut run = None;
        let mut at = 0;
        while at < bytes.len() {
            let into = usize::try_from((self.position + at as u64) % BLOCK as u64).unwrap_or(0);
            let piece = &bytes[at..bytes.len().min(at + BLOCK - into)];
            if *piece == ZEROS[..piece.len()] {
                if let Some(start) = run.take() {
                    self.file.write_all_at(&bytes[start..at], self.position + start as u64)?;
                }
            } else if run.is_none() {
                run = Some(at);
            }
            at += piece.len();
        }
        if let Some(start) = run {
            self.file.write_all_at(&bytes[start..], self.position + start as u64)?;
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Ends the file, which may end in a hole.
    pub(crate) fn finish(self) -> io::Result<(Segment, Name)> {
        if self.file.metadata()?.len() != self.position {
            self.file.set_len(self.position)?;
        }
        Ok((Segment { file: self.name.number, offset: 0, length: self.position }, self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn files(folder: &Path) -> Arc<Files> {
        Arc::new(Files::open(folder, &HashSet::new()).unwrap())
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().map(|group| fs::read_dir(group.unwrap().path()).unwrap().count()).sum()
    }

    #[test]
    fn zeros_become_holes_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let mut file = files.create().unwrap();
        let mut all = vec![0; 10_000];
        all.extend([7; 5_000]);
        all.extend(vec![0; 4 << 20]);
        // Chunks that respect no block.
        for chunk in all.chunks(1_001) {
            file.append(chunk).unwrap();
        }
        let (segment, name) = file.finish().unwrap();
        let path = files.path(segment.file);
        assert_eq!(fs::read(&path).unwrap(), all);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < 64 << 10, "it must be sparse");
        name.keep();
    }

    #[test]
    fn what_was_not_kept_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let mut file = files.create().unwrap();
        file.append(b"torn").unwrap();
        drop(file);
        assert_eq!(count(folder.path()), 0);
    }

    #[test]
    fn what_someone_reads_stays_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let (segment, name) = files.create().unwrap().finish().unwrap();
        name.keep();
        let first = files.lease();
        files.discard(&[segment]);
        let second = files.lease();
        assert_eq!(count(folder.path()), 1);
        drop(first);
        assert_eq!(count(folder.path()), 0, "the second began after the file was given up");
        drop(second);
    }

    #[test]
    fn a_link_outlives_its_original() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let mut file = files.create().unwrap();
        file.append(b"shared").unwrap();
        let (segment, name) = file.finish().unwrap();
        name.keep();
        let (copy, other) = files.link(&[segment]).unwrap().pop().unwrap();
        other.keep();
        files.discard(&[segment]);
        assert_eq!(fs::read(files.path(copy.file)).unwrap(), b"shared");
        let known = HashSet::from([copy.file]);
        let reopened = Files::open(folder.path(), &known).unwrap();
        assert_eq!(reopened.next.load(Ordering::Relaxed), copy.file + 1);
        assert_eq!(count(folder.path()), 1);
    }
}
