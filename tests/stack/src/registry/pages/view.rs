//! What the templates show: tables, facts, forms, and the texts in them made short enough to read. Every text is
//! escaped by the templates; addresses are made here, of numbers and of escaped parameters.

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::registry::time::Time;

/// Rows of a list's page, and at most of a table on a record's page.
pub(super) const ROWS: i64 = 50;
/// Characters of a text in a table, and of one on a record's own page.
const SHORT: usize = 160;
const LONG: usize = 8000;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What stands around every page.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) revision: String,
    pub(super) here: String,
    pub(super) csrf: String,
    pub(super) users: Vec<Choice>,
    pub(super) section: &'static str,
    pub(super) notice: &'static str,
    /// Kept new by the script.
    pub(super) live: bool,
}

impl Frame {
    /// Name, address and title of what the navigation leads to.
    const SECTIONS: [(&'static str, &'static str, &'static str); 7] = [
        ("dashboard", "/", "Dashboard"),
        ("work_items", "/work_items", "Work items"),
        ("objects", "/objects", "Objects"),
        ("files", "/files", "Files"),
        ("events", "/events", "Events"),
        ("deletions", "/deletions", "Deletions"),
        ("institutions", "/institutions", "Institutions"),
    ];

    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        Self::SECTIONS.into_iter().map(|(name, to, title)| (to, title, name == self.section))
    }
}

#[derive(Debug, Template)]
#[template(path = "registry/dashboard.html")]
pub(super) struct DashboardPage<'a> {
    pub(super) frame: &'a Frame,
    pub(super) cards: Vec<Card>,
    pub(super) tables: Vec<Table>,
}

#[derive(Debug, Template)]
#[template(path = "registry/list.html")]
pub(super) struct ListPage<'a> {
    pub(super) frame: &'a Frame,
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) fields: Vec<Field>,
    pub(super) tables: Vec<Table>,
    pub(super) pager: Pager,
}

#[derive(Debug, Template)]
#[template(path = "registry/detail.html")]
pub(super) struct DetailPage<'a> {
    pub(super) frame: &'a Frame,
    /// Kind and number of the record, and the list it is in.
    pub(super) kind: String,
    pub(super) list: (&'static str, &'static str),
    pub(super) title: String,
    pub(super) state: Cell,
    pub(super) facts: Vec<(&'static str, Cell)>,
    pub(super) actions: Vec<Action>,
    pub(super) tables: Vec<Table>,
}

#[derive(Debug, Template)]
#[template(path = "registry/error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) frame: &'a Frame,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// A number that matters, and where its records are.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) label: &'static str,
    pub(super) number: String,
    pub(super) href: String,
    pub(super) class: &'static str,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Said where there are no rows.
    pub(super) empty: &'static str,
    /// Where the rest is, and how many there are in all.
    pub(super) more: Option<(String, i64)>,
}

/// A text, perhaps with somewhere to go and a colour.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Empty for no link.
    pub(super) href: String,
    /// The colour of a status; empty for plain text.
    pub(super) tag: &'static str,
    pub(super) class: &'static str,
}

#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) selected: bool,
}

/// A field of a form: with choices one selects, without one types.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) choices: Vec<Choice>,
    pub(super) hidden: bool,
}

/// A button that changes something, with its form.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) path: String,
    pub(super) button: &'static str,
    pub(super) class: &'static str,
    pub(super) fields: Vec<Field>,
    /// Why the user cannot do it; empty if the user can.
    pub(super) refusal: String,
}

/// Where in a list a page is.
#[derive(Debug, Default)]
pub(super) struct Pager {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: i64,
    /// Empty for none.
    pub(super) previous: String,
    pub(super) next: String,
}

impl Cell {
    pub(super) fn text(text: &str) -> Self {
        Self { text: clip(text, SHORT), ..Self::default() }
    }

    pub(super) fn long(text: &str) -> Self {
        Self { text: clip(text, LONG), class: "long", ..Self::default() }
    }

