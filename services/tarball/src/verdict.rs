//! What makes a tar unfit to be a bag, whatever the bag says (07-rulings C 21, J 69 and 70), in the words that depositors read.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use crate::{Entry, Error, Fault, Kind};

/// The files of one bag, as the entries of its tar come. Remembers a fingerprint of 16 bytes for each.
#[derive(Debug, Default)]
pub struct Files {
    seen: HashSet<u128>,
    /// Nobody can make two paths with one fingerprint who does not know these.
    keys: [RandomState; 2],
}

/// Why a tar is refused. The text is the WorkItem's note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be read to its end (02-ingest §3.3).
    Broken(Error),
    /// It has something other than files and folders.
    NotPreservable { kind: Kind, name: String },
    /// A file lies in no folder.
    NoTopFolder { name: String },
    /// A path with a part that is empty, `.` or `..`, or that is not UTF-8.
    IllegalPath { name: String },
    /// Two files have one path in the bag, be it under two top folders.
    Twice { path: String },
}

impl Files {
    /// The path in the bag: what follows the first slash of the name. `None` for a folder, whose name does not matter.
    ///
    /// The top folder may have any name, also `.`.
    pub fn admit(&mut self, entry: &Entry) -> Result<Option<String>, Refusal> {
        match entry.kind {
            Kind::Folder => return Ok(None),
            Kind::File => {}
            kind => return Err(Refusal::NotPreservable { kind, name: readable(&entry.name) }),
        }
        let illegal = || Refusal::IllegalPath { name: readable(&entry.name) };
        let name = str::from_utf8(&entry.name).map_err(|_| illegal())?;
        let Some((top, path)) = name.split_once('/') else {
            return Err(Refusal::NoTopFolder { name: name.to_owned() });
        };
        if matches!(top, "" | "..") || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(illegal());
        }
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(path)));
        if !self.seen.insert(high << 64 | low) {
            return Err(Refusal::Twice { path: path.to_owned() });
        }
        Ok(Some(path.to_owned()))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(Error { fault: Fault::Truncated, .. }) => out.write_str(
                "Got unexpected EOF while trying to parse bag. Tar file in receiving bucket is corrupt or format is invalid.",
            ),
            Self::Broken(_) => {
                out.write_str("Error parsing bag. Tar file in receiving bucket contains an invalid header.")
            }
            Self::NotPreservable { kind, name } => {
                write!(out, "Tar contains {} '{name}', which cannot be preserved", Words(*kind))
            }
            Self::NoTopFolder { name } => write!(
                out,
                "Illegal path, '{name}'. Should start with '{name}/'. - Bag may be missing top-level directory. \
                 See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification."
            ),
            Self::IllegalPath { name } => write!(out, "Illegal path '{name}'"),
            Self::Twice { path } => write!(out, "File '{path}' occurs twice in the tar"),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Broken(error) = self { Some(error) } else { None }
    }
}

/// A kind as a depositor knows it.
struct Words(Kind);

impl fmt::Display for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.0 {
            Kind::File => "file",
            Kind::Folder => "folder",
            Kind::HardLink => "hard link",
            Kind::SymbolicLink => "symbolic link",
            Kind::CharacterDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Fifo => "FIFO",
            Kind::Contiguous => "contiguous file",
            Kind::OldSparse => "sparse file",
            Kind::Unknown(byte) => return write!(out, "entry of unknown type '{}'", byte.escape_ascii()),
        })
    }
}

/// A name for people: bytes that are not UTF-8 as `\xe9`, so that none is lost.
fn readable(name: &[u8]) -> String {
    let readable = |chunk: std::str::Utf8Chunk<'_>| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii());
    name.utf8_chunks().map(readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &[u8]) -> Entry {
        Entry { name: name.to_vec(), kind: Kind::File, size: 0, mtime: None, offset: 0 }
    }

    fn said(kind: Kind, name: &[u8]) -> String {
        match Files::default().admit(&Entry { kind, ..file(name) }) {
            Ok(path) => format!("{path:?}"),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn the_top_folder_is_cut_off() {
        for (name, path) in [
            ("bag/data/a", "data/a"),
            ("./bag/data/a", "bag/data/a"),
            ("b/ ", " "),
            ("b/...", "..."),
            ("b/a\\b", "a\\b"),
        ] {
            assert_eq!(said(Kind::File, name.as_bytes()), format!("Some({path:?})"));
        }
        assert_eq!(said(Kind::Folder, b"bag/../"), "None");
    }

    #[test]
    fn illegal_paths_are_refused() {
        for name in [
            "/bag/data/a",
            "../data/a",
            "bag//a",
            "bag/",
            "bag/data/",
            "bag/./a",
            "bag/data/.",
            "bag/..",
            "bag/../../etc/passwd",
            "/",
        ] {
            assert_eq!(said(Kind::File, name.as_bytes()), format!("Illegal path '{name}'"));
        }
        assert_eq!(said(Kind::File, b"bag/caf\xe9"), r"Illegal path 'bag/caf\xe9'");
        assert!(
            said(Kind::File, b"bagit.txt")
                .starts_with("Illegal path, 'bagit.txt'. Should start with 'bagit.txt/'. - Bag may be")
        );
    }

    #[test]
    fn what_cannot_be_preserved_is_named() {
        let cases = [
            (Kind::HardLink, "hard link"),
            (Kind::SymbolicLink, "symbolic link"),
            (Kind::CharacterDevice, "character device"),
            (Kind::BlockDevice, "block device"),
            (Kind::Fifo, "FIFO"),
            (Kind::Contiguous, "contiguous file"),
            (Kind::OldSparse, "sparse file"),
            (Kind::Unknown(b'Z'), "entry of unknown type 'Z'"),
            (Kind::Unknown(7), r"entry of unknown type '\x07'"),
        ];
        for (kind, words) in cases {
            assert_eq!(said(kind, b"bag/x"), format!("Tar contains {words} 'bag/x', which cannot be preserved"));
        }
    }

    #[test]
    fn a_path_occurs_once_whatever_the_top_folder() {
        let mut files = Files::default();
        assert!(files.admit(&file(b"one/data/a")).is_ok());
        assert!(files.admit(&file(b"two/data/b")).is_ok());
        let twice = files.admit(&file(b"two/data/a")).unwrap_err();
        assert_eq!(twice.to_string(), "File 'data/a' occurs twice in the tar");
    }
}
