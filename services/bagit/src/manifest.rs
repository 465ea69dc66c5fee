//! Manifests and tag manifests: a digest and a path on each line, as they stand. Which file is meant, `path` helps to find
//! out; whether it matches, `check_file` says.

use std::fmt;

use crate::lines::{Lines, TooLong};
use crate::syntax::{Separators, Syntax, is_blank, lossy};

/// A manifest or tag manifest, read piece by piece. The entries go to the caller; one line is all that is kept.
pub struct ManifestParser {
    file: String,
    lines: Lines,
    separators: Separators,
}

/// A line of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Counted from 1.
    pub line: u64,
    /// What stands before the first blank, as written; empty if the line begins with a blank.
    pub digest: &'a [u8],
    /// What stands behind the first run of blanks, blanks at its end included.
    pub path: &'a [u8],
}

impl Entry<'_> {
    /// The digest in lower case, to be kept and compared.
    pub fn digest_text(&self) -> String {
        lossy(self.digest).to_ascii_lowercase()
    }

    /// The path as text, with U+FFFD for what is not UTF-8.
    pub fn path_text(&self) -> String {
        lossy(self.path).into_owned()
    }
}

impl ManifestParser {
    /// `file` is the manifest's path in the bag, for errors.
    pub fn new(file: impl Into<String>, syntax: &Syntax) -> Self {
        Self { file: file.into(), lines: Lines::new(syntax, syntax.manifest_line), separators: syntax.separators }
    }

    /// Calls `each` for every entry that ends in `chunk`. Lines of blanks alone are passed over.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Entry<'_>)) -> Result<(), TooLong> {
        let separators = self.separators;
        self.lines
            .push(chunk, |number, line| {
                entry(separators, number, line).into_iter().for_each(&mut each);
                Ok(())
            })
            .map_err(|over| over.of("manifest", &self.file))
    }

    /// The file has ended.
    pub fn finish(mut self, mut each: impl FnMut(Entry<'_>)) -> Result<(), TooLong> {
        let separators = self.separators;
        self.lines
            .finish(|number, line| {
                entry(separators, number, line).into_iter().for_each(&mut each);
                Ok(())
            })
            .map_err(|over| over.of("manifest", &self.file))
    }

    /// Whether the file began with a byte order mark that was taken off.
    pub fn had_mark(&self) -> bool {
        self.lines.had_mark()
    }
}

impl fmt::Debug for ManifestParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestParser").field("file", &self.file).finish_non_exhaustive()
    }
}

fn entry(separators: Separators, number: u64, line: &[u8]) -> Option<Entry<'_>> {
    if is_blank(line) {
        return None;
    }
    let (digest, rest) = split_word(separators, line);
    Some(Entry { line: number, digest, path: rest })
}

/// The first word, and what follows the blanks behind it.
pub(crate) fn split_word(separators: Separators, line: &[u8]) -> (&[u8], &[u8]) {
    let end = separators.first_in(line).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let start = rest.iter().position(|&byte| !separators.contains(byte)).unwrap_or(rest.len());
    (word, &rest[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(syntax: &Syntax, text: &str) -> Vec<(u64, String, String)> {
        let mut found = Vec::new();
        let mut parser = ManifestParser::new("manifest-md5.txt", syntax);
        let mut each = |entry: Entry<'_>| found.push((entry.line, entry.digest_text(), entry.path_text()));
        parser.push(text.as_bytes(), &mut each).unwrap();
        parser.finish(each).unwrap();
        found
    }

    fn pairs(syntax: &Syntax, text: &str) -> Vec<(String, String)> {
        entries(syntax, text).into_iter().map(|(_, digest, path)| (digest, path)).collect()
    }

    fn pair(digest: &str, path: &str) -> (String, String) {
        (digest.to_owned(), path.to_owned())
    }

    #[test]
    fn digest_and_path_are_divided_by_a_run_of_blanks() {
        for syntax in [Syntax::RFC, Syntax::APTRUST] {
            let text = "AB\tdata/tab\ncd     data/many\nef data/ a / b \n01 *data/star\n02 ./data/dot\n03 data/x%0Ay";
            let expected = [
                pair("ab", "data/tab"),
                pair("cd", "data/many"),
                pair("ef", "data/ a / b "),
                pair("01", "*data/star"),
                pair("02", "./data/dot"),
                pair("03", "data/x%0Ay"),
            ];
            assert_eq!(pairs(&syntax, text), expected);
        }
    }

    #[test]
    fn lines_keep_their_numbers_where_blank_ones_stand_between() {
        let found = entries(&Syntax::RFC, "\n \t\nab data/a\r\n\u{3000}\r\ncd data/b");
        assert_eq!(found, [(3, "ab".into(), "data/a".into()), (5, "cd".into(), "data/b".into())]);
    }

    #[test]
    fn only_ascii_white_space_divides_for_aptrust() {
        let text = "01\u{a0}data/a b\n01\u{3000}data/c\n01\u{b}data/vt x\n01\u{c}data/ff x\n";
        let expected = [
            pair("01\u{a0}data/a", "b"),
            pair("01\u{3000}data/c", ""),
            pair("01\u{b}data/vt", "x"),
            pair("01", "data/ff x"),
        ];
        assert_eq!(pairs(&Syntax::APTRUST, text), expected);
        assert_eq!(pairs(&Syntax::RFC, "01\u{c}data/ff x"), [pair("01\u{c}data/ff", "x")]);
    }

    #[test]
    fn white_space_first_leaves_the_digest_empty_and_a_line_may_lack_a_path() {
        assert_eq!(pairs(&Syntax::APTRUST, " ab data/a\nab\n"), [pair("", "ab data/a"), pair("ab", "")]);
    }

    #[test]
    fn lines_up_to_a_mebibyte_are_read_and_longer_ones_refused() {
        let long = format!("{}\nab data/b\n", " ".repeat(70_000));
        assert_eq!(pairs(&Syntax::APTRUST, &long), [pair("ab", "data/b")]);
        let path = "x".repeat(1024 * 1024 - 3);
        assert_eq!(pairs(&Syntax::APTRUST, &format!("ab {path}\n"))[0].1, path);
        let mut parser = ManifestParser::new("manifest-md5.txt", &Syntax::APTRUST);
        let error = parser.push(format!("ab data/a\nab x{path}\n").as_bytes(), |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "Error reading manifest 'manifest-md5.txt': line 2 is too long");
    }
}
