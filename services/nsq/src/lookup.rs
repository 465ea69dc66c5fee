//! Which nsqd there are, as nsqlookupd knows, and how much waits on them. Consuming from them is `consumer.rs`'s.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::address::{BadAddress, base, join};
use crate::http::{self, HttpError, Patience};
use crate::name::Name;

/// One or more nsqlookupd, asked over HTTP.
#[derive(Debug, Clone)]
pub struct Lookup {
    client: Client,
    servers: Vec<Url>,
}

/// An nsqd, as it announced itself to nsqlookupd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Node {
    pub broadcast_address: String,
    pub tcp_port: u16,
    pub http_port: u16,
}

/// What waits in a topic: summed over its channels, over every nsqd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopicLoad {
    /// Messages that nobody has.
    pub depth: u64,
    /// Messages that a consumer has.
    pub in_flight: u64,
    /// Messages that wait for their time.
    pub deferred: u64,
}

/// `GET /stats` of one nsqd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stats {
    pub version: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub topics: Vec<TopicStats>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopicStats {
    pub topic_name: String,
    /// Messages that no channel has taken over yet: there is none, or the topic is paused.
    pub depth: u64,
    pub message_count: u64,
    #[serde(default)]
    pub paused: bool,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub channels: Vec<ChannelStats>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChannelStats {
    pub channel_name: String,
    pub depth: u64,
    pub in_flight_count: u64,
    pub deferred_count: u64,
    pub message_count: u64,
    pub requeue_count: u64,
    pub timeout_count: u64,
    #[serde(default)]
    pub paused: bool,
}

/// What was found, and what kept us from finding more.
#[derive(Debug)]
pub(crate) struct Found {
    /// As `host:port` of the TCP side.
    pub(crate) addresses: BTreeSet<String>,
    pub(crate) failures: Vec<HttpError>,
}

#[derive(Debug, Deserialize)]
struct Producers {
    #[serde(default, deserialize_with = "null_is_empty")]
    producers: Vec<Node>,
}

const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(10) };
/// What one answer of nsqlookupd may name.
pub(crate) const MOST_NSQD: usize = 256;

impl Lookup {
    /// Each is `host:port` or `http://host:port`.
    pub fn new<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Result<Self, BadAddress> {
        let servers: Result<Vec<Url>, BadAddress> =
            addresses.into_iter().map(|address| base(address.as_ref())).collect();
        let servers = servers?;
        if servers.is_empty() {
            return Err(BadAddress { address: String::new(), reason: "name at least one nsqlookupd".to_owned() });
        }
        Ok(Self { client: http::client(PATIENCE), servers })
    }

    /// Every nsqd that any nsqlookupd knows; each of these must answer.
    pub async fn nodes(&self) -> Result<BTreeSet<Node>, HttpError> {
        let answers = join_all(self.servers.iter().map(|server| self.get::<Producers>(server, "nodes", &[]))).await;
        let mut nodes = BTreeSet::new();
        for answer in answers {
            nodes.extend(answer?.producers);
        }
        Ok(nodes)
    }

    /// The statistics of one nsqd: of one topic, or of all.
    pub async fn stats(&self, node: &Node, topic: Option<&Name>) -> Result<Stats, HttpError> {
        let server = base(&join(&node.broadcast_address, node.http_port))?;
        let mut query = vec![("format", "json"), ("include_clients", "false"), ("include_mem", "false")];
        query.extend(topic.map(|topic| ("topic", topic.as_str())));
        self.get(&server, "stats", &query).await
    }

    /// What waits in a topic. Every nsqlookupd and every nsqd must answer: what could not be asked is not idle (07 A.8).
    pub async fn topic_load(&self, topic: &Name) -> Result<TopicLoad, HttpError> {
        let nodes = self.nodes().await?;
        let mut load = TopicLoad::default();
        for stats in join_all(nodes.iter().map(|node| self.stats(node, Some(topic)))).await {
            for stats in stats?.topics.iter().filter(|stats| stats.topic_name == topic.as_str()) {
                load.add(stats);
            }
        }
        Ok(load)
    }

