//! `fetch.txt`: files that are to be got from elsewhere (RFC 8493, section 2.2.3). Nothing is fetched here.

use std::fmt;

use crate::lines::{Lines, TooLong};
use crate::manifest::split_word;
use crate::syntax::{Separators, Syntax, is_blank};

/// A fetch file, read piece by piece.
pub struct FetchParser {
    file: String,
    lines: Lines,
}

/// A line of a fetch file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchEntry<'a> {
    /// Counted from 1.
    pub line: u64,
    pub url: &'a [u8],
    /// In bytes; `None` where `-` stands, or what is no number.
    pub length: Option<u64>,
    pub path: &'a [u8],
}

impl FetchParser {
    /// `file` is the path in the bag, for errors.
    pub fn new(file: impl Into<String>, syntax: &Syntax) -> Self {
        Self { file: file.into(), lines: Lines::new(syntax, syntax.manifest_line) }
    }

    /// Calls `each` for every entry that ends in `chunk`. Blank lines are passed over.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(FetchEntry<'_>)) -> Result<(), TooLong> {
        self.lines
            .push(chunk, |number, line| {
                entry(number, line).into_iter().for_each(&mut each);
                Ok(())
            })
            .map_err(|over| over.of("fetch file", &self.file))
    }

    /// The file has ended.
    pub fn finish(mut self, mut each: impl FnMut(FetchEntry<'_>)) -> Result<(), TooLong> {
        self.lines
            .finish(|number, line| {
                entry(number, line).into_iter().for_each(&mut each);
                Ok(())
            })
            .map_err(|over| over.of("fetch file", &self.file))
    }
}

impl fmt::Debug for FetchParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchParser").field("file", &self.file).finish_non_exhaustive()
    }
}

fn entry(number: u64, line: &[u8]) -> Option<FetchEntry<'_>> {
    if is_blank(line) {
        return None;
    }
    let (url, rest) = split_word(Separators::Linear, line);
    let (length, path) = split_word(Separators::Linear, rest);
    let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
    Some(FetchEntry { line: number, url, length, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_length_and_path_are_read() {
        let mut found = Vec::new();
        let mut parser = FetchParser::new("fetch.txt", &Syntax::RFC);
        let mut each = |entry: FetchEntry<'_>| {
            found.push((entry.line, entry.length, String::from_utf8_lossy(entry.path).into_owned()));
        };
        parser.push(b"http://a/b 12 data/a b\r\n\r\nhttp://c - data/d", &mut each).unwrap();
        parser.finish(&mut each).unwrap();
        assert_eq!(found, [(1, Some(12), "data/a b".into()), (3, None, "data/d".into())]);
    }
}
