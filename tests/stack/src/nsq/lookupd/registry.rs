//! What nsqlookupd knows: which nsqds have which topics and channels. Pure; the time is given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Most topics and channels together, so that memory stays bounded whatever is registered.
const MOST_KEYS: usize = 100_000;

/// An nsqd, as it introduced itself.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) remote_address: String,
    pub(super) hostname: String,
    pub(super) broadcast_address: String,
    pub(super) tcp_port: u16,
    pub(super) http_port: u16,
    pub(super) version: String,
    pub(super) last_seen: Instant,
}

/// A topic, or one of its channels.
type Key = (String, Option<String>);

/// The registrations. A topic or channel stays known when its last nsqd goes, unless it is ephemeral.
#[derive(Debug, Default)]
pub(super) struct Registry {
    peers: BTreeMap<u64, Peer>,
    /// By key, the peers that have it, and since when they are tombstoned.
    keys: BTreeMap<Key, BTreeMap<u64, Option<Instant>>>,
}

impl Registry {
    pub(super) fn join(&mut self, id: u64, peer: Peer) {
        self.peers.insert(id, peer);
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.peers.remove(&id);
        for producers in self.keys.values_mut() {
            producers.remove(&id);
        }
    }

    pub(super) fn seen(&mut self, id: u64, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.last_seen = now;
        }
    }

    /// Makes the topic, and the channel if one is named, known. False if there are too many.
    pub(super) fn create(&mut self, topic: &str, channel: Option<&str>) -> bool {
        if self.keys.len() >= MOST_KEYS {
            return false;
        }
        if let Some(channel) = channel {
            self.keys.entry((topic.to_owned(), Some(channel.to_owned()))).or_default();
        }
        self.keys.entry((topic.to_owned(), None)).or_default();
        true
    }

    /// The peer has the topic, and the channel if one is named. False if there are too many.
    pub(super) fn register(&mut self, id: u64, topic: &str, channel: Option<&str>) -> bool {
        if !self.create(topic, channel) {
            return false;
        }
        let keys = channel.map(|channel| (topic.to_owned(), Some(channel.to_owned())));
        for key in keys.into_iter().chain([(topic.to_owned(), None)]) {
            self.keys.entry(key).or_default().entry(id).or_default();
        }
        true
    }

    /// The peer has the channel no more; without a channel, the topic and all its channels.
    pub(super) fn unregister(&mut self, id: u64, topic: &str, channel: Option<&str>) {
        let is_meant = |key: &Key| key.0 == topic && (channel.is_none() || key.1.as_deref() == channel);
        for (_, producers) in self.keys.iter_mut().filter(|(key, _)| is_meant(key)) {
            producers.remove(&id);
        }
        let key: Key = (topic.to_owned(), channel.map(str::to_owned));
        let is_ephemeral = channel.unwrap_or(topic).ends_with("#ephemeral");
        if is_ephemeral && self.keys.get(&key).is_some_and(BTreeMap::is_empty) {
            self.keys.remove(&key);
        }
    }

    pub(super) fn topics(&self) -> Vec<&str> {
        self.keys.keys().filter(|(_, channel)| channel.is_none()).map(|(topic, _)| topic.as_str()).collect()
    }

    pub(super) fn channels(&self, topic: &str) -> Vec<&str> {
        self.keys.keys().filter(|key| key.0 == topic).filter_map(|key| key.1.as_deref()).collect()
    }

    /// The active producers of the topic; none if it is not known.
    pub(super) fn lookup(&self, topic: &str, activity: &Activity) -> Option<Vec<Value>> {
        let producers = self.keys.get(&(topic.to_owned(), None))?;
        let visible = producers.iter().filter(|(_, tombstoned)| !activity.is_hidden(**tombstoned));
        let peers = visible.filter_map(|(id, _)| self.peers.get(id)).filter(|peer| activity.is_active(peer));
        Some(peers.map(Peer::document).collect())
    }

    /// All active nsqds with their topics.
    pub(super) fn nodes(&self, activity: &Activity) -> Vec<Value> {
        let active = self.peers.iter().filter(|(_, peer)| activity.is_active(peer));
        let node = |(id, peer): (&u64, &Peer)| {
            let topics = self.keys.iter().filter(|(key, _)| key.1.is_none());
            let its = topics.filter_map(|(key, producers)| producers.get(id).map(|since| (key.0.as_str(), since)));
            let (topics, hidden): (Vec<&str>, Vec<bool>) =
                its.map(|(topic, since)| (topic, activity.is_hidden(*since))).unzip();
            let mut document = peer.document();
            document["tombstones"] = json!(hidden);
            document["topics"] = json!(topics);
            document
        };
        active.map(node).collect()
    }

    /// Forgets the topic and its channels until they are registered again.
    pub(super) fn delete_topic(&mut self, topic: &str) {
        self.keys.retain(|key, _| key.0 != topic);
    }

    /// False if the channel is not known.
    pub(super) fn delete_channel(&mut self, topic: &str, channel: &str) -> bool {
        self.keys.remove(&(topic.to_owned(), Some(channel.to_owned()))).is_some()
    }

    /// Hides the nsqd with this `broadcast address:HTTP port` from consumers of the topic.
    pub(super) fn tombstone(&mut self, topic: &str, node: &[u8], now: Instant) {
        let Some(producers) = self.keys.get_mut(&(topic.to_owned(), None)) else { return };
        for (id, tombstoned) in producers {
            let is_it = |peer: &Peer| format!("{}:{}", peer.broadcast_address, peer.http_port).as_bytes() == node;
            if self.peers.get(id).is_some_and(is_it) {
                *tombstoned = Some(now);
            }
        }
    }

    /// By registration, who has it: for people.
    pub(super) fn debug(&self) -> Value {
        let mut all = serde_json::Map::new();
        let mut note = |key: String, peer: &Peer, since: Option<Instant>| {
            let mut document = peer.document();
            document["id"] = json!(peer.remote_address);
            document["tombstoned"] = json!(since.is_some());
            if let Some(list) = all.entry(key).or_insert_with(|| json!([])).as_array_mut() {
                list.push(document);
            }
        };
        for peer in self.peers.values() {
            note("client::".to_owned(), peer, None);
        }
        for ((topic, channel), producers) in &self.keys {
            let category = if channel.is_some() { "channel" } else { "topic" };
            for (id, since) in producers {
                if let Some(peer) = self.peers.get(id) {
                    note(format!("{category}:{topic}:{}", channel.as_deref().unwrap_or_default()), peer, *since);
                }
            }
        }
        Value::Object(all)
    }
}