    /// What waits in a channel, for each of those who take from it. Every nsqlookupd and every nsqd must answer.
    pub async fn backlog_per_client(&self, topic: &Name, channel: &Name) -> Result<f64, HttpError> {
        #[derive(Deserialize)]
        struct Stats {
            #[serde(default, deserialize_with = "null_is_empty")]
            topics: Vec<Topic>,
        }
        #[derive(Deserialize)]
        struct Topic {
            #[serde(default, deserialize_with = "null_is_empty")]
            channels: Vec<Channel>,
        }
        #[derive(Deserialize)]
        struct Channel {
            depth: u32,
            #[serde(default, deserialize_with = "null_is_empty")]
            clients: Vec<Client>,
        }
        #[derive(Deserialize)]
        struct Client {
            remote_address: String,
        }
        let query = [("format", "json"), ("topic", topic.as_str()), ("channel", channel.as_str())];
        let nodes = self.nodes().await?;
        let servers: Result<Vec<Url>, HttpError> =
            nodes.iter().map(|node| Ok(base(&join(&node.broadcast_address, node.http_port))?)).collect();
        let servers = servers?;
        let answers = join_all(servers.iter().map(|server| self.get::<Stats>(server, "stats", &query))).await;
        let (mut depth, mut clients) = (0_u32, BTreeSet::new());
        for stats in answers {
            for channel in stats?.topics.into_iter().flat_map(|topic| topic.channels) {
                depth = depth.saturating_add(channel.depth);
                // A client has one connection to each nsqd, from ports of its own.
                let host = |client: Client| client.remote_address.rsplit_once(':').map(|(host, _)| host.to_owned());
                clients.extend(channel.clients.into_iter().filter_map(host));
            }
        }
        let clients = u32::try_from(clients.len().max(1)).unwrap_or(u32::MAX);
        Ok(f64::from(depth) / f64::from(clients))
    }

    /// Where the topic can be consumed. A topic that nsqlookupd does not know yet is nowhere.
    pub(crate) async fn producers(&self, topic: &Name) -> Found {
        let query = [("topic", topic.as_str())];
        let answers = join_all(self.servers.iter().map(|server| self.get::<Producers>(server, "lookup", &query))).await;
        let mut found = Found { addresses: BTreeSet::new(), failures: Vec::new() };
        for answer in answers {
            match answer {
                Ok(answer) => {
                    let usable =
                        answer.producers.iter().filter(|node| !node.broadcast_address.is_empty() && node.tcp_port > 0);
                    found
                        .addresses
                        .extend(usable.take(MOST_NSQD).map(|node| join(&node.broadcast_address, node.tcp_port)));
                }
                Err(HttpError::Status { status: StatusCode::NOT_FOUND, text, .. })
                    if text.contains("TOPIC_NOT_FOUND") => {}
                Err(failure) => found.failures.push(failure),
            }
        }
        found
    }

    async fn get<T: DeserializeOwned>(&self, server: &Url, path: &str, query: &[(&str, &str)]) -> Result<T, HttpError> {
        let mut url = server.clone();
        url.set_path(path);
        let answer = http::ask(self.client.get(url.clone()).query(query)).await?;
        serde_json::from_slice(&answer).map_err(|source| HttpError::Malformed { url: url.to_string(), source })
    }
}

impl TopicLoad {
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, topic: &TopicStats) {
        self.depth = self.depth.saturating_add(topic.depth);
        for channel in &topic.channels {
            self.depth = self.depth.saturating_add(channel.depth);
            self.in_flight = self.in_flight.saturating_add(channel.in_flight_count);
            self.deferred = self.deferred.saturating_add(channel.deferred_count);
        }
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
