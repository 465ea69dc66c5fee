//! Keeps a consumer connected: finds the nsqd, connects to each, comes back after a failure, and moves the shares of
//! messages in flight between them.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use failing::{Backoff, chain};
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::connection::{Ended, serve};
use crate::lookup::{Found, Lookup, MOST_NSQD};
use crate::share::{Load, shares};
use crate::shared::{Shared, Source};

/// How often the shares are looked at when nothing asks for it.
const SHARE_INTERVAL: Duration = Duration::from_secs(5);
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(30) };
/// A connection that lasted this long was a good one: the next failure counts as the first.
const LASTED: Duration = Duration::from_secs(30);

/// Runs until the consumer has stopped and every connection has ended.
pub(crate) async fn supervise(shared: Arc<Shared>) {
    let (found, mut addresses) = watch::channel(BTreeSet::new());
    let discovery = discover(&shared, &found);
    tokio::pin!(discovery);
    let mut connections = JoinSet::new();
    let mut tended = BTreeSet::<String>::new();
    let mut sharing = Sharing::default();
    let mut tick = interval(SHARE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopping = shared.stop.is_cancelled();
        if stopping && connections.is_empty() {
            return;
        }
        if !stopping {
            let new: Vec<String> = addresses.borrow_and_update().difference(&tended).cloned().collect();
            for address in new {
                connections.spawn(tend(Arc::from(address.as_str()), Arc::clone(&shared), addresses.clone()));
                tended.insert(address);
            }
        }
        tokio::select! {
            () = shared.stop.cancelled(), if !stopping => {}
            () = &mut discovery, if !stopping => {}
            _ = addresses.changed(), if !stopping => {}
            Some(ended) = connections.join_next() => {
                if let Ok(address) = ended {
                    tended.remove(&*address);
                }
            }
            () = shared.changed.notified() => sharing.rearrange(&shared, Turn::Same),
            _ = tick.tick() => sharing.rearrange(&shared, Turn::Next),
        }
    }
}

/// What one nsqlookupd cannot tell is not forgotten: what was known stays until all of them answer.
/// It never ends.
async fn discover(shared: &Shared, found: &watch::Sender<BTreeSet<String>>) {
    match &shared.options.source {
        Source::Nsqd(addresses) => {
            found.send_replace(addresses.iter().cloned().collect());
        }
        Source::Lookupd(lookup) => look_up(shared, lookup, found).await,
    }
    std::future::pending::<()>().await;
}

async fn look_up(shared: &Shared, lookup: &Lookup, known: &watch::Sender<BTreeSet<String>>) {
    loop {
        let Found { mut addresses, failures } = lookup.producers(&shared.options.topic).await;
        for failure in &failures {
            shared.failed();
            tracing::warn!(topic = %shared.options.topic, error = %chain(failure), "nsqlookupd could not be asked");
        }
        if failures.is_empty() && addresses.is_empty() {
            // There is nothing to subscribe to.
            shared.streak.succeeded();
        }
        if !failures.is_empty() {
            addresses.extend(known.borrow().iter().take(MOST_NSQD).cloned());
        }
        known.send_if_modified(|known| {
            let modified = *known != addresses;
            *known = addresses;
            modified
        });
        sleep(failing::around(shared.options.lookup_interval)).await;
    }
}

/// Connects to one nsqd again and again, until the consumer stops or the address is not known any more. A panic ends a
/// connection as an error does: the nsqd must not be lost with it.
async fn tend(address: Arc<str>, shared: Arc<Shared>, known: watch::Receiver<BTreeSet<String>>) -> Arc<str> {
    let mut failures = 0;
    while !shared.stop.is_cancelled() {
        let begun = Instant::now();
        let served = AssertUnwindSafe(serve(&address, &shared)).catch_unwind().await;
        match served.unwrap_or_else(|panic| Err(Ended::panicked(&*panic))) {
            Ok(()) => break,
            Err(ended) => {
                shared.failed();
                tracing::warn!(nsqd = &*address, topic = %shared.options.topic, error = %chain(&ended), "lost {address}");
            }
        }
        if !known.borrow().contains(&*address) {
            break;
        }
        failures = if begun.elapsed() >= LASTED { 1 } else { failures + 1 };
        tokio::select! {
            () = sleep(BACKOFF.after(failures)) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    address
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Same,
    Next,
}

/// What the shares of the last time were decided by.
#[derive(Debug, Default)]
struct Sharing {
    /// By address: how much had been received, and for how many turns it has had no share.
    seen: HashMap<Arc<str>, Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    received: u64,
    active: bool,
    waited: u32,
}

impl Sharing {
    fn rearrange(&mut self, shared: &Shared, turn: Turn) {
        let links = shared.links();
        let mut seen = HashMap::new();
        let mut loads = Vec::new();
        for link in &links {
            let mut now =
                self.seen.get(&link.address).copied().unwrap_or(Seen { waited: u32::MAX / 2, ..Seen::default() });
            let in_flight = u32::try_from(link.in_flight_count()).unwrap_or(u32::MAX);
            if turn == Turn::Next {
                let received = link.received();
                now.active = received != now.received;
                now.received = received;
                now.waited = if link.ready() > 0 { 0 } else { now.waited.saturating_add(1) };
            }
            seen.insert(Arc::clone(&link.address), now);
            loads.push(Load {
                ready: link.ready(),
                most: link.negotiated.max_ready,
                in_flight,
                active: now.active || in_flight > 0,
                waited: now.waited,
            });
        }
        self.seen = seen;
        for (link, share) in links.iter().zip(shares(shared.max_in_flight(), &loads)) {
            link.ask_for(share);
        }
    }
}
