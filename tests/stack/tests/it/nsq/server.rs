//! The servers under test: ours in this process, or the real ones as child processes.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd, Options};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{http_client, program, skip};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Real,
}

/// The real ones are on PATH; otherwise the test is noted as skipped.
pub(crate) fn is_there(test: &str) -> bool {
    let found = program("nsqd").is_some() && program("nsqlookupd").is_some();
    if !found {
        skip(test, "nsqd and nsqlookupd are not on PATH");
    }
    found
}

/// A running nsqd or nsqlookupd. It ends with the value.
pub(crate) struct Server {
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
    alive: Alive,
}

enum Alive {
    Nsqd { server: Nsqd },
    Lookupd { _server: Lookupd },
    Child { _child: Child, _folder: tempfile::TempDir },
}

/// An nsqd with these options, as far as the real one has them.
pub(crate) async fn nsqd(kind: Kind, options: Options) -> Server {
    if kind == Kind::Ours {
        let server = Nsqd::start(options).await.unwrap();
        return Server { tcp: server.tcp(), http: server.http(), alive: Alive::Nsqd { server } };
    }
    let folder = tempfile::tempdir().unwrap();
    let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut command = Command::new("nsqd");
    let flags = [
        ("data-path", folder.path().display().to_string()),
        ("broadcast-address", options.broadcast_address),
        ("msg-timeout", milliseconds(options.msg_timeout)),
        ("max-msg-timeout", milliseconds(options.max_msg_timeout)),
        ("max-req-timeout", milliseconds(options.max_req_timeout)),
        ("max-heartbeat-interval", milliseconds(options.max_heartbeat_interval)),
        ("max-msg-size", options.max_msg_size.to_string()),
        ("max-body-size", options.max_body_size.to_string()),
        ("max-rdy-count", options.max_rdy_count.to_string()),
        ("deflate", "false".to_owned()),
        ("snappy", "false".to_owned()),
    ];
    command.args(flags.map(|(name, value)| format!("-{name}={value}")));
    command.args(options.lookupd.iter().map(|address| format!("-lookupd-tcp-address={address}")));
    child(command, folder).await
}

pub(crate) async fn lookupd(kind: Kind, options: LookupdOptions) -> Server {
    if kind == Kind::Ours {
        let server = Lookupd::start(options).await.unwrap();
        return Server { tcp: server.tcp(), http: server.http(), alive: Alive::Lookupd { _server: server } };
    }
    let mut command = Command::new("nsqlookupd");
    command.arg(format!("-broadcast-address={}", options.broadcast_address));
    command.arg(format!("-tombstone-lifetime={}ms", options.tombstone_lifetime.as_millis()));
    child(command, tempfile::tempdir().unwrap()).await
}

/// Starts the program on free ports and reads them from its log.
async fn child(mut command: Command, folder: tempfile::TempDir) -> Server {
    command.args(["-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0"]);
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut tcp, mut http) = (None, None);
    while tcp.is_none() || http.is_none() {
        let next = tokio::time::timeout(Duration::from_secs(20), log.next_line()).await;
        let line = next.expect("it says where it listens").unwrap().expect("it does not end");
        if let Some((kind, address)) = line.split_once(": listening on ") {
            let address = address.trim().parse().unwrap();
            if kind.ends_with("TCP") { tcp = Some(address) } else { http = Some(address) }
        }
    }
    // Its log must be read for as long as it lives, or it blocks.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    Server { tcp: tcp.unwrap(), http: http.unwrap(), alive: Alive::Child { _child: child, _folder: folder } }
}

impl Server {
    /// Ends ours and waits until it has ended.
    pub(crate) async fn stop(self) {
        if let Alive::Nsqd { server } = self.alive {
            server.stop().await;
        }
    }

    /// Status and body of the answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
        let request = http_client().request(method.parse().unwrap(), format!("http://{}{path}", self.http));
        let response = request.body(body.into()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str) {
        let answer = self.call("POST", path, "").await;
        assert_eq!(answer, (200, String::new()), "{path}");
    }

    pub(crate) async fn publish(&self, topic: &str, body: &str) {
        let answer = self.call("POST", &format!("/pub?topic={topic}"), body).await;
        assert_eq!(answer, (200, "OK".to_owned()));
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The statistics of the topic.
    pub(crate) async fn topic(&self, topic: &str) -> Value {
        self.json(&format!("/stats?format=json&topic={topic}")).await["topics"][0].clone()
    }

    /// The statistics of the channel.
    pub(crate) async fn channel(&self, topic: &str, channel: &str) -> Value {
        let path = format!("/stats?format=json&topic={topic}&channel={channel}");
        self.json(&path).await["topics"][0]["channels"][0].clone()
    }
}
