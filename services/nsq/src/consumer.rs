//! The consumer: what a worker takes messages from. Connecting and reconnecting is `tend.rs`'s.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::message::Message;
use crate::shared::{Options, Shared};
use crate::tend::supervise;

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

/// How a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Closed {
    /// Messages that were still without an answer. nsqd delivers them again when their time is out.
    pub unanswered: usize,
}

impl Consumer {
    /// Starts to connect. Call it within a tokio runtime.
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared::new(options));
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared)));
        Self { shared, supervisor }
    }

    /// The next message; `None` once the consumer was stopped. Cancel-safe: no message is lost with the future.
    pub async fn next(&mut self) -> Option<Message> {
        self.shared.queue.pop().await
    }

    /// How many nsqd we are subscribed at.
    pub fn connections(&self) -> usize {
        self.shared.links().len()
    }

    /// For how long we have been subscribed nowhere although there is an nsqd, or nsqlookupd could not be asked: from the
    /// first failure to the latest. `None` while all is well, and while there is nothing to subscribe to.
    pub fn failing_for(&self) -> Option<Duration> {
        self.shared.streak.length()
    }

    /// Changes how many messages may be with us. Zero pauses the consumer; what is here stays.
    pub fn set_max_in_flight(&self, count: u32) {
        self.shared.set_max_in_flight(count);
    }

    /// Receives nothing more. What nobody took goes back to nsqd; what is in work can still be answered.
    pub fn stop(&self) {
        self.shared.stop();
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
