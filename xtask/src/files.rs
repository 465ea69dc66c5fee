//! Files written so that a full disk or a kill leaves either the old or the new content, and the lock of a command.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::{self, fs::MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit::Exit;

/// Writes `bytes` to `path` atomically: a temporary file beside it, synced, renamed over it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_then(path, bytes, |_| Ok(()))
}

/// Puts `after` in the place of a file that holds `before`, atomically, and keeps its permissions and its owner. A file that holds
/// something else by then was changed by somebody else, and stays as they left it.
pub fn replace_content(path: &Path, before: &[u8], after: &[u8]) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
    write_then(path, after, |temporary| {
        let owned = unix::fs::fchown(temporary, Some(metadata.uid()), Some(metadata.gid()));
        // Who may not give a file away owns what he writes, as with any editor.
        if let Err(error) = owned
            && error.kind() != io::ErrorKind::PermissionDenied
        {
            return Err(error).with_context(|| format!("giving {} to its owner", path.display()));
        }
        // After the owner: a change of that takes some permissions away.
        temporary
            .set_permissions(metadata.permissions())
            .with_context(|| format!("setting the permissions of {}", path.display()))?;
        let now = fs::read(path).with_context(|| format!("reading {} again", path.display()))?;
        if now == before {
            return Ok(());
        }
        Err(Exit::Refused.stop(
            format!("{} was changed by somebody else while this ran; it is as they left it", path.display()),
            "look at the change, then run the command again",
        ))
    })
}

/// The error of a write below the target folder. Where the checkout may not be written to, the folder may be elsewhere.
pub(crate) fn unwritable(error: io::Error, doing: &str) -> anyhow::Error {
    if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) {
        let next = "this checkout cannot be written to: set CARGO_TARGET_DIR to a folder of yours, and run it again";
        return Exit::Failed.stop(format!("{doing}: {error}"), next);
    }
    anyhow::Error::new(error).context(doing.to_owned())
}

/// Removes the temporary files that killed runs left beside `path`. The caller sees to it that no other is at it.
pub fn remove_leftovers(path: &Path) {
    let prefix = format!(".{}.tmp-", path.file_name().unwrap_or_default().to_string_lossy());
    let folder = parent(path).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if process.is_some_and(|process| process.chars().all(|c| c.is_ascii_digit())) {
            // If it cannot go it does no harm; writing to the same disk will report the cause.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a temporary file beside `path`, and renames it over `path` if `last` agrees.
fn write_then(path: &Path, bytes: &[u8], last: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let temporary = sibling(path, "tmp");
    let written = (|| -> Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        last(&file)?;
        Ok(fs::rename(&temporary, path)?)
    })();
    if written.is_err() {
        // The write failed; that error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("writing {} (nothing was changed)", path.display()))?;
    let synced = parent(path).map_or(Ok(()), |folder| File::open(folder)?.sync_all());
    synced.with_context(|| format!("{} is written, but may not survive a power failure", path.display()))
}

/// Puts the folder `fresh` in the place of `path`; what stood there before is removed.
pub fn replace_folder(fresh: &Path, path: &Path) -> Result<()> {
    let context = || format!("moving {} to {}", fresh.display(), path.display());
    let old = sibling(path, "old");
    let stood = path.exists();
    if stood {
        fs::rename(path, &old).with_context(context)?;
    }
    if let Err(error) = fs::rename(fresh, path) {
        if stood {
            fs::rename(&old, path).with_context(context)?;
        }
        return Err(error).with_context(context);
    }
    if stood {
        fs::remove_dir_all(&old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}

/// A hidden name beside `path` that no other process uses.
pub fn sibling(path: &Path, purpose: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{purpose}-{}", std::process::id()))
}

/// A folder that goes away with the value, for what must not outlive a run.
#[derive(Debug)]
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes a folder that only this user can read, below the system's folder for temporary files.
    pub fn new(purpose: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("xtask-{purpose}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("making the temporary folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Held while a command does what must not happen twice at a time. The operating system drops it with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, or ends with [`Exit::Busy`] and the name of who holds it.
    pub fn take(path: &Path, command: &str) -> Result<Self> {
        if let Some(folder) = parent(path) {
            fs::create_dir_all(folder)
                .map_err(|error| unwritable(error, &format!("making the folder {}", folder.display())))?;
        }
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = opened.map_err(|error| unwritable(error, &format!("opening the lock {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(Exit::Busy.stop(
                    format!("another `cargo xtask {command}` is running ({})", holder.trim()),
                    "wait for it, or stop it with Ctrl-C in its terminal; nothing has been started here",
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        let note = (|| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "process {}", std::process::id())
        })();
        note.with_context(|| format!("writing the lock {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_temporary_file() {
        let folder = ScratchFolder::new("files-test").unwrap();
        let target = folder.path().join("folder");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("kept"), "old").unwrap();
        // A folder cannot be replaced by a file: the rename fails after the temporary file was written.
        let error = write_atomic(&target, b"new").unwrap_err();
        assert!(error.to_string().contains("nothing was changed"), "{error:#}");
        assert_eq!(fs::read_to_string(target.join("kept")).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_one_that_changed_is_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = ScratchFolder::new("content-test").unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace_content(&path, b"old", b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        let error = replace_content(&path, b"old", b"newer").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Refused);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let folder = ScratchFolder::new("owner-test").unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        if unix::fs::chown(&path, Some(1234), Some(5678)).is_err() {
            // Only root gives files away, and only root could change an owner unawares.
            return;
        }
        replace_content(&path, b"old", b"new").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678));
    }

    #[test]
    fn leftovers_of_killed_runs_go_and_nothing_else_does() {
        let folder = ScratchFolder::new("leftovers-test").unwrap();
        for name in [".file.tmp-17", ".file.tmp-mine", ".other.tmp-17", "file", "file.tmp-17"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(&folder.path().join("file"));
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".file.tmp-mine", ".other.tmp-17", "file", "file.tmp-17"]);
    }

    #[test]
    fn a_second_lock_is_busy_and_names_the_holder() {
        let folder = ScratchFolder::new("lock-test").unwrap();
        let path = folder.path().join("deep/lock");
        let first = Lock::take(&path, "release").unwrap();
        let error = Lock::take(&path, "release").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Busy);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Lock::take(&path, "release").unwrap();
    }

    #[test]
    fn replacing_a_folder_removes_the_old_one() {
        let scratch = ScratchFolder::new("replace-test").unwrap();
        let (fresh, path) = (scratch.path().join("fresh"), scratch.path().join("path"));
        for (folder, text) in [(&fresh, "new"), (&path, "old")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
        }
        replace_folder(&fresh, &path).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "new");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