    /// Digests, UUIDs and the like.
    pub(super) fn code(text: &str) -> Self {
        Self { text: clip(text, LONG), class: "code", ..Self::default() }
    }

    pub(super) fn link(text: &str, href: String) -> Self {
        Self { text: clip(text, SHORT), href, ..Self::default() }
    }

    pub(super) fn number(number: i64) -> Self {
        Self { text: grouped(number), class: "number", ..Self::default() }
    }

    pub(super) fn size(bytes: i64) -> Self {
        Self { text: size(bytes), class: "number", ..Self::default() }
    }

    pub(super) fn time(time: Time) -> Self {
        // `2024-05-06T07:08:09.5Z`: times from the database are in UTC.
        let text = time.to_text();
        let text = text.get(..19).unwrap_or_default().replace('T', " ");
        Self { text: if time.is_none() { String::new() } else { text }, class: "time", ..Self::default() }
    }

    /// A status, outcome or state, in its colour.
    pub(super) fn status(text: &str) -> Self {
        let tag = match text {
            "Success" | "Approved" | "Active" => "good",
            "Failed" | "Failure" => "bad",
            "Started" => "busy",
            "Pending" | "Waiting" => "waiting",
            _ => "off",
        };
        Self { text: clip(text, SHORT), tag: if text.is_empty() { "" } else { tag }, ..Self::default() }
    }

    pub(super) fn state(state: &str) -> Self {
        match state {
            "A" => Self::status("Active"),
            "D" => Self::status("Deleted"),
            other => Self::status(other),
        }
    }

    pub(super) fn yes(yes: bool) -> Self {
        Self::text(if yes { "yes" } else { "no" })
    }

    /// A link, or nothing if there is no such record.
    pub(super) fn record(text: &str, section: &str, id: i64) -> Self {
        match id {
            0 => Self::default(),
            _ if text.is_empty() => Self::link(&id.to_string(), format!("/{section}/{id}")),
            _ => Self::link(text, format!("/{section}/{id}")),
        }
    }
}

impl Choice {
    pub(super) fn of(value: &str, label: &str, selected: &str) -> Self {
        Self { value: value.to_owned(), label: clip(label, SHORT), selected: value == selected }
    }
}

/// A path with parameters, those without a value left out.
pub(super) fn address(path: &str, params: &[(&str, &str)]) -> String {
    let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let given = params.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1 234 567`, with spaces that do not break.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "−" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in decimal units, to one place.
pub(super) fn size(bytes: i64) -> String {
    let mut unit = "B";
    let mut tenths = i128::from(bytes) * 10;
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if tenths < 10_000 {
            break;
        }
        tenths = (tenths + 500) / 1000;
        unit = larger;
    }
    if unit == "B" { format!("{bytes}\u{a0}B") } else { format!("{}.{}\u{a0}{unit}", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (23_972, "24.0 kB"),
            (999_960, "1.0 MB"),
            (243_855_000, "243.9 MB"),
            (i64::MAX, "9.2 EB"),
        ] {
            assert_eq!(size(bytes).replace('\u{a0}', " "), text, "{bytes}");
        }
        let grouped = |number| super::grouped(number).replace('\u{202f}', " ");
        assert_eq!([grouped(0), grouped(1000), grouped(-12_345_678)], ["0", "1 000", "−12 345 678"]);
    }

    #[test]
    fn addresses_are_escaped_and_texts_clipped() {
        let made = address("/files", &[("name", "a b&c=\"<é"), ("state", ""), ("page", "2")]);
        assert_eq!(made, "/files?name=a%20b%26c%3D%22%3C%C3%A9&page=2");
        assert_eq!(address("/files", &[("state", "")]), "/files");
        assert_eq!((clip("ééé", 2), clip("éé", 2)), ("éé…".to_owned(), "éé".to_owned()));
    }
}
