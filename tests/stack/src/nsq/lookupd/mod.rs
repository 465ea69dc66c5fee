//! An nsqlookupd: nsqds register topics and channels over TCP, consumers find them over HTTP.

mod api;
mod connection;
mod registry;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::Registry;

use super::tasks::{self, Stopper};
use super::{ANY_PORT, http};

/// How an nsqlookupd is started. The defaults are nsqlookupd's, but for the addresses.
#[derive(Debug, Clone)]
pub struct LookupdOptions {
    /// Must be loopback; port 0 takes a free one.
    pub tcp: SocketAddr,
    /// Must be loopback; port 0 takes a free one.
    pub http: SocketAddr,
    /// The host that an nsqd is told to find the HTTP side at.
    pub broadcast_address: String,
    /// An nsqd that was silent for longer is not given to consumers.
    pub inactive_producer_timeout: Duration,
    /// How long a tombstone hides an nsqd from consumers of a topic.
    pub tombstone_lifetime: Duration,
}

impl Default for LookupdOptions {
    fn default() -> Self {
        Self {
            tcp: ANY_PORT,
            http: ANY_PORT,
            broadcast_address: "127.0.0.1".to_owned(),
            inactive_producer_timeout: Duration::from_mins(5),
            tombstone_lifetime: Duration::from_secs(45),
        }
    }
}

/// A running nsqlookupd. Dropping it ends its tasks and connections.
#[derive(Debug)]
pub struct Lookupd {
    shared: Arc<Shared>,
    stopper: Stopper,
}

#[derive(Debug)]
struct Shared {
    options: LookupdOptions,
    tcp: SocketAddr,
    http: SocketAddr,
    registry: Mutex<Registry>,
}

impl Lookupd {
    /// Listens, and serves until the value is dropped. Must be called within a tokio runtime.
    pub async fn start(options: LookupdOptions) -> anyhow::Result<Self> {
        let tcp = tasks::listen(options.tcp, "nsqlookupd's TCP port").await?;
        let http = tasks::listen(options.http, "nsqlookupd's HTTP port").await?;
        let (tasks, stopper) = tasks::tasks();
        let registry = Mutex::new(Registry::default());
        let shared = Arc::new(Shared { options, tcp: tcp.local_addr()?, http: http.local_addr()?, registry });
        let served = Arc::clone(&shared);
        tasks.accept(tcp, move |stream, address| connection::serve(Arc::clone(&served), stream, address));
        let served = Arc::clone(&shared);
        http::serve(&tasks, http, move |request| std::future::ready(api::handle(&served, &request)));
        Ok(Self { shared, stopper })
    }

    /// Where nsqd registers.
    pub fn tcp(&self) -> SocketAddr {
        self.shared.tcp
    }

    /// Where consumers look up.
    pub fn http(&self) -> SocketAddr {
        self.shared.http
    }

    /// Ends it and waits until its ports are free again.
    pub async fn stop(mut self) {
        self.stopper.stop().await;
    }
}
