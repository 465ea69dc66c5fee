//! Messages that survive a restart of nsqd: every change is appended to one file, which is read when the server starts.
//!
//! A record is written before the change is made or answered, so what was answered survives the death of the process at
//! any moment. It is not forced to the disk: a machine that loses power may lose the last seconds. A record that was cut
//! off ends the file. When the file has grown, it is replaced by one that has only what is left.

mod image;
mod record;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

pub(super) use image::{ChannelImage, Image, Stored, TopicImage};
pub(super) use record::Record;

/// The file is replaced when it has grown beyond this, and to twice of what was left the last time.
const LEAST_GROWTH: u64 = 64 * 1024 * 1024;

/// The journal of one nsqd.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    state: Mutex<State>,
    /// Held so that no other nsqd takes the folder.
    _lock: File,
}

#[derive(Debug)]
struct State {
    file: File,
    length: u64,
    replace_at: u64,
    /// Why the last record could not be written.
    trouble: Option<String>,
}

impl Journal {
    /// Reads what the folder holds; an empty one is made ready.
    pub(super) fn open(folder: &Path) -> anyhow::Result<(Self, Image)> {
        let named = || format!("nsqd's data folder {}", folder.display());
        fs::create_dir_all(folder).with_context(named)?;
        let lock = File::create(folder.join("nsqd.lock")).with_context(named)?;
        if lock.try_lock().is_err() {
            bail!("{} is in use by another nsqd", named());
        }
        let path = folder.join("nsqd.journal");
        let image = read(&path).with_context(named)?;
        let (file, length) = replace(&path, &image).with_context(named)?;
        let state = State { file, length, replace_at: LEAST_GROWTH.max(2 * length), trouble: None };
        Ok((Self { path, state: Mutex::new(state), _lock: lock }, image))
    }

    /// Appends the records, all or none.
    pub(super) fn write<'a>(&self, records: impl IntoIterator<Item = Record<'a>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            record.encode(&mut bytes);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = state.file.write_all(&bytes);
        if let Err(error) = &written {
            state.trouble = Some(error.to_string());
            // Half a record would hide all that follow.
            let _ = state.file.set_len(state.length);
            let _ = state.file.seek(SeekFrom::End(0));
            return written;
        }
        state.trouble = None;
        state.length += bytes.len() as u64;
        if state.length > state.replace_at {
            match read(&self.path).and_then(|image| replace(&self.path, &image)) {
                Ok((file, length)) => (state.file, state.length) = (file, length),
                Err(error) => tracing::warn!("{}: the journal keeps growing: {error}", self.path.display()),
            }
            state.replace_at = LEAST_GROWTH.max(2 * state.length);
        }
        Ok(())
    }

    /// Appends a record whose loss does no more than bring a message again.
    pub(super) fn note(&self, record: Record<'_>) {
        if let Err(error) = self.write([record]) {
            tracing::warn!("{}: {error}", self.path.display());
        }
    }

    /// Why the last record could not be written.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }
}

/// What the file amounts to, up to the first record that is not whole.
fn read(path: &Path) -> io::Result<Image> {
    let mut image = Image::default();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(image),
        file => file?,
    };
    let mut left = file.metadata()?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut payload = Vec::new();
    while let Some(rest) = left.checked_sub(record::HEAD as u64) {
        let mut head = [0; record::HEAD];
        file.read_exact(&mut head)?;
        let (size, checksum) = record::head(head);
        // A length beyond the end of the file is that of a record cut off.
        let Some(rest) = rest.checked_sub(size as u64) else { break };
        payload.resize(size, 0);
        file.read_exact(&mut payload)?;
        let Some(record) = Record::decode(&payload).filter(|_| record::checksum(&payload) == checksum) else { break };
        image.apply(&record);
        left = rest;
    }
    Ok(image)
}

