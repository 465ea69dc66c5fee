//! What survives a restart of our nsqd when it has a data folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use serde_json::json;
use stack::nsq::Options;

use super::server::{Kind, Server, nsqd};
use super::wire::{Wire, many};

async fn start(folder: &Path) -> Server {
    nsqd(Kind::Ours, Options { data: Some(folder.to_owned()), ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_survive_where_they_stood() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    for body in ["1", "2"] {
        server.publish("waiting", body).await;
    }
    server.publish("gone", "x").await;
    server.post("/topic/delete?topic=gone").await;
    server.post("/topic/create?topic=t").await;
    server.post("/channel/create?topic=t&channel=paused").await;
    server.post("/channel/pause?topic=t&channel=paused").await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 2).await;
    wire.send_body("MPUB t", &many(&[b"finished", b"in flight"])).await;
    wire.ok().await;
    let (first, _) = (wire.message().await, wire.message().await);
    wire.send(format!("FIN {}\nRDY 0\n", first.id)).await;
    wire.is_open().await;
    server.call("POST", "/pub?topic=t&defer=3600000", "deferred").await;
    server.stop().await;

    let server = start(folder.path()).await;
    let topics: Vec<String> = server.json("/stats?format=json").await["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| format!("{}: {}", topic["topic_name"].as_str().unwrap(), topic["depth"]))
        .collect();
    assert_eq!(topics, ["open: 1", "t: 0", "waiting: 2"]);
    let (channel, paused) = (server.channel("t", "c").await, server.channel("t", "paused").await);
    assert_eq!((&channel["depth"], &channel["deferred_count"]), (&json!(1), &json!(1)));
    let expected = (&json!(2), &json!(1), &json!(true));
    assert_eq!((&paused["depth"], &paused["deferred_count"], &paused["paused"]), expected);
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let message = wire.message().await;
    assert_eq!(message.body, if first.body == b"finished" { &b"in flight"[..] } else { b"finished" });
    assert_ne!(message.id, first.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_an_end_without_notice() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered = 0;
    for _ in 0..3 {
        let server = start(folder.path()).await;
        let mut wire = Wire::connect(server.tcp).await;
        for _ in 0..100 {
            wire.send_body("PUB t", format!("{answered}").as_bytes()).await;
            wire.ok().await;
            answered += 1;
        }
        // Dropped in the middle of it, with no goodbye.
        drop(server);
        wire.is_closed().await;
        // Free once the last task has let go of it.
        crate::support::wait_for("the folder", async || {
            let lock = File::open(folder.path().join("nsqd.lock")).unwrap();
            lock.try_lock().map_err(|error| error.to_string())
        })
        .await;
    }
    let server = start(folder.path()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 300).await;
    let mut seen = BTreeSet::new();
    while seen.len() < answered {
        seen.insert(wire.message().await.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_names_do_not_survive() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    server.publish("t%23ephemeral", "x").await;
    let _wire = Wire::subscribe(server.tcp, "t", "c#ephemeral", 1).await;
    server.stop().await;
    let server = start(folder.path()).await;
    let topics = server.json("/stats?format=json").await["topics"].clone();
    assert_eq!((topics.as_array().unwrap().len(), &topics[0]["channels"]), (1, &json!([])));
}
