//! The times of a bag: which part of its life took from when to when. Names and order of the parts stand here.

use std::time::Duration;

use model::Stage;

/// A part of a bag's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Received,
    Validated,
    Compared,
    Unpacked,
    Identified,
    Stored,
    Verified,
    Recorded,
    CleanedUp,
    Checked,
    FileBack,
    Thawed,
    BagBack,
    Deleted,
}

/// When something went on, since the first bag was deposited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) phase: Phase,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Phase {
    pub(crate) const ALL: [Self; 14] = [
        Self::Received,
        Self::Validated,
        Self::Compared,
        Self::Unpacked,
        Self::Identified,
        Self::Stored,
        Self::Verified,
        Self::Recorded,
        Self::CleanedUp,
        Self::Checked,
        Self::FileBack,
        Self::Thawed,
        Self::BagBack,
        Self::Deleted,
    ];

    /// The one in which a bag is at a stage of its ingest.
    pub(crate) fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Validate => Self::Validated,
            Stage::ReingestCheck => Self::Compared,
            Stage::CopyToStaging => Self::Unpacked,
            Stage::FormatIdentification => Self::Identified,
            Stage::Store => Self::Stored,
            Stage::StorageValidation => Self::Verified,
            Stage::Record => Self::Recorded,
            Stage::Cleanup => Self::CleanedUp,
            _ => Self::Received,
        }
    }

    /// In a word or two, for labels.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Validated => "validated",
            Self::Compared => "compared",
            Self::Unpacked => "unpacked",
            Self::Identified => "identified",
            Self::Stored => "stored",
            Self::Verified => "verified",
            Self::Recorded => "recorded",
            Self::CleanedUp => "cleaned up",
            Self::Checked => "checked",
            Self::FileBack => "file back",
            Self::Thawed => "thawed",
            Self::BagBack => "bag back",
            Self::Deleted => "deleted",
        }
    }
}

impl Span {
    pub(crate) fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from).as_secs_f64()
    }
}
