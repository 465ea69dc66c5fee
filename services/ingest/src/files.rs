//! The files of an item: a stage's work on each of them, many at a time. What an earlier run has done is skipped, what may pass
//! is tried again, results are saved in batches, and whoever looks at the log sees how far it is (02 §1.6, which goes file by
//! file; the numbers of errors and tries are its own).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use failing::chain;
use model::{IngestFile, ProcessingError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use worker::{Stop, Task};

/// How many results are saved together, and how long one may wait for that.
const BATCH: usize = 500;
const BATCH_AGE: Duration = Duration::from_secs(1);
/// How many files Redis is asked for at a time.
const PAGE: usize = 500;
/// How long files in work may take to notice that the work is cancelled.
const GRACE: Duration = Duration::from_secs(10);
/// How often the log says how far it is.
const TELL: Duration = Duration::from_mins(1);

/// How a stage goes through the files of its item.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In work at a time, at least one.
    pub in_flight: usize,
    /// After so many files that failed, the rest is left for the next attempt.
    pub errors: usize,
    /// For each file, at least one.
    pub tries: u32,
    /// After each try that failed.
    pub pause: Duration,
}

/// What a stage does with one file. It may be done again after it was cut off anywhere.
pub trait FileWork: Send + Sync + 'static {
    /// Whether this file still needs it: what an earlier run did is in the file's document.
    fn wants(&self, file: &IngestFile) -> bool;

    /// Does it. What is changed in the file is saved, also after an error. A file that the work ends on returns soon after
    /// `task.cancelled`; the caller cuts it off where it does not.
    fn run(&self, file: &mut IngestFile, task: &Task) -> impl Future<Output = Result<(), FileError>> + Send;
}

/// Why a file is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// Something that all files need was out of order: after the tries, the whole stage stops, and its attempt does not count.
    System(String),
    /// It failed, and another attempt may do.
    Failed(String),
    /// No repetition will mend it.
    Fatal(String),
}

impl FileError {
    /// What an error of S3 means for a file.
    pub fn of_storage(error: &storage::Error) -> Self {
        let text = chain(error).to_string();
        if error.is_transient() { Self::System(text) } else { Self::Failed(text) }
    }

    /// One verdict for what was done in several places. That the system failed says more than what failed in one of them.
    pub fn of_all(errors: Vec<Self>) -> Result<(), Self> {
        let mut texts = Vec::new();
        for error in errors {
            match error {
                Self::Failed(text) => texts.push(text),
                error => return Err(error),
            }
        }
        if texts.is_empty() { Ok(()) } else { Err(Self::Failed(texts.join(" | "))) }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were worked on.
    pub done: u64,
    /// Files that needed nothing.
    pub skipped: u64,
    /// The sizes of those that were worked on, in bytes.
    pub bytes: u64,
}

/// A walk under way.
struct Walk<'t, W> {
    task: &'t Task,
    work: Arc<W>,
    limits: Limits,
    running: JoinSet<Finished>,
    /// A walk through Redis may show a file twice.
    in_work: HashSet<String>,
    unsaved: Vec<IngestFile>,
    errors: Vec<ProcessingError>,
    system: Option<String>,
    summary: Summary,
    progress: Progress,
}

struct Finished {
    file: IngestFile,
    result: Result<(), FileError>,
}

/// Does the work on every file of the task's item that wants it. `total`: how many files there are, for the log.
pub async fn each<W: FileWork>(task: &Task, total: u64, limits: Limits, work: W) -> Result<Summary, Stop> {
    let mut walk = Walk {
        task,
        work: Arc::new(work),
        limits,
        running: JoinSet::new(),
        in_work: HashSet::new(),
        unsaved: Vec::new(),
        errors: Vec::new(),
        system: None,
        summary: Summary::default(),
        progress: Progress::new(task.item.id, total),
    };
    let walked = walk.through().await;
    // What is done is kept, whatever ended the walk.
    let saved = walk.save().await;
    walked?;
    saved?;
    walk.conclude()
}

