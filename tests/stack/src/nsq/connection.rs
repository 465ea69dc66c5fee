//! One connection to nsqd's TCP port: reads commands, does them on the broker, delivers messages, keeps the heartbeat.
//!
//! All of it is one task, so a client that does not read is not read from either, and what waits to be written stays
//! within one buffer. A write that takes longer than a heartbeat ends the connection, as does silence of two heartbeats.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::broker::Broker;
use super::channel::{Channel, NotIts, Terms};
use super::client::Client;
use super::command::{Command, Refusal, Stage, Step, parse};
use super::identify::{self, HEARTBEAT};
use super::message::{ID_LENGTH, id_of};
use super::topic::{Refused, Topic};

/// The first bytes of the protocol that we speak.
const MAGIC: &[u8; 4] = b"  V2";

/// How much is read at a time.
const READ: usize = 64 * 1024;

/// Output after which it is written before more commands are done.
const FULL_OUTPUT: usize = 64 * 1024;

/// For a client without heartbeats: how long one command or one write may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Frame types of the protocol.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Response = 0,
    Error = 1,
}

/// Serves the client until it, or we, close the connection.
pub(super) async fn serve(broker: Arc<Broker>, mut stream: TcpStream, address: SocketAddr) {
    let mut magic = [0; 4];
    if !matches!(timeout(PATIENCE, stream.read_exact(&mut magic)).await, Ok(Ok(_))) {
        return;
    }
    if magic != *MAGIC {
        let mut out = Vec::new();
        frame(&mut out, Frame::Error, b"E_BAD_PROTOCOL");
        let _ = timeout(PATIENCE, stream.write_all(&out)).await;
        return;
    }
    // Without it every small answer waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let client = broker.admit(address);
    let terms = Terms { msg_timeout: broker.options.msg_timeout, sample_rate: 0 };
    let now = Instant::now();
    let connection = Connection {
        broker,
        client,
        stage: Stage::Init,
        subscription: None,
        terms,
        heartbeat: Some(HEARTBEAT),
        next_heartbeat: now + HEARTBEAT,
        last_command: now,
        out: Vec::new(),
    };
    if let Err(error) = connection.run(stream).await {
        tracing::debug!("nsqd: the connection of {address} ended: {error}");
    }
}

struct Connection {
    broker: Arc<Broker>,
    client: Arc<Client>,
    stage: Stage,
    subscription: Option<(Arc<Topic>, Arc<Channel>)>,
    terms: Terms,
    heartbeat: Option<Duration>,
    next_heartbeat: Instant,
    last_command: Instant,
    /// What is to be written.
    out: Vec<u8>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.broker.leave(&self.client, self.subscription.as_ref());
    }
}

