//! What a consumer and its connections share: what is consumed and how, the connections that there are, and the word to
//! stop. Making connections is `tend.rs`'s, using the consumer `consumer.rs`'s.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failing::Streak;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::link::{Command, Link};
use crate::lookup::Lookup;
use crate::name::Name;
use crate::queue::Queue;

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct Options {
    pub topic: Name,
    pub channel: Name,
    pub source: Source,
    /// How many messages may be with us at a time, those included that wait to be taken. nsqd's clock runs for
    /// these too, and nobody touches them: ask for no more than are worked on at once. It is spread over the nsqd that
    /// there are; while shares move or a connection is replaced, a few more can be on the way.
    pub max_in_flight: u32,
    /// How nsqd's statistics call this client: the host name, usually.
    pub client_id: String,
    /// How often nsqd shows that it is alive. After two intervals of silence a connection is given up.
    pub heartbeat_interval: Duration,
    /// How often nsqlookupd is asked, give or take three tenths.
    pub lookup_interval: Duration,
    /// The longest frame taken, in bytes: nsqd's longest message by default, with its header. A longer one ends the
    /// connection.
    pub max_frame: usize,
}

/// Where the nsqd are.
#[derive(Debug, Clone)]
pub enum Source {
    /// Those that nsqlookupd names.
    Lookupd(Lookup),
    /// These, as `host:port`.
    Nsqd(Vec<String>),
}

/// What the consumer shares with its connections.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) queue: Queue,
    pub(crate) stop: CancellationToken,
    /// The shares should be looked at.
    pub(crate) changed: Notify,
    /// Failures to be subscribed anywhere.
    pub(crate) streak: Streak,
    max_in_flight: AtomicU32,
    links: Mutex<Vec<Arc<Link>>>,
}

impl Options {
    /// One message at a time, a heartbeat every 10 s, nsqlookupd asked every 15 s, frames of up to 1 MiB.
    pub fn new(topic: Name, channel: Name, source: Source) -> Self {
        Self {
            topic,
            channel,
            source,
            max_in_flight: 1,
            client_id: "preserv".to_owned(),
            heartbeat_interval: Duration::from_secs(10),
            lookup_interval: Duration::from_secs(15),
            max_frame: 1024 * 1024 + 64,
        }
    }
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            max_in_flight: AtomicU32::new(options.max_in_flight),
            options,
            queue: Queue::default(),
            stop: CancellationToken::new(),
            changed: Notify::new(),
            streak: Streak::default(),
            links: Mutex::default(),
        }
    }

    /// Nothing more is received, and what nobody took goes back.
    pub(crate) fn stop(&self) {
        let links = self.lock();
        self.stop.cancel();
        for link in &*links {
            link.send(Command::Close);
        }
        drop(links);
        self.queue.close();
    }

    pub(crate) fn add(&self, link: &Arc<Link>) {
        self.streak.succeeded();
        let mut links = self.lock();
        links.push(Arc::clone(link));
        if self.stop.is_cancelled() {
            link.send(Command::Close);
        }
        drop(links);
        self.changed.notify_one();
    }

    pub(crate) fn remove(&self, link: &Arc<Link>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, link));
        self.changed.notify_one();
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.lock().clone()
    }

    /// Something failed. It counts while we are subscribed nowhere.
    pub(crate) fn failed(&self) {
        if self.lock().is_empty() {
            self.streak.failed();
        }
    }

    pub(crate) fn set_max_in_flight(&self, count: u32) {
        self.max_in_flight.store(count, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Nothing more is asked for once the consumer stops.
    pub(crate) fn max_in_flight(&self) -> u32 {
        if self.stop.is_cancelled() { 0 } else { self.max_in_flight.load(Ordering::Relaxed) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
