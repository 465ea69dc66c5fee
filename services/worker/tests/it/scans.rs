//! Passes under leases: one process at a time for each part, and only as long as it gets on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::Topic;
use redis_store::{LeaseName, LeaseTaken, Owner};
use worker::{Part, Pass, Program, Scan, Scanner};
use world::{Running, World, until};

const LONG: Duration = Duration::from_hours(1);

/// Counts passes; those over the bucket `broken` fail.
#[derive(Clone)]
struct Buckets(Arc<[AtomicUsize; 3]>);

const NAMES: [&str; 3] = ["broken", "busy", "free"];

impl Scan for Buckets {
    async fn parts(&self) -> anyhow::Result<Vec<Part>> {
        Ok(NAMES.map(|name| Part::Bucket(name.to_owned())).to_vec())
    }

    async fn pass(&self, part: &Part, pass: &Pass) -> anyhow::Result<()> {
        let Part::Bucket(bucket) = part else { anyhow::bail!("{part:?}") };
        let at = NAMES.iter().position(|name| name == bucket).unwrap();
        self.0[at].fetch_add(1, Ordering::Relaxed);
        pass.progress();
        anyhow::ensure!(bucket != "broken", "on purpose");
        Ok(())
    }
}

fn start(world: &World, scan: impl Scan) -> Running {
    let program: Program<Scanner, ()> =
        Program { name: "s", about: "", kind: Scanner::every("S_INTERVAL"), stage: worker::Stage::Unfinished };
    world.run(&program, &[("S_INTERVAL", "1s")], |context| context.run(scan))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_has_a_lease_of_its_own_and_one_that_fails_holds_up_no_other() {
    let world = World::new().await;
    let theirs = world.store.take_lease(LeaseName::Bucket("busy"), Owner::holder(), "other", LONG).await.unwrap();
    let LeaseTaken::Ours(theirs) = theirs else { panic!("the lease is taken") };
    let counts: Arc<[AtomicUsize; 3]> = Arc::default();
    let running = start(&world, Buckets(Arc::clone(&counts)));
    let count = |at: usize| counts[at].load(Ordering::Relaxed);
    until("two passes are made", || count(2) >= 2).await;
    assert!(count(0) >= 1, "the broken one is tried");
    assert_eq!(count(1), 0, "another process has the busy one");
    theirs.release().await.unwrap();
    until("the busy one is free", || count(1) >= 1).await;
    running.stop().await;
    assert_eq!(world.keys(1).await, Vec::<String>::new(), "no lease stays");
    assert_eq!(world.load(Topic::IngestPrefetch).await, (0, 0, 0));
}
