//! nsqd's HTTP side, and the life of topics and channels.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stack::nsq::Options;

use super::on_both;
use super::server::{Kind, Server, nsqd};
use super::wire::{Frame, Wire, many};
use crate::support::wait_for;

on_both! {
    who_it_is
    errors_have_the_real_words
    publishing_over_http
    a_topic_without_channel_keeps_its_messages_for_the_first
    pausing_holds_messages_back
    emptying_discards_messages
    deleting_closes_the_consumers
    ephemeral_names_go_with_their_last_consumer
    statistics_have_the_real_fields
    statistics_as_text
}

async fn who_it_is(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    assert_eq!(server.call("GET", "/ping", "").await, (200, "OK".to_owned()));
    let info = server.json("/info").await;
    assert_eq!((&info["version"], &info["broadcast_address"]), (&json!("1.2.0"), &json!("127.0.0.1")));
    assert_eq!((&info["tcp_port"], &info["http_port"]), (&json!(server.tcp.port()), &json!(server.http.port())));
    assert!(info["start_time"].as_i64().unwrap() > 0 && info["hostname"].is_string());
}

async fn errors_have_the_real_words(kind: Kind) {
    let server = nsqd(kind, Options { max_msg_size: 10, max_body_size: 20, ..Options::default() }).await;
    server.post("/topic/create?topic=t").await;
    let cases = [
        ("GET", "/", "", 404, "NOT_FOUND"),
        ("GET", "/create_topic?topic=t", "", 404, "NOT_FOUND"),
        ("GET", "/pub?topic=t", "", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/stats", "", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/pub?topic=t", "", 400, "MSG_EMPTY"),
        ("POST", "/pub?topic=t", "12345678901", 413, "MSG_TOO_BIG"),
        ("POST", "/pub", "x", 400, "MISSING_ARG_TOPIC"),
        ("POST", "/pub?topic=", "x", 400, "INVALID_TOPIC"),
        ("POST", "/pub?topic=%zz", "x", 400, "INVALID_REQUEST"),
        ("POST", "/pub?topic=a%20b", "x", 400, "INVALID_TOPIC"),
        ("POST", "/pub?topic=t&defer=x", "x", 400, "INVALID_DEFER"),
        ("POST", "/pub?topic=t&defer=-1", "x", 400, "INVALID_DEFER"),
        ("POST", "/pub?topic=t&defer=3600001", "x", 400, "INVALID_DEFER"),
        ("POST", "/mpub?topic=t", "123456789012345678901", 413, "BODY_TOO_BIG"),
        ("POST", "/mpub?topic=t", "1\n12345678901\n2", 413, "MSG_TOO_BIG"),
        ("POST", "/mpub?topic=t&binary=true", "\0\0\0\0", 413, "BAD_BODY"),
        ("POST", "/mpub?topic=t&binary=1", "\0\0\0\x01\0\0\0\0", 413, "BAD_MESSAGE"),
        ("POST", "/topic/create", "", 400, "MISSING_ARG_TOPIC"),
        ("POST", "/topic/create?topic=!", "", 400, "INVALID_TOPIC"),
        ("POST", "/topic/delete?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("POST", "/topic/delete?topic=!", "", 404, "TOPIC_NOT_FOUND"),
        ("POST", "/topic/empty?topic=!", "", 400, "INVALID_TOPIC"),
        ("POST", "/topic/empty?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("POST", "/topic/pause?topic=none", "", 404, "TOPIC_NOT_FOUND"),
        ("POST", "/channel/create?topic=t", "", 400, "MISSING_ARG_CHANNEL"),
        ("POST", "/channel/create?topic=t&channel=!", "", 400, "INVALID_ARG_CHANNEL"),
        ("POST", "/channel/create?topic=none&channel=c", "", 404, "TOPIC_NOT_FOUND"),
        ("POST", "/channel/delete?topic=t&channel=c", "", 404, "CHANNEL_NOT_FOUND"),
        ("POST", "/channel/empty?topic=t&channel=c", "", 404, "CHANNEL_NOT_FOUND"),
        ("POST", "/channel/unpause?topic=t&channel=c", "", 404, "CHANNEL_NOT_FOUND"),
    ];
    for (method, path, body, status, text) in cases {
        let expected = (status, json!({ "message": text }).to_string());
        assert_eq!(server.call(method, path, body).await, expected, "{method} {path} {body:?}");
    }
}

async fn publishing_over_http(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 100).await;
    server.publish("t", "one").await;
    let ok = (200, "OK".to_owned());
    assert_eq!(server.call("POST", "/mpub?topic=t", "two\n\nthree\n").await, ok);
    assert_eq!(server.call("POST", "/mpub?topic=t&binary=true", many(&[b"fo\nur", b"five"])).await, ok);
    let mut bodies = BTreeSet::new();
    for _ in 0..5 {
        bodies.insert(String::from_utf8(wire.message().await.body).unwrap());
    }
    assert_eq!(bodies, ["one", "two", "three", "fo\nur", "five"].map(str::to_owned).into());
    assert_eq!(server.call("POST", "/pub?topic=t&defer=3600000", "later").await, ok);
    assert_eq!(server.channel("t", "c").await["deferred_count"], 1);
}

async fn depths(server: &Server, topic: &str) -> Value {
    let topic = server.topic(topic).await;
    let channels: Vec<&Value> = topic["channels"].as_array().unwrap().iter().map(|channel| &channel["depth"]).collect();
    json!([topic["depth"], channels])
}

async fn depths_become(server: &Server, topic: &str, expected: Value) {
    wait_for("the depths", async || {
        let depths = depths(server, topic).await;
        if depths == expected { Ok(()) } else { Err(format!("{depths}, not {expected}")) }
    })
    .await;
}

async fn a_topic_without_channel_keeps_its_messages_for_the_first(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    for body in ["1", "2", "3"] {
        server.publish("t", body).await;
    }
    depths_become(&server, "t", json!([3, []])).await;
    server.post("/channel/create?topic=t&channel=a").await;
    depths_become(&server, "t", json!([0, [3]])).await;
    server.post("/channel/create?topic=t&channel=b").await;
    server.publish("t", "4").await;
    depths_become(&server, "t", json!([0, [4, 1]])).await;
    assert_eq!(server.topic("t").await["message_count"], 4);
    server.post("/channel/delete?topic=t&channel=a").await;
    server.post("/channel/delete?topic=t&channel=b").await;
    server.publish("t", "5").await;
    depths_become(&server, "t", json!([1, []])).await;
}

async fn pausing_holds_messages_back(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 5).await;
    server.post("/topic/pause?topic=t").await;
    server.publish("t", "1").await;
    depths_become(&server, "t", json!([1, [0]])).await;
    assert_eq!(server.topic("t").await["paused"], true);
    server.post("/channel/pause?topic=t&channel=c").await;
    server.post("/topic/unpause?topic=t").await;
    depths_become(&server, "t", json!([0, [1]])).await;
    wire.is_open().await;
    assert_eq!(server.channel("t", "c").await["paused"], true);
    server.post("/channel/unpause?topic=t&channel=c").await;
    assert_eq!(wire.message().await.body, b"1");
}

