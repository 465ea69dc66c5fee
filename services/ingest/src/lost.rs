//! Files that should be in staging and are not: Go's cleanup takes them for another item's (rulings C.19). They are copied again.

use std::sync::{Arc, Mutex, PoisonError};

use model::{IngestFile, Stage, Time, note};
use worker::{Done, Stop, Task};

/// Up to this attempt an item goes back to be staged again: twice.
const LAST_WAY_BACK: i64 = 2;

/// How many files are lost, and one of them. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lost(Arc<Mutex<Option<(u64, String)>>>);

impl Lost {
    /// Marks the file, so that it is copied again.
    pub(crate) fn add(&self, file: &mut IngestFile) {
        file.copied_to_staging_at = Time::UNSET;
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert_with(|| (0, file.identifier())).0 += 1;
    }

    /// The end of a stage that has saved all files: well, unless some are lost.
    pub(crate) fn conclude(&self, task: &Task) -> Result<Done, Stop> {
        let Some((count, first)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(Done::default());
        };
        let note = note::lost_in_staging(count, &first);
        if task.attempt > LAST_WAY_BACK {
            return Err(Stop::failed(first, note));
        }
        Err(Stop::Back { stage: Stage::CopyToStaging, note })
    }
}
