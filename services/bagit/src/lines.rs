//! Bytes in, lines out, however the bytes are cut; never more than one line is kept. What a line means, the parsers say.

use memchr::{memchr, memchr2};

use crate::syntax::{Encoding, LineEnds, Syntax};
use crate::utf16::{Endian, Utf16};

/// A line, or a value that goes over several lines, is longer than the [`Syntax`] allows.
///
/// The text of the error for tag files is the one that depositors of APTrust know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error reading {kind} '{file}': {part} {line} is too long")]
pub struct TooLong {
    pub kind: &'static str,
    /// The path of the file in the bag.
    pub file: String,
    part: &'static str,
    /// Counted from 1.
    pub line: u64,
}

/// Where a limit was passed; the parser makes a [`TooLong`] of it, since it knows the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    part: &'static str,
    line: u64,
}

pub(crate) struct Lines {
    ends: LineEnds,
    limit: usize,
    stream: Stream,
    carry: Vec<u8>,
    /// How many lines have ended.
    ended: u64,
    /// The last byte was a CR that ended a line: an LF that follows belongs to it.
    after_return: bool,
    over: Option<Over>,
}

/// What is known of the encoding of the bytes.
enum Stream {
    /// The first bytes, as long as they may become a byte order mark.
    Opening(Vec<u8>),
    Bytes,
    Utf16(Utf16),
}

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const BIG_ENDIAN_MARK: &[u8] = b"\xfe\xff";
const LITTLE_ENDIAN_MARK: &[u8] = b"\xff\xfe";
/// How much of a chunk in UTF-16 is turned into UTF-8 at a time.
const PIECE: usize = 8 * 1024;

impl Over {
    pub(crate) fn value(line: u64) -> Self {
        Self { part: "the value in line", line }
    }

    pub(crate) fn of(self, kind: &'static str, file: &str) -> TooLong {
        TooLong { kind, file: file.to_owned(), part: self.part, line: self.line }
    }
}

impl Lines {
    /// `limit` is in bytes, without the end of the line.
    pub(crate) fn new(syntax: &Syntax, limit: usize) -> Self {
        let stream = match syntax.encoding {
            Encoding::Detected => Stream::Opening(Vec::new()),
            Encoding::Utf8 => Stream::Bytes,
        };
        Self { ends: syntax.line_ends, limit, stream, carry: Vec::new(), ended: 0, after_return: false, over: None }
    }

