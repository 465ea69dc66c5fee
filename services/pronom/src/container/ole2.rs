//! Reads as much of an OLE2 compound file (MS-CFB) as its identification needs: the directory, and the beginnings and ends
//! of the streams whose names say something. Sectors are read when they are needed, so that damage elsewhere does no harm;
//! every chain is followed at most as far as the file has sectors.

use std::ops::Range;

use super::zip::{u16_at, u32_at, u64_at};
use super::{CONTENT_HEAD, CONTENT_TAIL, Content, Pass, Source, Stop};
use crate::signature::Budget;

const HEADER_LENGTH: u64 = 512;
const END_OF_CHAIN: u32 = 0xFFFF_FFFE;
/// The largest number that a sector can have.
const LAST_SECTOR: u32 = 0xFFFF_FFFA;
const NO_STREAM: u32 = 0xFFFF_FFFF;
/// Numbers of allocation sectors that the header itself holds.
const IN_HEADER: u32 = 109;
const ENTRY_LENGTH: usize = 128;
/// Shorter streams are kept in sectors of 64 bytes within the stream of the root.
const SHORT: u64 = 4096;
const SHORT_LENGTH: usize = 64;
const SHORT_SECTOR: u64 = SHORT_LENGTH as u64;
/// More of a directory is not looked at.
const LONGEST_DIRECTORY: usize = 16 << 20;
/// What is fetched where a sector is missing.
const PAGE: u64 = 64 << 10;

