//! How nsqd tells an nsqlookupd of its topics and channels, and asks it for the channels of a new topic.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::broker::{Broker, Registration};
use super::{VERSION, hostname};

/// Between two PINGs, and between two attempts to connect.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// For one command and its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest answer that we read.
const LONGEST_ANSWER: usize = 5 * 1024 * 1024;

/// Keeps one nsqlookupd informed for as long as the server lives. What it was told is compared with what there is, so
/// that nothing gets lost, however quickly topics come and go and however often the connection breaks.
pub(super) async fn inform(broker: Arc<Broker>, address: SocketAddr) {
    loop {
        if let Err(error) = connected(&broker, address).await {
            tracing::debug!("nsqd: nsqlookupd at {address}: {error}");
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn connected(broker: &Broker, address: SocketAddr) -> io::Result<()> {
    let mut changes = broker.changes.subscribe();
    let mut stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let about = json!({
        "version": VERSION,
        "tcp_port": broker.tcp.port(),
        "http_port": broker.http.port(),
        "hostname": hostname(),
        "broadcast_address": broker.options.broadcast_address,
    });
    let about = about.to_string();
    let mut hello = b"  V1IDENTIFY\n".to_vec();
    hello.extend_from_slice(&u32::try_from(about.len()).unwrap_or_default().to_be_bytes());
    hello.extend_from_slice(about.as_bytes());
    let answer = command(&mut stream, &hello).await?;
    let peer: PeerInfo = serde_json::from_slice(&answer)?;
    let http = format!("{}:{}", peer.broadcast_address, peer.http_port);
    broker.lookups.lock().unwrap_or_else(PoisonError::into_inner).insert(address, http);

    let mut told = BTreeSet::new();
    loop {
        changes.borrow_and_update();
        let wanted = broker.registrations();
        for gone in told.difference(&wanted) {
            command(&mut stream, &line("UNREGISTER", gone)).await?;
        }
        for new in wanted.difference(&told) {
            command(&mut stream, &line("REGISTER", new)).await?;
        }
        told = wanted;
        match timeout(PING_INTERVAL, changes.changed()).await {
            Ok(_) => {}
            Err(_) => {
                command(&mut stream, b"PING\n").await?;
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct PeerInfo {
    broadcast_address: String,
    http_port: u16,
}

fn line(verb: &str, (topic, channel): &Registration) -> Vec<u8> {
    let channel = channel.as_deref().map(|channel| format!(" {channel}")).unwrap_or_default();
    format!("{verb} {topic}{channel}\n").into_bytes()
}

async fn command(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let exchange = async {
        stream.write_all(bytes).await?;
        let size = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
        if size > LONGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {size} bytes")));
        }
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    timeout(PATIENCE, exchange).await?
}

/// The channels of the topic that the nsqlookupds know. One that does not answer is passed over, as nsqd does.
pub(super) async fn known_channels(broker: &Broker, topic: &str) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Channels {
        channels: Vec<String>,
    }
    let addresses = broker.lookups.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut all = BTreeSet::new();
    for address in addresses.values() {
        // `#` is the only character of a valid name that a query cannot have.
        let path = format!("/channels?topic={}", topic.replace('#', "%23"));
        match timeout(PATIENCE, get(address, &path)).await {
            Ok(Ok(body)) => match serde_json::from_slice::<Channels>(&body) {
                Ok(answer) => all.extend(answer.channels),
                Err(error) => tracing::warn!("nsqlookupd at {address} answered {path} with other JSON: {error}"),
            },
            Ok(Err(error)) => tracing::warn!("nsqlookupd at {address} does not answer {path}: {error}"),
            Err(_) => tracing::warn!("nsqlookupd at {address} does not answer {path} in time"),
        }
    }
    all
}

/// The body of the answer to a GET. HTTP/1.0, so that the connection's end is the body's.
async fn get(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER as u64).read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let body = body.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))?;
    Ok(answer.split_off(body + 4))
}
