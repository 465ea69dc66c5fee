//! How tag files and manifests are read: the choices in which readers differ, with the RFC's and APTrust's set.

use std::borrow::Cow;

use memchr::memchr2;

/// The choices. [`Syntax::RFC`] is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    pub line_ends: LineEnds,
    pub separators: Separators,
    pub labels: Labels,
    pub encoding: Encoding,
    /// The longest line of a manifest or fetch file, in bytes without its end.
    pub manifest_line: usize,
    /// The longest line of a tag file, in bytes without its end.
    pub tag_line: usize,
    /// The longest value of a tag with all its lines, in bytes.
    pub tag_value: usize,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// CR, LF or CR LF: RFC 8493, section 2.1.3.
    Any,
    /// LF. One CR in front of it, or at the end of the file, is dropped.
    LineFeed,
}

/// What divides digest and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separators {
    /// Spaces and tabs: RFC 8493, section 2.1.3.
    Linear,
    /// ASCII white space, so also form feeds and CRs.
    Ascii,
}

/// Where a tag begins, and where its label ends: at the first colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// A line that is not indented begins a tag: RFC 8493, section 2.2.2. A blank before the colon is let pass, as 0.97
    /// has it.
    Unindented,
    /// A line whose first word has a colon in it, behind its first character, begins a tag. Every other one continues it.
    FirstWord,
}

/// What the bytes of tag files and manifests mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-16 or UTF-8 by a byte order mark, which is taken off; without one UTF-8, and ISO-8859-1 for a line of a tag
    /// file that is none. So nothing depends on when `bagit.txt`, which names the encoding, is read.
    Detected,
    /// UTF-8. A byte order mark is part of the first line; a byte that is not UTF-8 becomes U+FFFD, as in Go's JSON.
    Utf8,
}

impl Syntax {
    pub const RFC: Self = Self {
        line_ends: LineEnds::Any,
        separators: Separators::Linear,
        labels: Labels::Unindented,
        encoding: Encoding::Detected,
        manifest_line: 1024 * 1024,
        tag_line: 64 * 1024,
        tag_value: 1024 * 1024,
    };

    /// APTrust's services.
    pub const APTRUST: Self = Self {
        line_ends: LineEnds::LineFeed,
        separators: Separators::Ascii,
        labels: Labels::FirstWord,
        encoding: Encoding::Utf8,
        ..Self::RFC
    };
}

impl Default for Syntax {
    fn default() -> Self {
        Self::RFC
    }
}

impl Separators {
    pub(crate) fn contains(self, byte: u8) -> bool {
        match self {
            Self::Linear => matches!(byte, b' ' | b'\t'),
            Self::Ascii => byte.is_ascii_whitespace(),
        }
    }

    /// Where the first of them is. A line feed is in no line.
    pub(crate) fn first_in(self, line: &[u8]) -> Option<usize> {
        let blank = memchr2(b' ', b'\t', line);
        match self {
            Self::Linear => blank,
            Self::Ascii => memchr2(b'\r', b'\x0c', &line[..blank.unwrap_or(line.len())]).or(blank),
        }
    }
}

impl Encoding {
    /// A line of a tag file as text.
    pub(crate) fn text(self, line: &[u8]) -> Cow<'_, str> {
        match (std::str::from_utf8(line), self) {
            (Ok(text), _) => text.into(),
            (Err(_), Self::Detected) => line.iter().copied().map(char::from).collect(),
            (Err(_), Self::Utf8) => lossy(line),
        }
    }
}

/// As text, every byte that is not UTF-8 becoming one U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text.into()
}

/// Whether a line holds nothing but white space, of any script.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    // Most lines begin with a letter or a digit.
    !line.first().is_some_and(u8::is_ascii_graphic)
        && std::str::from_utf8(line).is_ok_and(|text| text.chars().all(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_one_by_one_or_read_as_latin_1() {
        let cut = b"a\xe2\x82 b\xff";
        assert_eq!(Encoding::Utf8.text(cut), "a\u{fffd}\u{fffd} b\u{fffd}");
        assert_eq!(Encoding::Detected.text(b"caf\xe9"), "café");
        assert_eq!(Encoding::Detected.text("café".as_bytes()), "café");
    }

    #[test]
    fn blank_is_white_space_of_any_script() {
        for line in ["", " \t", "\u{3000}\u{a0}\u{b}", "\r"] {
            assert!(is_blank(line.as_bytes()), "{line:?}");
        }
        assert!(!is_blank(b" a") && !is_blank("\u{feff}".as_bytes()) && !is_blank(b"\xff"));
    }
}
