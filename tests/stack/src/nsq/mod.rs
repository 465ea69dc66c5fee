//! NSQ: an nsqd and an nsqlookupd in the process, as version 1.2.0 behaves. The README lists what differs.
//!
//! `connection` speaks the TCP protocol that `command` parses, `api` the HTTP one; both act on the `broker`, whose
//! `topic`s and `channel`s hold the messages, the `journal` keeps them over a restart. `peer` registers them with nsqlookupds; `lookupd` is one.

mod api;
mod broker;
mod channel;
mod client;
mod command;
mod connection;
mod http;
mod identify;
mod journal;
mod lookupd;
mod message;
mod peer;
mod statistics;
mod tasks;
mod topic;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
pub use lookupd::{Lookupd, LookupdOptions};
use tasks::Stopper;

/// What we answer where nsqd names its version.
const VERSION: &str = "1.2.0";

/// A free port on loopback.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How an nsqd is started. The defaults are nsqd's, but for the addresses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Must be loopback; port 0 takes a free one.
    pub tcp: SocketAddr,
    /// Must be loopback; port 0 takes a free one.
    pub http: SocketAddr,
    /// The host that nsqlookupd gives to consumers.
    pub broadcast_address: String,
    /// TCP addresses of the nsqlookupds to register with.
    pub lookupd: Vec<SocketAddr>,
    /// Time-out of a message in flight, unless the client asks for another.
    pub msg_timeout: Duration,
    /// Longest time-out that a client may ask for, and how far TOUCH can carry a message after its delivery.
    pub max_msg_timeout: Duration,
    /// Longest delay of REQ, which is cut to it, and of DPUB, which is refused beyond it.
    pub max_req_timeout: Duration,
    pub max_heartbeat_interval: Duration,
    /// Bytes.
    pub max_msg_size: usize,
    /// Bytes.
    pub max_body_size: usize,
    pub max_rdy_count: i64,
    /// Bytes that all messages held may take; beyond that publishing is refused.
    pub max_memory: usize,
    /// Where messages are kept over a restart; made if it is not there. None: they end with the server.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tcp: ANY_PORT,
            http: ANY_PORT,
            broadcast_address: "127.0.0.1".to_owned(),
            lookupd: Vec::new(),
            msg_timeout: Duration::from_mins(1),
            max_msg_timeout: Duration::from_mins(15),
            max_req_timeout: Duration::from_hours(1),
            max_heartbeat_interval: Duration::from_mins(1),
            max_msg_size: 1024 * 1024,
            max_body_size: 5 * 1024 * 1024,
            max_rdy_count: 2500,
            max_memory: 512 * 1024 * 1024,
            data: None,
        }
    }
}

/// A running nsqd. Dropping it ends its tasks and connections.
#[derive(Debug)]
pub struct Nsqd {
    broker: Arc<Broker>,
    stopper: Stopper,
}

impl Nsqd {
    /// Listens, and serves until the value is dropped. Must be called within a tokio runtime.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let tcp = tasks::listen(options.tcp, "nsqd's TCP port").await?;
        let http = tasks::listen(options.http, "nsqd's HTTP port").await?;
        let (tasks, stopper) = tasks::tasks();
        let lookupds = options.lookupd.clone();
        let broker = Broker::new(options, tcp.local_addr()?, http.local_addr()?, tasks.clone())?;
        let broker = Arc::new(broker);
        for address in lookupds {
            tasks.spawn(peer::inform(Arc::clone(&broker), address));
        }
        let served = Arc::clone(&broker);
        tasks.accept(tcp, move |stream, address| connection::serve(Arc::clone(&served), stream, address));
        let served = Arc::clone(&broker);
        http::serve(&tasks, http, move |request| api::handle(Arc::clone(&served), request));
        Ok(Self { broker, stopper })
    }

    /// Where clients connect to.
    pub fn tcp(&self) -> SocketAddr {
        self.broker.tcp
    }

    pub fn http(&self) -> SocketAddr {
        self.broker.http
    }

    /// Makes a topic, and a channel of it, as the first client that names them would.
    pub async fn create(&self, topic: &str, channel: Option<&str>) -> anyhow::Result<()> {
        let full = |_| anyhow::anyhow!("nsqd has no memory left for the topic {topic}");
        let made = self.broker.topic(topic).await.map_err(full)?;
        if let Some(channel) = channel {
            self.broker.channel(&made, channel).map_err(full)?;
        }
        Ok(())
    }

    /// The topics in which messages wait or are in work, and how many there are.
    pub fn waiting(&self) -> Vec<(String, u64)> {
        let number = |value: &serde_json::Value, names: &[&str]| -> u64 {
            names.iter().filter_map(|name| value[name].as_u64()).sum()
        };
        let topics = self.broker.statistics(None, None, false).into_iter().map(|topic| {
            let channels = topic["channels"].as_array().into_iter().flatten();
            let counted = ["depth", "in_flight_count", "deferred_count"];
            let messages = number(&topic, &["depth"]) + channels.map(|channel| number(channel, &counted)).sum::<u64>();
            (topic["topic_name"].as_str().unwrap_or_default().to_owned(), messages)
        });
        topics.filter(|(_, messages)| *messages > 0).collect()
    }

    /// Ends it and waits until its ports are free again.
    pub async fn stop(self) {
        let Self { broker, mut stopper } = self;
        // It can start tasks, so it counts as one.
        drop(broker);
        stopper.stop().await;
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
