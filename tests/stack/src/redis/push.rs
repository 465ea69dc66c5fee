//! Messages that answer no request: published ones, and what MONITOR shows.
//!
//! Each client has an outbox that its connection empties. One that fills up, since the client does not read, ends the
//! connection; so nobody waits for a slow listener.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::commands::{Command, flags};
use super::glob;
use super::reply::{Protocol, Reply, quoted};
use super::server::Client;

/// The most that waits for one client, as in the real server's limit for subscribers.
const LARGEST_OUTBOX: usize = 32 << 20;

/// Messages on their way to one client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Vec<u8>>,
    overflown: AtomicBool,
    resp3: AtomicBool,
    wake: Notify,
}

impl Outbox {
    /// Waits for messages. `None`: the client has not read for too long.
    pub(super) async fn take(&self) -> Option<Vec<u8>> {
        loop {
            if self.overflown.load(Ordering::Relaxed) {
                return None;
            }
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !waiting.is_empty() {
                return Some(waiting);
            }
            self.wake.notified().await;
        }
    }

    pub(super) fn speak(&self, protocol: Protocol) {
        self.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    fn send(&self, write: impl FnOnce(&mut Reply)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.overflown.load(Ordering::Relaxed) {
            return;
        }
        let resp3 = self.resp3.load(Ordering::Relaxed);
        let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let mut reply = Reply { bytes: std::mem::take(&mut waiting), protocol };
        write(&mut reply);
        *waiting = reply.bytes;
        if waiting.len() > LARGEST_OUTBOX {
            *waiting = Vec::new();
            self.overflown.store(true, Ordering::Relaxed);
        }
        self.wake.notify_one();
    }
}

type Listeners = BTreeMap<u64, Arc<Outbox>>;

/// Who listens to what.
#[derive(Debug, Default)]
pub(super) struct Hub {
    channels: BTreeMap<Vec<u8>, Listeners>,
    patterns: BTreeMap<Vec<u8>, Listeners>,
    monitors: Listeners,
}

impl Hub {
    /// How many channels somebody listens to.
    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// How many patterns somebody listens to.
    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Returns how many got it.
    pub(super) fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let direct = self.channels.get(channel).into_iter().flat_map(BTreeMap::values);
        let mut count = 0;
        for outbox in direct {
            count += 1;
            outbox.send(|reply| {
                reply.push(3);
                for part in [b"message", channel, message] {
                    reply.bulk(part);
                }
            });
        }
        for (pattern, listeners) in self.patterns.iter().filter(|(pattern, _)| glob::fits(pattern, channel)) {
            for outbox in listeners.values() {
                count += 1;
                outbox.send(|reply| {
                    reply.push(4);
                    for part in [b"pmessage", pattern.as_slice(), channel, message] {
                        reply.bulk(part);
                    }
                });
            }
        }
        count
    }

    pub(super) fn subscribe(&mut self, client: &mut Client, kind: Kind, name: &[u8]) {
        let (id, outbox) = (client.id, Arc::clone(&client.outbox));
        let (map, own) = self.sides(client, kind);
        if !own.iter().any(|own| own == name) {
            own.push(name.to_vec());
            map.entry(name.to_vec()).or_default().insert(id, outbox);
        }
    }

    pub(super) fn unsubscribe(&mut self, client: &mut Client, kind: Kind, name: &[u8]) {
        let id = client.id;
        let (map, own) = self.sides(client, kind);
        own.retain(|own| own != name);
        if let Some(listeners) = map.get_mut(name) {
            listeners.remove(&id);
            if listeners.is_empty() {
                map.remove(name);
            }
        }
    }

    pub(super) fn monitor(&mut self, client: &mut Client) {
        client.monitors = true;
        self.monitors.insert(client.id, Arc::clone(&client.outbox));
    }

    pub(super) fn leave(&mut self, client: &mut Client) {
        for (kind, names) in [(Kind::Channel, client.channels.clone()), (Kind::Pattern, client.patterns.clone())] {
            for name in names {
                self.unsubscribe(client, kind, &name);
            }
        }
        client.monitors = false;
        self.monitors.remove(&client.id);
    }

    /// What MONITOR shows of a request that has run; passwords and what is for administrators are not shown.
    pub(super) fn show_to_monitors(&self, client: &Client, command: &Command, arguments: &[&[u8]]) {
        if self.monitors.is_empty() || command.is(flags::UNSEEN | flags::ADMIN) {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, micros) = (time.as_secs(), time.subsec_micros());
        let mut line = format!("{seconds}.{micros:06} [{} {}]", client.database, client.address);
        for argument in arguments {
            let _ = write!(line, " {}", quoted(argument));
        }
        for outbox in self.monitors.values() {
            outbox.send(|reply| reply.simple(&line));
        }
    }

    fn sides<'a>(
        &'a mut self,
        client: &'a mut Client,
        kind: Kind,
    ) -> (&'a mut BTreeMap<Vec<u8>, Listeners>, &'a mut Vec<Vec<u8>>) {
        match kind {
            Kind::Channel => (&mut self.channels, &mut client.channels),
            Kind::Pattern => (&mut self.patterns, &mut client.patterns),
        }
    }
}

/// What one subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Pattern,
}
