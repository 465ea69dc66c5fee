//! The reader without its source: it is fed chunks and gives entries and slices of the chunks. Does no I/O and never copies
//! contents. The order of things in a tar is here; `header`, `pax` and `sparse` know their fields.

use bytes::{Buf as _, Bytes};
use time::OffsetDateTime;

use crate::error::{Error, Fault};
use crate::header::{Block, Kind, RawHeader, text};
use crate::pax::Pax;
use crate::sparse::{Contents, Format, MapText};
use crate::{BLOCK, padding};

/// One thing in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the tar, with PAX and GNU extensions applied: any bytes.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Bytes of the contents that follow, with the holes of a sparse file.
    pub size: u64,
    /// The nearest that RFC 3339 can write, in UTC; `None` if it could not be read.
    pub mtime: Option<OffsetDateTime>,
    /// Of its header, in bytes from the beginning of the tar.
    pub offset: u64,
}

/// What is read and what is not, so that a small tar can neither fill the memory nor last for ever.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of an extended header, a long name or a sparse map. By default 1 MiB (07-rulings J 70).
    pub extension: usize,
    /// Bytes of a sparse file with its holes. By default 5 TiB, the largest object that S3 stores.
    pub expanded: u64,
}

/// Reads a tar from chunks. After an error or [`Step::End`] there is nothing more to read.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// Bytes read.
    offset: u64,
    state: State,
    /// A block that is being put together, and how much of it is there.
    block: Block,
    filled: usize,
    extensions: Extensions,
}

/// What a step found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Entry(Entry),
    /// The next bytes of the last entry's contents; never empty.
    Data(Bytes),
    /// The input is used up.
    More,
    /// Two blocks of zeros. What comes after them is no part of the tar.
    End,
}

#[derive(Debug)]
enum State {
    Header,
    /// After one block of zeros.
    Zeros,
    Extension(Extension),
    /// The map in front of a sparse file's contents, of which so many bytes follow in the tar.
    Map {
        entry: Entry,
        text: MapText,
        stored: u64,
    },
    Contents {
        contents: Contents,
        padding: u64,
    },
    /// What fills up the last block.
    Padding(u64),
    End,
    Stopped(Error),
}

/// An extended header or a long name on its way.
#[derive(Debug)]
struct Extension {
    type_flag: u8,
    text: Vec<u8>,
    size: usize,
    offset: u64,
}

/// What came before an entry and belongs to it.
#[derive(Debug, Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    /// Of the first one.
    offset: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { extension: 1 << 20, expanded: 5 << 40 }
    }
}