/// Puts a file with just this in the place of the old one.
fn replace(path: &Path, image: &Image) -> io::Result<(File, u64)> {
    let new = path.with_extension("new");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&new)?);
    let (mut bytes, mut length) = (Vec::new(), 0);
    image.records(|record| {
        bytes.clear();
        record.encode(&mut bytes);
        length += bytes.len() as u64;
        file.write_all(&bytes)
    })?;
    let file = file.into_inner()?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(image: &Image) -> String {
        let mut text = String::new();
        image
            .records(|record| {
                text.extend([format!("{record:?}\n")]);
                Ok(())
            })
            .unwrap();
        text
    }

    fn publish(topic: &str, id: u64) -> Record<'_> {
        Record::Publish { topic, message: Stored { id, timestamp: 7, attempts: 0, due: 0, body: (*b"body").into() } }
    }

    #[test]
    fn what_was_written_is_read_again_wherever_the_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path()).unwrap();
        let channel = |channel| Record::Channel { topic: "t", channel, is_paused: false };
        let records = [
            Record::Topic { topic: "t", is_paused: false },
            publish("t", 1),
            channel("a"),
            channel("b"),
            publish("t", 2),
            Record::Finish { topic: "t", channel: "a", id: 1 },
            Record::Requeue { topic: "t", channel: "b", id: 2, attempts: 3, due: 9 },
            Record::DropChannel { topic: "t", channel: "a" },
        ];
        // What the file amounts to after each record, by its length.
        let mut states = vec![(0, stored(&Image::default()))];
        let mut image = Image::default();
        for record in records {
            image.apply(&record);
            journal.write([record]).unwrap();
            states.push((journal.state.lock().unwrap().length, stored(&image)));
        }
        drop(journal);
        let whole = fs::read(folder.path().join("nsqd.journal")).unwrap();
        assert_eq!(whole.len() as u64, states.last().unwrap().0);
        for cut in 0..=whole.len() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("nsqd.journal"), &whole[..cut]).unwrap();
            let (journal, image) = Journal::open(folder.path()).unwrap();
            let expected = states.iter().rev().find(|(length, _)| *length <= cut as u64).unwrap();
            assert_eq!(stored(&image), expected.1, "cut at {cut}");
            // The next record follows what was read.
            journal.write([Record::Topic { topic: "after", is_paused: true }]).unwrap();
            drop(journal);
            assert!(stored(&Journal::open(folder.path()).unwrap().1).contains("after"));
        }
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::open(folder.path()).unwrap();
        let error = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is in use by another nsqd"), "{error}");
    }

    #[test]
    fn a_grown_file_shrinks_to_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path()).unwrap();
        journal.state.lock().unwrap().replace_at = 1000;
        let opening = [("t", "c")].map(|(topic, channel)| Record::Channel { topic, channel, is_paused: false });
        journal.write([Record::Topic { topic: "t", is_paused: false }].into_iter().chain(opening)).unwrap();
        for id in 0..100 {
            journal.write([publish("t", id), Record::Finish { topic: "t", channel: "c", id }]).unwrap();
        }
        journal.write([publish("t", 100)]).unwrap();
        journal.state.lock().unwrap().replace_at = 0;
        journal.write([publish("t", 101)]).unwrap();
        assert!(journal.state.lock().unwrap().length < 300, "{:?}", journal.state);
        drop(journal);
        let text = stored(&Journal::open(folder.path()).unwrap().1);
        assert_eq!(text.matches("Held").count(), 2, "{text}");
    }

    #[test]
    fn a_full_disk_is_told_and_forgotten_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path()).unwrap();
        let topic = |topic| [Record::Topic { topic, is_paused: false }];
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut journal.state.lock().unwrap().file, full);
        assert_eq!(journal.write(topic("lost")).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(journal.trouble().is_some());
        journal.state.lock().unwrap().file = file;
        journal.write(topic("kept")).unwrap();
        assert!(journal.trouble().is_none());
        drop(journal);
        let text = stored(&Journal::open(folder.path()).unwrap().1);
        assert!(text.contains("kept") && !text.contains("lost"), "{text}");
    }
}
