//! Redis servers to test against.

mod real;

use redis::aio::MultiplexedConnection;
use redis_store::{Options, Store};
use stack::testing::{program, skip};

use real::Process;

/// Which server a test talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    Real,
}

/// A server that ends with the value.
pub(crate) struct Server {
    kind: Kind,
    running: Option<Running>,
    folder: tempfile::TempDir,
    port: u16,
}

/// Ends with the value.
#[derive(Debug)]
enum Running {
    Embedded { _server: stack::redis::Redis },
    Real { _process: Process },
}

/// Each test once per kind of server.
macro_rules! on_every_server {
    ($($test:ident;)*) => {
        crate::support::on_every_server! { @ embedded, Embedded: $($test;)* }
        crate::support::on_every_server! { @ real, Real: $($test;)* }
    };
    (@ $module:ident, $kind:ident: $($test:ident;)*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(server) = crate::support::Server::start(crate::support::Kind::$kind, stringify!($test)) {
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
        if kind == Kind::Real && program("redis-server").is_none() {
            skip(test, "no redis-server on PATH");
            return None;
        }
        let mut server = Self { kind, running: None, folder: tempfile::tempdir().unwrap(), port: 0 };
        server.start_again();
        Some(server)
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

    /// Those of all clients, where the server can do that.
    pub(crate) async fn cut_connections(&self) {
        if self.kind == Kind::Real {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("TYPE").arg("normal");
            let _: i64 = kill.query_async(&mut self.raw(0).await).await.unwrap();
        }
    }

    /// Without saving anything.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// At the same place; it is empty.
    pub(crate) fn start_again(&mut self) {
        let (running, port) = match self.kind {
            Kind::Embedded => {
                let options = stack::redis::Options { port: self.port, ..Default::default() };
                let server = stack::redis::Redis::start(options).unwrap();
                let port = server.address().port();
                (Running::Embedded { _server: server }, port)
            }
            Kind::Real => {
                let (process, port) = Process::start(self.folder.path(), Some(self.port).filter(|port| *port != 0));
                (Running::Real { _process: process }, port)
            }
        };
        self.running = Some(running);
        self.port = port;
    }
}

/// A store that reaches its server by this address.
pub(crate) fn store_at(address: &str) -> Store {
    Store::new(&Options { address: address.to_owned(), password: None, database: 0, lease_database: 1 }).unwrap()
}
