//! Numbers as people read them, and the words of strangers as a terminal and a page can show them.

use xtask::ui::megabytes;

pub(crate) fn counted(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// Exact where that is short.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 100_000 { format!("{bytes} bytes") } else { megabytes(bytes) }
}

/// What would move a cursor, turn a line around or is in no document is shown by its number.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) { plain.push(character) } else { plain.extend(character.escape_unicode()) }
    }
    plain
}

fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(plain("Grüße, <b> & 'x'"), "Grüße, <b> & 'x'");
        assert_eq!(plain("a\x1b[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\u{a}\\u{202e}c");
    }
}