async fn emptying_discards_messages(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    server.publish("t", "1").await;
    server.post("/topic/empty?topic=t").await;
    depths_become(&server, "t", json!([0, []])).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "2").await;
    server.publish("t", "3").await;
    let in_flight = wire.message().await;
    server.post("/channel/empty?topic=t&channel=c").await;
    depths_become(&server, "t", json!([0, [0]])).await;
    wire.send(format!("FIN {}\n", in_flight.id)).await;
    assert!(wire.error().await.starts_with("E_FIN_FAILED"));
    server.publish("t", "4").await;
    assert_eq!(wire.message().await.body, b"4", "emptying frees the consumer");
}

async fn deleting_closes_the_consumers(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.post("/channel/delete?topic=t&channel=c").await;
    wire.is_closed().await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.post("/topic/delete?topic=t").await;
    wire.is_closed().await;
    assert_eq!(server.topic("t").await, Value::Null);
}

async fn ephemeral_names_go_with_their_last_consumer(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let kept = Wire::subscribe(server.tcp, "kept", "c#ephemeral", 1).await;
    let gone = Wire::subscribe(server.tcp, "gone#ephemeral", "c#ephemeral", 1).await;
    drop((kept, gone));
    wait_for("the ephemeral names to go", async || {
        let topics = server.json("/stats?format=json").await["topics"].clone();
        let left: Vec<&Value> = topics.as_array().unwrap().iter().map(|topic| &topic["topic_name"]).collect();
        let is_done = left == [&json!("kept")] && topics[0]["channels"] == json!([]);
        if is_done { Ok(()) } else { Err(topics.to_string()) }
    })
    .await;
}