/// Gives the pass each stream and storage of the file, in the order of the tree.
pub(crate) fn walk(source: &Source<'_>, pass: &mut Pass<'_>) -> Result<(), Stop> {
    let file = File::open(source, pass.budget)?;
    let entries = file.directory()?;
    let root = entries.first().ok_or(Stop::Damaged)?;
    // In order: left, itself, what it holds, right. The first is the root itself.
    let mut visited = 0;
    let mut open = vec![Visit::Whole(0, String::new())];
    while let Some(visit) = open.pop() {
        match visit {
            Visit::Whole(number, path) => {
                visited += 1;
                let entry = usize::try_from(number).ok().and_then(|number| entries.get(number));
                let entry = entry.filter(|_| visited <= entries.len()).ok_or(Stop::Damaged)?;
                if entry.right != NO_STREAM {
                    open.push(Visit::Whole(entry.right, path.clone()));
                }
                if entry.child != NO_STREAM {
                    let inside = if number == 0 { path.clone() } else { format!("{path}{}/", entry.name) };
                    open.push(Visit::Whole(entry.child, inside));
                }
                open.push(Visit::Itself(number, path.clone()));
                if entry.left != NO_STREAM {
                    open.push(Visit::Whole(entry.left, path));
                }
            }
            Visit::Itself(0, _) => {}
            Visit::Itself(number, path) => {
                let entry = &entries[number as usize];
                let name = format!("{path}{}", entry.name);
                let content = || if entry.is_stream { file.content(entry, root).map(Some) } else { Ok(None) };
                if !pass.entry(&name, content) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A step of the walk through the tree, with the path of what holds the entry.
enum Visit {
    Whole(u32, String),
    Itself(u32, String),
}

struct File<'a> {
    source: &'a Source<'a>,
    budget: &'a Budget,
    header: &'a [u8],
    /// Bytes of a sector.
    sector: u64,
}

/// Which of the two allocation tables a chain is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Long,
    Short,
}

struct Entry {
    name: String,
    is_stream: bool,
    left: u32,
    right: u32,
    child: u32,
    start: u32,
    size: u64,
}

impl<'a> File<'a> {
    fn open(source: &'a Source<'a>, budget: &'a Budget) -> Result<Self, Stop> {
        let header = source.read(0..HEADER_LENGTH, 0..PAGE)?;
        let sector = match u16_at(header, 30) {
            shift @ (9 | 12) => 1 << shift,
            _ => return Err(Stop::Damaged),
        };
        Ok(File { source, budget, header, sector })
    }

    /// The bytes of a sector, or as much as the file has of the last.
    fn sector(&self, number: u32) -> Result<&'a [u8], Stop> {
        if number > LAST_SECTOR {
            return Err(Stop::Damaged);
        }
        if !self.budget.spend(1) {
            return Err(Stop::TooMuch);
        }
        let start = (u64::from(number) + 1) * self.sector;
        let stop = (start + self.sector).min(self.source.size);
        self.source.read(start..stop, start / PAGE * PAGE..(start / PAGE + 1) * PAGE)
    }

    /// Sectors of the file: no chain is longer.
    fn sectors(&self) -> u64 {
        self.source.size / self.sector + 1
    }

    /// The sector that holds the given part of the allocation table.
    fn allocation_sector(&self, index: u32) -> Result<u32, Stop> {
        if index < IN_HEADER {
            return Ok(u32_at(self.header, 76 + index as usize * 4));
        }
        // The rest is in sectors of their own, of which the last number leads to the next.
        #[expect(clippy::cast_possible_truncation, reason = "a sector has at most 4096 bytes")]
        let per_sector = self.sector as u32 / 4 - 1;
        let (hops, within) = ((index - IN_HEADER) / per_sector, (index - IN_HEADER) % per_sector);
        if u64::from(hops) >= self.sectors().min(u64::from(u32_at(self.header, 72))) {
            return Err(Stop::Damaged);
        }
        let mut number = u32_at(self.header, 68);
        for _ in 0..hops {
            number = self.number(number, per_sector)?;
        }
        self.number(number, within)
    }

    /// The number at an index of a sector.
    fn number(&self, sector: u32, index: u32) -> Result<u32, Stop> {
        let bytes = self.sector(sector)?;
        let at = index as usize * 4;
        if at + 4 > bytes.len() { Err(Stop::Damaged) } else { Ok(u32_at(bytes, at)) }
    }

    /// What follows a sector in its chain.
    fn next(&self, number: u32, table: Table) -> Result<u32, Stop> {
        #[expect(clippy::cast_possible_truncation, reason = "a sector has at most 4096 bytes")]
        let per_sector = self.sector as u32 / 4;
        let (index, within) = (number / per_sector, number % per_sector);
        let sector = match table {
            Table::Long => self.allocation_sector(index)?,
            Table::Short => self.nth(u32_at(self.header, 60), u64::from(index), Table::Long)?,
        };
        self.number(sector, within)
    }

    /// The sector that is so many steps behind the start of a chain.
    fn nth(&self, start: u32, steps: u64, table: Table) -> Result<u32, Stop> {
        let mut number = start;
        if steps > self.sectors() * (self.sector / SHORT_SECTOR) {
            return Err(Stop::Damaged);
        }
        for _ in 0..steps {
            number = self.next(number, table)?;
            if number == END_OF_CHAIN {
                return Err(Stop::Damaged);
            }
        }
        Ok(number)
    }

    fn directory(&self) -> Result<Vec<Entry>, Stop> {
        let mut entries = Vec::new();
        let mut number = u32_at(self.header, 48);
        let large = u16_at(self.header, 26) > 3;
        let mut left = self.sectors();
        while number != END_OF_CHAIN {
            left = left.checked_sub(1).ok_or(Stop::Damaged)?;
            if entries.len() * ENTRY_LENGTH > LONGEST_DIRECTORY {
                return Err(Stop::TooMuch);
            }
            entries.extend(self.sector(number)?.chunks_exact(ENTRY_LENGTH).map(|bytes| Entry::parse(bytes, large)));
            number = self.next(number, Table::Long)?;
        }
        Ok(entries)
    }

    fn content(&self, entry: &Entry, root: &Entry) -> Result<Content, Stop> {
        let head = self.stream(entry, root, 0..entry.size.min(CONTENT_HEAD as u64))?;
        let from = entry.size.saturating_sub(CONTENT_TAIL as u64);
        let tail = if head.len() as u64 == entry.size {
            head.clone()
        } else if entry.size <= self.source.size {
            self.stream(entry, root, from..entry.size)?
        } else {
            Vec::new()
        };
        Ok(Content { head, tail, size: entry.size })
    }

    /// A part of a stream, or what its chain has of it.
    fn stream(&self, entry: &Entry, root: &Entry, part: Range<u64>) -> Result<Vec<u8>, Stop> {
        let short = entry.size < SHORT;
        let (table, unit) = if short { (Table::Short, SHORT_SECTOR) } else { (Table::Long, self.sector) };
        let mut bytes = Vec::new();
        let mut at = part.start / unit * unit;
        if part.is_empty() {
            return Ok(bytes);
        }
        let mut number = self.nth(entry.start, part.start / unit, table)?;
        loop {
            let sector = if short { self.short_sector(number, root) } else { self.sector(number) };
            let sector = match sector {
                Ok(sector) => sector,
                Err(Stop::Damaged) => break,
                Err(stop) => return Err(stop),
            };
            let skip = part.start.saturating_sub(at).min(sector.len() as u64);
            let stop = (part.end - at).min(sector.len() as u64);
            #[expect(clippy::cast_possible_truncation, reason = "within a sector")]
            bytes.extend_from_slice(&sector[skip as usize..stop.max(skip) as usize]);
            at += unit;
            if at >= part.end {
                break;
            }
            number = match self.next(number, table) {
                Ok(END_OF_CHAIN) | Err(Stop::Damaged) => break,
                Ok(next) => next,
                Err(stop) => return Err(stop),
            };
        }
        Ok(bytes)
    }

    fn short_sector(&self, number: u32, root: &Entry) -> Result<&'a [u8], Stop> {
        let per_sector = self.sector / SHORT_SECTOR;
        let sector = self.sector(self.nth(root.start, u64::from(number) / per_sector, Table::Long)?)?;
        #[expect(clippy::cast_possible_truncation, reason = "within a sector")]
        let at = (u64::from(number) % per_sector * SHORT_SECTOR) as usize;
        sector.get(at..).and_then(|rest| rest.get(..SHORT_LENGTH)).ok_or(Stop::Damaged)
    }
}

impl Entry {
    fn parse(bytes: &[u8], large: bool) -> Self {
        let size = u64_at(bytes, 120);
        Entry {
            name: name(bytes),
            is_stream: bytes[66] == 2,
            left: u32_at(bytes, 68),
            right: u32_at(bytes, 72),
            child: u32_at(bytes, 76),
            start: u32_at(bytes, 116),
            // In small files the upper half may be anything.
            size: if large { size } else { size & 0xFFFF_FFFF },
        }
    }
}

/// Without the control character that the names of some streams begin with.
fn name(entry: &[u8]) -> String {
    let length = usize::from(u16_at(entry, 64));
    if !(4..=64).contains(&length) {
        return String::new();
    }
    let units: Vec<u16> = (0..length / 2 - 1).map(|index| u16_at(entry, index * 2)).collect();
    let hidden = units.first().is_some_and(|first| *first < 0x20 || (0x7F..0xA0).contains(first));
    String::from_utf16_lossy(&units[usize::from(hidden)..])
}
