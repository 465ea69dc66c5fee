//! The tasks of one server: they end together, at once, when the server's value goes. Knows nothing of what they do.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// More than any test needs, fewer than the open files of a laptop.
const MOST_CONNECTIONS: usize = 4096;

/// After a failed accept (no more file descriptors), before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a server's tasks are started. A task is dropped where it waits as soon as the server stops: with it go its
/// connection and its listener.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    stop: CancellationToken,
    alive: mpsc::Sender<()>,
}

/// The other end of `Tasks`: dropping it stops them all.
#[derive(Debug)]
pub(super) struct Stopper {
    stop: CancellationToken,
    ended: mpsc::Receiver<()>,
}

pub(super) fn tasks() -> (Tasks, Stopper) {
    let stop = CancellationToken::new();
    let (alive, ended) = mpsc::channel(1);
    (Tasks { stop: stop.clone(), alive }, Stopper { stop, ended })
}

impl Tasks {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let (stop, alive) = (self.stop.clone(), self.alive.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
            drop(alive);
        })
    }

    /// Accepts for as long as the server lives; each connection is a task of its own.
    pub(super) fn accept<F>(
        &self,
        listener: TcpListener,
        serve: impl Fn(TcpStream, SocketAddr) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        self.spawn(async move {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let work = serve(stream, address);
                        tasks.spawn(async move {
                            work.await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!("a connection could not be accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }
}

impl Stopper {
    /// Stops the tasks and waits until they have gone, so that their ports are free again.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        while self.ended.recv().await.is_some() {}
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A listener on loopback; port 0 takes a free one.
pub(super) async fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    ensure!(address.ip().is_loopback(), "{what}: {address} is not a loopback address");
    TcpListener::bind(address).await.with_context(|| format!("{what}: cannot listen on {address}"))
}
