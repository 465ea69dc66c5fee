//! Tars of restorations (03-restore-delete-fixity §2.4): headers with the bytes of Go's `archive/tar`, so that a bag restored
//! by either system is the same, and the counting around them. Contents pass through and are not copied.
//!
//! A header is plain ustar where everything fits, otherwise an extended header with the records that do not fit stands before
//! it, and the fields of those records hold what is possible.

use std::fmt::Write as _;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::{BLOCK, padding};

/// The header of one entry, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    blocks: Vec<u8>,
    size: u64,
}

/// The order of things in a tar: says what to send before contents and at the end, and counts the contents.
#[derive(Debug, Default)]
pub struct Writer {
    /// Bytes of contents that are to come, and what fills up their last block.
    left: u64,
    padding: usize,
}

/// A name that no tar can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    #[error("the name {0:?} has a NUL, which no tar can hold")]
    Nul(String),
    #[error("the file name {0:?} ends in a slash, which would make it a folder")]
    Folder(String),
    #[error("a name of {0} bytes is longer than readers accept")]
    TooLong(usize),
}

/// Contents of another length than the header says. The texts are those of Go's library, which stand in WorkItem notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("archive/tar: write too long")]
    TooLong,
    #[error("archive/tar: missed writing {0} bytes")]
    Missing(u64),
}

/// Fields: where they begin and how long they are.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const UID: (usize, usize) = (108, 8);
const GID: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MTIME: (usize, usize) = (136, 12);
const CHECK_SUM: (usize, usize) = (148, 8);
const TYPE: usize = 156;
const MAGIC: usize = 257;
const MAJOR: (usize, usize) = (329, 8);
const MINOR: (usize, usize) = (337, 8);
const PREFIX: (usize, usize) = (345, 155);

/// What a field of twelve bytes holds in octal, and one more.
const OCTAL_END: u64 = 1 << 33;

/// The longest extended header that Go's reader, and ours, accepts.
const LONGEST_EXTENSION: usize = 1 << 20;

impl Header {
    /// A file of `size` bytes, mode 0755. Its time is kept to the nanosecond.
    pub fn file(name: &str, size: u64, mtime: OffsetDateTime) -> Result<Self, Unwritable> {
        if name.ends_with('/') {
            return Err(Unwritable::Folder(name.to_owned()));
        }
        Self::encode(b'0', name, size, mtime.unix_timestamp(), mtime.nanosecond())
    }

    /// A folder, mode 0755, whose name ends in a slash. Its time is rounded to the second.
    pub fn folder(name: &str, mtime: OffsetDateTime) -> Result<Self, Unwritable> {
        let half = i64::from(mtime.nanosecond() >= 500_000_000);
        Self::encode(b'5', name, 0, mtime.unix_timestamp() + half, 0)
    }

    /// Bytes of the whole entry in the tar: header, contents and what fills up the last block.
    pub fn entry_size(&self) -> u64 {
        self.blocks.len() as u64 + self.size + padding(self.size)
    }

    fn encode(type_flag: u8, name: &str, size: u64, seconds: i64, nanoseconds: u32) -> Result<Self, Unwritable> {
        if name.contains('\0') {
            return Err(Unwritable::Nul(name.to_owned()));
        }
        let octal_seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds < OCTAL_END);
        let octal_size = Some(size).filter(|size| *size < OCTAL_END);
        let split = split(name);
        let name_fits = name.is_ascii() && (name.len() <= NAME.1 || split.is_some());
        let plain = name_fits && octal_size.is_some() && octal_seconds.is_some() && nanoseconds == 0;

        let mut main = block(type_flag, 0o755, octal_size.unwrap_or(0), octal_seconds.unwrap_or(0));
        put_octal(&mut main, MAJOR, 0);
        put_octal(&mut main, MINOR, 0);
        if plain {
            let (prefix, rest) = split.unwrap_or(("", name));
            put_text(&mut main, PREFIX, prefix);
            put_text(&mut main, NAME, rest);
            return Ok(Self { blocks: sealed(main).to_vec(), size });
        }
        put_text(&mut main, NAME, &ascii(name));

        // In the order of their keys.
        let mut records = String::new();
        if octal_seconds.is_none() || nanoseconds != 0 {
            record(&mut records, "mtime", &decimal(seconds, nanoseconds));
        }
        if !name.is_ascii() || name.len() > NAME.1 {
            record(&mut records, "path", name);
        }
        if octal_size.is_none() {
            record(&mut records, "size", &size.to_string());
        }
        if records.len() > LONGEST_EXTENSION {
            return Err(Unwritable::TooLong(name.len()));
        }
        let mut blocks = extension(name, &records).to_vec();
        blocks.extend_from_slice(records.as_bytes());
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks.extend_from_slice(&sealed(main));
        Ok(Self { blocks, size })
    }
}