impl Connection {
    async fn run(mut self, mut stream: TcpStream) -> io::Result<()> {
        let mut input = BytesMut::new();
        let alarm = tokio::time::sleep_until(self.alarm(false));
        tokio::pin!(alarm);
        loop {
            let more = self.deliver();
            if !self.out.is_empty() {
                if !more && self.subscription.is_some() {
                    // Whoever publishes may have more right now, which then goes out in the same write.
                    tokio::task::yield_now().await;
                    self.deliver();
                }
                self.flush(&mut stream).await?;
                if more {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            let channel = self.subscription.as_ref().filter(|_| self.client.room() > 0).map(|(_, channel)| channel);
            let was_idle = input.is_empty();
            input.reserve(READ);
            tokio::select! {
                read = stream.read_buf(&mut input) => {
                    let is_end = read? == 0;
                    if was_idle && self.heartbeat.is_none() {
                        // It may have been idle for hours; its time for a command begins with the first byte.
                        self.last_command = Instant::now();
                    }
                    if !self.execute(&mut input, &mut stream, is_end).await? || is_end {
                        return self.flush(&mut stream).await;
                    }
                }
                () = awaken(channel.map(Arc::as_ref)) => {}
                () = self.client.wake.notified() => {
                    if self.client.is_closed() {
                        return Ok(());
                    }
                }
                () = &mut alarm => {
                    if !self.on_alarm(input.is_empty()) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let next = self.alarm(!input.is_empty());
                    alarm.as_mut().reset(next);
                    continue;
                }
            }
            // It is set back only when it rings, unless IDENTIFY made the heartbeat quicker.
            let next = self.alarm(!input.is_empty());
            if next < alarm.deadline() {
                alarm.as_mut().reset(next);
            }
        }
    }

    /// When to look at the clock: for the next heartbeat, or because of silence.
    fn alarm(&self, in_command: bool) -> Instant {
        let silence = self.last_command + self.heartbeat.unwrap_or(PATIENCE) * 2;
        match self.heartbeat {
            Some(_) => silence.min(self.next_heartbeat),
            None if in_command => silence,
            None => Instant::now() + PATIENCE,
        }
    }

    /// False if the client has been silent for too long.
    fn on_alarm(&mut self, is_idle: bool) -> bool {
        let now = Instant::now();
        let may_be_silent = self.heartbeat.is_none() && is_idle;
        if !may_be_silent && now >= self.last_command + self.heartbeat.unwrap_or(PATIENCE) * 2 {
            return false;
        }
        if let Some(interval) = self.heartbeat
            && now >= self.next_heartbeat
        {
            self.next_heartbeat = now + interval;
            frame(&mut self.out, Frame::Response, b"_heartbeat_");
        }
        true
    }

    /// Takes messages from the channel. True if there are more at once.
    fn deliver(&mut self) -> bool {
        let Some((_, channel)) = &self.subscription else { return false };
        channel.deliver(&self.client, &self.terms, &mut self.out)
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let written = match stream.try_write(&self.out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        if written < self.out.len() {
            let patience = self.heartbeat.unwrap_or(PATIENCE);
            timeout(patience, stream.write_all(&self.out[written..])).await??;
        }
        self.out.clear();
        Ok(())
    }

    /// Does the commands that are complete. False after an error that ends the connection.
    async fn execute(&mut self, input: &mut BytesMut, stream: &mut TcpStream, is_end: bool) -> io::Result<bool> {
        loop {
            let refusal = match parse(input, self.stage, &self.broker.limits) {
                Ok(Step::Command(command, used)) => {
                    let outcome = self.perform(command).await;
                    input.advance(used);
                    self.last_command = Instant::now();
                    outcome.err()
                }
                Ok(Step::Incomplete(missing)) => match missing.filter(|_| is_end) {
                    Some(missing) => Some(missing),
                    None => return Ok(true),
                },
                Ok(Step::Endless) => return Ok(false),
                Err(refusal) => Some(refusal),
            };
            if let Some(refusal) = refusal {
                frame(&mut self.out, Frame::Error, &refusal.frame());
                if refusal.is_fatal {
                    return Ok(false);
                }
            }
            if self.out.len() >= FULL_OUTPUT {
                self.flush(stream).await?;
            }
        }
    }

    async fn perform(&mut self, command: Command<'_>) -> Result<(), Refusal> {
        match command {
            Command::Publish { topic, delay, body } => {
                let name = if delay.is_some() { "DPUB" } else { "PUB" };
                self.publish(name, topic, delay.unwrap_or_default(), &[body]).await
            }
            Command::PublishMany { topic, bodies } => self.publish("MPUB", topic, Duration::ZERO, &bodies).await,
            Command::Finish(id) => self.answer("FIN", id, Channel::finish),
            Command::Requeue(id, delay) => {
                self.answer("REQ", id, |channel, client, id| channel.requeue(client, id, delay))
            }
            Command::Touch(id) => {
                let (terms, longest) = (self.terms, self.broker.options.max_msg_timeout);
                self.answer("TOUCH", id, |channel, client, id| channel.touch(client, id, &terms, longest))
            }
            Command::Ready(count) => {
                self.client.ready.store(count, Ordering::Relaxed);
                Ok(())
            }
            Command::Sub { topic, channel } => self.subscribe(topic, channel).await,
            Command::Identify(body) => self.identify(body),
            Command::Auth(_) => Err(Refusal::fatal("E_AUTH_DISABLED", "AUTH disabled")),
            Command::Close => {
                self.client.ready.store(0, Ordering::Relaxed);
                self.enter(Stage::Closing);
                frame(&mut self.out, Frame::Response, b"CLOSE_WAIT");
                Ok(())
            }
            Command::Nop => Ok(()),
        }
    }

    async fn publish(&mut self, name: &str, topic: &str, delay: Duration, bodies: &[&[u8]]) -> Result<(), Refusal> {
        let published = match self.broker.topic(topic).await {
            Ok(found) => self.broker.publish(&found, bodies.iter().copied(), delay),
            Err(full) => Err(Refused::from(full)),
        };
        let code = match name {
            "PUB" => "E_PUB_FAILED",
            "DPUB" => "E_DPUB_FAILED",
            _ => "E_MPUB_FAILED",
        };
        published.map_err(|refused| Refusal::fatal(code, format!("{name} failed {refused}")))?;
        self.client.published(topic, bodies.len() as u64);
        frame(&mut self.out, Frame::Response, b"OK");
        Ok(())
    }

    /// FIN, REQ and TOUCH.
    fn answer(
        &self,
        name: &str,
        id: [u8; ID_LENGTH],
        act: impl FnOnce(&Channel, &Client, Option<u64>) -> Result<(), NotIts>,
    ) -> Result<(), Refusal> {
        // The parser lets them pass only after SUB.
        let Some((_, channel)) = &self.subscription else { return Ok(()) };
        act(channel, &self.client, id_of(id)).map_err(|reason| {
            let code = match name {
                "FIN" => "E_FIN_FAILED",
                "REQ" => "E_REQ_FAILED",
                _ => "E_TOUCH_FAILED",
            };
            let reason = reason.to_string();
            Refusal::passing(code, [name.as_bytes(), b" ", &id, b" failed ", reason.as_bytes()].concat())
        })
    }

    async fn subscribe(&mut self, topic: &str, channel: &str) -> Result<(), Refusal> {
        if self.heartbeat.is_none() {
            return Err(Refusal::fatal("E_INVALID", "cannot SUB with heartbeats disabled"));
        }
        let full = |_| Refusal::fatal("E_SUB_FAILED", format!("SUB failed {}", Refused::Full));
        loop {
            let topic = self.broker.topic(topic).await.map_err(full)?;
            let channel = self.broker.channel(&topic, channel).map_err(full)?;
            if channel.add(&self.client) {
                self.subscription = Some((topic, channel));
                break;
            }
        }
        self.enter(Stage::Subscribed);
        frame(&mut self.out, Frame::Response, b"OK");
        Ok(())
    }

    fn identify(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let agreed = identify::negotiate(body, &self.broker.options)?;
        self.terms = Terms { msg_timeout: agreed.msg_timeout, sample_rate: agreed.sample_rate };
        self.heartbeat = agreed.heartbeat;
        self.next_heartbeat = Instant::now() + agreed.heartbeat.unwrap_or(HEARTBEAT);
        let mut about = self.client.about();
        about.client_id = agreed.client_id;
        about.hostname = agreed.hostname;
        about.user_agent = agreed.user_agent;
        about.sample_rate = agreed.sample_rate;
        drop(about);
        frame(&mut self.out, Frame::Response, agreed.answer.as_bytes());
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.client.about().stage = stage;
    }
}

/// Waits until the channel has something for us; for ever if there is no channel.
async fn awaken(channel: Option<&Channel>) {
    match channel {
        Some(channel) => channel.ready.notified().await,
        None => std::future::pending().await,
    }
}

fn frame(out: &mut Vec<u8>, kind: Frame, body: &[u8]) {
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&(kind as u32).to_be_bytes());
    out.extend_from_slice(body);
}