impl Parser {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            offset: 0,
            state: State::Header,
            block: [0; BLOCK],
            filled: 0,
            extensions: Extensions::default(),
        }
    }

    /// Reads on, taking from the input what it needs.
    pub fn step(&mut self, input: &mut Bytes) -> Result<Step, Error> {
        let before = input.len();
        let step = self.advance(input);
        if let Err(error) = step {
            self.state = State::Stopped(error);
        }
        debug_assert!(input.len() <= before, "a step only takes");
        step
    }

    /// Whether the input may end here: what is said after [`Step::More`] when nothing more will come. Closing blocks may be
    /// missing, and the filling of the last block.
    pub fn finish(&self) -> Result<(), Error> {
        let truncated = Err(Error { fault: Fault::Truncated, offset: self.offset });
        match &self.state {
            State::Stopped(error) => Err(*error),
            State::Header | State::Zeros if self.filled == 0 => self.extensions.none_left(),
            State::Padding(_) => self.extensions.none_left(),
            State::End => Ok(()),
            _ => truncated,
        }
    }

    /// Bytes of the last entry's contents that are still to come.
    pub fn left(&self) -> u64 {
        if let State::Contents { contents, .. } = &self.state { contents.left() } else { 0 }
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Step, Error> {
        loop {
            match &mut self.state {
                State::Contents { contents, padding } if contents.left() == 0 => self.state = State::Padding(*padding),
                State::Contents { contents, .. } => {
                    let before = input.len();
                    let data = contents.next(input);
                    self.offset += (before - input.len()) as u64;
                    return Ok(data.map_or(Step::More, Step::Data));
                }
                State::Padding(0) => self.state = State::Header,
                State::Padding(left) => {
                    let Some(taken) = taken(input, *left) else { return Ok(Step::More) };
                    input.advance(taken);
                    *left -= taken as u64;
                    self.offset += taken as u64;
                }
                State::Extension(extension) if extension.text.len() == extension.size => self.end_of_extension()?,
                State::Extension(extension) => {
                    let left = extension.size - extension.text.len();
                    let Some(taken) = taken(input, left as u64) else { return Ok(Step::More) };
                    extension.text.extend_from_slice(&input.split_to(taken));
                    self.offset += taken as u64;
                }
                State::Header => {
                    if !self.block_is_full(input) {
                        return Ok(Step::More);
                    }
                    if let Some(entry) = self.header()? {
                        return Ok(Step::Entry(entry));
                    }
                }
                State::Zeros => {
                    if !self.block_is_full(input) {
                        return Ok(Step::More);
                    }
                    if self.block != [0; BLOCK] {
                        return Err(self.at_block(Fault::LoneZeros));
                    }
                    self.extensions.none_left()?;
                    self.state = State::End;
                }
                State::Map { stored, entry, .. } => {
                    if *stored < BLOCK as u64 {
                        return Err(Error { fault: Fault::SparseMap, offset: entry.offset });
                    }
                    if !self.block_is_full(input) {
                        return Ok(Step::More);
                    }
                    if let Some(entry) = self.map()? {
                        return Ok(Step::Entry(entry));
                    }
                }
                State::End => return Ok(Step::End),
                State::Stopped(error) => return Err(*error),
            }
        }
    }

    /// Takes from the input until a block is full; then it counts as read.
    fn block_is_full(&mut self, input: &mut Bytes) -> bool {
        let taken = input.len().min(BLOCK - self.filled);
        input.copy_to_slice(&mut self.block[self.filled..self.filled + taken]);
        self.filled += taken;
        self.offset += taken as u64;
        let full = self.filled == BLOCK;
        if full {
            self.filled = 0;
        }
        full
    }

    /// Something about the block that was just read.
    fn at_block(&self, fault: Fault) -> Error {
        Error { fault, offset: self.offset - BLOCK as u64 }
    }

    fn header(&mut self) -> Result<Option<Entry>, Error> {
        if self.block == [0; BLOCK] {
            self.state = State::Zeros;
            return Ok(None);
        }
        let header = RawHeader::read(&self.block).map_err(|fault| self.at_block(fault))?;
        let offset = self.offset - BLOCK as u64;
        if matches!(header.type_flag, b'x' | b'g' | b'L' | b'K') {
            let size = usize::try_from(header.size).ok().filter(|size| *size <= self.limits.extension);
            let size = size.ok_or(Error { fault: Fault::ExtensionTooLong, offset })?;
            self.state = State::Extension(Extension { type_flag: header.type_flag, text: Vec::new(), size, offset });
            return Ok(None);
        }
        self.entry(header, offset).map_err(|fault| Error { fault, offset })
    }

    fn end_of_extension(&mut self) -> Result<(), Error> {
        let state = std::mem::replace(&mut self.state, State::Header);
        let State::Extension(Extension { type_flag, text: read, size, offset }) = state else { return Ok(()) };
        let pax = |read: &[u8]| Pax::read(read).map_err(|fault| Error { fault, offset });
        match type_flag {
            b'x' => self.extensions.pax = Some(pax(&read)?),
            b'L' => self.extensions.long_name = Some(text(&read).to_vec()),
            // A global header is read for its faults only; where a link leads does not matter.
            b'g' => drop(pax(&read)?),
            _ => {}
        }
        if type_flag != b'g' {
            self.extensions.offset.get_or_insert(offset);
        }
        self.state = State::Padding(padding(size as u64));
        Ok(())
    }

    /// An entry with what came before it. A size in its extended header wins, also where the header has one.
    fn entry(&mut self, header: RawHeader, offset: u64) -> Result<Option<Entry>, Fault> {
        let Extensions { pax, long_name, .. } = std::mem::take(&mut self.extensions);
        let Pax { path, size, mtime, sparse } = pax.unwrap_or_default();
        let long_name = long_name.filter(|name| !name.is_empty());
        let mut name = long_name.or(path).unwrap_or(header.name);
        let kind = Kind::of(header.type_flag, &name);
        let stored = if kind.has_contents() { size.unwrap_or(header.size) } else { 0 };
        let mtime = mtime.or(header.mtime);
        let Some(format) = sparse.format()? else {
            self.state = State::Contents { contents: Contents::plain(stored), padding: padding(stored) };
            if kind == Kind::OldSparse {
                // A map of unknown length may come first.
                self.state = State::Stopped(Error { fault: Fault::SparseFormat, offset });
            }
            return Ok(Some(Entry { name, kind, size: stored, mtime, offset }));
        };
        if kind != Kind::File {
            return Err(Fault::SparseFormat);
        }
        let size = sparse.expanded()?;
        if size > self.limits.expanded {
            return Err(Fault::SparseSize);
        }
        name = sparse.name.clone().filter(|name| !name.is_empty()).unwrap_or(name);
        let entry = Entry { name, kind, size, mtime, offset };
        match format {
            Format::InRecords => {
                self.state = State::Contents { contents: sparse.contents(stored)?, padding: padding(stored) };
                Ok(Some(entry))
            }
            Format::BeforeContents => {
                self.state = State::Map { entry, text: MapText::default(), stored };
                Ok(None)
            }
        }
    }

    /// Another block of a map: the entry when it is complete.
    fn map(&mut self) -> Result<Option<Entry>, Error> {
        let State::Map { entry, text, stored } = &mut self.state else { return Ok(None) };
        let at = |fault| Error { fault, offset: entry.offset };
        text.add(&self.block, self.limits.extension).map_err(at)?;
        *stored -= BLOCK as u64;
        let Some(map) = text.map().map_err(at)? else { return Ok(None) };
        let contents = Contents::sparse(&map, entry.size, *stored).map_err(at)?;
        let (entry, padding) = (entry.clone(), padding(*stored));
        self.state = State::Contents { contents, padding };
        Ok(Some(entry))
    }
}

impl Extensions {
    /// At the end: an extended header without its entry means that the entry was cut off.
    fn none_left(&self) -> Result<(), Error> {
        self.offset.map_or(Ok(()), |offset| Err(Error { fault: Fault::Orphan, offset }))
    }
}

fn taken(input: &Bytes, wanted: u64) -> Option<usize> {
    let there = input.len();
    (there > 0).then(|| usize::try_from(wanted).map_or(there, |wanted| wanted.min(there)))
}
