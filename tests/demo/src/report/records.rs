//! The report for machines: a record for each bag.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Report;
use crate::outcome::{Outcome, Step, Version};
use crate::phase::Span;
use crate::stored::{Fate, Stored};

impl Report<'_> {
    pub(crate) fn records(&self) -> impl Iterator<Item = Value> {
        self.outcomes.iter().map(bag)
    }
}

fn bag(outcome: &Outcome) -> Value {
    let wrong = outcome.wrong();
    json!({
        "bag": outcome.name,
        "as_expected": wrong.is_empty(),
        "wrong": wrong,
        "versions": outcome.versions.iter().map(version).collect::<Vec<_>>(),
        "steps": outcome.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn version(version: &Version) -> Value {
    let stage = |span: &Span| json!({ "phase": span.phase.label(), "seconds": span.seconds() });
    json!({
        "work_item": version.item.id,
        "status": version.item.status.as_str(),
        "note": version.item.note,
        "seconds": version.after.as_secs_f64(),
        "phases": version.spans.iter().map(stage).collect::<Vec<_>>(),
        "stored": version.stored.as_ref().map(stored),
    })
}

fn step(Step { span, found }: &Step) -> Value {
    json!({
        "phase": span.phase.label(),
        "seconds": span.seconds(),
        "says": found.says,
        "facts": found.facts,
        "wrong": found.wrong,
    })
}

fn stored(stored: &Stored) -> Value {
    let fate = |fate: &Fate| json!({ "files": fate.files, "payload": fate.names });
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
}
