//! NSQ servers to test against, and how to wait for something.

pub(crate) mod real;

use std::sync::Once;
use std::time::Duration;

use nsq::{Consumer, Lookup, Message, Name, Options, Publisher, Source, TopicLoad};
use tokio::time::{Instant, sleep, timeout};

use real::{Binaries, Process};

/// Which servers a test talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
    binaries: Binaries,
}

/// A server, or where one was.
pub(crate) struct Server {
    pub(crate) tcp: String,
    pub(crate) http: String,
    process: Option<Process>,
}

/// The longest that anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    pub(crate) fn start(kind: Kind, test: &str, count: usize, limits: Limits) -> Option<Self> {
        provide_cryptography();
        let Kind::Real = kind;
        let Some(binaries) = Binaries::find() else {
            skip(test, "no nsqd and nsqlookupd on PATH");
            return None;
        };
        let (process, tcp, http) = binaries.nsqlookupd("127.0.0.1:0", "127.0.0.1:0");
        let lookupd = Server { tcp, http, process: Some(process) };
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { lookupd, nsqd: Vec::new(), limits, folder, binaries };
        for index in 0..count {
            cluster.nsqd.push(Server { tcp: "127.0.0.1:0".to_owned(), http: "127.0.0.1:0".to_owned(), process: None });
            cluster.start_nsqd(index);
        }
        Some(cluster)
    }

    /// Starts it, again at its place and with its data.
    pub(crate) fn start_nsqd(&mut self, index: usize) {
        let data = self.folder.path().join(index.to_string());
        let at = &self.nsqd[index];
        let (process, tcp, http) = self.binaries.nsqd(&at.tcp, &at.http, &self.lookupd.tcp, &data, self.limits);
        self.nsqd[index] = Server { tcp, http, process: Some(process) };
    }

    pub(crate) fn stop_nsqd(&mut self, index: usize) {
        self.nsqd[index].process = None;
    }

    pub(crate) fn start_lookupd(&mut self) {
        let (process, ..) = self.binaries.nsqlookupd(&self.lookupd.tcp, &self.lookupd.http);
        self.lookupd.process = Some(process);
    }

    pub(crate) fn stop_lookupd(&mut self) {
        self.lookupd.process = None;
    }

    pub(crate) fn nsqd(&self, index: usize) -> &Server {
        &self.nsqd[index]
    }

    pub(crate) fn lookup(&self) -> Lookup {
        Lookup::new([&self.lookupd.http]).unwrap()
    }

    pub(crate) fn publisher(&self, index: usize) -> Publisher {
        Publisher::new(&self.nsqd[index].http).unwrap()
    }

    /// Waits until nsqlookupd knows the topic on so many nsqd.
    pub(crate) async fn announced(&self, topic: &Name, count: usize) {
        let url = format!("http://{}/lookup?topic={topic}", self.lookupd.http);
        until("the topic to be announced", async || {
            let answer = reqwest::get(&url).await.unwrap().text().await.unwrap();
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

/// Polls until the answer is `Ok`; the last state is what the failure shows.
pub(crate) async fn until<T, E: std::fmt::Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < deadline, "waited for {what} in vain: {state:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn provide_cryptography() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// Says that a test was skipped, and why; `test-all` lists it.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
