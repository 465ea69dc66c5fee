//! The two ends of a wire that misbehaves: a server that says what a test tells it to, and a proxy that cuts. The tests
//! of `redis-store` use it too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A server: to each connection it says its pieces, one after each thing that it receives, and then nothing more until
/// the other side goes.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    connections: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

/// What a fake does at the end of its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Waits,
    Closes,
}

/// The pieces, and the end.
pub(crate) type Conversation = (Vec<Vec<u8>>, Then);

impl Fake {
    /// What it does on the first connection, on the second, and so on; the last of them for all others too.
    pub(crate) async fn start(conversations: Vec<Conversation>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, connections) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = *count.borrow();
                let (pieces, then) = conversations.get(number).or(conversations.last()).cloned().unwrap();
                open.spawn(talk(stream, pieces, then));
                count.send_replace(number + 1);
            }
        });
        Self { address, connections, _task: task }
    }

    /// Waits until so many connections have come.
    pub(crate) async fn visited(&self, count: usize) {
        self.connections.clone().wait_for(|connections| *connections >= count).await.unwrap();
    }

    pub(crate) fn visits(&self) -> usize {
        *self.connections.borrow()
    }
}

async fn talk(mut stream: TcpStream, pieces: Vec<Vec<u8>>, then: Then) {
    let mut heard = vec![0; 64 * 1024];
    for piece in pieces {
        match stream.read(&mut heard).await {
            Ok(1..) if stream.write_all(&piece).await.is_ok() => {}
            _ => return,
        }
    }
    if then == Then::Waits {
        while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    Down,
}

/// Passes everything on, but cuts its first connection, both ways, after so many bytes one way.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(to: String, cut: Option<(Way, u64)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut task = JoinSet::new();
        let counters = (Arc::clone(&up), Arc::clone(&down));
        let first = AtomicUsize::new(0);
        task.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let cut = cut.filter(|_| first.fetch_add(1, Ordering::Relaxed) == 0);
                let limit = |way| cut.filter(|(cut, _)| *cut == way).map_or(u64::MAX, |(_, bytes)| bytes);
                let (limits, counters) = ((limit(Way::Up), limit(Way::Down)), counters.clone());
                let to = to.clone();
                open.spawn(async move {
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = pass(&mut client_in, &mut server_out, limits.0, &counters.0) => {}
                        () = pass(&mut server_in, &mut client_out, limits.1, &counters.1) => {}
                    }
                });
            }
        });
        Self { address, up, down, _task: task }
    }

    /// How many bytes went this way so far.
    pub(crate) fn count(&self, way: Way) -> u64 {
        let counter = if way == Way::Up { &self.up } else { &self.down };
        counter.load(Ordering::Relaxed)
    }
}

async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, limit: u64, counter: &AtomicU64) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = limit;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match from.read(&mut buffer[..most]).await {
            Ok(count @ 1..) if to.write_all(&buffer[..count]).await.is_ok() => {
                left -= count as u64;
                counter.fetch_add(count as u64, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}
