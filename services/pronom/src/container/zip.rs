//! Reads as much of a ZIP file as its identification needs: the directory, and the beginnings of the files whose names say
//! something. As lenient as Go's reader, whose users' records it must agree with, and more so about the end record.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use super::{CONTENT_HEAD, Content, Pass, Source, Stop};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// The end record, and the longest comment behind it.
const END_LENGTH: u64 = 22;
const LONGEST_END: u64 = END_LENGTH + 65_535;
const LOCAL_LENGTH: u64 = 30;
/// More of a directory is not looked at.
const LONGEST_DIRECTORY: u64 = 16 << 20;
/// What the extra field of a local header is assumed to take, to ask once for header and content.
const USUAL_EXTRA: u64 = 256;

/// Gives the pass each file of the archive.
pub(crate) fn walk(source: &Source<'_>, pass: &mut Pass<'_>) -> Result<(), Stop> {
    let (end, at) = find_end(source)?;
    let (mut directory, base, is_cut) = find_directory(source, &end, at)?;
    while let Some((entry, rest)) = Entry::parse(directory) {
        directory = rest;
        let name = String::from_utf8_lossy(entry.name);
        // Some writers end names like C does.
        let name = name.strip_suffix('\0').unwrap_or(&name);
        let go_on =
            pass.entry(name, || if entry.is_folder { Ok(None) } else { content(source, &entry, base).map(Some) });
        if !go_on {
            return Ok(());
        }
    }
    if is_cut { Err(Stop::TooMuch) } else { Ok(()) }
}

/// The end record.
struct End {
    records: u64,
    size: u64,
    offset: u64,
}

/// The last end record with room for its comment, and where it stands (the one of 64 bits if there is one).
fn find_end(source: &Source<'_>) -> Result<(End, u64), Stop> {
    let from = source.size.saturating_sub(LONGEST_END);
    let (offset, tail) = match source.read(from..source.size, from..source.size) {
        Ok(tail) => (from, tail),
        // Most archives have no comment, and the end that is at hand is enough.
        Err(missing) => {
            let tail = source.pieces.iter().filter(|(offset, piece)| offset + piece.len() as u64 == source.size);
            let tail = tail.copied().max_by_key(|(_, piece)| piece.len());
            tail.filter(|(_, tail)| last_end(tail).is_some()).ok_or(missing)?
        }
    };
    let at = last_end(tail).ok_or(Stop::Damaged)?;
    let record = &tail[at..];
    let end = End {
        records: u64::from(u16_at(record, 10)),
        size: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
    };
    let at = offset + at as u64;
    if end.records != 0xFFFF && end.size != 0xFFFF && end.offset != u64::from(u32::MAX) {
        return Ok((end, at));
    }
    let locator = at.checked_sub(20).ok_or(Stop::Damaged)?;
    let locator = source.read(locator..at, around(locator))?;
    // Without it the values are meant as they are.
    if !locator.starts_with(LOCATOR_64) || u32_at(locator, 4) != 0 || u32_at(locator, 16) != 1 {
        return Ok((end, at));
    }
    let at = u64_at(locator, 8);
    let record = source.read(at..at.saturating_add(56), around(at))?;
    if !record.starts_with(END_64) {
        return Err(Stop::Damaged);
    }
    Ok((End { records: u64_at(record, 32), size: u64_at(record, 40), offset: u64_at(record, 48) }, at))
}

/// A read of a few bytes brings its surroundings.
fn around(offset: u64) -> Range<u64> {
    offset.saturating_sub(32 << 10)..offset.saturating_add(32 << 10)
}

fn last_end(tail: &[u8]) -> Option<usize> {
    let mut before = tail.len();
    while let Some(at) = memchr::memmem::rfind(&tail[..before], END) {
        let record = &tail[at..];
        if record.len() as u64 >= END_LENGTH && usize::from(u16_at(record, 20)) + 22 <= record.len() {
            return Some(at);
        }
        before = at + END.len() - 1;
    }
    None
}

