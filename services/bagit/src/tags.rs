//! Tag files: labels and values, from bytes that come in pieces. Which tags a bag needs, the profile says.

use std::fmt;

use crate::fold;
use crate::lines::{Lines, Over, TooLong};
use crate::syntax::{Encoding, Labels, Syntax, is_blank};

/// A tag with its value. The order of the file is kept, and a label may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The path of the tag file in the bag.
    pub file: String,
    pub label: String,
    /// Without the blanks around it; lines that continue it are joined by one blank.
    pub value: String,
    /// The line with the label, counted from 1; 0 for a tag that stands in no file.
    pub line: u64,
}

/// What a tag file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagItem {
    Tag(Tag),
    /// A line that is no tag and continues none.
    Stray {
        line: u64,
    },
    /// The first line that is not UTF-8 and was read as ISO-8859-1: see [`Encoding::Detected`].
    NotUtf8 {
        line: u64,
    },
}

/// Questions to the tags of a bag.
pub trait Tags {
    /// All tags with this label in this file. Labels compare without case, files exactly.
    fn named<'a>(&'a self, file: &'a str, label: &'a str) -> impl Iterator<Item = &'a Tag>;

    /// The first value, which is the one that counts where several are given.
    fn value(&self, file: &str, label: &str) -> Option<&str>;

    /// The first value that is not empty.
    fn filled(&self, file: &str, label: &str) -> Option<&str>;
}

impl Tags for [Tag] {
    fn named<'a>(&'a self, file: &'a str, label: &'a str) -> impl Iterator<Item = &'a Tag> {
        self.iter().filter(move |tag| tag.file == file && fold::same(&tag.label, label))
    }

    fn value(&self, file: &str, label: &str) -> Option<&str> {
        self.iter().find(|tag| tag.file == file && fold::same(&tag.label, label)).map(|tag| tag.value.as_str())
    }

    fn filled(&self, file: &str, label: &str) -> Option<&str> {
        self.iter()
            .find(|tag| tag.file == file && !tag.value.is_empty() && fold::same(&tag.label, label))
            .map(|tag| tag.value.as_str())
    }
}

/// A tag file, read piece by piece. The tags go to the caller; one of them is all that is kept.
pub struct TagParser {
    lines: Lines,
    state: State,
}

struct State {
    file: String,
    labels: Labels,
    encoding: Encoding,
    longest_value: usize,
    /// The tag that the next line may continue.
    open: Option<Tag>,
    was_told_not_utf8: bool,
}

impl TagParser {
    /// `file` is the tag file's path in the bag.
    pub fn new(file: impl Into<String>, syntax: &Syntax) -> Self {
        let state = State {
            file: file.into(),
            labels: syntax.labels,
            encoding: syntax.encoding,
            longest_value: syntax.tag_value,
            open: None,
            was_told_not_utf8: false,
        };
        Self { lines: Lines::new(syntax, syntax.tag_line), state }
    }

    /// Calls `each` for what is complete. A tag is, when the next one begins.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(TagItem)) -> Result<(), TooLong> {
        let Self { lines, state } = self;
        lines
            .push(chunk, |number, line| state.line(number, line, &mut each))
            .map_err(|over| over.of("tag file", &state.file))
    }

    /// The file has ended.
    pub fn finish(self, mut each: impl FnMut(TagItem)) -> Result<(), TooLong> {
        let Self { mut lines, mut state } = self;
        lines
            .finish(|number, line| state.line(number, line, &mut each))
            .map_err(|over| over.of("tag file", &state.file))?;
        state.open.take().map(TagItem::Tag).into_iter().for_each(each);
        Ok(())
    }

    /// Whether the file began with a byte order mark that was taken off.
    pub fn had_mark(&self) -> bool {
        self.lines.had_mark()
    }
}

impl fmt::Debug for TagParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagParser").field("file", &self.state.file).finish_non_exhaustive()
    }
}

