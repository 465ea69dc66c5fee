//! The consumer: what a worker takes messages from. Connecting and reconnecting is `tend.rs`'s.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::link::{Command, Link};
use crate::lookup::Lookup;
use crate::queue::Queue;
use crate::tend::supervise;
use crate::{Message, Name};

/// Receives the messages of one topic and channel from every nsqd that has the topic.
///
/// It connects and reconnects by itself, without end. Dropping it cuts the connections: messages without an answer then
/// come back when their time is out. [`close`](Self::close) is the civil way.
///
/// There is no limit on attempts here and no pause of the consumer after a requeue, both of which upstream's library has
/// (01 §8.3): what becomes of a message is the worker's to say.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct Options {
    pub topic: Name,
    pub channel: Name,
    pub source: Source,
    /// How many messages may be with us at a time, those included that wait for [`Consumer::next`]. nsqd's clock runs for
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

/// How a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Closed {
    /// Messages that were still without an answer. nsqd delivers them again when their time is out.
    pub unanswered: usize,
}

/// What the consumer shares with its connections.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) queue: Queue,
    pub(crate) stop: CancellationToken,
    /// The shares should be looked at.
    pub(crate) changed: Notify,
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

impl Consumer {
    /// Starts to connect. Call it within a tokio runtime.
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared {
            max_in_flight: AtomicU32::new(options.max_in_flight),
            options,
            queue: Queue::default(),
            stop: CancellationToken::new(),
            changed: Notify::new(),
            links: Mutex::default(),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared)));
        Self { shared, supervisor }
    }

    /// The next message; `None` once the consumer was stopped. Cancel-safe: no message is lost with the future.
    pub async fn next(&mut self) -> Option<Message> {
        self.shared.queue.pop().await
    }

    /// How many nsqd we are subscribed at.
    pub fn connections(&self) -> usize {
        self.shared.lock().len()
    }

    /// Changes how many messages may be with us. Zero pauses the consumer; what is here stays.
    pub fn set_max_in_flight(&self, count: u32) {
        self.shared.max_in_flight.store(count, Ordering::Relaxed);
        self.shared.changed.notify_one();
    }

    /// Receives nothing more. What nobody took goes back to nsqd; what is in work can still be answered.
    pub fn stop(&self) {
        let links = self.shared.lock();
        self.shared.stop.cancel();
        for link in &*links {
            link.send(Command::Close);
        }
        drop(links);
        self.shared.queue.close();
    }

    /// Stops, waits until every message is answered and nsqd has taken the answers, and disconnects; after this long, it
    /// disconnects anyway.
    pub async fn close(mut self, within: Duration) -> Closed {
        self.stop();
        if tokio::time::timeout(within, &mut self.supervisor).await.is_ok() {
            return Closed { unanswered: 0 };
        }
        Closed { unanswered: self.shared.links().iter().map(|link| link.in_flight_count()).sum() }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // Its connections go with it.
        self.supervisor.abort();
        self.shared.queue.close();
    }
}

impl Shared {
    pub(crate) fn add(&self, link: &Arc<Link>) {
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

    /// Nothing more is asked for once the consumer stops.
    pub(crate) fn max_in_flight(&self) -> u32 {
        if self.stop.is_cancelled() { 0 } else { self.max_in_flight.load(Ordering::Relaxed) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
