//! One connection to one nsqd, from the first byte to the last. Which nsqd, and what happens after it ended, is
//! `tend.rs`'s.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::frame::{self, BadFrame, Frame, Negotiated, ServerError, negotiated, take_frame};
use crate::link::{Command, Link};
use crate::message::Message;
use crate::shared::Shared;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("connecting failed")]
    Connect(#[source] io::Error),
    #[error("connecting, or the first exchange, took longer than {} s", LONGEST_START.as_secs())]
    SlowStart,
    #[error("{0}")]
    Negotiation(String),
    #[error("nsqd closed the connection")]
    Closed,
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
    #[error("nothing was heard from nsqd for {} ms, two heartbeats", .0.as_millis())]
    Silent(Duration),
    #[error("nsqd took nothing of what was written for {} ms", .0.as_millis())]
    Stuck(Duration),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("not the protocol of NSQ")]
    Frame(#[from] BadFrame),
    #[error("nsqd sent far more than it was asked for: {0} messages without an answer")]
    Flood(usize),
    #[error("a fault of ours: {0}")]
    Panicked(String),
}

/// For name resolution, connecting, IDENTIFY and SUB together.
const LONGEST_START: Duration = Duration::from_secs(10);
/// How long to wait for nsqd's end of a connection that we close.
const LONGEST_END: Duration = Duration::from_secs(1);
/// What is read at a time.
const CHUNK: usize = 16 * 1024;
const COMMANDS_AT_ONCE: usize = 256;

/// Connects, subscribes, and carries messages and answers until all is answered after a [`Command::Close`] (`Ok`), or
/// something ends it.
pub(crate) async fn serve(address: &Arc<str>, shared: &Arc<Shared>) -> Result<(), Ended> {
    let (mut connection, negotiated) = tokio::select! {
        start = timeout(LONGEST_START, start(address, shared)) => start.map_err(|_elapsed| Ended::SlowStart)??,
        () = shared.stop.cancelled() => return Ok(()),
    };
    let (link, commands) = Link::new(Arc::clone(address), negotiated);
    tracing::info!(
        nsqd = &**address,
        topic = %shared.options.topic,
        message_timeout_ms = negotiated.message_timeout.as_millis(),
        "subscribed to {address}"
    );
    let registered = Registered::new(shared, &link);
    tokio::select! {
        ended = read(&mut connection.reader, connection.received, &link, shared) => return Err(ended),
        done = write(&mut connection.writer, commands, &link, shared) => done?,
    }
    drop(registered);
    // The other way round, unread bytes would make the kernel reset the connection, and the last answers could be lost.
    connection.writer.shutdown().await?;
    let mut ignored = [0; 1024];
    let rest = async { while connection.reader.read(&mut ignored).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(LONGEST_END, rest).await;
    Ok(())
}

impl Ended {
    /// By what a panic left behind.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Self::Panicked(text.unwrap_or("a panic without words").to_owned())
    }
}

struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    received: BytesMut,
}

async fn start(address: &str, shared: &Shared) -> Result<(Connection, Negotiated), Ended> {
    let options = &shared.options;
    let stream = TcpStream::connect(address).await.map_err(Ended::Connect)?;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut connection = Connection { reader, writer, received: BytesMut::new() };
    let mut out = BytesMut::from(&frame::MAGIC[..]);
    let identify = frame::Identify {
        client_id: &options.client_id,
        hostname: &options.client_id,
        user_agent: concat!("preserv/", env!("CARGO_PKG_VERSION")),
        feature_negotiation: true,
        heartbeat_interval: frame::milliseconds(options.heartbeat_interval),
    };
    frame::put_identify(&mut out, &identify);
    let reply = connection.ask(&mut out, options.max_frame).await?;
    let negotiated = negotiated(&reply).map_err(Ended::Negotiation)?;
    frame::put_subscribe(&mut out, &options.topic, &options.channel);
    let reply = connection.ask(&mut out, options.max_frame).await?;
    if *reply != *b"OK" {
        let shown = reply[..reply.len().min(64)].escape_ascii();
        return Err(Ended::Negotiation(format!("nsqd answered `{shown}` to SUB")));
    }
    Ok((connection, negotiated))
}

