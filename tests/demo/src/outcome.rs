//! What became of a bag: of each of its versions, and of what was done with it afterwards. How that is found out, others know.

use std::time::Duration;

use model::{Status, WorkItem};
use serde_json::Value;

use crate::deposits::Expected;
use crate::phase::{Phase, Span};
use crate::stored::Stored;

/// What became of a bag.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    /// In the order in which they came. After one that was not preserved none comes.
    pub(crate) versions: Vec<Version>,
    /// What was done with it once it was preserved.
    pub(crate) steps: Vec<Step>,
}

/// What became of one version of a bag.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) about: &'static str,
    pub(crate) item: WorkItem,
    pub(crate) after: Duration,
    pub(crate) spans: Vec<Span>,
    /// Absent if it was not preserved: the item's note says why.
    pub(crate) stored: Option<Stored>,
}

/// Something that was done with a preserved bag.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) span: Span,
    pub(crate) found: Found,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In a sentence, for the depositor.
    pub(crate) says: String,
    /// The same for machines: an object.
    pub(crate) facts: Value,
    /// What is not as it must be.
    pub(crate) wrong: Vec<String>,
}

impl Outcome {
    /// The newest version that is stored.
    pub(crate) fn stored(&self) -> Option<&Stored> {
        self.versions.iter().rev().find_map(|version| version.stored.as_ref())
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.steps.iter().any(|step| step.span.phase == Phase::Deleted && step.found.wrong.is_empty())
    }

    /// All its times, in their order.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Span> {
        let steps = self.steps.iter().map(|step| &step.span);
        self.versions.iter().flat_map(|version| &version.spans).chain(steps)
    }

    /// What came out other than expected.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.versions.iter().filter_map(|version| version.wrong(self.expected)).collect();
        wrong
            .extend(self.versions.iter().filter_map(|version| version.stored.as_ref()).flat_map(|it| it.wrong.clone()));
        wrong.extend(self.steps.iter().flat_map(|step| step.found.wrong.clone()));
        wrong
    }
}

impl Version {
    fn wrong(&self, expected: Expected) -> Option<String> {
        let note = &self.item.note;
        match (expected, &self.item.status) {
            (Expected::Preserved, Status::Success) | (Expected::Refused, Status::Failed) => None,
            (Expected::Preserved, Status::Failed) => Some(format!("it was refused: {note}")),
            (Expected::Refused, Status::Success) => Some("it was preserved, and must be refused".to_owned()),
            _ => Some(format!("it was given up: {note}")),
        }
    }
}
