//! LIKE as PostgreSQL has it: `%`, `_` and the backslash, by characters, in one case or in either. SQLite's own folds
//! only ASCII and always.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

/// Makes `pattern(pattern, text)` and `ipattern(pattern, text)` known, the second for either case.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("pattern", 2, flags, |context| test(context, str::to_owned))?;
    db.create_scalar_function("ipattern", 2, flags, |context| test(context, str::to_lowercase))
}

fn test(context: &Context<'_>, fold: fn(&str) -> String) -> rusqlite::Result<Option<bool>> {
    let text = |place| context.get_raw(place).as_str_or_null();
    let (Some(pattern), Some(text)) = (text(0)?, text(1)?) else { return Ok(None) };
    Ok(Some(matches(&fold(pattern), &fold(text))))
}

#[derive(PartialEq)]
enum Part {
    Literal(char),
    One,
    Many,
}

/// Greedy with one point to come back to: time grows with the product of the lengths, never beyond.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '%' => Part::Many,
            '_' => Part::One,
            '\\' => Part::Literal(characters.next().unwrap_or('\\')),
            other => Part::Literal(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut part) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(Part::Many) => {
                back = Some((part + 1, at));
                part += 1;
            }
            Some(Part::One) => (at, part) = (at + 1, part + 1),
            Some(Part::Literal(wanted)) if *wanted == text[at] => (at, part) = (at + 1, part + 1),
            _ => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                (at, part) = (from + 1, after);
            }
        }
    }
    parts[part..].iter().all(|part| *part == Part::Many)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, text) in [
            ("", ""),
            ("a%", "a"),
            ("a%", "abc"),
            ("%b%", "abc"),
            ("a_c", "aéc"),
            ("100\\%", "100%"),
            ("%a%a%", "xaya"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a%", "ba"), ("a_c", "ac"), ("100\\%", "1000"), ("a_", "abc"), ("%a%b", "ab c")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_wildcards_end_in_time() {
        assert!(!matches(&"%a".repeat(2000), &"b".repeat(20_000)));
    }
}