/// The names of the fields, sorted.
fn fields(value: &Value) -> String {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(" ")
}

async fn statistics_have_the_real_fields(kind: Kind) {
    let server = nsqd(kind, Options { msg_timeout: Duration::from_secs(10), ..Options::default() }).await;
    let mut wire = Wire::connect(server.tcp).await;
    wire.identify(r#"{"client_id": "id", "hostname": "host", "user_agent": "agent/1", "sample_rate": 99}"#).await;
    wire.send_body("PUB t", b"x").await;
    wire.ok().await;
    wire.send("SUB t c\n").await;
    wire.ok().await;
    server.publish("other", "x").await;
    let all = server.json("/stats?format=json").await;
    assert_eq!(fields(&all), "health memory producers start_time topics version");
    assert_eq!((&all["version"], &all["health"]), (&json!("1.2.0"), &json!("OK")));
    assert_eq!(
        fields(&all["memory"]),
        "gc_pause_usec_100 gc_pause_usec_95 gc_pause_usec_99 gc_total_runs heap_idle_bytes heap_in_use_bytes heap_objects \
         heap_released_bytes next_gc_bytes"
    );
    let names: Vec<&Value> = all["topics"].as_array().unwrap().iter().map(|topic| &topic["topic_name"]).collect();
    assert_eq!(names, ["other", "t"]);
    let topic = &all["topics"][1];
    assert_eq!(
        fields(topic),
        "backend_depth channels depth e2e_processing_latency message_bytes message_count paused topic_name"
    );
    assert_eq!(topic["e2e_processing_latency"], json!({ "count": 0, "percentiles": null }));
    let channel = &topic["channels"][0];
    assert_eq!(
        fields(channel),
        "backend_depth channel_name client_count clients deferred_count depth e2e_processing_latency in_flight_count \
         message_count paused requeue_count timeout_count"
    );
    let mut client = channel["clients"][0].clone();
    assert_eq!(client, all["producers"][0]);
    for changing in ["connect_ts", "remote_address"] {
        assert!(client.as_object_mut().unwrap().remove(changing).is_some(), "{changing}");
    }
    let expected = json!({
        "client_id": "id", "hostname": "host", "user_agent": "agent/1", "version": "V2", "state": 3,
        "ready_count": 0, "in_flight_count": 0, "message_count": 0, "finish_count": 0, "requeue_count": 0,
        "sample_rate": 99, "deflate": false, "snappy": false, "pub_counts": [{ "topic": "t", "count": 1 }],
        "tls": false, "tls_cipher_suite": "", "tls_version": "", "tls_negotiated_protocol": "",
        "tls_negotiated_protocol_is_mutual": false,
    });
    assert_eq!(client, expected);

    let without = server.json("/stats?format=json&include_clients=false").await;
    assert_eq!((&without["producers"], &without["topics"][1]["channels"][0]["clients"]), (&Value::Null, &Value::Null));
    let filtered = server.json("/stats?format=json&topic=other").await;
    assert_eq!((filtered["topics"].as_array().unwrap().len(), &filtered["producers"]), (1, &json!([])));
    let unknown = server.json("/stats?format=json&topic=t&channel=none").await;
    assert_eq!(unknown["topics"], json!([]));
}

async fn statistics_as_text(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    assert!(server.call("GET", "/stats", "").await.1.ends_with("\nTopics: None\n\nProducers: None\n"));
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 7).await;
    wire.send_body("PUB t", b"x").await;
    // The answer and the message may come in any order.
    let frames = [wire.frame().await, wire.frame().await];
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Message(_))), "{frames:?}");
    server.post("/topic/pause?topic=t").await;
    let (_, text) = server.call("GET", "/stats", "").await;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("nsqd v1.2.0 (built w/") && lines[1].starts_with("start_time "), "{text}");
    assert!(lines.contains(&"*P [t              ] depth: 0     be-depth: 0     msgs: 1        e2e%:"), "{text}");
    assert!(text.contains("\n      [c                        ] depth: 0     be-depth: 0     inflt: 1 "), "{text}");
    assert!(text.contains("        [V2 127.0.0.1            ] state: 3 inflt: 1    rdy: 7    fin: 0 "), "{text}");
    assert!(text.contains("\n      [t              ] msgs: 1"), "{text}");
}
