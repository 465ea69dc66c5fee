//! One connection to nsqlookupd's TCP port: an nsqd that introduces itself, registers and unregisters, and pings.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::command::{Refusal, valid_name};
use super::super::{VERSION, hostname};
use super::Shared;
use super::registry::{Peer, Registry};

/// Longest silence. An nsqd pings every 15 s; one that was silent for this long counts as gone anyway.
const PATIENCE: Duration = Duration::from_mins(5);

/// Longest command line and longest introduction, in bytes.
const LONGEST_LINE: u64 = 16 * 1024;
const LONGEST_BODY: i32 = 1024 * 1024;

/// Serves an nsqd until it, or we, close the connection.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = LAST.fetch_add(1, Ordering::Relaxed);
    let _ = stream.set_nodelay(true);
    let connection = Connection { shared, id, address, is_known: false };
    if let Err(error) = connection.run(stream).await {
        tracing::debug!("nsqlookupd: the connection of {address} ended: {error}");
    }
}

struct Connection {
    shared: Arc<Shared>,
    id: u64,
    address: SocketAddr,
    /// It introduced itself.
    is_known: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.on_registry(Registry::leave);
    }
}

impl Connection {
    fn on_registry<T>(&self, act: impl FnOnce(&mut Registry, u64) -> T) -> T {
        act(&mut self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner), self.id)
    }

    async fn run(mut self, stream: TcpStream) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let mut magic = [0; 4];
        timeout(PATIENCE, read.read_exact(&mut magic)).await??;
        if &magic != b"  V1" {
            return timeout(PATIENCE, write.write_all(&response(b"E_BAD_PROTOCOL"))).await?;
        }
        loop {
            let mut line = Vec::new();
            timeout(PATIENCE, (&mut read).take(LONGEST_LINE).read_until(b'\n', &mut line)).await??;
            if line.pop() != Some(b'\n') {
                return Ok(());
            }
            let answer = self.perform(&line, &mut read).await;
            let is_fatal = answer.is_err();
            let answer = answer.unwrap_or_else(|refusal| refusal.frame());
            timeout(PATIENCE, write.write_all(&response(&answer))).await??;
            // Every error of nsqlookupd ends the connection.
            if is_fatal {
                return Ok(());
            }
        }
    }

    async fn perform(&mut self, line: &[u8], read: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Refusal> {
        let line = line.trim_ascii();
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        match words[0] {
            b"PING" => self.on_registry(|registry, id| registry.seen(id, Instant::now())),
            b"IDENTIFY" => return self.identify(read).await,
            b"REGISTER" => {
                let (topic, channel) = self.names("REGISTER", &words[1..])?;
                if !self.on_registry(|registry, id| registry.register(id, topic, channel)) {
                    return Err(Refusal::fatal("E_INVALID", "too many topics and channels"));
                }
            }
            b"UNREGISTER" => {
                let (topic, channel) = self.names("UNREGISTER", &words[1..])?;
                self.on_registry(|registry, id| registry.unregister(id, topic, channel));
            }
            name => return Err(Refusal::fatal("E_INVALID", [b"invalid command ", name].concat())),
        }
        Ok(b"OK".to_vec())
    }

    fn names<'a>(&self, command: &str, words: &[&'a [u8]]) -> Result<(&'a str, Option<&'a str>), Refusal> {
        if !self.is_known {
            return Err(Refusal::fatal("E_INVALID", "client must IDENTIFY"));
        }
        let lacking = || Refusal::fatal("E_INVALID", format!("{command} insufficient number of params"));
        let topic = words.first().ok_or_else(lacking)?;
        let invalid = |code, kind: &str, name: &[u8]| {
            let start = format!("{command} {kind} name '");
            Refusal::fatal(code, [start.as_bytes(), name, b"' is not valid"].concat())
        };
        let valid_topic = valid_name(topic).ok_or_else(|| invalid("E_BAD_TOPIC", "topic", topic))?;
        let channel = words.get(1).filter(|name| !name.is_empty());
        let channel = channel.map(|name| valid_name(name).ok_or_else(|| invalid("E_BAD_CHANNEL", "channel", name)));
        Ok((valid_topic, channel.transpose()?))
    }

    async fn identify(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Refusal> {
        #[derive(Deserialize)]
        struct Introduction {
            hostname: Option<String>,
            broadcast_address: Option<String>,
            tcp_port: Option<u16>,
            http_port: Option<u16>,
            version: Option<String>,
        }
        if self.is_known {
            return Err(Refusal::fatal("E_INVALID", "cannot IDENTIFY again"));
        }
        let bad = |text: String| Refusal::fatal("E_BAD_BODY", text);
        let size = timeout(PATIENCE, read.read_i32()).await.ok().and_then(Result::ok);
        let size = size.ok_or_else(|| bad("IDENTIFY failed to read body size".into()))?;
        if !(0..=LONGEST_BODY).contains(&size) {
            return Err(bad(format!("IDENTIFY invalid body size {size}")));
        }
        let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
        if !matches!(timeout(PATIENCE, read.read_exact(&mut body)).await, Ok(Ok(_))) {
            return Err(bad("IDENTIFY failed to read body".into()));
        }
        let about: Introduction =
            serde_json::from_slice(&body).map_err(|_| bad("IDENTIFY failed to decode JSON body".into()))?;
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let port = |port: Option<u16>| port.filter(|port| *port > 0);
        let required = present(about.broadcast_address).zip(present(about.version));
        let ports = port(about.tcp_port).zip(port(about.http_port));
        let missing = || bad("IDENTIFY missing fields".into());
        let ((broadcast_address, version), (tcp_port, http_port)) = required.zip(ports).ok_or_else(missing)?;
        let peer = Peer {
            remote_address: self.address.to_string(),
            hostname: about.hostname.unwrap_or_default(),
            broadcast_address,
            tcp_port,
            http_port,
            version,
            last_seen: Instant::now(),
        };
        self.on_registry(|registry, id| registry.join(id, peer));
        self.is_known = true;
        let answer = json!({
            "broadcast_address": self.shared.options.broadcast_address,
            "hostname": hostname(),
            "http_port": self.shared.http.port(),
            "tcp_port": self.shared.tcp.port(),
            "version": VERSION,
        });
        Ok(answer.to_string().into_bytes())
    }
}

fn response(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes()[..], body].concat()
}
