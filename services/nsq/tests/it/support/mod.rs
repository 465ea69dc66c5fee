//! NSQ servers to test against.

pub(crate) mod real;

use std::sync::{Once, OnceLock};
use std::time::Duration;

use nsq::{Consumer, Lookup, Message, Name, Options, Publisher, Source, TopicLoad};
use real::{Binaries, Process};
use stack::nsq::{Lookupd, LookupdOptions, Nsqd};
use stack::testing::{PATIENCE, skip, until};
use tokio::time::timeout;

/// Which servers a test talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    Real,
}

/// The settings of nsqd that tests change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) message_timeout: Duration,
    pub(crate) max_message_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_timeout: Duration::from_mins(1), max_message_timeout: Duration::from_mins(15) }
    }
}

/// One nsqlookupd and some nsqd. They end with the value.
pub(crate) struct Cluster {
    lookupd: Server,
    nsqd: Vec<Server>,
    limits: Limits,
    folder: tempfile::TempDir,
    /// Of the real ones.
    binaries: Option<Binaries>,
    /// To make one takes long, since it reads all CA roots that there are.
    client: OnceLock<Lookup>,
}

/// A server, or where one was.
pub(crate) struct Server {
    pub(crate) tcp: String,
    pub(crate) http: String,
    running: Option<Running>,
    publisher: OnceLock<Publisher>,
}

/// Ends with the value.
enum Running {
    Nsqd(Nsqd),
    Lookupd(Lookupd),
    Real { _process: Process },
}

