//! A way to a server that misbehaves as a test tells it to: it cuts, stalls, loses an answer, leads nowhere for a while, and
//! counts. It knows no protocol; a server that says what it is told to is [`scripted`](crate::scripted)'s.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Stands before a server. It ends with the value, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    traffic: Arc<Traffic>,
    away: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

/// What becomes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Pass,
    /// Closed both ways after so many bytes this way.
    Cut(Way, u64),
    /// Nothing more goes this way after so many bytes; it stays open.
    Stall(Way, u64),
    /// Closed when the server begins to answer, of which nothing comes through: it did what it was asked to.
    LoseAnswer,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    Down,
}

#[derive(Debug, Default)]
struct Traffic {
    connections: AtomicUsize,
    up: AtomicU64,
    down: AtomicU64,
}

impl Proxy {
    /// To the server at this `host:port`; every connection passes.
    pub async fn to(server: impl Display) -> Self {
        Self::with_fates(server, []).await
    }

    /// The same, with the fates of the first connections; later ones pass.
    pub async fn with_fates(server: impl Display, fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let traffic = Arc::<Traffic>::default();
        let (away, is_away) = watch::channel(false);
        let mut fates: VecDeque<Fate> = fates.into_iter().collect();
        let (server, counted) = (server.to_string(), Arc::clone(&traffic));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let fate = fates.pop_front().unwrap_or(Fate::Pass);
                open.spawn(carry(client, server.clone(), fate, Arc::clone(&counted), is_away.clone()));
            }
        });
        Self { address, traffic, away, _tasks: tasks }
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that came so far.
    pub fn connections(&self) -> usize {
        self.traffic.connections.load(Ordering::SeqCst)
    }

    /// The bytes that went this way so far.
    pub fn count(&self, way: Way) -> u64 {
        self.traffic.of(way).load(Ordering::Relaxed)
    }

    /// Cuts all connections and closes new ones at once, until [`bring_back`](Self::bring_back).
    pub fn take_away(&self) {
        self.away.send_replace(true);
    }

    pub fn bring_back(&self) {
        self.away.send_replace(false);
    }
}

impl Traffic {
    fn of(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

async fn carry(client: TcpStream, server: String, fate: Fate, traffic: Arc<Traffic>, mut away: watch::Receiver<bool>) {
    if *away.borrow() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Either end closes both.
    tokio::select! {
        () = pass(from_client, to_server, fate, Way::Up, &traffic) => {}
        () = pass(from_server, to_client, fate, Way::Down, &traffic) => {}
        _ = away.wait_for(|away| *away) => {}
    }
}

/// One way; it returns when the connection is to be closed.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fate: Fate, way: Way, traffic: &Traffic) {
    let mut left = match fate {
        Fate::Cut(limited, bytes) | Fate::Stall(limited, bytes) if limited == way => bytes,
        _ => u64::MAX,
    };
    let mut buffer = vec![0; 16 * 1024];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Ok(count @ 1..) = from.read(&mut buffer[..most]).await else { return };
        if fate == Fate::LoseAnswer && way == Way::Down || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        left -= count as u64;
        traffic.of(way).fetch_add(count as u64, Ordering::Relaxed);
    }
    if matches!(fate, Fate::Stall(..)) {
        std::future::pending::<()>().await;
    }
}
