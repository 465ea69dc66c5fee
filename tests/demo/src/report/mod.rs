//! The report. What is said of a bag stands here once, in sentences; the text, the page and the records are three ways of showing it.

mod html;
mod records;
mod text;

use std::fmt::Write as _;
use std::time::Duration;

use model::Status;

use crate::deposits::Expected;
use crate::outcome::Outcome;
use crate::stored::{Fate, Stored};
use crate::system::System;
use crate::words::{counted, plain, size};

/// All that there is to tell.
pub(crate) struct Report<'a> {
    pub(crate) outcomes: &'a [Outcome],
    pub(crate) system: &'a System,
    pub(crate) took: Duration,
}

/// Something that is said of a bag.
#[derive(Debug)]
struct Line {
    label: &'static str,
    says: String,
    /// How long it took, where that is told.
    seconds: Option<f64>,
    kind: LineKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Plain,
    Wrong,
}

/// How a bag fared, for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fared {
    Well,
    /// It was refused, as it must be.
    Refused,
    Badly,
}

impl Report<'_> {
    fn as_expected(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.wrong().is_empty()).count()
    }

    /// In one sentence.
    fn verdict(&self) -> String {
        let bags = self.outcomes.len();
        format!(
            "{} of {bags} bags came out as expected, {:.0} s after the start.",
            self.as_expected(),
            self.took.as_secs_f64()
        )
    }
}

/// What became of a bag, in a few words.
fn became(outcome: &Outcome) -> (Fared, String) {
    let is_refused = outcome.versions.iter().all(|version| version.item.status == Status::Failed);
    let (fared, words) = match (outcome.wrong().is_empty(), outcome.stored()) {
        (true, Some(_)) if outcome.is_deleted() => (Fared::Well, "preserved, given back, and deleted in the end"),
        (true, Some(_)) => (Fared::Well, "preserved, and given back"),
        (true, None) => (Fared::Refused, "refused, as it must be"),
        (false, Some(_)) if outcome.expected == Expected::Refused => (Fared::Badly, "preserved, which it must not be"),
        (false, Some(_)) => (Fared::Badly, "preserved, but not all is as it must be"),
        (false, None) if is_refused => (Fared::Badly, "refused"),
        (false, None) => (Fared::Badly, "given up"),
    };
    let why = if fared == Fared::Refused { format!(": {}", about(outcome)) } else { String::new() };
    (fared, format!("{words}{why}"))
}

/// What is special about its versions.
fn about(outcome: &Outcome) -> String {
    let abouts = outcome.versions.iter().map(|version| version.about).filter(|about| !about.is_empty());
    abouts.collect::<Vec<_>>().join("; ")
}

/// Everything that is said of a bag, in its order.
fn lines(outcome: &Outcome) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |label, says: &str, seconds, kind| lines.push(Line { label, says: plain(says), seconds, kind });
    if let Some(stored) = outcome.stored() {
        let about = about(outcome);
        if !about.is_empty() {
            say("about", &about, None, LineKind::Plain);
        }
        let object = &stored.object;
        let holds = format!("{}, {}", counted(stored.files), size(stored.bytes));
        say("object", &format!("{}, \"{}\": {holds}", object.identifier, object.title), None, LineKind::Plain);
        let after = outcome.versions.iter().map(|version| version.after.as_secs_f64()).sum();
        say("stored", &where_stored(stored), Some(after), LineKind::Plain);
        if stored.is_reingest {
            say("versions", &fates(stored), None, LineKind::Plain);
        }
        for step in &outcome.steps {
            if !step.found.says.is_empty() {
                say(step.span.phase.label(), &step.found.says, Some(step.span.seconds()), LineKind::Plain);
            }
        }
    } else {
        let notes = outcome.versions.iter().flat_map(|version| version.item.note.split(" | "));
        notes.for_each(|reason| say("reason", reason, None, LineKind::Plain));
    }
    if outcome.stored().is_some() || outcome.expected == Expected::Refused {
        outcome.wrong().iter().for_each(|wrong| say("wrong", wrong, None, LineKind::Wrong));
    }
    lines
}

fn where_stored(stored: &Stored) -> String {
    let Stored { object, buckets, verified, algorithms, archived, .. } = stored;
    let copies: Vec<String> = buckets.iter().map(|(bucket, copies)| format!("{copies} in {bucket}")).collect();
    let mut text = format!("{}: {}", object.storage_option, copies.join(", "));
    if *verified > 0 {
        let _ = write!(text, "; {verified} copies read back, each with its {}", algorithms.join(", "));
    }
    if *archived > 0 {
        let _ = write!(text, "; {archived} are archived, so not read");
    }
    text
}

/// What the newest version brought.
fn fates(stored: &Stored) -> String {
    let said = |what: &str, fate: &Fate| {
        let names = if fate.names.is_empty() { String::new() } else { format!(" ({})", names(fate)) };
        format!("{} {what}{names}", fate.files)
    };
    let Stored { new, changed, same, .. } = stored;
    format!("{}, {}, {} the same", said("new", new), said("changed", changed), same.files)
}

fn names(Fate { files, names }: &Fate) -> String {
    names.join(", ") + if *files > names.len() as u64 { ", …" } else { "" }
}