/// The directory, what to add to the offsets in it, since an archive may stand behind something else, and whether there
/// is more than is looked at.
fn find_directory<'a>(source: &'a Source<'_>, end: &End, at: u64) -> Result<(&'a [u8], u64, bool), Stop> {
    let by_size = at.checked_sub(end.size).ok_or(Stop::Damaged)?;
    // The offset as it is wins over the one that the size tells. Below zero the latter is two's complement.
    let starts = [(end.offset, 0), (by_size, by_size.wrapping_sub(end.offset))];
    for (start, base) in starts.into_iter().filter(|(start, _)| *start < at) {
        // A record may claim more than the end record leaves it.
        let stop = source.size.min(start.saturating_add(LONGEST_DIRECTORY));
        let directory = match source.read(start..stop, start..stop) {
            Ok(directory) => directory,
            // Is it worth fetching?
            Err(missing) if start == by_size => return Err(missing),
            Err(_) => {
                let first = source.read(start..start + ENTRY.len() as u64, around(start))?;
                if first != ENTRY {
                    continue;
                }
                source.read(start..stop, start..stop)?
            }
        };
        let mut records = 0_u64;
        let mut rest = directory;
        while let Some((_, after)) = Entry::parse(rest) {
            rest = after;
            records += 1;
        }
        // The number of records is often cut to 16 bits.
        if records > 0 && (stop < at || records & 0xFFFF == end.records & 0xFFFF) {
            return Ok((directory, base, stop < at));
        }
    }
    // An archive without files has no directory.
    if end.records == 0 { Ok((&[], 0, false)) } else { Err(Stop::Damaged) }
}

/// A file, as the directory has it.
struct Entry<'a> {
    name: &'a [u8],
    is_folder: bool,
    is_encrypted: bool,
    method: u16,
    compressed: u64,
    offset: u64,
}

impl<'a> Entry<'a> {
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let fixed = bytes.get(..46).filter(|fixed| fixed.starts_with(ENTRY))?;
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
        let (variable, rest) = bytes[46..].split_at_checked(name + extra + comment)?;
        let (name, variable) = variable.split_at(name);
        let mut entry = Entry {
            name,
            is_folder: name.ends_with(b"/") || is_folder(u16_at(fixed, 4) >> 8, u32_at(fixed, 38)),
            is_encrypted: fixed[8] & 1 == 1,
            method: u16_at(fixed, 10),
            compressed: u64::from(u32_at(fixed, 20)),
            offset: u64::from(u32_at(fixed, 42)),
        };
        let large = u64::from(u32::MAX);
        let needs_length = u32_at(fixed, 24) == u32::MAX;
        if needs_length || entry.compressed == large || entry.offset == large {
            let mut wide = wide_fields(&variable[..extra]).chunks_exact(8).map(|field| u64_at(field, 0));
            if needs_length {
                wide.next();
            }
            if entry.compressed == large {
                entry.compressed = wide.next()?;
            }
            if entry.offset == large {
                entry.offset = wide.next()?;
            }
        }
        Some((entry, rest))
    }
}

/// The attributes as Unix or as DOS and Windows leave them.
fn is_folder(made_on: u16, attributes: u32) -> bool {
    match made_on {
        3 | 19 => attributes >> 16 & 0o170_000 == 0o040_000,
        0 | 11 | 14 => attributes & 0x10 != 0,
        _ => false,
    }
}

/// The extra field with numbers of 64 bits; empty if there is none.
fn wide_fields(mut extra: &[u8]) -> &[u8] {
    while extra.len() >= 4 {
        let (tag, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some((field, rest)) = extra[4..].split_at_checked(length) else { break };
        if tag == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// The beginning of what a file holds; all that can be unpacked of it if it is damaged.
fn content(source: &Source<'_>, entry: &Entry<'_>, base: u64) -> Result<Content, Stop> {
    let start = base.wrapping_add(entry.offset);
    let head = entry.compressed.min(CONTENT_HEAD as u64 + 1024);
    let usual = start.saturating_add(LOCAL_LENGTH + entry.name.len() as u64 + USUAL_EXTRA + head);
    let header = source.read(start..start.saturating_add(LOCAL_LENGTH), start..usual)?;
    if !header.starts_with(LOCAL) || entry.is_encrypted && entry.method != 0 {
        return Err(Stop::Damaged);
    }
    let start = start + LOCAL_LENGTH + u64::from(u16_at(header, 26)) + u64::from(u16_at(header, 28));
    let stop = (start + head).min(source.size).max(start);
    let packed = source.read(start..stop, start..stop)?;
    let head = match entry.method {
        0 => packed[..packed.len().min(CONTENT_HEAD)].to_vec(),
        8 => inflate(packed),
        _ => return Err(Stop::Damaged),
    };
    // Only content that was read whole has an end that signatures could be found at.
    let is_whole = head.len() < CONTENT_HEAD;
    let tail = if is_whole { head.clone() } else { Vec::new() };
    let size = head.len() as u64;
    Ok(Content { head, tail, size })
}

/// At most [`CONTENT_HEAD`] bytes, whatever the archive says.
fn inflate(packed: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(CONTENT_HEAD);
    let mut inflater = Decompress::new(false);
    while content.len() < CONTENT_HEAD {
        let read = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX).min(packed.len());
        let written = content.len();
        let status = inflater.decompress_vec(&packed[read..], &mut content, FlushDecompress::None);
        let stuck = content.len() == written && inflater.total_in() == read as u64;
        if stuck || !matches!(status, Ok(Status::Ok)) {
            break;
        }
    }
    content
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
