//! Files that should be in staging and are not: Go's cleanup takes them for another item's (rulings C.19). They are copied again.

use std::sync::{Arc, Mutex, PoisonError};

use model::{IngestFile, Stage, Time, note};
use worker::{Done, Stop, Task};

/// How often an item goes back to be staged again before it is an administrator's business.
const WAYS_BACK: u32 = 2;

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
    pub(crate) async fn conclude(&self, task: &Task) -> Result<Done, Stop> {
        let lost = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((count, first)) = lost else { return Ok(Done::default()) };
        let note = note::lost_in_staging(count, &first);
        let (store, item) = (&task.store, task.item.id);
        let ways_back = store.ways_back(item).await?;
        if ways_back >= WAYS_BACK {
            // Whoever requeues it means that it may go back again.
            store.save_ways_back(item, 0).await?;
            return Err(Stop::fatal(first, note));
        }
        store.save_ways_back(item, ways_back + 1).await?;
        Err(Stop::Back { stage: Stage::CopyToStaging, note })
    }
}
