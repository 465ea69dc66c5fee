//! One connection: bytes in, requests, bytes out. While a reply waits to be read nothing more is taken from its client,
//! so a slow one costs itself only.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::parse::{Parser, Sender};
use super::reply::{Failure, Reply};
use super::server::{Client, Server};

/// A client that reads no byte of a reply for so long, or sends none of a request it has begun, is gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long, and how much, a client may go on sending after the last reply.
const LINGER: Duration = Duration::from_secs(1);
const MOST_DRAINED: usize = 4 << 20;

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// Replies are sent when there is so much of them, even if more requests wait.
const ENOUGH: usize = 64 << 10;

/// A connection takes its turn with at most so many requests.
const TURN: usize = 1000;

/// The largest request of one client, and the largest sum of unfinished requests of all: the real server's limit for one.
const LARGEST_REQUEST: usize = 1 << 30;

/// Buffers beyond this are given back after use.
const KEPT: usize = 1 << 20;

/// Serves until the client goes.
pub(super) async fn serve(mut stream: TcpStream, address: SocketAddr, server: Arc<Mutex<Server>>) {
    // Without it replies would wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let client = lock(&server).connect(address);
    let mut connection = Connection {
        seat: Seat { client, server, pending: 0 },
        input: BytesMut::new(),
        parser: Parser::default(),
        reply: Reply::new(),
    };
    // Whatever ends the connection, its client knows; there is nobody else to tell.
    let _ = connection.run(&mut stream).await;
}

fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    // A command that panicked has ended its own connection; the state is still the best there is.
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client's place in the server; empty again however the connection ends.
#[derive(Debug)]
struct Seat {
    client: Client,
    server: Arc<Mutex<Server>>,
    /// This connection's part of the server's sum.
    pending: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut server = lock(&self.server);
        server.pending -= self.pending;
        server.disconnect(&mut self.client);
    }
}

#[derive(Debug)]
struct Connection {
    seat: Seat,
    input: BytesMut,
    parser: Parser,
    reply: Reply,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Everything that came is answered.
    Idle,
    /// There may be more.
    Interrupted,
    /// The connection ends.
    Over,
}

impl Connection {
    async fn run(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        loop {
            let turn = self.answer();
            self.flush(stream).await?;
            match turn {
                Turn::Over => {
                    stream.shutdown().await?;
                    return timeout(LINGER, self.drain(stream)).await.unwrap_or(Ok(()));
                }
                Turn::Interrupted => tokio::task::yield_now().await,
                Turn::Idle => {
                    if !self.receive(stream).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Answers what has come, as far as this turn goes.
    fn answer(&mut self) -> Turn {
        let Self { seat, input, parser, reply } = self;
        let mut server = lock(&seat.server);
        let client = &mut seat.client;
        let mut turn = Turn::Interrupted;
        for _ in 0..TURN {
            let sender = if client.authenticated { Sender::Known } else { Sender::Stranger };
            match parser.advance(input, sender) {
                Ok(Some(length)) => {
                    let places = parser.arguments().iter();
                    let arguments: Vec<&[u8]> = places.map(|place| &input[place.clone()]).collect();
                    server.execute(client, &arguments, reply);
                    input.advance(length);
                }
                Ok(None) => {
                    turn = Turn::Idle;
                    break;
                }
                Err(failure) => {
                    reply.error(&failure);
                    client.closing = true;
                }
            }
            if client.closing {
                turn = Turn::Over;
                break;
            }
            if reply.bytes.len() >= ENOUGH {
                break;
            }
        }
        server.pending = server.pending - seat.pending + input.len();
        seat.pending = input.len();
        if server.pending > LARGEST_REQUEST && input.len() > CHUNK {
            reply.error(&Failure::of("ERR Protocol error: the requests under way are too large"));
            turn = Turn::Over;
        }
        server.clients.insert(client.id, client.sight());
        turn
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        send(stream, &self.reply.bytes).await?;
        self.reply.bytes.clear();
        self.reply.bytes.shrink_to(KEPT);
        Ok(())
    }

    /// Takes what a client still sends: closing before that would make its system throw away the last reply.
    async fn drain(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        for _ in 0..MOST_DRAINED / CHUNK {
            self.input.clear();
            self.input.reserve(CHUNK);
            if stream.read_buf(&mut self.input).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Reads what comes next, and passes on messages meanwhile. Tells whether the client is still there.
    async fn receive(&mut self, stream: &mut TcpStream) -> std::io::Result<bool> {
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = BytesMut::new();
        }
        self.input.reserve(CHUNK);
        if self.parser.is_within() || !self.input.is_empty() {
            let read = timeout(PATIENCE, stream.read_buf(&mut self.input)).await;
            return read.unwrap_or(Ok(0)).map(|count| count > 0);
        }
        loop {
            if !self.seat.client.listens() {
                return Ok(stream.read_buf(&mut self.input).await? > 0);
            }
            let messages = tokio::select! {
                read = stream.read_buf(&mut self.input) => return Ok(read? > 0),
                messages = self.seat.client.outbox.take() => messages,
            };
            let Some(messages) = messages else { return Ok(false) };
            send(stream, &messages).await?;
        }
    }
}

/// Writes everything, as long as the client goes on reading.
async fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = match stream.try_write(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                timeout(PATIENCE, stream.write(bytes)).await.map_err(std::io::Error::from)??
            }
            other => other?,
        };
        bytes = &bytes[written..];
    }
    Ok(())
}
