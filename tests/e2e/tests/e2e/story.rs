//! What happens to the system, in the order in which it happens, each part when the first test asks for it: bags come in, then newer
//! versions of some. The tests look at what came of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::{Kind, System};
use model::{StorageOption, WorkItem};
use stack::settings::receiving_bucket;
use tokio::time::{Instant, sleep};

use crate::bag::{Bag, INSTITUTION, Payload, payload};
use crate::catalog::{self, Broken};

/// How long bags may take, all together. Those that take longer fail their own tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Between two looks at all items: each costs the Registry as much as a bag.
const LOOK: Duration = Duration::from_millis(300);

/// The bags that come.
pub(crate) struct Cast {
    /// Begins the name of every bag, so that a Registry may know bags of earlier runs.
    pub(crate) run: String,
    pub(crate) good: Vec<(String, Bag)>,
    pub(crate) broken: Vec<Broken>,
    pub(crate) renewed: Vec<Renewed>,
}

/// The system, and what was done with it so far.
pub(crate) struct Story {
    kind: Kind,
    cast: Arc<Cast>,
    system: Option<System>,
    /// How far the story is.
    told: Chapter,
}

/// A bag of which newer versions come.
pub(crate) struct Renewed {
    pub(crate) word: &'static str,
    pub(crate) versions: Vec<Bag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chapter {
    Nothing,
    Ingests,
    Reingests,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
        let run = format!("e2e-{:x}", now.as_millis());
        Self { good: catalog::good(&run), broken: catalog::broken(&run), renewed: renewed(&run), run }
    }

    /// The bag that comes a second time as it was.
    pub(crate) fn identical(&self) -> &Bag {
        &self.good[0].1
    }
}

impl Story {
    pub(crate) fn new(kind: Kind, cast: Arc<Cast>) -> Self {
        Self { kind, cast, system: None, told: Chapter::Nothing }
    }

    /// The running system.
    pub(crate) async fn system(&mut self) -> &mut System {
        if self.system.is_none() {
            self.system = Some(Box::pin(System::start(self.kind)).await.expect("the system starts"));
        }
        self.system.as_mut().expect("it was started above")
    }

    /// Takes the system away from the story.
    pub(crate) fn end(&mut self) -> Option<System> {
        self.system.take()
    }

    /// Bags have come in, good ones and broken ones, and work on them is over.
    pub(crate) async fn ingests(&mut self) -> &mut System {
        if self.told < Chapter::Ingests {
            self.told = Chapter::Ingests;
            let cast = Arc::clone(&self.cast);
            let system = self.system().await;
            let good = cast.good.iter().map(|(_, bag)| (bag.tar_name(), bag.parts.tar()));
            let firsts =
                cast.renewed.iter().map(|renewed| (renewed.versions[0].tar_name(), renewed.versions[0].parts.tar()));
            let broken = cast.broken.iter().map(|broken| (broken.bag.tar_name(), broken.tar.clone()));
            let mut wanted = Vec::new();
            for (name, tar) in good.chain(firsts).chain(broken) {
                deposit(system, &name, tar).await;
                wanted.push((name, 1));
            }
            settled(system, &wanted, PATIENCE).await;
        }
        self.system().await
    }

    /// Newer versions of some have come in after that, and one tar again as it was, and work on them is over.
    pub(crate) async fn reingests(&mut self) -> &mut System {
        self.ingests().await;
        if self.told < Chapter::Reingests {
            self.told = Chapter::Reingests;
            let cast = Arc::clone(&self.cast);
            let system = self.system().await;
            deposit(system, &cast.identical().tar_name(), cast.identical().parts.tar()).await;
            // Each reaches the Registry before the next one comes.
            for version in 1.. {
                let mut wanted = Vec::new();
                for bag in cast.renewed.iter().filter_map(|renewed| renewed.versions.get(version)) {
                    deposit(system, &bag.tar_name(), bag.parts.tar()).await;
                    wanted.push((bag.tar_name(), version + 1));
                }
                if wanted.is_empty() {
                    break;
                }
                settled(system, &wanted, PATIENCE).await;
            }
        }
        self.system().await
    }
}

/// Some bags, and their newer versions.
fn renewed(run: &str) -> Vec<Renewed> {
    let bag = |word: &str, option, payload| Bag::good(&format!("{run}-{word}"), option, payload);
    let changed = |change: fn(&mut Payload)| {
        let mut payload = payload();
        change(&mut payload);
        payload
    };
    let second = changed(|payload| {
        payload[0].1 = "The notes were rewritten.\n".into();
        payload.remove(1);
        payload.push(("new.txt".to_owned(), "This one is new.\n".into()));
    });
    let third = changed(|payload| payload[0].1 = "The notes were rewritten once more.\n".into());
    let standard = &StorageOption::Standard;
    let versions = |word: &'static str, versions: Vec<Bag>| Renewed { word, versions };
    vec![
        versions(
            "changed-and-new-files",
            vec![
                bag("again", standard, payload()),
                bag("again", standard, second.clone()),
                bag("again", standard, third),
            ],
        ),
        versions(
            "nothing-but-a-tag",
            vec![bag("tag", standard, payload()), {
                let mut newer = bag("tag", standard, payload());
                newer.replace("bag-info.txt", "sender-1", "sender-2");
                newer.parts.list_tags();
                newer
            }],
        ),
        versions(
            "another-option-which-does-not-count",
            vec![bag("option", &StorageOption::GlacierOr, payload()), bag("option", standard, second)],
        ),
    ]
}

/// As a depositor does it.
pub(crate) async fn deposit(system: &System, name: &str, tar: Vec<u8>) {
    deposit_at(system, INSTITUTION, name, tar).await;
}

/// The same for another institution.
pub(crate) async fn deposit_at(system: &System, institution: &str, name: &str, tar: Vec<u8>) {
    let receiving = system.bucket(&receiving_bucket(institution));
    receiving.put_bytes(name, tar.into(), storage::Attributes::default()).await.expect("the tar is uploaded");
}

/// Waits until there are so many items of each tar, and nobody has to work on them any more. It gives up without a word: the tests of
/// the bags that are not there say how they stand.
pub(crate) async fn settled(system: &System, wanted: &[(String, usize)], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let items = system.all_items().await.expect("the Registry lists the items");
        let is_over = |item: &&WorkItem| item.is_completed() || !item.retry;
        let count = |name: &str| items.iter().filter(|item| item.name == name).filter(is_over).count();
        if wanted.iter().all(|(name, number)| count(name) >= *number) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
}
