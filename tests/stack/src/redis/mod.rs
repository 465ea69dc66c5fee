//! An embedded Redis: RESP2 and RESP3, sixteen databases, hashes and strings with everything that the services, their
//! clients and people with `redis-cli` use. `tests/stack/README.md` lists where it differs from the real server.
//!
//! It is one thread, as the real one: [`connection`] moves the bytes, [`parse`] reads requests, [`server`] lets them in,
//! [`commands`] has what they do, [`keyspace`] what they do it to.

#[expect(clippy::unnecessary_wraps, reason = "all commands have one type, and some cannot fail")]
mod commands;
mod connection;
mod glob;
mod hash;
mod keyspace;
mod parse;
mod push;
mod reply;
mod server;
mod snapshot;
mod table;

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use server::Server;
use snapshot::Snapshot;

/// As many clients as the real server lets in.
const MOST_CLIENTS: usize = 10_000;

/// What it says to one more.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// A running server. Dropping it ends the connections and everything else.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How the server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on loopback; 0 takes a free one.
    pub port: u16,
    /// What clients must give with AUTH or HELLO.
    pub password: Option<String>,
    /// The bytes of keys and values, about, from which on commands that need more are refused.
    pub max_memory: usize,
    /// Where the data is kept from one run to the next; it is written when the server is dropped.
    pub folder: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, password: None, max_memory: 1 << 30, folder: None }
    }
}

impl Redis {
    /// Starts the server; when this returns it listens, with the data of its folder.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = StdListener::bind(wanted)
            .with_context(|| format!("Redis cannot listen on {wanted}; does another one run there?"))?;
        listener.set_nonblocking(true).context("Redis cannot set up its socket")?;
        let address = listener.local_addr().context("Redis cannot tell its address")?;
        let mut server = Server::new(address, options.password, options.max_memory);
        let snapshot = options.folder.map(|folder| Snapshot::open(&folder)).transpose()?;
        if let Some(snapshot) = &snapshot {
            snapshot.load(&mut server)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("Redis cannot set up its thread")?;
        let (stop, stopped) = oneshot::channel();
        let server = Arc::new(Mutex::new(server));
        let work = move || {
            runtime.block_on(serve(listener, &server, stopped));
            // Ends the connections, which hold the server too.
            drop(runtime);
            let server = server.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Err(error)) = snapshot.map(|snapshot| snapshot.save(&server.keyspace)) {
                tracing::error!("the data of Redis is lost: {error:#}");
            }
        };
        let thread =
            thread::Builder::new().name("redis".to_owned()).spawn(work).context("Redis cannot start a thread")?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has shown itself.
            let _ = thread.join();
        }
    }
}

/// Takes connections until the other side of `stopped` goes.
async fn serve(listener: StdListener, server: &Arc<Mutex<Server>>, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        let Ok((mut stream, address)) = accepted else {
            // No more file descriptors; some client will go.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let server = Arc::clone(server);
                tokio::spawn(async move {
                    connection::serve(stream, address, server).await;
                    drop(place);
                });
            }
            Err(_) => drop(stream.write_all(TOO_MANY_CLIENTS).await),
        }
    }
}
