//! The same under faults: any service is killed at any moment, and NSQ, Redis, S3 and the Registry go away in turn, while bags go
//! through. Each good bag is preserved exactly once, each bad one fails for its own reason, and none is lost.

use std::time::Duration;

use e2e::{Server, System};
use fastrand::Rng;
use stack::testing::skip;
use tokio::time::{Instant, sleep};

use crate::afterwards;
use crate::bag::{Bag, payload};
use crate::catalog::{self, Broken, options};
use crate::expect::{self, Road};
use crate::story::{deposit, settled};

/// Bags of a round; when its faults have been, and faults are left, another round comes in.
const GOOD: usize = 10;
const BROKEN: usize = 4;
/// Kills of a round.
const KILLS: u64 = 10;
/// Milliseconds between two kills, and for how long a server is away.
const BETWEEN: std::ops::Range<u64> = 300..1200;
const AWAY: std::ops::Range<u64> = 1000..2500;
/// How long the bags may take when the faults are over. An item whose worker was failed by a server waits for minutes if that lasted long.
const SETTLE: Duration = Duration::from_mins(5);
/// When what has not settled is looked after as `apt_queue` does it every hour.
const SWEEP: Duration = Duration::from_secs(30);

/// Bags, good ones and broken ones, that come in together.
struct Round {
    good: Vec<Bag>,
    broken: Vec<Broken>,
}

impl Round {
    fn new(run: &str, number: usize, random: &mut Rng) -> Self {
        let run = format!("{run}-chaos-{number}");
        let options = options();
        let good =
            (0..GOOD).map(|n| Bag::good(&format!("{run}-{n}"), &options[n % options.len()], payload())).collect();
        let mut broken = catalog::broken(&run);
        random.shuffle(&mut broken);
        broken.truncate(BROKEN);
        Self { good, broken }
    }

    async fn deposit(&self, system: &System) {
        for bag in &self.good {
            deposit(system, &bag.tar_name(), bag.parts.tar()).await;
        }
        for broken in &self.broken {
            deposit(system, &broken.bag.tar_name(), broken.tar.clone()).await;
        }
    }

    fn wanted(&self) -> impl Iterator<Item = (String, usize)> {
        let broken = self.broken.iter().map(|broken| broken.bag.tar_name());
        self.good.iter().map(Bag::tar_name).chain(broken).map(|name| (name, 1))
    }
}

fn wanted(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is still to be done to the system.
struct Faults {
    random: Rng,
    kills: u64,
    outages: u64,
    away: Option<(Server, Instant)>,
    /// Those that come next, in turn.
    next: std::iter::Cycle<std::vec::IntoIter<Server>>,
}

impl Faults {
    /// One kill, or now and then a stop in order, and between them outages, so that both are over at about the same time.
    async fn go_on(&mut self, system: &mut System) {
        sleep(Duration::from_millis(self.random.u64(BETWEEN))).await;
        if self.kills > 0 {
            self.kills -= 1;
            let services = system.services();
            let victim = &services[self.random.usize(..services.len())];
            // With a server away it would try for long to save what it has.
            if self.away.is_none() && self.random.u8(..4) == 0 {
                system.stop_service(victim).await.unwrap();
                system.start_service(victim).unwrap();
            } else {
                system.kill_service(victim).await.unwrap();
            }
        }
        match self.away {
            Some((server, until)) if Instant::now() >= until => {
                system.bring_back(server).await.unwrap();
                self.away = None;
            }
            None if self.outages > 0 => {
                self.outages -= 1;
                let server = self.next.next().unwrap();
                system.take_away(server).await.unwrap();
                let lasts = Duration::from_millis(self.random.u64(AWAY));
                self.away = Some((server, Instant::now() + lasts));
            }
            _ => {}
        }
    }

    fn are_over(&self) -> bool {
        self.kills == 0 && self.outages == 0 && self.away.is_none()
    }
}

/// What can be taken away: not a Registry that is not ours.
fn servers(system: &System) -> std::iter::Cycle<std::vec::IntoIter<Server>> {
    let mut servers = vec![Server::Redis, Server::Nsq, Server::S3];
    if system.has_own_registry() {
        servers.push(Server::Registry);
    } else {
        skip("chaos::an_outage_of_the_registry", "REGISTRY_URL names one that is not ours to cut off");
    }
    servers.into_iter().cycle()
}

/// `E2E_KILLS` and `E2E_OUTAGES` make it longer, `E2E_SEED` repeats the choice of victims.
#[expect(clippy::print_stderr, reason = "what is needed to see a failure again")]
pub(crate) async fn nothing_is_lost(system: &mut System, run: &str) {
    let seed = wanted("E2E_SEED", fastrand::u64(..));
    let (kills, outages) = (wanted("E2E_KILLS", KILLS), wanted("E2E_OUTAGES", 4));
    eprintln!("E2E_SEED={seed} E2E_KILLS={kills} E2E_OUTAGES={outages}");
    let mut faults = Faults { random: Rng::with_seed(seed), kills, outages, away: None, next: servers(system) };
    let mut rounds: Vec<Round> = Vec::new();
    while !faults.are_over() {
        let round = Round::new(run, rounds.len(), &mut faults.random);
        round.deposit(system).await;
        rounds.push(round);
        let before = faults.kills;
        while !faults.are_over() && before - faults.kills < KILLS {
            faults.go_on(system).await;
        }
        while faults.kills == 0 && !faults.are_over() {
            faults.go_on(system).await;
        }
    }
    let wanted: Vec<_> = rounds.iter().flat_map(Round::wanted).collect();
    let deadline = Instant::now() + SETTLE;
    let mut sweeps = 0;
    while !settled(system, &wanted, SWEEP).await && Instant::now() < deadline {
        if system.sweep_after_hours().await.unwrap() {
            sweeps += 1;
        }
    }
    eprintln!("{} rounds, {sweeps} sweeps", rounds.len());
    assert_eq!(system.ended().unwrap(), Vec::<String>::new(), "services ended by themselves");
    for round in &rounds {
        for bag in &round.good {
            expect::preserved(system, &[bag], Road::Rough).await;
        }
        for broken in &round.broken {
            expect::refused(system, broken).await;
        }
    }
    afterwards::redis_holds_what_failed(system).await;
    afterwards::staging_holds_what_failed(system).await;
    afterwards::preservation_holds_what_the_registry_knows(system).await;
    afterwards::topics_are_drained(system).await;
}
