//! The report: for people, and as records.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::{Algorithm, Status};
use serde_json::{Value, json};
use xtask::ui::{Paint, Ui};

use crate::deposits::Expected;
use crate::outcome::{Fate, Outcome, Stored, place};
use crate::system::System;
use crate::words::{counted, size};

/// The width of a terminal, and of the labels before what they name.
const WIDTH: usize = 80;
const LABEL: usize = 12;

/// What is printed at the end.
pub(crate) fn text(outcomes: &[Outcome], system: &System, ui: &Ui) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        bag(&mut text, outcome, ui);
        text.push('\n');
    }
    let (user, password) = system.registry_user();
    let as_expected = outcomes.iter().filter(|outcome| outcome.is_as_expected()).count();
    let _ = writeln!(text, "{:<LABEL$}{}   ({user}, {password})", "Registry", system.registry_url());
    let seconds = ui.elapsed().as_secs();
    let _ = write!(text, "{as_expected} of {} bags came out as expected, {seconds} s after the start", outcomes.len());
    text
}

fn bag(text: &mut String, outcome: &Outcome, ui: &Ui) {
    let Outcome { name, about, item, after, expected, stored } = outcome;
    let (paint, mut became) = match (&item.status, expected) {
        (Status::Success, Expected::Preserved) => (Paint::Green, "preserved"),
        (Status::Failed, Expected::Refused) => (Paint::Yellow, "refused"),
        (Status::Success, Expected::Refused) => (Paint::Red, "preserved, which it must not be"),
        (Status::Failed, Expected::Preserved) => (Paint::Red, "refused"),
        _ => (Paint::Red, "given up"),
    };
    if stored.as_ref().is_some_and(|stored| !stored.wrong.is_empty()) {
        became = "preserved, but what is stored is wrong";
    }
    let remark = if outcome.expected == Expected::Refused && outcome.is_as_expected() { ", as it must be" } else { "" };
    let (name, became) = (ui.paint(Paint::Bold, name), ui.paint(paint, became));
    let _ = writeln!(text, "{name}: {became} after {:.1} s{remark}", after.as_secs_f64());
    if !about.is_empty() {
        labelled(text, "about", about);
    }
    match stored {
        Some(stored) => what_is_stored(text, stored),
        None => item.note.split(" | ").for_each(|reason| labelled(text, "reason", reason)),
    }
}

fn what_is_stored(text: &mut String, stored: &Stored) {
    let Stored { object, files, bytes, buckets, verified, algorithms, archived, .. } = stored;
    labelled(text, "object", &format!("{}, \"{}\"", object.identifier, object.title));
    let copies: Vec<String> = buckets.iter().map(|(bucket, copies)| format!("{copies} in {bucket}")).collect();
    let option = object.storage_option.as_str();
    labelled(text, "stored", &format!("{}, {}, {option}: {}", counted(*files), size(*bytes), copies.join(", ")));
    let mut read = format!("{verified} copies, each with the {} of the Registry", algorithms.join(", "));
    if *archived > 0 {
        let _ = write!(read, "; {archived} are in an archive and were not read");
    }
    labelled(text, "read back", &read);
    stored.wrong.iter().for_each(|wrong| labelled(text, "wrong", wrong));
    for file in &stored.examples {
        let path = file.path_in_bag().unwrap_or_default();
        let bytes = size(u64::try_from(file.size).unwrap_or_default());
        labelled(text, "such as", &format!("{path}, {bytes}, {}", file.file_format));
        for record in &file.storage_records {
            let (bucket, key) = place(&record.url).unwrap_or_default();
            labelled(text, "", &format!("{bucket}/{key}"));
        }
        if let Some(md5) = file.latest_checksum(&Algorithm::Md5) {
            labelled(text, "", &format!("md5 {}", md5.digest));
        }
    }
    if stored.is_reingest {
        for (what, fate) in [("new", &stored.new), ("changed", &stored.changed), ("the same", &stored.same)] {
            labelled(text, what, &files_of(fate));
        }
    }
    let events: Vec<String> = stored.events.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    labelled(text, "events", &events.join(", "));
}

fn files_of(Fate { files, names }: &Fate) -> String {
    let mut text = counted(*files);
    if !names.is_empty() {
        let _ = write!(text, ": {}", names.join(", "));
        let more = files - names.len() as u64;
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
    }
    text
}

/// A label and what it names, broken between words where a line would be longer than a terminal.
fn labelled(text: &mut String, label: &str, what: &str) {
    let mut line = format!("  {label:<0$}", LABEL - 2);
    let mut used = LABEL;
    for (number, word) in what.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && used + 1 + length > WIDTH {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(LABEL);
            used = LABEL;
        } else if number > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    let _ = writeln!(text, "{line}");
}

/// The same for machines.
pub(crate) fn record(outcome: &Outcome) -> Value {
    let Outcome { name, item, after, stored, .. } = outcome;
    let fate = |fate: &Fate| json!({ "files": fate.files, "payload": fate.names });
    let stored = stored.as_ref().map(|stored| {
        json!({
            "object": stored.object.identifier,
            "title": stored.object.title,
            "storage_option": stored.object.storage_option.as_str(),
            "files": stored.files,
            "bytes": stored.bytes,
            "copies": stored.buckets,
            "verified": stored.verified,
            "archived": stored.archived,
            "wrong": stored.wrong,
            "events": stored.events.iter().cloned().collect::<BTreeMap<_, _>>(),
            "is_reingest": stored.is_reingest,
            "new": fate(&stored.new),
            "changed": fate(&stored.changed),
            "same": fate(&stored.same),
        })
    });
    json!({
        "bag": name,
        "work_item": item.id,
        "status": item.status.as_str(),
        "note": item.note,
        "seconds": after.as_secs_f64(),
        "as_expected": outcome.is_as_expected(),
        "stored": stored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let mut text = String::new();
        labelled(&mut text, "reason", &["word"; 20].join(" "));
        labelled(&mut text, "", &"x".repeat(90));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  reason    word word") && lines[0].len() <= WIDTH, "{text}");
        assert_eq!(lines[1].trim_start().split(' ').count() + lines[0].matches("word").count(), 20);
        assert_eq!(lines[2].len(), LABEL + 90);
    }
}