impl Cluster {
    pub(crate) async fn start(kind: Kind, test: &str, count: usize, limits: Limits) -> Option<Self> {
        provide_cryptography();
        let binaries = if kind == Kind::Real { Binaries::find() } else { None };
        if kind == Kind::Real && binaries.is_none() {
            skip(test, "no nsqd and nsqlookupd on PATH");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut cluster =
            Self { lookupd: Server::anywhere(), nsqd: Vec::new(), limits, folder, binaries, client: OnceLock::new() };
        cluster.start_lookupd().await;
        for index in 0..count {
            cluster.nsqd.push(Server::anywhere());
            cluster.start_nsqd(index).await;
        }
        Some(cluster)
    }

    /// Starts it, again at its place.
    pub(crate) async fn start_nsqd(&mut self, index: usize) {
        let at = &self.nsqd[index];
        self.nsqd[index] = if let Some(binaries) = &self.binaries {
            let data = self.folder.path().join(index.to_string());
            let (process, tcp, http) = binaries.nsqd(&at.tcp, &at.http, &self.lookupd.tcp, &data, self.limits);
            Server::new(tcp, http, Running::Real { _process: process })
        } else {
            let options = stack::nsq::Options {
                tcp: at.tcp.parse().unwrap(),
                http: at.http.parse().unwrap(),
                lookupd: vec![self.lookupd.tcp.parse().unwrap()],
                msg_timeout: self.limits.message_timeout,
                max_msg_timeout: self.limits.max_message_timeout,
                ..Default::default()
            };
            let nsqd = Nsqd::start(options).await.unwrap();
            Server::new(nsqd.tcp().to_string(), nsqd.http().to_string(), Running::Nsqd(nsqd))
        };
    }

    pub(crate) async fn stop_nsqd(&mut self, index: usize) {
        self.nsqd[index].stop().await;
    }

    pub(crate) async fn start_lookupd(&mut self) {
        let at = &self.lookupd;
        self.lookupd = if let Some(binaries) = &self.binaries {
            let (process, tcp, http) = binaries.nsqlookupd(&at.tcp, &at.http);
            Server::new(tcp, http, Running::Real { _process: process })
        } else {
            let (tcp, http) = (at.tcp.parse().unwrap(), at.http.parse().unwrap());
            let lookupd = Lookupd::start(LookupdOptions { tcp, http, ..Default::default() }).await.unwrap();
            let (tcp, http) = (lookupd.tcp().to_string(), lookupd.http().to_string());
            Server::new(tcp, http, Running::Lookupd(lookupd))
        };
    }

    pub(crate) async fn stop_lookupd(&mut self) {
        self.lookupd.stop().await;
    }

    pub(crate) fn nsqd(&self, index: usize) -> &Server {
        &self.nsqd[index]
    }

    pub(crate) fn lookup(&self) -> Lookup {
        self.client.get_or_init(|| Lookup::new([&self.lookupd.http]).unwrap()).clone()
    }

    pub(crate) fn publisher(&self, index: usize) -> Publisher {
        let server = &self.nsqd[index];
        server.publisher.get_or_init(|| Publisher::new(&server.http).unwrap()).clone()
    }

    /// Waits until nsqlookupd knows the topic on so many nsqd.
    pub(crate) async fn announced(&self, topic: &Name, count: usize) {
        let url = format!("http://{}/lookup?topic={topic}", self.lookupd.http);
        until("the topic to be announced", async || {
            let answer = http().get(&url).send().await.unwrap().text().await.unwrap();
            (answer.matches("broadcast_address").count() == count).then_some(()).ok_or(answer)
        })
        .await;
    }

    /// The same after nsqlookupd was away. nsqd talks to it every 15 s, or when there is a new topic.
    pub(crate) async fn announced_again(&self, topic: &Name) {
        let (lookup, publisher) = (self.lookup(), self.publisher(0));
        let mut count = 0;
        until("the topic to be announced again", async || {
            count += 1;
            publisher.publish(&name(&format!("new-{count}")), "1").await.unwrap();
            let nodes = lookup.nodes().await.map_err(|error| error.to_string())?;
            if nodes.is_empty() { Err(String::new()) } else { Ok(()) }
        })
        .await;
        self.announced(topic, 1).await;
    }

    /// Consumes from the nsqd directly.
    pub(crate) fn options(&self, topic: &Name) -> Options {
        let addresses = self.nsqd.iter().map(|server| server.tcp.clone()).collect();
        fast(Options::new(topic.clone(), name("channel"), Source::Nsqd(addresses)))
    }

    pub(crate) async fn delete(&self, topic: &Name) {
        let url = format!("http://{}/topic/delete?topic={topic}", self.nsqd[0].http);
        assert!(http().post(url).send().await.unwrap().status().is_success());
    }

    /// What waits in the topic once it is as it should be.
    pub(crate) async fn load(&self, topic: &Name, expected: TopicLoad) {
        let lookup = self.lookup();
        until("the load to be as expected", async || match lookup.topic_load(topic).await {
            Ok(load) if load == expected => Ok(()),
            other => Err(format!("{other:?}, not {expected:?}")),
        })
        .await;
    }
}

impl Server {
    fn anywhere() -> Self {
        Self {
            tcp: "127.0.0.1:0".to_owned(),
            http: "127.0.0.1:0".to_owned(),
            running: None,
            publisher: OnceLock::new(),
        }
    }

    fn new(tcp: String, http: String, running: Running) -> Self {
        Self { tcp, http, running: Some(running), publisher: OnceLock::new() }
    }

    /// Its ports are free afterwards.
    async fn stop(&mut self) {
        match self.running.take() {
            Some(Running::Nsqd(nsqd)) => nsqd.stop().await,
            Some(Running::Lookupd(lookupd)) => lookupd.stop().await,
            Some(Running::Real { .. }) | None => {}
        }
    }
}

/// Times that suit tests.
pub(crate) fn fast(options: Options) -> Options {
    Options {
        heartbeat_interval: Duration::from_secs(1),
        lookup_interval: Duration::from_millis(200),
        max_in_flight: 10,
        ..options
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The next message, which must come.
pub(crate) async fn next(consumer: &mut Consumer) -> Message {
    timeout(PATIENCE, consumer.next()).await.expect("a message in time").expect("a consumer that was not stopped")
}

/// To ask what the client under test does not. Connections end with the runtime of a test, so none are kept.
fn http() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()).clone()
}

pub(crate) fn provide_cryptography() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