impl State {
    fn line(&mut self, number: u64, line: &[u8], each: &mut impl FnMut(TagItem)) -> Result<(), Over> {
        if is_blank(line) {
            return Ok(());
        }
        let text = self.encoding.text(line);
        let is_guess = self.encoding == Encoding::Detected && text.as_bytes() != line;
        if is_guess && !std::mem::replace(&mut self.was_told_not_utf8, true) {
            each(TagItem::NotUtf8 { line: number });
        }
        if let Some((label, value)) = self.labels.split(&text) {
            let tag = Tag { file: self.file.clone(), label: label.into(), value: value.into(), line: number };
            self.open.replace(tag).map(TagItem::Tag).into_iter().for_each(each);
            return Ok(());
        }
        match (&mut self.open, self.labels.continuation(&text)) {
            (Some(tag), Some(more)) => {
                if tag.value.len() + 1 + more.len() > self.longest_value {
                    return Err(Over::value(tag.line));
                }
                tag.value.push_str(self.labels.joint(&tag.value));
                tag.value.push_str(more);
            }
            _ => each(TagItem::Stray { line: number }),
        }
        Ok(())
    }
}

impl Labels {
    /// Label and value, if the line begins a tag.
    fn split(self, line: &str) -> Option<(&str, &str)> {
        let (label, value) = line.split_once(':')?;
        let begins = match self {
            Self::Unindented => !line.starts_with([' ', '\t']) && !label.trim().is_empty(),
            Self::FirstWord => !label.is_empty() && !label.contains(|c: char| c.is_ascii_whitespace()),
        };
        begins.then(|| (label.trim(), value.trim()))
    }

    /// What the line adds to the value before it, if it can.
    fn continuation(self, line: &str) -> Option<&str> {
        match self {
            Self::Unindented => line.starts_with([' ', '\t']).then(|| line.trim()),
            Self::FirstWord => Some(line.strip_prefix(':').unwrap_or(line).trim()),
        }
    }

    /// What joins the next line to a value. Upstream's reader puts a blank after an empty one, too.
    fn joint(self, value: &str) -> &'static str {
        if self == Self::Unindented && value.is_empty() { "" } else { " " }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(syntax: &Syntax, text: &[u8]) -> Vec<TagItem> {
        let mut found = Vec::new();
        let mut parser = TagParser::new("bag-info.txt", syntax);
        parser.push(text, |item| found.push(item)).unwrap();
        parser.finish(|item| found.push(item)).unwrap();
        found
    }

    fn pairs(syntax: &Syntax, text: &str) -> Vec<(String, String)> {
        let tag = |item| match item {
            TagItem::Tag(tag) => Some((tag.label, tag.value)),
            TagItem::Stray { .. } | TagItem::NotUtf8 { .. } => None,
        };
        items(syntax, text.as_bytes()).into_iter().filter_map(tag).collect()
    }

    fn pair(label: &str, value: &str) -> (String, String) {
        (label.to_owned(), value.to_owned())
    }

    #[test]
    fn labels_end_at_the_first_colon() {
        for syntax in [Syntax::RFC, Syntax::APTRUST] {
            let text = "A: a: b: c\nDate:2020-09-13T11:22\nURL:http://example.org:80/x y\nNone:\n";
            let expected = [
                pair("A", "a: b: c"),
                pair("Date", "2020-09-13T11:22"),
                pair("URL", "http://example.org:80/x y"),
                pair("None", ""),
            ];
            assert_eq!(pairs(&syntax, text), expected);
        }
    }

    #[test]
    fn indented_lines_continue_a_value_even_with_a_colon_and_past_blank_lines() {
        for syntax in [Syntax::RFC, Syntax::APTRUST] {
            let text = "X: Letters:\n  a long story,\n\twith a colon: here\r\n\n   and the end  \nContact: A. Person";
            let expected =
                [pair("X", "Letters: a long story, with a colon: here and the end"), pair("Contact", "A. Person")];
            assert_eq!(pairs(&syntax, text), expected);
        }
    }

