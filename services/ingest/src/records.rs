//! Which files of an item Redis knows, and which of them are still to be done: 16 bytes for each, so that a stage that goes through
//! the tar asks Redis only for what it needs, and knows when it has all.

use std::hash::{BuildHasher as _, RandomState};

use model::{IngestFile, IngestObject};
use worker::{Stop, Task};

/// How many files Redis is asked for at a time.
const PAGE: usize = 500;

/// The lowest bit of a fingerprint says whether the file is still to be done.
const DUE: u128 = 1;

#[derive(Debug)]
pub(crate) struct Records {
    /// In order, each once.
    prints: Vec<u128>,
    /// Nobody can make two paths with one fingerprint who does not know these.
    keys: [RandomState; 2],
    due: usize,
    /// Whether Redis knows as many files as the tar has.
    is_whole: bool,
}

impl Records {
    /// Walks through the item's files. Those that `is_due` are still to be done.
    pub(crate) async fn read(
        task: &Task,
        object: &IngestObject,
        is_due: impl Fn(&IngestFile) -> bool,
    ) -> Result<Self, Stop> {
        let mut records = Self { prints: Vec::new(), keys: Default::default(), due: 0, is_whole: false };
        let mut pages = task.store.files(task.item.id, PAGE);
        while let Some(page) = task.until_cancelled(pages.next()).await?.map_err(Stop::from)? {
            if let Some(corrupt) = page.corrupt.into_iter().next() {
                return Err(Stop::fatal(object.identifier(), failing::chain(&corrupt).to_string()));
            }
            for file in page.files {
                let print = records.print(&file.path_in_bag);
                records.prints.push(if is_due(&file) { print | DUE } else { print });
            }
        }
        records.prints.sort_unstable();
        // A walk may show a file twice.
        records.prints.dedup();
        records.due = records.prints.iter().filter(|print| **print & DUE != 0).count();
        records.is_whole = i64::try_from(records.prints.len()).is_ok_and(|count| count >= object.file_count);
        Ok(records)
    }

    /// Whether a file is still to be done, which is then taken for done; `None` if Redis does not know it.
    pub(crate) fn take(&mut self, path: &str) -> Option<bool> {
        let print = self.print(path);
        let at = self.prints.partition_point(|known| *known < print);
        let is_due = match self.prints.get(at)? {
            known if *known == print => false,
            known if *known == print | DUE => true,
            _ => return None,
        };
        self.due -= usize::from(is_due);
        Some(is_due)
    }

    /// Whether nothing more needs to be looked for. Where Redis has lost a file, the tar must tell which.
    pub(crate) fn are_all_done(&self) -> bool {
        self.due == 0 && self.is_whole
    }

    fn print(&self, path: &str) -> u128 {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(path)));
        (high << 64 | low) & !DUE
    }
}
