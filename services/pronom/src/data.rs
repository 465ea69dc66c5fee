//! The compiled data: what it holds, and its form in bytes. Numbers are written with seven bits a byte, the lowest first;
//! texts and lists after their length.

use thiserror::Error;

use crate::pattern::{ByteSet, Pattern};
use crate::signature::{Kind, Link, Segment, Signature, Span};

/// What the data begins with: a name, and the version of its form.
const MAGIC: &[u8] = b"PRONOM\0\x01";
/// Patterns are not nested deeper than this.
const DEPTH: usize = 16;

/// Why bytes are no data of this crate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataError {
    #[error("this is no signature data of this version; make it again from PRONOM's files")]
    Magic,
    #[error("the signature data is damaged at byte {at}; make it again from PRONOM's files")]
    Damaged { at: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) version: u32,
    pub(crate) date: String,
    pub(crate) container_version: u32,
    pub(crate) container_date: String,
    pub(crate) formats: Vec<Format>,
    /// In the order of their formats' PUIDs. A number is an index of `formats`.
    pub(crate) bytes: Vec<(u16, Signature)>,
    pub(crate) zip: Vec<ContainerSignature>,
    pub(crate) ole2: Vec<ContainerSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) puid: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) mime: String,
    pub(crate) extensions: Vec<String>,
    /// Formats that win over this one, in ascending order.
    pub(crate) superiors: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerSignature {
    pub(crate) format: u16,
    /// Paths within the container, and what their content must match.
    pub(crate) parts: Vec<(String, Option<Signature>)>,
}