    #[test]
    fn for_aptrust_a_line_whose_first_word_has_no_colon_continues() {
        let text = "stray\n: stray\nA: 1\nBag Count: 1\nBag-Count : 1\n: x\n::y\nEmpty:\n: no label\n";
        let expected = [pair("A", "1 Bag Count: 1 Bag-Count : 1 x :y"), pair("Empty", " no label")];
        assert_eq!(pairs(&Syntax::APTRUST, text), expected);
        assert_eq!(
            items(&Syntax::APTRUST, text.as_bytes())[..2],
            [TagItem::Stray { line: 1 }, TagItem::Stray { line: 2 }]
        );
    }

    #[test]
    fn by_the_rfc_an_unindented_line_without_label_is_a_stray() {
        let text = "A : 1\nBag Count: 2\nno colon\n: no label\nB:\n  c\n";
        assert_eq!(pairs(&Syntax::RFC, text), [pair("A", "1"), pair("Bag Count", "2"), pair("B", "c")]);
        let strays =
            items(&Syntax::RFC, text.as_bytes()).into_iter().filter(|item| matches!(item, TagItem::Stray { .. }));
        assert_eq!(strays.collect::<Vec<_>>(), [TagItem::Stray { line: 3 }, TagItem::Stray { line: 4 }]);
    }

    #[test]
    fn a_byte_order_mark_spoils_the_first_label_for_aptrust_only() {
        let text = b"\xef\xbb\xbfA: 1\nB: 2";
        assert_eq!(pairs(&Syntax::RFC, std::str::from_utf8(text).unwrap()), [pair("A", "1"), pair("B", "2")]);
        assert_eq!(pairs(&Syntax::APTRUST, std::str::from_utf8(text).unwrap())[0], pair("\u{feff}A", "1"));
    }

    #[test]
    fn the_first_line_that_is_not_utf8_is_told_where_the_encoding_is_detected() {
        let text = b"A: 1\nB: \xe9\nC: \xe8\n";
        let told = |syntax| {
            items(syntax, text).into_iter().filter(|item| !matches!(item, TagItem::Tag(_))).collect::<Vec<_>>()
        };
        assert_eq!(told(&Syntax::RFC), [TagItem::NotUtf8 { line: 2 }]);
        assert_eq!(told(&Syntax::APTRUST), []);
    }

    #[test]
    fn lines_and_values_have_limits() {
        let value = "x".repeat(64 * 1024 - 3);
        assert_eq!(pairs(&Syntax::APTRUST, &format!("A: {value}\r\n")), [pair("A", &value)]);
        let mut parser = TagParser::new("bag-info.txt", &Syntax::APTRUST);
        let error = parser.push(format!("A: 1\nB: {value}x\n").as_bytes(), |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "Error reading tag file 'bag-info.txt': line 2 is too long");
        let mut parser = TagParser::new("bag-info.txt", &Syntax::RFC);
        let line = format!(" {}\n", "y".repeat(60_000));
        let error = std::iter::once("A: 1\nB: 2\n").chain(std::iter::repeat_n(line.as_str(), 20));
        let error = error.map(|text| parser.push(text.as_bytes(), |_| ())).find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), "Error reading tag file 'bag-info.txt': the value in line 2 is too long");
    }

    #[test]
    fn tags_are_found_by_exact_file_and_label_without_case() {
        let tags: Vec<Tag> = items(&Syntax::RFC, b"A:\nb: 1\na: 2\nA: 3\n")
            .into_iter()
            .filter_map(|item| if let TagItem::Tag(tag) = item { Some(tag) } else { None })
            .collect();
        assert_eq!(tags.value("bag-info.txt", "A"), Some(""));
        assert_eq!(tags.filled("bag-info.txt", "A"), Some("2"));
        assert_eq!(tags.named("bag-info.txt", "a").map(|tag| tag.line).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(tags.value("Bag-Info.txt", "A"), None);
    }
}