    /// Calls `each` with the number, from 1, and the bytes of every line that ends in `chunk`. After an error nothing
    /// more is read, and the error is repeated.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Over>,
    ) -> Result<(), Over> {
        if let Some(over) = self.over {
            return Err(over);
        }
        let result = self.decode(chunk, &mut each);
        self.over = result.err();
        result
    }

    /// The last line, if no line end stood behind it.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(u64, &[u8]) -> Result<(), Over>) -> Result<(), Over> {
        if let Some(over) = self.over {
            return Err(over);
        }
        match &mut self.stream {
            Stream::Opening(opening) => {
                if *opening != UTF8_MARK {
                    let opening = std::mem::take(opening);
                    self.split(&opening, &mut each)?;
                }
            }
            Stream::Utf16(decoder) => {
                let text = decoder.finish();
                self.split(text.as_bytes(), &mut each)?;
            }
            Stream::Bytes => {}
        }
        if self.carry.is_empty() { Ok(()) } else { self.end_line(&[], &mut each) }
    }

    /// Whether a byte order mark was taken off the start.
    pub(crate) fn had_mark(&self) -> bool {
        match &self.stream {
            Stream::Opening(opening) => *opening == UTF8_MARK,
            Stream::Bytes => false,
            Stream::Utf16(_) => true,
        }
    }

    fn decode(&mut self, chunk: &[u8], each: &mut impl FnMut(u64, &[u8]) -> Result<(), Over>) -> Result<(), Over> {
        match &mut self.stream {
            Stream::Bytes => self.split(chunk, each),
            Stream::Utf16(decoder) => {
                let mut decoder = std::mem::take(decoder);
                let result = chunk.chunks(PIECE).try_for_each(|piece| {
                    let text = decoder.decode(piece);
                    self.split(text.as_bytes(), each)
                });
                self.stream = Stream::Utf16(decoder);
                result
            }
            // A mark in UTF-8 stays here, so that it is known later.
            Stream::Opening(opening) if *opening == UTF8_MARK => self.split(chunk, each),
            Stream::Opening(opening) => {
                let Some((&first, rest)) = chunk.split_first() else { return Ok(()) };
                opening.push(first);
                if *opening == BIG_ENDIAN_MARK {
                    self.stream = Stream::Utf16(Utf16::new(Endian::Big));
                } else if *opening == LITTLE_ENDIAN_MARK {
                    self.stream = Stream::Utf16(Utf16::new(Endian::Little));
                } else if ![UTF8_MARK, BIG_ENDIAN_MARK, LITTLE_ENDIAN_MARK].iter().any(|mark| mark.starts_with(opening))
                {
                    let opening = std::mem::take(opening);
                    self.stream = Stream::Bytes;
                    self.split(&opening, each)?;
                }
                self.decode(rest, each)
            }
        }
    }

    fn split(&mut self, mut rest: &[u8], each: &mut impl FnMut(u64, &[u8]) -> Result<(), Over>) -> Result<(), Over> {
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = match self.ends {
                LineEnds::Any => memchr2(b'\n', b'\r', rest),
                LineEnds::LineFeed => memchr(b'\n', rest),
            };
            let Some(end) = end else { return self.keep(rest) };
            self.end_line(&rest[..end], each)?;
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Over> {
        // A CR at the end may turn out to be no part of the line.
        if self.carry.len() + part.len() > self.limit + 1 {
            return Err(self.line_too_long());
        }
        self.carry.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, part: &[u8], each: &mut impl FnMut(u64, &[u8]) -> Result<(), Over>) -> Result<(), Over> {
        let line = if self.carry.is_empty() {
            part
        } else {
            self.keep(part)?;
            &self.carry
        };
        let line = match self.ends {
            LineEnds::LineFeed => line.strip_suffix(b"\r").unwrap_or(line),
            LineEnds::Any => line,
        };
        if line.len() > self.limit {
            return Err(self.line_too_long());
        }
        self.ended += 1;
        let result = each(self.ended, line);
        self.carry.clear();
        result
    }

    fn line_too_long(&self) -> Over {
        Over { part: "line", line: self.ended + 1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(syntax: &Syntax, limit: usize, chunks: &[&[u8]]) -> Result<Vec<String>, Over> {
        let mut found = Vec::new();
        let mut lines = Lines::new(syntax, limit);
        let mut each = |number: u64, line: &[u8]| {
            found.push(String::from_utf8_lossy(line).into_owned());
            assert_eq!(number, found.len() as u64);
            Ok(())
        };
        chunks.iter().try_for_each(|chunk| lines.push(chunk, &mut each))?;
        lines.finish(&mut each)?;
        Ok(found)
    }

    #[test]
    fn the_rfc_ends_lines_with_cr_lf_or_both() {
        let text = b"a\rb\r\nc\nd\n\re\n\n";
        let whole = ["a", "b", "c", "d", "", "e", ""];
        assert_eq!(lines(&Syntax::RFC, 9, &[text]).unwrap(), whole);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&Syntax::RFC, 9, &bytes).unwrap(), whole);
        assert_eq!(lines(&Syntax::RFC, 9, &[b"a\r", b"", b"\nb"]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn aptrust_ends_lines_with_lf_and_drops_one_cr() {
        assert_eq!(lines(&Syntax::APTRUST, 9, &[b"a\rb\r\nc\r\r\nd\r"]).unwrap(), ["a\rb", "c\r", "d"]);
    }

    #[test]
    fn a_line_over_the_limit_is_refused_by_its_number_wherever_it_is_cut() {
        for syntax in [Syntax::RFC, Syntax::APTRUST] {
            for chunks in [&[b"1234\n12345\r\n".as_slice()] as &[&[u8]], &[b"1234\n12", b"345", b"\r", b"\n"]] {
                assert_eq!(lines(&syntax, 5, chunks).unwrap(), ["1234", "12345"]);
                assert_eq!(lines(&syntax, 4, chunks), Err(Over { part: "line", line: 2 }));
            }
            let endless: Vec<&[u8]> = std::iter::repeat_n(b"aaaa".as_slice(), 100).collect();
            assert_eq!(lines(&syntax, 4, &endless), Err(Over { part: "line", line: 1 }));
        }
    }

    #[test]
    fn an_error_is_repeated_and_nothing_more_is_read() {
        let mut lines = Lines::new(&Syntax::RFC, 1);
        let refused = lines.push(b"12345", |_, _| Ok(()));
        assert!(refused.is_err());
        let mut called = false;
        let mut each = |_: u64, _: &[u8]| {
            called = true;
            Ok(())
        };
        assert_eq!(lines.push(b"\na\n", &mut each), refused);
        assert_eq!(lines.finish(&mut each), refused);
        assert!(!called);
    }

    #[test]
    fn byte_order_marks_are_taken_off_only_where_the_encoding_is_detected() {
        let marked = b"\xef\xbb\xbfa\nb";
        assert_eq!(lines(&Syntax::RFC, 9, &[marked]).unwrap(), ["a", "b"]);
        assert_eq!(lines(&Syntax::RFC, 9, &[b"\xef", b"\xbb", b"\xbfa"]).unwrap(), ["a"]);
        assert_eq!(lines(&Syntax::APTRUST, 9, &[marked]).unwrap(), ["\u{feff}a", "b"]);
        assert_eq!(lines(&Syntax::RFC, 9, &[b"\xef\xbb"]).unwrap().len(), 1);
        assert_eq!(lines(&Syntax::RFC, 9, &[b"\xef\xbbx\n"]).unwrap().len(), 1);
    }

    #[test]
    fn utf_16_is_read_by_its_mark() {
        for (mark, order) in [(0xfeff_u16, u16::to_be_bytes as fn(u16) -> [u8; 2]), (0xfeff, u16::to_le_bytes)] {
            let units = std::iter::once(mark).chain("é\r\n😀\n".encode_utf16());
            let bytes: Vec<u8> = units.flat_map(order).collect();
            for size in 1..bytes.len() {
                let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(lines(&Syntax::RFC, 9, &chunks).unwrap(), ["é", "😀"], "chunks of {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_more_than_a_line_is_kept(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20), limit in 0_usize..40,
        ) {
            for syntax in [Syntax::RFC, Syntax::APTRUST] {
                let mut lines = Lines::new(&syntax, limit);
                for chunk in &chunks {
                    let read = lines.push(chunk, |_, line| {
                        assert!(line.len() <= limit);
                        Ok(())
                    });
                    prop_assert!(lines.carry.len() <= limit + 1);
                    prop_assert!(read.is_ok() || lines.push(b"\n", |_, _| Ok(())) == read);
                }
            }
        }
    }
}
