//! What others see of a connection to nsqd: its statistics, and how a channel wakes or closes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::command::Stage;
use super::message::wall_clock;

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    /// Messages that it wants at a time.
    pub(super) ready: AtomicI64,
    /// Messages that it has. Changed under the lock of its channel.
    pub(super) in_flight: AtomicI64,
    pub(super) messages: AtomicU64,
    pub(super) finished: AtomicU64,
    pub(super) requeued: AtomicU64,
    /// Something changed that the connection should look at.
    pub(super) wake: Notify,
    is_closed: AtomicBool,
    address: SocketAddr,
    /// Seconds since 1970.
    connected: i64,
    about: Mutex<About>,
}

/// What the client said of itself and did.
#[derive(Debug)]
pub(super) struct About {
    pub(super) stage: Stage,
    pub(super) client_id: String,
    pub(super) hostname: String,
    pub(super) user_agent: String,
    pub(super) sample_rate: i32,
    /// Messages published, by topic.
    pub(super) published: BTreeMap<String, u64>,
}

impl Client {
    pub(super) fn new(id: u64, address: SocketAddr) -> Self {
        let about = About {
            stage: Stage::Init,
            client_id: address.ip().to_string(),
            hostname: address.ip().to_string(),
            user_agent: String::new(),
            sample_rate: 0,
            published: BTreeMap::new(),
        };
        Self {
            id,
            ready: AtomicI64::new(0),
            in_flight: AtomicI64::new(0),
            messages: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            requeued: AtomicU64::new(0),
            wake: Notify::new(),
            is_closed: AtomicBool::new(false),
            address,
            connected: wall_clock() / 1_000_000_000,
            about: Mutex::new(about),
        }
    }

    pub(super) fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more messages it would take now.
    pub(super) fn room(&self) -> usize {
        let room = self.ready.load(Ordering::Relaxed) - self.in_flight.load(Ordering::Relaxed);
        usize::try_from(room).unwrap_or(0)
    }

    /// It no longer has this message.
    pub(super) fn lost_one(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Its connection ends as soon as it looks.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Counts messages that it published.
    pub(super) fn published(&self, topic: &str, count: u64) {
        let mut about = self.about();
        match about.published.get_mut(topic) {
            Some(total) => *total += count,
            None => {
                about.published.insert(topic.to_owned(), count);
            }
        }
    }

    /// As it stands in the JSON statistics.
    pub(super) fn statistics(&self) -> Value {
        let about = self.about();
        let mut value = json!({
            "client_id": about.client_id,
            "hostname": about.hostname,
            "version": "V2",
            "remote_address": self.address.to_string(),
            "state": about.stage as i32,
            "ready_count": self.ready.load(Ordering::Relaxed),
            "in_flight_count": self.in_flight.load(Ordering::Relaxed),
            "message_count": self.messages.load(Ordering::Relaxed),
            "finish_count": self.finished.load(Ordering::Relaxed),
            "requeue_count": self.requeued.load(Ordering::Relaxed),
            "connect_ts": self.connected,
            "sample_rate": about.sample_rate,
            "deflate": false,
            "snappy": false,
            "user_agent": about.user_agent,
            "tls": false,
            "tls_cipher_suite": "",
            "tls_version": "",
            "tls_negotiated_protocol": "",
            "tls_negotiated_protocol_is_mutual": false,
        });
        let counts = about.published.iter().map(|(topic, count)| json!({ "topic": topic, "count": count }));
        let counts: Vec<Value> = counts.collect();
        if !counts.is_empty() {
            value["pub_counts"] = Value::Array(counts);
        }
        value
    }
}
