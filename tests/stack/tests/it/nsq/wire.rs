//! A client of the TCP protocol that does nothing by itself, so that tests can misbehave.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For any answer. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
}

#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) enum Frame {
    Response(String),
    Error(String),
    Message(Message),
}

#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Message {
    pub(crate) timestamp: i64,
    pub(crate) attempts: u16,
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) async fn raw(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    /// Connected, with the magic sent.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut wire = Self::raw(address).await;
        wire.send("  V2").await;
        wire
    }

    /// Subscribed, with this many messages wanted at a time.
    pub(crate) async fn subscribe(address: SocketAddr, topic: &str, channel: &str, ready: u32) -> Self {
        let mut wire = Self::connect(address).await;
        wire.send(format!("SUB {topic} {channel}\n")).await;
        assert_eq!(wire.frame().await, Frame::Response("OK".into()));
        wire.send(format!("RDY {ready}\n")).await;
        wire
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    /// A command line with a body behind its length.
    pub(crate) async fn send_body(&mut self, line: &str, body: &[u8]) {
        self.send(with_body(line, body)).await;
    }

    pub(crate) async fn identify(&mut self, json: &str) -> Frame {
        self.send_body("IDENTIFY", json.as_bytes()).await;
        self.frame().await
    }

    /// The next frame, heartbeats included; none when the connection is closed.
    pub(crate) async fn any_frame(&mut self) -> Option<Frame> {
        let read = async {
            let size = usize::try_from(self.stream.read_u32().await?).unwrap();
            let mut bytes = vec![0; size];
            self.stream.read_exact(&mut bytes).await?;
            Ok::<_, io::Error>(bytes)
        };
        let bytes = timeout(PATIENCE, read).await.expect("a frame or the end of the connection").ok()?;
        let (kind, body) = bytes.split_at(4);
        let text = || String::from_utf8_lossy(body).into_owned();
        Some(match kind {
            [0, 0, 0, 0] => Frame::Response(text()),
            [0, 0, 0, 1] => Frame::Error(text()),
            [0, 0, 0, 2] => Frame::Message(Message {
                timestamp: i64::from_be_bytes(body[..8].try_into().unwrap()),
                attempts: u16::from_be_bytes(body[8..10].try_into().unwrap()),
                id: String::from_utf8(body[10..26].to_vec()).unwrap(),
                body: body[26..].to_vec(),
            }),
            other => panic!("frame type {other:?}"),
        })
    }

    /// The next frame that is not a heartbeat.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            let frame = self.any_frame().await.expect("the connection is open");
            if frame != Frame::Response("_heartbeat_".into()) {
                return frame;
            }
            self.send("NOP\n").await;
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        match self.frame().await {
            Frame::Message(message) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// The text of an error frame.
    pub(crate) async fn error(&mut self) -> String {
        match self.frame().await {
            Frame::Error(text) => text,
            other => panic!("{other:?} instead of an error"),
        }
    }

    pub(crate) async fn ok(&mut self) {
        assert_eq!(self.frame().await, Frame::Response("OK".into()));
    }

    /// The server closes the connection without another word.
    pub(crate) async fn is_closed(&mut self) {
        let frame = self.any_frame().await;
        assert!(frame.is_none(), "{frame:?} instead of the end of the connection");
    }

    /// The connection is open: the server answers a publication to a topic of no one.
    pub(crate) async fn is_open(&mut self) {
        self.send_body("PUB open", b"1").await;
        self.ok().await;
    }
}

pub(crate) fn with_body(line: &str, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    [line.as_bytes(), b"\n", &size, body].concat()
}

/// The body of an MPUB.
pub(crate) fn many(bodies: &[&[u8]]) -> Vec<u8> {
    let mut bytes = u32::try_from(bodies.len()).unwrap().to_be_bytes().to_vec();
    for body in bodies {
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(*body);
    }
    bytes
}
