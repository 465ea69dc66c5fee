//! A server that says what a test tells it to, whatever it hears: for clients that must survive any server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// To each connection it says its pieces, one after each thing that it receives. It ends with the value.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    connections: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

/// What it does at the end of its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Says nothing more until the other side goes.
    Waits,
    Closes,
}

/// The pieces, and the end.
pub type Conversation = (Vec<Vec<u8>>, Then);

impl Scripted {
    /// What it does on the first connection, on the second, and so on; the last of them for all others too.
    pub async fn start(conversations: Vec<Conversation>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (count, connections) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = *count.borrow();
                if let Some((pieces, then)) = conversations.get(number).or(conversations.last()) {
                    open.spawn(talk(stream, pieces.clone(), *then));
                }
                count.send_replace(number + 1);
            }
        });
        Self { address, connections, _task: task }
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that came so far.
    pub fn visits(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until so many connections have come; the caller limits the time.
    pub async fn visited(&self, count: usize) {
        let mut connections = self.connections.clone();
        let visited = connections.wait_for(|connections| *connections >= count).await;
        assert!(visited.is_ok(), "the server ended after {} connections", self.visits());
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