impl Writer {
    /// Bytes after the last entry.
    pub const END: usize = 2 * BLOCK;

    /// What to send before the contents of the next entry.
    pub fn entry(&mut self, header: &Header) -> Result<Bytes, WriteError> {
        let mut bytes = self.filling()?;
        bytes.extend_from_slice(&header.blocks);
        self.left = header.size;
        self.padding = usize::try_from(padding(header.size)).unwrap_or_default();
        Ok(bytes.into())
    }

    /// Counts contents, which are sent as they are.
    pub fn data(&mut self, contents: &[u8]) -> Result<(), WriteError> {
        self.left = self.left.checked_sub(contents.len() as u64).ok_or(WriteError::TooLong)?;
        Ok(())
    }

    /// What to send after the last entry.
    pub fn finish(mut self) -> Result<Bytes, WriteError> {
        let mut bytes = self.filling()?;
        bytes.resize(bytes.len() + Self::END, 0);
        Ok(bytes.into())
    }

    fn filling(&mut self) -> Result<Vec<u8>, WriteError> {
        if self.left > 0 {
            return Err(WriteError::Missing(self.left));
        }
        Ok(vec![0; std::mem::take(&mut self.padding)])
    }
}

/// A block without its name.
fn block(type_flag: u8, mode: u64, size: u64, mtime: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[TYPE] = type_flag;
    block[MAGIC..MAGIC + 8].copy_from_slice(b"ustar\x0000");
    put_octal(&mut block, MODE, mode);
    put_octal(&mut block, UID, 0);
    put_octal(&mut block, GID, 0);
    put_octal(&mut block, SIZE, size);
    put_octal(&mut block, MTIME, mtime);
    block
}

/// With its check sum, made as if that field were blank.
fn sealed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let blanks = u64::from(b' ') * CHECK_SUM.1 as u64;
    let sum = blanks + block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    put_octal(&mut block, (CHECK_SUM.0, CHECK_SUM.1 - 1), sum);
    block[CHECK_SUM.0 + CHECK_SUM.1 - 1] = b' ';
    block
}

fn put_octal(block: &mut [u8; BLOCK], (at, length): (usize, usize), number: u64) {
    let digits = length - 1;
    block[at..at + digits].copy_from_slice(format!("{number:0digits$o}").as_bytes());
}

/// Cut to the field. A cut that ends in a slash would look like a folder to some readers.
fn put_text(block: &mut [u8; BLOCK], (at, length): (usize, usize), text: &str) {
    let text = text.as_bytes();
    let field = &mut block[at..at + length];
    let fitting = text.len().min(length);
    field[..fitting].copy_from_slice(&text[..fitting]);
    if text.len() > length && field.ends_with(b"/") {
        let slashes = text[..length - 1].iter().rev().take_while(|byte| **byte == b'/').count();
        field[length - 1 - slashes] = 0;
    }
}

/// The header of the records: named after the file, for readers that take it for one.
fn extension(name: &str, records: &str) -> [u8; BLOCK] {
    let (folder, file) = name.split_at(name.rfind('/').map_or(0, |slash| slash + 1));
    let own = ascii(&clean(&format!("{folder}/PaxHeaders.0/{file}"), folder.starts_with('/')));
    let mut block = block(b'x', 0, records.len() as u64, 0);
    put_text(&mut block, NAME, own[..own.len().min(NAME.1)].trim_end_matches('/'));
    sealed(block)
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn record(records: &mut String, key: &str, value: &str) {
    let rest = key.len() + value.len() + " =\n".len();
    let digits = |number: usize| number.to_string().len();
    let once = rest + digits(rest);
    let length = rest + digits(once);
    // Writing to a string cannot fail.
    let _ = writeln!(records, "{length} {key}={value}");
}

/// Seconds since 1970, with a fraction if there is one; before 1970 the fraction counts away from zero.
fn decimal(seconds: i64, nanoseconds: u32) -> String {
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let (sign, whole, fraction) =
        if seconds < 0 { ("-", -(seconds + 1), 1_000_000_000 - nanoseconds) } else { ("", seconds, nanoseconds) };
    format!("{sign}{whole}.{fraction:09}").trim_end_matches('0').to_owned()
}

/// What is before and after the slash that makes both parts fit, if the name needs it.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME.1 || !name.is_ascii() {
        return None;
    }
    // A slash at the end divides nothing.
    let most = (name.len() - usize::from(name.ends_with('/'))).min(PREFIX.1 + 1);
    let (prefix, rest) = name.split_at(name[..most].rfind('/')?);
    let rest = &rest[1..];
    (!prefix.is_empty() && (1..=NAME.1).contains(&rest.len())).then_some((prefix, rest))
}

/// Without what is not ASCII.
fn ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

/// Without empty parts and `.`, and without what `..` takes back.
fn clean(path: &str, from_root: bool) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if from_root => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (from_root, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
