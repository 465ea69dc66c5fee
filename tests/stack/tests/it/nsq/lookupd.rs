//! nsqlookupd by itself, and an nsqd that registers with it.

use std::time::Duration;

use serde_json::{Value, json};
use stack::nsq::{LookupdOptions, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::on_both;
use super::server::{Kind, Server, lookupd, nsqd};
use super::wire::{Wire, with_body};
use crate::support::wait_for;

on_both! {
    an_nsqd_registers_and_is_found
    the_http_side_has_the_real_words
    the_tcp_side_has_the_real_words
    a_tombstone_hides_an_nsqd
    an_nsqd_tells_what_it_has
    a_new_topic_gets_the_known_channels
}

/// An nsqd as nsqlookupd sees it.
struct Peer(TcpStream);

impl Peer {
    async fn connect(server: &Server) -> Self {
        let mut peer = Self(TcpStream::connect(server.tcp).await.unwrap());
        peer.0.write_all(b"  V1").await.unwrap();
        peer
    }

    async fn identified(server: &Server, address: &str) -> Self {
        let mut peer = Self::connect(server).await;
        let about =
            json!({ "hostname": "h", "broadcast_address": address, "tcp_port": 1, "http_port": 2, "version": "3" });
        let answer = peer.ask(&with_body("IDENTIFY", about.to_string().as_bytes())).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["http_port"], &answer["version"]), (&json!(server.http.port()), &json!("1.2.0")));
        assert_eq!(
            (&answer["tcp_port"], &answer["broadcast_address"]),
            (&json!(server.tcp.port()), &json!("127.0.0.1"))
        );
        peer
    }

    /// The answer; none if the connection closes instead.
    async fn ask(&mut self, bytes: &[u8]) -> Option<String> {
        self.0.write_all(bytes).await.ok()?;
        let read = async {
            let mut body = vec![0; usize::try_from(self.0.read_u32().await.ok()?).unwrap()];
            self.0.read_exact(&mut body).await.ok()?;
            Some(String::from_utf8(body).unwrap())
        };
        timeout(Duration::from_secs(20), read).await.expect("an answer or the end")
    }
}

