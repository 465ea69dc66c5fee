//! NSQ topics and channels, and which topic an action at a stage belongs to. A topic is also the name of its operation
//! in Redis.

use crate::{Action, Stage};

/// A queue of work. Every message in it is a number in ASCII: the id of a WorkItem, or of a file for
/// [`Topic::FixityCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    IngestPrefetch,
    IngestBagValidation,
    IngestReingestCheck,
    IngestStaging,
    IngestFormatIdentification,
    IngestStorage,
    IngestStorageValidation,
    IngestRecord,
    IngestCleanup,
    DeleteItem,
    FixityCheck,
    RestoreFile,
    RestoreGlacier,
    RestoreObject,
}

/// The queues of the end-to-end test.
pub mod e2e {
    pub const DELETION: &str = "e2e_deletion_post_test";
    pub const FIXITY: &str = "e2e_fixity_post_test";
    pub const INGEST: &str = "e2e_ingest_post_test";
    pub const REINGEST: &str = "e2e_reingest_post_test";
    pub const RESTORATION: &str = "e2e_restoration_post_test";
}

/// The stages of an ingest, in order, each with its topic.
pub const INGEST: [(Stage, Topic); 9] = [
    (Stage::Receive, Topic::IngestPrefetch),
    (Stage::Validate, Topic::IngestBagValidation),
    (Stage::ReingestCheck, Topic::IngestReingestCheck),
    (Stage::CopyToStaging, Topic::IngestStaging),
    (Stage::FormatIdentification, Topic::IngestFormatIdentification),
    (Stage::Store, Topic::IngestStorage),
    (Stage::StorageValidation, Topic::IngestStorageValidation),
    (Stage::Record, Topic::IngestRecord),
    (Stage::Cleanup, Topic::IngestCleanup),
];

/// No worker waits for this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("No NSQ topic for {action}/{stage}")]
pub struct NoTopic {
    action: Action,
    stage: Stage,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::IngestPrefetch,
        Self::IngestBagValidation,
        Self::IngestReingestCheck,
        Self::IngestStaging,
        Self::IngestFormatIdentification,
        Self::IngestStorage,
        Self::IngestStorageValidation,
        Self::IngestRecord,
        Self::IngestCleanup,
        Self::DeleteItem,
        Self::FixityCheck,
        Self::RestoreFile,
        Self::RestoreGlacier,
        Self::RestoreObject,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IngestPrefetch => "ingest01_prefetch",
            Self::IngestBagValidation => "ingest02_bag_validation",
            Self::IngestReingestCheck => "ingest03_reingest_check",
            Self::IngestStaging => "ingest04_staging",
            Self::IngestFormatIdentification => "ingest05_format_identification",
            Self::IngestStorage => "ingest06_storage",
            Self::IngestStorageValidation => "ingest07_storage_validation",
            Self::IngestRecord => "ingest08_record",
            Self::IngestCleanup => "ingest09_cleanup",
            Self::DeleteItem => "delete_item",
            Self::FixityCheck => "fixity_check",
            Self::RestoreFile => "restore_file",
            Self::RestoreGlacier => "restore_glacier",
            Self::RestoreObject => "restore_object",
        }
    }

    /// The channel through which its workers read it.
    pub fn channel(self) -> String {
        format!("{self}_worker_chan")
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }

    /// Where an item with this action goes. The stage counts for an ingest only.
    pub fn of(action: &Action, stage: &Stage) -> Result<Self, NoTopic> {
        let topic = match action {
            Action::Delete => Some(Self::DeleteItem),
            Action::FixityCheck => Some(Self::FixityCheck),
            Action::GlacierRestore => Some(Self::RestoreGlacier),
            Action::RestoreFile => Some(Self::RestoreFile),
            Action::RestoreObject => Some(Self::RestoreObject),
            Action::Ingest => INGEST.iter().find(|(of, _)| of == stage).map(|(_, topic)| *topic),
            Action::Other(_) => None,
        };
        topic.ok_or_else(|| NoTopic { action: action.clone(), stage: stage.clone() })
    }

    /// The stage of an ingest that its workers take items at.
    pub fn stage(self) -> Option<Stage> {
        INGEST.iter().find(|(_, topic)| *topic == self).map(|(stage, _)| stage.clone())
    }

    /// What comes after it in an ingest.
    pub fn next(self) -> Option<Self> {
        let at = INGEST.iter().position(|(_, topic)| *topic == self)?;
        INGEST.get(at + 1).map(|(_, topic)| *topic)
    }

    /// From here on an ingest is no longer given up for a newer bag.
    pub fn is_late_ingest(self) -> bool {
        matches!(self, Self::IngestStorage | Self::IngestStorageValidation | Self::IngestRecord | Self::IngestCleanup)
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_and_stage_has_its_topic() {
        for (action, stage, topic) in [
            (Action::Ingest, "Receive", "ingest01_prefetch"),
            (Action::Ingest, "Validate", "ingest02_bag_validation"),
            (Action::Ingest, "Reingest Check", "ingest03_reingest_check"),
            (Action::Ingest, "Copy To Staging", "ingest04_staging"),
            (Action::Ingest, "Format Identification", "ingest05_format_identification"),
            (Action::Ingest, "Store", "ingest06_storage"),
            (Action::Ingest, "Storage Validation", "ingest07_storage_validation"),
            (Action::Ingest, "Record", "ingest08_record"),
            (Action::Ingest, "Cleanup", "ingest09_cleanup"),
            (Action::FixityCheck, "", "fixity_check"),
            (Action::RestoreObject, "Requested", "restore_object"),
            (Action::RestoreFile, "Requested", "restore_file"),
            (Action::GlacierRestore, "Requested", "restore_glacier"),
            (Action::Delete, "Requested", "delete_item"),
        ] {
            let stage = Stage::from(stage);
            let found = Topic::of(&action, &stage).unwrap();
            assert_eq!(found.as_str(), topic);
            assert_eq!(Topic::named(topic), Some(found));
            assert_eq!(found.channel(), format!("{topic}_worker_chan"));
            if action == Action::Ingest {
                assert_eq!(found.stage(), Some(stage));
            } else {
                assert_eq!((found.stage(), found.next()), (None, None));
            }
        }
    }

    #[test]
    fn what_has_no_topic_says_so() {
        let error = Topic::of(&Action::Ingest, &Stage::Resolve).unwrap_err();
        assert_eq!(error.to_string(), "No NSQ topic for Ingest/Resolve");
        assert!(Topic::of(&Action::from("Dance"), &Stage::Receive).is_err());
        assert_eq!(Topic::named("e2e_ingest_post_test"), None);
    }

    #[test]
    fn ingest_goes_from_prefetch_to_cleanup() {
        let mut topic = Topic::IngestPrefetch;
        let mut late = vec![topic.is_late_ingest()];
        while let Some(next) = topic.next() {
            topic = next;
            late.push(topic.is_late_ingest());
        }
        assert_eq!(topic, Topic::IngestCleanup);
        assert_eq!(late, [false, false, false, false, false, true, true, true, true]);
    }
}