/// When an nsqd counts as there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activity {
    pub(super) now: Instant,
    pub(super) inactive_after: Duration,
    pub(super) tombstone_lifetime: Duration,
}

impl Activity {
    fn is_active(&self, peer: &Peer) -> bool {
        self.now.saturating_duration_since(peer.last_seen) <= self.inactive_after
    }

    fn is_hidden(&self, tombstoned: Option<Instant>) -> bool {
        tombstoned.is_some_and(|since| self.now.saturating_duration_since(since) < self.tombstone_lifetime)
    }
}

impl Peer {
    fn document(&self) -> Value {
        json!({
            "remote_address": self.remote_address,
            "hostname": self.hostname,
            "broadcast_address": self.broadcast_address,
            "tcp_port": self.tcp_port,
            "http_port": self.http_port,
            "version": self.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, now: Instant) -> Peer {
        let text = name.to_owned();
        Peer {
            remote_address: text.clone(),
            hostname: text.clone(),
            broadcast_address: text.clone(),
            tcp_port: 1,
            http_port: 2,
            version: text,
            last_seen: now,
        }
    }

    #[test]
    fn a_silent_or_tombstoned_nsqd_is_not_given_to_consumers() {
        let now = Instant::now();
        let mut registry = Registry::default();
        registry.join(1, peer("a", now));
        registry.join(2, peer("b", now));
        registry.register(1, "t", Some("c"));
        registry.register(2, "t", None);
        let at = |seconds| Activity {
            now: now + Duration::from_secs(seconds),
            inactive_after: Duration::from_mins(5),
            tombstone_lifetime: Duration::from_secs(45),
        };
        assert_eq!(registry.lookup("t", &at(1)).unwrap().len(), 2);
        registry.tombstone("t", b"a:2", now);
        assert_eq!(registry.lookup("t", &at(1)).unwrap()[0]["hostname"], "b");
        assert_eq!(registry.nodes(&at(1))[0]["tombstones"], json!([true]));
        assert_eq!(registry.lookup("t", &at(45)).unwrap().len(), 2, "a tombstone lasts 45 s");
        registry.seen(2, now + Duration::from_mins(1));
        assert_eq!(registry.lookup("t", &at(301)).unwrap()[0]["hostname"], "b");
        assert!(registry.lookup("unknown", &at(1)).is_none());
    }

    #[test]
    fn names_outlive_their_nsqd_unless_they_are_ephemeral() {
        let now = Instant::now();
        let mut registry = Registry::default();
        registry.join(1, peer("a", now));
        registry.register(1, "t", Some("c"));
        registry.register(1, "t", Some("c#ephemeral"));
        registry.unregister(1, "t", Some("c#ephemeral"));
        registry.leave(1);
        assert_eq!((registry.topics(), registry.channels("t")), (vec!["t"], vec!["c"]));
    }
}