async fn an_nsqd_registers_and_is_found(kind: Kind) {
    let server = lookupd(kind, LookupdOptions::default()).await;
    let mut peer = Peer::identified(&server, "a").await;
    for line in ["REGISTER t c\n", "REGISTER t d#ephemeral\n", "REGISTER u\n", "PING\n"] {
        assert_eq!(peer.ask(line.as_bytes()).await.as_deref(), Some("OK"), "{line}");
    }
    let mut producer = json!({
        "remote_address": peer.0.local_addr().unwrap().to_string(), "hostname": "h", "broadcast_address": "a",
        "tcp_port": 1, "http_port": 2, "version": "3",
    });
    let mut found = server.json("/lookup?topic=t").await;
    found["channels"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(found, json!({ "channels": ["c", "d#ephemeral"], "producers": [producer] }));
    let mut nodes = server.json("/nodes").await;
    nodes["producers"][0]["topics"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    producer["tombstones"] = json!([false, false]);
    producer["topics"] = json!(["t", "u"]);
    assert_eq!(nodes, json!({ "producers": [producer] }));

    assert_eq!(peer.ask(b"UNREGISTER t d#ephemeral\n").await.as_deref(), Some("OK"));
    assert_eq!(server.json("/channels?topic=t").await, json!({ "channels": ["c"] }));
    drop(peer);
    wait_for("the nsqd to go", async || {
        let found = server.json("/lookup?topic=t").await;
        let is_gone = found == json!({ "channels": ["c"], "producers": [] });
        if is_gone { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    assert_eq!(server.json("/nodes").await, json!({ "producers": [] }));
}

async fn the_http_side_has_the_real_words(kind: Kind) {
    let server = lookupd(kind, LookupdOptions::default()).await;
    let cases = [
        ("GET", "/ping", 200, "OK"),
        ("GET", "/info", 200, r#"{"version":"1.2.0"}"#),
        ("GET", "/topics", 200, r#"{"topics":[]}"#),
        ("GET", "/channels?topic=none", 200, r#"{"channels":[]}"#),
        ("GET", "/lookup?topic=none", 404, r#"{"message":"TOPIC_NOT_FOUND"}"#),
        ("GET", "/lookup", 400, r#"{"message":"MISSING_ARG_TOPIC"}"#),
        ("GET", "/channels", 400, r#"{"message":"MISSING_ARG_TOPIC"}"#),
        ("GET", "/topic/create?topic=t", 405, r#"{"message":"METHOD_NOT_ALLOWED"}"#),
        ("GET", "/create_topic?topic=t", 404, r#"{"message":"NOT_FOUND"}"#),
        ("POST", "/topic/create?topic=!", 400, r#"{"message":"INVALID_ARG_TOPIC"}"#),
        ("POST", "/topic/create", 400, r#"{"message":"MISSING_ARG_TOPIC"}"#),
        ("POST", "/topic/create?topic=t", 200, ""),
        ("GET", "/lookup?topic=t", 200, r#"{"channels":[],"producers":[]}"#),
        ("POST", "/channel/create?topic=u&channel=!", 400, r#"{"message":"INVALID_ARG_CHANNEL"}"#),
        ("POST", "/channel/create?topic=u&channel=c", 200, ""),
        ("GET", "/lookup?topic=u", 200, r#"{"channels":["c"],"producers":[]}"#),
        ("POST", "/channel/delete?topic=u&channel=none", 404, r#"{"message":"CHANNEL_NOT_FOUND"}"#),
        ("POST", "/channel/delete?topic=u&channel=c", 200, ""),
        ("POST", "/topic/delete?topic=u", 200, ""),
        ("POST", "/topic/delete?topic=none", 200, ""),
        ("POST", "/topic/tombstone?topic=t", 400, r#"{"message":"MISSING_ARG_NODE"}"#),
        ("POST", "/topic/tombstone?topic=t&node=none", 200, ""),
        ("GET", "/topics", 200, r#"{"topics":["t"]}"#),
    ];
    for (method, path, status, body) in cases {
        assert_eq!(server.call(method, path, "").await, (status, body.to_owned()), "{method} {path}");
    }
}

async fn the_tcp_side_has_the_real_words(kind: Kind) {
    let server = lookupd(kind, LookupdOptions::default()).await;
    let fatal: [(&[u8], &str); 7] = [
        (b"HELLO\n", "E_INVALID invalid command HELLO"),
        (b"REGISTER t\n", "E_INVALID client must IDENTIFY"),
        (b"UNREGISTER t\n", "E_INVALID client must IDENTIFY"),
        (b"IDENTIFY\n\0\0\0\x02{}", "E_BAD_BODY IDENTIFY missing fields"),
        (b"IDENTIFY\n\0\0\0\x01{", "E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (b"PING\nHELLO\n", "OK"),
        (b"\n", "E_INVALID invalid command "),
    ];
    for (bytes, text) in fatal {
        let mut peer = Peer::connect(&server).await;
        assert_eq!(peer.ask(bytes).await.as_deref(), Some(text), "{}", bytes.escape_ascii());
    }
    let identified = [
        ("REGISTER\n", "E_INVALID REGISTER insufficient number of params"),
        ("REGISTER !\n", "E_BAD_TOPIC REGISTER topic name '!' is not valid"),
        ("UNREGISTER t !\n", "E_BAD_CHANNEL UNREGISTER channel name '!' is not valid"),
        ("IDENTIFY\n", "E_INVALID cannot IDENTIFY again"),
    ];
    for (line, text) in identified {
        let mut peer = Peer::identified(&server, "a").await;
        assert_eq!(peer.ask(line.as_bytes()).await.as_deref(), Some(text), "{line}");
        assert_eq!(peer.ask(b"").await, None, "{line}: an error closes the connection");
    }
    let mut other = Peer(TcpStream::connect(server.tcp).await.unwrap());
    assert_eq!(other.ask(b"  V2").await.as_deref(), Some("E_BAD_PROTOCOL"));
}

async fn a_tombstone_hides_an_nsqd(kind: Kind) {
    let server =
        lookupd(kind, LookupdOptions { tombstone_lifetime: Duration::from_secs(2), ..Default::default() }).await;
    let mut peer = Peer::identified(&server, "a").await;
    peer.ask(b"REGISTER t\n").await.unwrap();
    let producers = async || server.json("/lookup?topic=t").await["producers"].as_array().unwrap().len();
    assert_eq!(producers().await, 1);
    server.post("/topic/tombstone?topic=t&node=a:2").await;
    assert_eq!(producers().await, 0);
    assert_eq!(server.json("/nodes").await["producers"][0]["tombstones"], json!([true]));
    wait_for("the tombstone to go", async || match producers().await {
        1 => Ok(()),
        other => Err(format!("{other} producers")),
    })
    .await;
}

async fn registered(lookupd: &Server, topic: &str, expected: &[&str]) {
    wait_for("the registration", async || {
        let (_, text) = lookupd.call("GET", &format!("/lookup?topic={topic}"), "").await;
        let found: Value = serde_json::from_str(&text).unwrap();
        let mut channels: Vec<&str> = Vec::new();
        channels.extend(found["channels"].as_array().into_iter().flatten().filter_map(Value::as_str));
        channels.sort_unstable();
        let producers = found["producers"].as_array().map_or(0, Vec::len);
        if (channels.as_slice(), producers) == (expected, 1) { Ok(()) } else { Err(text) }
    })
    .await;
}

async fn an_nsqd_tells_what_it_has(kind: Kind) {
    let lookup = lookupd(kind, LookupdOptions::default()).await;
    let server = nsqd(kind, Options { lookupd: vec![lookup.tcp], ..Options::default() }).await;
    wait_for("the nsqd to introduce itself", async || {
        let nodes = lookup.json("/nodes").await;
        let is_there = nodes["producers"][0]["tcp_port"] == server.tcp.port();
        if is_there { Ok(()) } else { Err(nodes.to_string()) }
    })
    .await;
    server.post("/topic/create?topic=t").await;
    registered(&lookup, "t", &[]).await;
    let consumer = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let passing = Wire::subscribe(server.tcp, "t", "d#ephemeral", 1).await;
    registered(&lookup, "t", &["c", "d#ephemeral"]).await;
    drop(passing);
    registered(&lookup, "t", &["c"]).await;
    drop(consumer);
    server.post("/topic/delete?topic=t").await;
    wait_for("the topic to be unregistered", async || {
        let found = lookup.json("/lookup?topic=t").await;
        if found["producers"] == json!([]) { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

async fn a_new_topic_gets_the_known_channels(kind: Kind) {
    let lookup = lookupd(kind, LookupdOptions::default()).await;
    let server = nsqd(kind, Options { lookupd: vec![lookup.tcp], ..Options::default() }).await;
    wait_for("the nsqd to introduce itself", async || match lookup.json("/nodes").await["producers"].as_array() {
        Some(nodes) if nodes.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    lookup.post("/channel/create?topic=t&channel=c").await;
    lookup.post("/channel/create?topic=t&channel=passing%23ephemeral").await;
    server.publish("t", "x").await;
    let channel = server.channel("t", "c").await;
    assert_eq!(server.topic("t").await["channels"].as_array().unwrap().len(), 1, "no ephemeral one");
    assert_eq!(channel["message_count"], 1);
}
