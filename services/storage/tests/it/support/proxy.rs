//! A proxy that misbehaves: it cuts, stalls or refuses the connections that it is told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// Closed after so many bytes from the server.
    CutDown(usize),
    /// Closed after so many bytes to the server.
    CutUp(usize),
    /// Nothing more comes from the server after so many bytes.
    StallDown(usize),
    /// Nothing more is taken from the client after so many bytes.
    StallUp(usize),
}

/// The proxy; it ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// In front of the server at this address. The fates are those of the first connections; later ones pass.
    pub(crate) async fn new(server: &str, fates: &[Fate]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut fates: VecDeque<Fate> = fates.iter().copied().collect();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (server, counted) = (server.to_owned(), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let fate = fates.pop_front().unwrap_or(Fate::Pass);
                let server = server.clone();
                running.spawn(async move {
                    let _ = carry(client, &server, fate).await;
                });
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: &str, fate: Fate) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut left = match fate {
            Fate::CutUp(bytes) | Fate::StallUp(bytes) => bytes,
            _ => usize::MAX,
        };
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let most = buffer.len().min(left);
            let got = from_client.read(&mut buffer[..most]).await?;
            if got == 0 {
                break;
            }
            to_server.write_all(&buffer[..got]).await?;
            left -= got;
        }
        if matches!(fate, Fate::StallUp(_)) {
            std::future::pending::<()>().await;
        }
        std::io::Result::Ok(())
    };
    let down = async {
        let mut left = match fate {
            Fate::CutDown(bytes) | Fate::StallDown(bytes) => bytes,
            _ => usize::MAX,
        };
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let most = buffer.len().min(left);
            let got = from_server.read(&mut buffer[..most]).await?;
            if got == 0 {
                break;
            }
            to_client.write_all(&buffer[..got]).await?;
            left -= got;
        }
        if matches!(fate, Fate::StallDown(_)) {
            std::future::pending::<()>().await;
        }
        std::io::Result::Ok(())
    };
    // Either end closes both.
    tokio::select! { ended = up => ended, ended = down => ended }
}