impl Tables {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.number(u64::from(self.version));
        out.text(&self.date);
        out.number(u64::from(self.container_version));
        out.text(&self.container_date);
        out.list(&self.formats, |out, format| {
            out.text(&format.puid);
            out.text(&format.name);
            out.text(&format.version);
            out.text(&format.mime);
            out.list(&format.extensions, |out, extension| out.text(extension));
            out.list(&format.superiors, |out, superior| out.number(u64::from(*superior)));
        });
        out.list(&self.bytes, |out, (format, signature)| {
            out.number(u64::from(*format));
            out.signature(signature);
        });
        for containers in [&self.zip, &self.ole2] {
            out.list(containers, |out, container| {
                out.number(u64::from(container.format));
                out.list(&container.parts, |out, (path, signature)| {
                    out.text(path);
                    out.list(signature.as_slice(), Writer::signature);
                });
            });
        }
        out.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, DataError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(DataError::Magic)?;
        let mut input = Reader { rest, whole: bytes.len() };
        let version = input.small()?;
        let date = input.text()?;
        let container_version = input.small()?;
        let container_date = input.text()?;
        let formats = input.list(|input| {
            Ok(Format {
                puid: input.text()?,
                name: input.text()?,
                version: input.text()?,
                mime: input.text()?,
                extensions: input.list(Reader::text)?,
                superiors: input.list(Reader::format)?,
            })
        })?;
        let signatures = input.list(|input| Ok((input.format()?, input.signature()?)))?;
        let mut containers = || {
            input.list(|input| {
                let format = input.format()?;
                let parts = input.list(|input| {
                    let path = input.text()?;
                    Ok((path, input.list(Reader::signature)?.pop()))
                })?;
                Ok(ContainerSignature { format, parts })
            })
        };
        let (zip, ole2) = (containers()?, containers()?);
        let tables = Tables { version, date, container_version, container_date, formats, bytes: signatures, zip, ole2 };
        let superiors = tables.formats.iter().flat_map(|format| format.superiors.iter().copied());
        let named = tables.zip.iter().chain(&tables.ole2).map(|container| container.format);
        let mut named = named.chain(tables.bytes.iter().map(|(format, _)| *format)).chain(superiors);
        if !input.rest.is_empty() || named.any(|format| usize::from(format) >= tables.formats.len()) {
            return Err(input.damaged());
        }
        Ok(tables)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are meant")]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn signature(&mut self, signature: &Signature) {
        self.list(&signature.segments, |out, segment| {
            out.number(segment.link as u64);
            out.number(segment.kind as u64);
            out.span(segment.gap);
            out.span(segment.window);
            out.number(segment.key.start as u64);
            out.number(segment.key.end as u64);
            out.list(&segment.patterns, Writer::pattern);
            for (min, max) in &segment.gaps {
                out.number(u64::from(*min));
                out.number(u64::from(max - min));
            }
        });
    }

    fn span(&mut self, span: Span) {
        self.number(span.max.map_or(0, |max| u64::from(max - span.min) + 1));
        self.number(u64::from(span.min));
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Bytes(bytes) => {
                self.number(0);
                self.bytes(bytes);
            }
            Pattern::Set(set) => {
                // As runs of bytes that are in it and bytes that are not, in turns.
                self.number(1);
                let mut runs: Vec<u8> = Vec::new();
                for byte in 1..=u8::MAX {
                    if set.has(byte) != set.has(byte - 1) {
                        runs.push(byte);
                    }
                }
                self.number(u64::from(set.has(0)));
                self.bytes(&runs);
            }
            Pattern::Range(from, to) => {
                self.number(2);
                self.bytes(from);
                self.bytes(to);
            }
            Pattern::Not(pattern) => {
                self.number(3);
                self.pattern(pattern);
            }
            Pattern::Choice(parts) => {
                self.number(4);
                self.list(parts, Writer::pattern);
            }
            Pattern::List(parts) => {
                self.number(5);
                self.list(parts, Writer::pattern);
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn damaged(&self) -> DataError {
        DataError::Damaged { at: self.whole - self.rest.len() }
    }

    fn number(&mut self) -> Result<u64, DataError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(self.damaged())?;
            self.rest = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    fn small(&mut self) -> Result<u32, DataError> {
        self.number()?.try_into().map_err(|_| self.damaged())
    }

    fn format(&mut self) -> Result<u16, DataError> {
        self.number()?.try_into().map_err(|_| self.damaged())
    }

    /// A number of things of which each takes at least a byte.
    fn count(&mut self) -> Result<usize, DataError> {
        let count = self.number()?;
        usize::try_from(count).ok().filter(|count| *count <= self.rest.len()).ok_or(self.damaged())
    }

    fn bytes(&mut self) -> Result<&'a [u8], DataError> {
        let (bytes, rest) = self.count().map(|count| self.rest.split_at(count))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, DataError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.damaged())
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, DataError>) -> Result<Vec<T>, DataError> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn signature(&mut self) -> Result<Signature, DataError> {
        let segments = self.list(|input| {
            let link = match input.number()? {
                0 => Link::Beginning,
                1 => Link::Previous,
                2 => Link::Next,
                3 => Link::Ending,
                _ => return Err(input.damaged()),
            };
            let kind = match input.number()? {
                0 => Kind::Plain,
                1 => Kind::Early,
                2 => Kind::Whole,
                _ => return Err(input.damaged()),
            };
            let (gap, window) = (input.span()?, input.span()?);
            let key = input.count()?..input.count()?;
            let patterns = input.list(|input| input.pattern(DEPTH))?;
            if key.start >= key.end || key.end > patterns.len() {
                return Err(input.damaged());
            }
            let gaps = (1..patterns.len()).map(|_| {
                let min = input.small()?;
                let max = min.checked_add(input.small()?).ok_or(input.damaged())?;
                Ok((min, max))
            });
            let gaps = gaps.collect::<Result<_, DataError>>()?;
            Ok(Segment { link, gap, patterns, gaps, key, window, kind })
        })?;
        Ok(Signature { segments })
    }

    fn span(&mut self) -> Result<Span, DataError> {
        let width = self.small()?;
        let min = self.small()?;
        let max = match width {
            0 => None,
            width => Some(min.checked_add(width - 1).ok_or(self.damaged())?),
        };
        Ok(Span { min, max })
    }

    fn pattern(&mut self, depth: usize) -> Result<Pattern, DataError> {
        if depth == 0 {
            return Err(self.damaged());
        }
        Ok(match self.number()? {
            0 => Pattern::Bytes(self.bytes()?.to_vec()),
            1 => {
                let first = self.number()? == 1;
                let runs = self.bytes()?;
                Pattern::Set(ByteSet::of(|byte| first ^ (runs.iter().filter(|start| **start <= byte).count() % 2 == 1)))
            }
            2 => Pattern::Range(self.bytes()?.to_vec(), self.bytes()?.to_vec()),
            3 => Pattern::Not(Box::new(self.pattern(depth - 1)?)),
            4 => Pattern::Choice(self.list(|input| input.pattern(depth - 1))?),
            5 => Pattern::List(self.list(|input| input.pattern(depth - 1))?),
            _ => return Err(self.damaged()),
        })
    }
}