impl Connection {
    async fn ask(&mut self, out: &mut BytesMut, max_frame: usize) -> Result<Box<[u8]>, Ended> {
        self.writer.write_all(out).await?;
        out.clear();
        loop {
            match take_frame(&mut self.received, max_frame)? {
                Some(Frame::Response(data)) if is_heartbeat(&data) => self.writer.write_all(b"NOP\n").await?,
                Some(Frame::Response(data)) => return Ok(data),
                Some(Frame::Error(error)) => return Err(error.into()),
                Some(Frame::Message { .. }) => {
                    return Err(Ended::Negotiation("nsqd sent a message before the subscription".to_owned()));
                }
                None if self.reader.read_buf(&mut self.received).await? == 0 => return Err(Ended::Closed),
                None => {}
            }
        }
    }
}

/// Tells the consumer of the link for as long as the connection lasts, however it ends.
struct Registered<'a> {
    shared: &'a Shared,
    link: &'a Arc<Link>,
}

impl<'a> Registered<'a> {
    fn new(shared: &'a Shared, link: &'a Arc<Link>) -> Self {
        shared.add(link);
        Self { shared, link }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.shared.remove(self.link);
        self.link.end();
    }
}

async fn read(reader: &mut OwnedReadHalf, mut received: BytesMut, link: &Arc<Link>, shared: &Shared) -> Ended {
    let silence = 2 * shared.options.heartbeat_interval;
    loop {
        loop {
            match take_frame(&mut received, shared.options.max_frame) {
                Ok(Some(frame)) => {
                    if let Err(ended) = handle(frame, link, shared) {
                        return ended;
                    }
                }
                Ok(None) => break,
                Err(bad) => return bad.into(),
            }
        }
        received.reserve(CHUNK);
        match timeout(silence, reader.read_buf(&mut received)).await {
            Ok(Ok(0)) => return Ended::Closed,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_elapsed) => return Ended::Silent(silence),
        }
    }
}

fn handle(frame: Frame, link: &Arc<Link>, shared: &Shared) -> Result<(), Ended> {
    match frame {
        Frame::Message { id, attempts, timestamp, body } => {
            let message = Message::new(link, id, attempts, timestamp, body);
            link.add(Arc::clone(message.delivery())).map_err(Ended::Flood)?;
            shared.queue.push(message);
        }
        Frame::Response(data) if is_heartbeat(&data) => link.send(Command::Heartbeat),
        Frame::Response(data) if *data == *b"CLOSE_WAIT" => link.send(Command::CloseConfirmed),
        Frame::Response(_) => {}
        Frame::Error(error) => match error.refused() {
            Some(refused) => {
                tracing::debug!(nsqd = &*link.address, "{error}");
                link.refused(refused);
            }
            None => return Err(error.into()),
        },
    }
    Ok(())
}

fn is_heartbeat(data: &[u8]) -> bool {
    data == b"_heartbeat_"
}

/// Sends the commands; ends when nsqd has confirmed the closing and nothing is without an answer.
async fn write(
    writer: &mut OwnedWriteHalf,
    mut commands: mpsc::UnboundedReceiver<Command>,
    link: &Link,
    shared: &Shared,
) -> Result<(), Ended> {
    let patience = shared.options.heartbeat_interval;
    let mut batch = Vec::with_capacity(COMMANDS_AT_ONCE);
    let mut out = BytesMut::new();
    let mut confirmed = false;
    loop {
        commands.recv_many(&mut batch, COMMANDS_AT_ONCE).await;
        for command in batch.drain(..) {
            match command {
                Command::Ready(count) => frame::put_ready(&mut out, count),
                Command::Finish(delivery) => {
                    if link.remove(&delivery) {
                        frame::put_finish(&mut out, delivery.id);
                    }
                }
                Command::Requeue(delivery, delay, answer) => {
                    if link.remove(&delivery) {
                        frame::put_requeue(&mut out, delivery.id, delay);
                        if let Some(answer) = answer {
                            frame::put_touch(&mut out, link.fence(delivery.id, answer));
                        }
                    }
                }
                Command::Touch(id) => frame::put_touch(&mut out, id),
                Command::Forget(delivery) => {
                    link.remove(&delivery);
                }
                Command::Heartbeat => frame::put_nop(&mut out),
                Command::Close => frame::put_close(&mut out),
                Command::CloseConfirmed => confirmed = true,
                Command::Answered => {}
            }
        }
        match timeout(patience, writer.write_all(&out)).await {
            Ok(written) => written?,
            Err(_elapsed) => return Err(Ended::Stuck(patience)),
        }
        out.clear();
        let in_flight = link.in_flight_count();
        if in_flight == 0 && link.ready() == 0 {
            // Its turn may go to another nsqd.
            shared.changed.notify_one();
        }
        if confirmed && in_flight == 0 && !link.awaits_answers() {
            return Ok(());
        }
    }
}