impl<W: FileWork> Walk<'_, W> {
    async fn through(&mut self) -> Result<(), Stop> {
        let task = self.task;
        let mut pages = task.store.files(task.item.id, PAGE);
        while !self.is_over() {
            let Some(page) = task.until_cancelled(pages.next()).await?.map_err(Stop::from)? else { break };
            for corrupt in page.corrupt {
                self.errors.push(self.error("", chain(&corrupt).to_string(), true));
            }
            for file in page.files {
                if !self.work.wants(&file) || self.in_work.contains(&file.identifier()) {
                    self.summary.skipped += 1;
                    continue;
                }
                while self.running.len() >= self.limits.in_flight.max(1) && !self.is_over() {
                    self.one_ends().await?;
                }
                if self.is_over() {
                    break;
                }
                self.start(file);
            }
        }
        while !self.running.is_empty() {
            self.one_ends().await?;
        }
        Ok(())
    }

    /// Whether no more files are taken up.
    fn is_over(&self) -> bool {
        self.system.is_some() || self.errors.len() >= self.limits.errors || self.task.cancelled.is_cancelled()
    }

    fn start(&mut self, file: IngestFile) {
        self.in_work.insert(file.identifier());
        let (work, task, limits) = (Arc::clone(&self.work), self.task.clone(), self.limits);
        self.running.spawn(async move { attempt(&*work, file, &task, limits).await });
    }

    /// Waits for a file to be done, and for whatever else is due meanwhile.
    async fn one_ends(&mut self) -> Result<(), Stop> {
        let mut tick = interval(BATCH_AGE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            tokio::select! {
                ended = self.running.join_next() => {
                    if let Some(ended) = ended {
                        self.finished(ended);
                    }
                    if self.unsaved.len() >= BATCH {
                        self.save().await?;
                    }
                    return Ok(());
                }
                _ = tick.tick() => {
                    self.progress.tell(&self.summary, self.running.len());
                    self.save().await?;
                }
                () = self.task.cancelled.cancelled() => {
                    // What still ends well counts; the rest is left to the next run.
                    if timeout(GRACE, self.all_end()).await.is_err() {
                        self.running.shutdown().await;
                    }
                    return Err(Stop::Cancelled);
                }
            }
        }
    }

    async fn all_end(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            self.finished(ended);
        }
    }

    fn finished(&mut self, ended: Result<Finished, JoinError>) {
        let Finished { file, result } = match ended {
            Ok(finished) => finished,
            Err(error) => {
                let message = format!("The worker has a defect, the work on a file was cut short: {error}.");
                return self.errors.push(self.error("", message, false));
            }
        };
        self.in_work.remove(&file.identifier());
        match result {
            Ok(()) => {
                self.summary.done += 1;
                self.summary.bytes += u64::try_from(file.size).unwrap_or_default();
            }
            Err(FileError::System(message)) => self.system = self.system.take().or(Some(message)),
            Err(FileError::Failed(message)) => self.errors.push(self.error(&file.identifier(), message, false)),
            Err(FileError::Fatal(message)) => self.errors.push(self.error(&file.identifier(), message, true)),
        }
        self.unsaved.push(file);
    }

    /// Saves what is done; nothing counts as done before that.
    async fn save(&mut self) -> Result<(), Stop> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        self.task.store.save_files(self.task.item.id, &self.unsaved).await?;
        self.unsaved.clear();
        Ok(())
    }

    fn conclude(self) -> Result<Summary, Stop> {
        if let Some(message) = self.system {
            return Err(Stop::System(message));
        }
        if self.errors.is_empty() { Ok(self.summary) } else { Err(Stop::Failed(self.errors)) }
    }

    fn error(&self, identifier: &str, message: String, is_fatal: bool) -> ProcessingError {
        let identifier = identifier.to_owned();
        ProcessingError { identifier, message, is_fatal, work_item_id: self.task.item.id, ..ProcessingError::default() }
    }
}

/// One file, until it is done or its tries are used up.
async fn attempt<W: FileWork>(work: &W, mut file: IngestFile, task: &Task, limits: Limits) -> Finished {
    let mut tries = 1;
    loop {
        let result = work.run(&mut file, task).await;
        let is_final = matches!(result, Ok(()) | Err(FileError::Fatal(_)));
        if is_final || tries >= limits.tries || task.cancelled.is_cancelled() {
            return Finished { file, result };
        }
        tries += 1;
        if task.until_cancelled(sleep(limits.pause)).await.is_err() {
            return Finished { file, result };
        }
    }
}

/// How far it is, for the log.
pub(crate) struct Progress {
    item: i64,
    total: u64,
    since: Instant,
    last: Instant,
}

impl Progress {
    pub(crate) fn new(item: i64, total: u64) -> Self {
        let now = Instant::now();
        Self { item, total, since: now, last: now }
    }

    pub(crate) fn tell(&mut self, summary: &Summary, in_flight: usize) {
        if self.last.elapsed() < TELL {
            return;
        }
        self.last = Instant::now();
        let seconds = self.since.elapsed().as_secs().max(1);
        let text = told(summary, self.total, seconds);
        tracing::info!(work_item_id = self.item, in_flight, "WorkItem {}: {text}", self.item);
    }
}

/// Such as `3,211 of 10,000 files, 812 MB/s`.
fn told(summary: &Summary, total: u64, seconds: u64) -> String {
    let count = grouped(summary.done + summary.skipped);
    format!("{count} of {} files, {} MB/s", grouped(total), grouped(summary.bytes / 1_000_000 / seconds))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_words_that_people_read() {
        let summary = Summary { done: 3_000, skipped: 211, bytes: 48_720_000_000 };
        assert_eq!(told(&summary, 10_000, 60), "3,211 of 10,000 files, 812 MB/s");
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
    }
}
