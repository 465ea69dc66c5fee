//! The whole system, end to end: bags go in, preserved objects come out, whatever is done to services and servers meanwhile (06 §5).
//! One system serves all tests, which run one after the other; each looks at its part of what came of it.
//!
//! `E2E_REAL=1` takes the real servers from PATH, and the Registry that `REGISTRY_URL` names. `E2E_KILLS`, `E2E_OUTAGES` and `E2E_SEED`
//! make the faults more, or others.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod afterwards;
mod bag;
mod catalog;
mod chaos;
mod expect;
mod field;
mod reingest;
mod requests;
mod story;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use e2e::{Kind, System};
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

use bag::Bag;
use expect::Road;
use story::{Cast, Story};

/// A test on a bag that was ingested.
type Request = for<'a> fn(&'a System, &'a Bag) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Puts together what runs.
struct Trials {
    runtime: Arc<Runtime>,
    story: Arc<Mutex<Story>>,
    all: Vec<Trial>,
}

impl Trials {
    /// The test fails as all do, by a panic.
    fn add(&mut self, name: impl Into<String>, test: impl AsyncFnOnce(&mut Story) + Send + 'static) {
        let (runtime, story) = (Arc::clone(&self.runtime), Arc::clone(&self.story));
        self.all.push(Trial::test(name, move || {
            runtime.block_on(async { test(&mut *story.lock().await).await });
            Ok(())
        }));
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share the system, and come in the order in which things happen to it.
    arguments.test_threads = Some(1);
    let kind = if std::env::var_os("E2E_REAL").is_some() { Kind::Real } else { Kind::Embedded };
    let runtime = Arc::new(Builder::new_multi_thread().enable_all().build().expect("a runtime starts"));
    let cast = Arc::new(Cast::new());
    let story = Arc::new(Mutex::new(Story::new(kind, Arc::clone(&cast))));
    let mut trials = Trials { runtime: Arc::clone(&runtime), story: Arc::clone(&story), all: Vec::new() };
    ingests(&mut trials, &cast);
    reingests(&mut trials, &cast);
    afterwards(&mut trials, &cast);
    requests(&mut trials, &cast);
    field(&mut trials);
    faults(&mut trials, &cast);
    let conclusion = libtest_mimic::run(&arguments, trials.all);
    // What a failed test left running ends with it.
    runtime.block_on(async { drop(story.lock().await.end()) });
    conclusion.exit_code()
}

fn ingests(trials: &mut Trials, cast: &Arc<Cast>) {
    for (number, (word, _)) in cast.good.iter().enumerate() {
        let cast = Arc::clone(cast);
        trials.add(format!("ingest::preserves::{word}"), async move |story| {
            expect::preserved(story.ingests().await, &[&cast.good[number].1], Road::Smooth).await;
        });
    }
    for (number, broken) in cast.broken.iter().enumerate() {
        let cast = Arc::clone(cast);
        trials.add(format!("ingest::refuses::{}", broken.word), async move |story| {
            expect::refused(story.ingests().await, &cast.broken[number]).await;
        });
    }
}

fn reingests(trials: &mut Trials, cast: &Arc<Cast>) {
    for (number, renewed) in cast.renewed.iter().enumerate() {
        let cast = Arc::clone(cast);
        trials.add(format!("reingest::{}", renewed.word), async move |story| {
            let versions: Vec<_> = cast.renewed[number].versions.iter().collect();
            expect::preserved(story.reingests().await, &versions, Road::Smooth).await;
        });
    }
    let run = cast.run.clone();
    trials.add("reingest::of_two_versions_at_once_the_newer_one_is_ingested", async move |story| {
        reingest::of_two_versions_at_once_the_newer_one_is_ingested(story.system().await, &run).await;
    });
    let cast = Arc::clone(cast);
    trials.add("reingest::an_identical_tar_is_left_alone", async move |story| {
        reingest::an_identical_tar_is_left_alone(story.reingests().await, cast.identical()).await;
    });
}

fn afterwards(trials: &mut Trials, cast: &Arc<Cast>) {
    trials.add("afterwards::redis_holds_what_failed", async |story| {
        afterwards::redis_holds_what_failed(story.reingests().await).await;
    });
    trials.add("afterwards::staging_holds_what_failed", async |story| {
        afterwards::staging_holds_what_failed(story.reingests().await).await;
    });
    let cast = Arc::clone(cast);
    trials.add("afterwards::receiving_holds_what_was_refused", async move |story| {
        let kept = cast.broken.iter().map(|broken| broken.bag.tar_name()).chain([cast.identical().tar_name()]);
        afterwards::receiving_holds(story.reingests().await, &cast.run, kept).await;
    });
    trials.add("afterwards::preservation_holds_what_the_registry_knows", async |story| {
        afterwards::preservation_holds_what_the_registry_knows(story.reingests().await).await;
    });
    trials.add("afterwards::topics_are_drained", async |story| {
        afterwards::topics_are_drained(story.reingests().await).await;
    });
}

/// Each on a bag of its own, or in an order in which none disturbs the next.
fn requests(trials: &mut Trials, cast: &Arc<Cast>) {
    let mut add = |name: &'static str, word: &str, services: &'static [&'static str], test: Request| {
        let bag = cast.good.iter().find(|(there, _)| there == word).expect("there is such a bag").1.clone();
        trials.add(name, async move |story| {
            let system = story.ingests().await;
            if requests::can(system, name, services) {
                test(system, &bag).await;
            }
        });
    };
    let restorer: &[&str] = &["apt_queue", "bag_restorer"];
    add("requests::an_object_is_restored", "standard", restorer, |system, bag| {
        Box::pin(requests::an_object_is_restored(system, bag))
    });
    add("requests::an_object_of_the_btr_profile_is_restored", "btr", restorer, |system, bag| {
        Box::pin(requests::an_object_is_restored(system, bag))
    });
    add("requests::an_object_with_odd_names_is_restored", "odd-names", restorer, |system, bag| {
        Box::pin(requests::an_object_is_restored(system, bag))
    });
    add("requests::a_file_is_restored", "wasabi-or", &["apt_queue", "file_restorer"], |system, bag| {
        Box::pin(requests::a_file_is_restored(system, bag, "data/notes.txt"))
    });
    add("requests::a_files_fixity_is_checked", "standard", &["apt_fixity"], |system, bag| {
        Box::pin(requests::a_files_fixity_is_checked(system, bag, "data/notes.txt"))
    });
    let deleter: &[&str] = &["apt_queue", "apt_delete"];
    add("requests::a_file_is_deleted", "prefix", deleter, |system, bag| {
        Box::pin(requests::a_file_is_deleted(system, bag, "data/notes.txt"))
    });
    add("requests::an_object_is_deleted", "glacier-oh", deleter, |system, bag| {
        Box::pin(requests::an_object_is_deleted(system, bag))
    });
}

fn field(trials: &mut Trials) {
    const UPSTREAM: &str = "field::upstreams_bags_end_as_its_tests_say";
    const CASES: &str = "field::cases_end_as_their_list_says";
    trials.add(UPSTREAM, async |story| field::upstreams_bags(UPSTREAM, story.system().await).await);
    trials.add(CASES, async |story| field::cases_from_the_field(CASES, story.system().await).await);
}

fn faults(trials: &mut Trials, cast: &Arc<Cast>) {
    let run = cast.run.clone();
    trials.add("chaos::nothing_is_lost", async move |story| {
        chaos::nothing_is_lost(story.system().await, &run).await;
    });
    trials.add("services::end_when_they_are_asked_to", async |story| {
        story.system().await.stop_services().await.unwrap();
    });
}
