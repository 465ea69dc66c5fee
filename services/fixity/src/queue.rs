//! Which files are due for a fixity check: their ids are published, and `apt_fixity` does the rest (03 §7).

use std::collections::HashSet;
use std::pin::pin;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use model::{GenericFile, StorageOption, Time, Topic};
use nsq::{Name, Publisher};
use registry::Query;
use time::{Duration, OffsetDateTime};
use worker::{Part, Pass, Scan};

/// What is checked by reading it. Glacier's files would have to be restored first.
const CHECKED: [StorageOption; 4] =
    [StorageOption::Standard, StorageOption::WasabiVa, StorageOption::WasabiOr, StorageOption::WasabiTx];
/// How far the youngest window reaches back from the day when files fall due; each older one reaches twice as far. Without a
/// lower bound the Registry takes minutes for a query. Upstream asks for the youngest window only, so that a file which is
/// overdue for more than a month is never checked again.
const WINDOW: Duration = Duration::days(30);
/// Covers everything: the Registry's own "never" is the year 2000.
const WINDOWS: u32 = 9;
const MOST_PER_PAGE: u32 = 500;

/// Finds the files that are due and publishes their ids, those first that have waited longest.
#[derive(Debug)]
pub struct Queue {
    registry: registry::Client,
    publisher: Publisher,
    topic: Name,
    /// A file is due when its last check is older than this.
    age: Duration,
    /// How many ids one pass publishes at most.
    files: u32,
    only: Option<String>,
}

impl Queue {
    /// Files whose last check is older than so many days; at most so many in one pass.
    pub fn new(registry: registry::Client, publisher: Publisher, days: u32, files: u32) -> Result<Self> {
        let topic = Topic::FixityCheck.as_str().parse().context("the topic's name")?;
        Ok(Self { registry, publisher, topic, age: Duration::days(days.into()), files, only: None })
    }

    /// Only the file with this identifier, due or not.
    #[must_use]
    pub fn only(self, identifier: Option<String>) -> Self {
        Self { only: identifier, ..self }
    }

    async fn publish(&self, file: &GenericFile) -> Result<()> {
        let published = self.publisher.publish(&self.topic, file.id.to_string()).await;
        published.with_context(|| format!("queueing file {} ({})", file.id, file.identifier))?;
        tracing::debug!(generic_file_id = file.id, "queued {}", file.identifier);
        Ok(())
    }

    /// The files of one window that are due, the oldest check first.
    fn due(&self, since: OffsetDateTime, until: OffsetDateTime) -> Query {
        let whole = |time: OffsetDateTime| Time::from(time).to_whole_second();
        let per_page = self.files.min(MOST_PER_PAGE);
        Query::new()
            .any_of("storage_option", &CHECKED)
            .filter("state", "A")
            .filter("last_fixity_check__gteq", whole(since))
            .filter("last_fixity_check__lteq", whole(until))
            .sort("last_fixity_check")
            .per_page(per_page.try_into().unwrap_or(u16::MAX))
            .page(1)
    }
}

impl Scan for Queue {
    async fn pass(&self, _: &Part, pass: &Pass) -> Result<()> {
        if let Some(identifier) = &self.only {
            let file = self.registry.file(identifier).await;
            return self.publish(&file.with_context(|| format!("looking for the file {identifier}"))?).await;
        }
        // Checks go on while this reads, so pages shift, and windows touch: a file may be seen twice.
        let mut queued = HashSet::new();
        for (since, until) in windows(OffsetDateTime::now_utc() - self.age) {
            let mut files = pin!(self.registry.all::<GenericFile>(self.due(since, until)));
            while let Some(file) = files.try_next().await.context("looking for files that are due")? {
                if queued.len() >= self.files as usize || pass.cancelled.is_cancelled() {
                    tracing::info!(
                        files = queued.len(),
                        "queued as many files as one run may, or until it was to stop"
                    );
                    return Ok(());
                }
                if queued.insert(file.id) {
                    self.publish(&file).await?;
                }
            }
        }
        tracing::info!(files = queued.len(), "queued every file that is due");
        Ok(())
    }
}

/// From the oldest to the youngest: since when, until when.
fn windows(due: OffsetDateTime) -> impl Iterator<Item = (OffsetDateTime, OffsetDateTime)> {
    let reach = |number: u32| WINDOW * ((1_i32 << number) - 1);
    (0..WINDOWS).rev().map(move |number| (due - reach(number + 1), due - reach(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use time::macros::datetime;

    #[test]
    fn windows_touch_and_reach_from_the_day_of_never_to_the_day_when_files_are_due() {
        let due = datetime!(2026-11-24 12:00 UTC);
        let windows: Vec<_> = windows(due).collect();
        assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert!(windows[0].0 < datetime!(2000-01-01 0:00 UTC));
        assert_eq!(windows.last(), Some(&(due - Duration::days(30), due)));
    }
}
