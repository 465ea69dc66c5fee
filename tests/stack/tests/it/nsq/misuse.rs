//! What clients do wrong: half a frame, a connection cut anywhere, no reading, no end; and two servers on one port.

use std::time::Duration;

use serde_json::json;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::on_both;
use super::server::{Kind, nsqd};
use super::wire::{Frame, Wire, many, with_body};
use crate::support::wait_for;

on_both! {
    half_a_frame_is_told_when_the_client_says_no_more
    a_conversation_cut_at_every_byte_loses_nothing
    commands_that_arrive_byte_by_byte_are_done
    a_line_without_end_closes_the_connection
    a_client_that_does_not_read_is_closed_and_others_are_served
}

async fn half_a_frame_is_told_when_the_client_says_no_more(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let cases: [(&[u8], &str); 9] = [
        (b"PUB t\n", "E_BAD_MESSAGE PUB failed to read message body size"),
        (b"PUB t\n\0\0\0\x02x", "E_BAD_MESSAGE PUB failed to read message body"),
        (b"DPUB t 1\n\0\0", "E_BAD_MESSAGE DPUB failed to read message body size"),
        (b"MPUB t\n\0", "E_BAD_BODY MPUB failed to read body size"),
        (b"MPUB t\n\0\0\0\x10\0", "E_BAD_BODY MPUB failed to read message count"),
        (b"MPUB t\n\0\0\0\x10\0\0\0\x01", "E_BAD_MESSAGE MPUB failed to read message(0) body size"),
        (b"MPUB t\n\0\0\0\x10\0\0\0\x01\0\0\0\x02x", "E_BAD_MESSAGE MPUB failed to read message body"),
        (b"IDENTIFY\n", "E_BAD_BODY IDENTIFY failed to read body size"),
        (b"IDENTIFY\n\0\0\0\x02{", "E_BAD_BODY IDENTIFY failed to read body"),
    ];
    for (bytes, text) in cases {
        let mut wire = Wire::connect(server.tcp).await;
        wire.send(bytes).await;
        wire.stream.shutdown().await.unwrap();
        assert_eq!(wire.error().await, text, "{}", bytes.escape_ascii());
        wire.is_closed().await;
    }
    let mut wire = Wire::connect(server.tcp).await;
    wire.send("PUB t").await;
    wire.stream.shutdown().await.unwrap();
    wire.is_closed().await;
}

async fn a_conversation_cut_at_every_byte_loses_nothing(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let identify = with_body("IDENTIFY", br#"{"client_id": "x"}"#);
    let (publish, publish_many) = (with_body("PUB t", b"one"), with_body("MPUB t", &many(&[b"two", b"three"])));
    let conversation = [&b"  V2"[..], &identify, &publish, &publish_many, b"SUB u c\nRDY 1\nCLS\n"].concat();
    let after_one = 4 + identify.len() + publish.len();
    let after_all = after_one + publish_many.len();
    let mut expected = 0;
    for cut in 0..=conversation.len() {
        let mut wire = Wire::raw(server.tcp).await;
        wire.send(&conversation[..cut]).await;
        wire.stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = wire.stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes its side");
        expected += u32::from(cut >= after_one) + 2 * u32::from(cut >= after_all);
    }
    assert_eq!(server.topic("t").await["depth"], expected, "whole commands are done, halves are not");
    wait_for("the clients to go", async || {
        let channel = server.channel("u", "c").await;
        if channel["client_count"] == 0 { Ok(()) } else { Err(channel.to_string()) }
    })
    .await;
}

async fn commands_that_arrive_byte_by_byte_are_done(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::raw(server.tcp).await;
    wire.stream.set_nodelay(true).unwrap();
    for byte in [&b"  V2NOP\r\n"[..], &with_body("PUB t", b"slow"), b"SUB t c\nRDY 1\n"].concat() {
        wire.send([byte]).await;
    }
    wire.ok().await;
    wire.ok().await;
    assert_eq!(wire.message().await.body, b"slow");
}

async fn a_line_without_end_closes_the_connection(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::connect(server.tcp).await;
    // The server may close while we still send.
    let _ = wire.stream.write_all(&vec![b'A'; 64 * 1024]).await;
    assert_eq!(wire.any_frame().await, None);
}

async fn a_client_that_does_not_read_is_closed_and_others_are_served(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut deaf = Wire::connect(server.tcp).await;
    deaf.identify(r#"{"heartbeat_interval": 1000, "msg_timeout": 1000}"#).await;
    deaf.send("SUB t c\nRDY 2500\n").await;
    let body = vec![b'x'; 1024 * 1024];
    for _ in 0..40 {
        let answer = server.call("POST", "/pub?topic=t", body.clone()).await;
        assert_eq!(answer.0, 200);
    }
    wait_for("the deaf client to be closed", async || {
        let channel = server.channel("t", "c").await;
        if channel["client_count"] == 0 { Ok(()) } else { Err(channel["clients"].to_string()) }
    })
    .await;
    let mut other = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 40 {
        let message = other.message().await;
        other.send(format!("FIN {}\n", message.id)).await;
        seen.insert(message.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let first = Nsqd::start(Options::default()).await.unwrap();
    let error = Nsqd::start(Options { http: first.http(), ..Options::default() }).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with(&format!("nsqd's HTTP port: cannot listen on {}: ", first.http())), "{text}");
    let error = Lookupd::start(LookupdOptions { tcp: first.tcp(), ..Default::default() }).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("nsqlookupd's TCP port: cannot listen on "), "{error:#}");
    let outside = "0.0.0.0:0".parse().unwrap();
    let error = Nsqd::start(Options { tcp: outside, ..Options::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "nsqd's TCP port: 0.0.0.0:0 is not a loopback address");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_know_nothing_of_each_other() {
    let (first, second) = (nsqd(Kind::Ours, Options::default()).await, nsqd(Kind::Ours, Options::default()).await);
    first.publish("t", "x").await;
    assert_eq!((&first.topic("t").await["depth"], second.topic("t").await), (&json!(1), json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_server_ends_its_connections_and_frees_its_ports() {
    let server = Nsqd::start(Options::default()).await.unwrap();
    let (tcp, http) = (server.tcp(), server.http());
    let mut wire = Wire::subscribe(tcp, "t", "c", 1).await;
    server.stop().await;
    wire.is_closed().await;
    let again = Nsqd::start(Options { tcp, http, ..Options::default() }).await.unwrap();
    let mut wire = Wire::subscribe(tcp, "t", "c", 1).await;
    drop(again);
    wire.is_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_beyond_the_memory_is_refused_until_there_is_room() {
    let server = nsqd(Kind::Ours, Options { max_memory: 64 * 1024, ..Options::default() }).await;
    let mut wire = Wire::connect(server.tcp).await;
    wire.send_body("PUB t", &vec![0; 40 * 1024]).await;
    wire.ok().await;
    wire.send_body("PUB t", &vec![0; 40 * 1024]).await;
    assert_eq!(wire.error().await, "E_PUB_FAILED PUB failed the messages held take all memory that they may");
    wire.is_closed().await;
    let refused = server.call("POST", "/mpub?topic=t", vec![b'x'; 40 * 1024]).await;
    assert_eq!(refused, (503, r#"{"message":"OUT_OF_MEMORY"}"#.to_owned()));
    server.post("/topic/empty?topic=t").await;
    server.publish("t", "x").await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    assert!(matches!(wire.frame().await, Frame::Message(_)));
}
