//! Redis servers to test against, and how to wait for something.

mod real;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis_store::{Options, Store};
use tokio::time::{Instant, sleep};

use real::Process;

/// Which server a test talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Real,
}

/// A server that ends with the value.
pub(crate) struct Server {
    process: Option<Process>,
    folder: tempfile::TempDir,
    port: u16,
}

/// The longest that anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Each test once per kind of server.
macro_rules! on_every_server {
    ($($test:ident;)*) => {
        mod real {
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(server) = crate::support::Server::start(crate::support::Kind::Real, stringify!($test)) {
                        super::$test(server).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use on_every_server;

impl Server {
    pub(crate) fn start(kind: Kind, test: &str) -> Option<Self> {
        let Kind::Real = kind;
        if !real::on_path() {
            skip(test, "no redis-server on PATH");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (process, port) = Process::start(folder.path(), None);
        Some(Self { process: Some(process), folder, port })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> Store {
        store_at(&self.address())
    }

    /// To look at what is there, and to put other things there.
    pub(crate) async fn raw(&self, database: u32) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/{database}", self.address())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Without saving anything.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// At the same place; it is empty.
    pub(crate) fn start_again(&mut self) {
        let (process, port) = Process::start(self.folder.path(), Some(self.port));
        self.process = Some(process);
        assert_eq!(port, self.port);
    }
}

/// A store that reaches its server by this address.
pub(crate) fn store_at(address: &str) -> Store {
    Store::new(&Options { address: address.to_owned(), password: None, database: 0, lease_database: 1 }).unwrap()
}

/// Polls until the answer is `Ok`; the last state is what the failure shows.
pub(crate) async fn until<T, E: std::fmt::Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < deadline, "waited for {what} in vain: {state:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Says that a test was skipped, and why; `test-all` lists it.
fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
