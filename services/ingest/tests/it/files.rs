//! The files of an item: many at a time, resumable, cancellable, with tries and a limit of errors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingest::files::{self, FileError, FileWork, Limits};
use model::{IngestFile, Stage, Status, Time, Topic, WorkItem};
use worker::{Done, Task};
use world::{RECORD, Script, World, until};

const OBJECT: &str = "test.edu/bag";
const LIMITS: Limits = Limits { in_flight: 8, errors: 30, tries: 3, pause: Duration::ZERO };

/// Marks each file as staged, fails as its name says, and counts.
#[derive(Clone, Default)]
struct Staging(Arc<Counts>);

#[derive(Default)]
struct Counts {
    runs: Mutex<HashMap<String, usize>>,
    begun: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    /// So many files are staged, then the rest wait until they are cancelled.
    stops_after: AtomicUsize,
}

impl FileWork for Staging {
    fn wants(&self, file: &IngestFile) -> bool {
        !file.copied_to_staging_at.is_set()
    }

    async fn run(&self, file: &mut IngestFile, task: &Task) -> Result<(), FileError> {
        let runs = {
            let mut runs = self.0.runs.lock().unwrap();
            let runs = runs.entry(file.path_in_bag.clone()).or_default();
            *runs += 1;
            *runs
        };
        let now = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(now, Ordering::Relaxed);
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::task::yield_now().await;
        let stops = self.0.stops_after.load(Ordering::Relaxed);
        if stops > 0 && number > stops {
            task.cancelled.cancelled().await;
        }
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        let path = file.path_in_bag.as_str();
        match path.split('-').next().unwrap() {
            _ if task.cancelled.is_cancelled() => Err(FileError::Failed("cancelled".to_owned())),
            "flaky" if runs < 3 => Err(FileError::Failed(format!("{path} is flaky"))),
            "failing" => Err(FileError::Failed(format!("{path} fails"))),
            "fatal" => Err(FileError::Fatal(format!("{path} is broken"))),
            "down" => Err(FileError::System("S3 is away".to_owned())),
            _ => {
                file.copied_to_staging_at = Time::now();
                Ok(())
            }
        }
    }
}

impl Staging {
    fn runs(&self) -> usize {
        self.0.runs.lock().unwrap().values().sum()
    }

    /// A stage that does this for all files of its item.
    fn stage(&self, limits: Limits) -> Script {
        let work = self.clone();
        Script::new(move |task: Task| {
            let work = work.clone();
            async move {
                let summary = files::each(&task, 0, limits, work).await?;
                Ok(Done {
                    note: Some(format!("{} done, {} skipped", summary.done, summary.skipped)),
                    ..Done::default()
                })
            }
        })
    }
}

async fn item_with_files(world: &World, kinds: &[(&str, usize)]) -> WorkItem {
    let item = world.ingest().await;
    let names = kinds.iter().flat_map(|(kind, count)| (0..*count).map(move |number| format!("{kind}-{number}")));
    let files: Vec<IngestFile> = names.map(|name| IngestFile::new(OBJECT, &name)).collect();
    world.store.save_files(item.id, &files).await.unwrap();
    item
}

async fn staged(world: &World, item: i64) -> usize {
    let (mut pages, mut staged) = (world.store.files(item, 1000), std::collections::HashSet::new());
    while let Some(page) = pages.next().await.unwrap() {
        let done = page.files.into_iter().filter(|file| file.copied_to_staging_at.is_set());
        staged.extend(done.map(|file| file.path_in_bag));
    }
    staged.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_worked_on_once_within_the_bound() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("good", 2000), ("flaky", 3)]).await;
    let work = Staging::default();
    let running = world.start(RECORD, &work.stage(LIMITS));
    world.publish(Topic::IngestRecord, item.id).await;
    let done = world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((staged(&world, item.id).await, work.runs()), (2003, 2000 + 3 * 3));
    assert!(done.note.starts_with("2003 done"), "{}", done.note);
    let most = work.0.most.load(Ordering::Relaxed);
    assert!(most > 1 && most <= LIMITS.in_flight, "{most} at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_run_has_done_is_saved_and_not_done_again() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("good", 300)]).await;
    let first = Staging::default();
    first.0.stops_after.store(100, Ordering::Relaxed);
    let running = world.start(RECORD, &first.stage(LIMITS));
    world.publish(Topic::IngestRecord, item.id).await;
    until("it is in the middle", || first.runs() >= 100 + LIMITS.in_flight).await;
    running.stop().await;
    let before = staged(&world, item.id).await;
    assert_eq!(before, 100);
    let second = Staging::default();
    let running = world.start(RECORD, &second.stage(LIMITS));
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    running.stop().await;
    assert_eq!((staged(&world, item.id).await, second.runs()), (300, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_collected_up_to_their_limit_and_the_rest_is_left() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("failing", 500)]).await;
    let work = Staging::default();
    let limits = Limits { errors: 20, tries: 2, ..LIMITS };
    let running = world.start_with(RECORD, &work.stage(limits), &[("W_MAX_ATTEMPTS", "1")]);
    world.publish(Topic::IngestRecord, item.id).await;
    let given_up = world.until(item.id, |item| !item.retry).await;
    running.stop().await;
    let errors = given_up.note.matches(" fails").count();
    assert!((20..20 + limits.in_flight).contains(&errors), "{errors}: {}", given_up.note);
    assert!(work.runs() <= 2 * (20 + limits.in_flight), "{}", work.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_ends_the_item_after_the_other_files_are_done() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("good", 50), ("fatal", 1)]).await;
    let work = Staging::default();
    let running = world.start(RECORD, &work.stage(LIMITS));
    world.publish(Topic::IngestRecord, item.id).await;
    let failed = world.until(item.id, |item| item.status == Status::Failed).await;
    running.stop().await;
    assert_eq!((failed.note.as_str(), staged(&world, item.id).await), ("fatal-0 is broken", 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_fails_stops_the_stage_and_counts_no_attempt() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("down", 500)]).await;
    let work = Staging::default();
    let running = world.start(RECORD, &work.stage(LIMITS));
    world.publish(Topic::IngestRecord, item.id).await;
    let waits = world.until(item.id, |item| item.note == "S3 is away").await;
    world.until_load(Topic::IngestRecord, (0, 0, 1)).await;
    running.stop().await;
    assert!(waits.retry && work.runs() <= 3 * 2 * LIMITS.in_flight, "{}", work.runs());
    assert_eq!(world.record(item.id, Topic::IngestRecord).await.attempt, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_read_fails_the_item_and_hides_no_other_file() {
    let world = World::new().await;
    let item = item_with_files(&world, &[("good", 20)]).await;
    world.put(item.id, "file:test.edu/bag/torn", "{\"path_in_bag\":").await;
    let work = Staging::default();
    let running = world.start(RECORD, &work.stage(LIMITS));
    world.publish(Topic::IngestRecord, item.id).await;
    let failed = world.until(item.id, |item| item.status == Status::Failed).await;
    running.stop().await;
    assert!(failed.note.contains("file:test.edu/bag/torn"), "{}", failed.note);
    assert_eq!(staged(&world, item.id).await, 20);
}
