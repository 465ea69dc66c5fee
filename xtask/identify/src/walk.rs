//! The files below given paths, in the order of their names, without following links. One folder's names are in memory at a
//! time, of each level.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file, or what cannot be read, with the reason.
pub(crate) type Step = (PathBuf, io::Result<()>);

#[derive(Debug)]
pub(crate) struct Walk {
    /// The next one is last.
    open: Vec<PathBuf>,
}

impl Walk {
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        Walk { open: paths.iter().rev().cloned().collect() }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while let Some(path) = self.open.pop() {
            match fs::symlink_metadata(&path) {
                Err(error) => return Some((path, Err(error))),
                Ok(metadata) if metadata.is_file() => return Some((path, Ok(()))),
                Ok(metadata) if metadata.is_dir() => match entries(&path) {
                    Ok(entries) => self.open.extend(entries),
                    Err(error) => return Some((path, Err(error))),
                },
                // Links, devices, sockets.
                Ok(_) => {}
            }
        }
        None
    }
}

/// The last name first.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Ok(paths)
}
