//! The TCP protocol as consumers and publishers use it.

use std::time::Duration;

use serde_json::{Value, json};
use stack::nsq::Options;

use super::on_both;
use super::server::{Kind, nsqd};
use super::wire::{Frame, Wire, many};
use crate::support::wait_for;

on_both! {
    another_protocol_is_refused
    identify_answers_what_was_agreed
    what_is_not_offered_is_declined_and_the_connection_goes_on
    identify_refuses_what_is_beyond_the_limits
    a_message_is_delivered_once_and_finished
    a_fatal_error_is_told_and_closes_the_connection
    an_answer_to_a_message_not_in_flight_is_refused_and_the_connection_lives
    another_clients_message_is_not_ones_own
    a_requeued_message_comes_again
    a_requeue_is_cut_to_the_longest_delay
    a_message_that_times_out_comes_again
    touch_gives_time_but_not_beyond_the_limit
    a_deferred_message_waits
    many_messages_at_once
    what_is_in_flight_waits_for_its_time_out_when_the_connection_closes
    ready_bounds_what_is_in_flight
    cls_ends_delivery
    silence_of_two_heartbeats_closes_the_connection
    two_consumers_share_a_channel
    every_channel_gets_every_message
}

async fn another_protocol_is_refused(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::raw(server.tcp).await;
    wire.send("GET ").await;
    assert_eq!(wire.any_frame().await, Some(Frame::Error("E_BAD_PROTOCOL".into())));
    wire.is_closed().await;
}

async fn identify_answers_what_was_agreed(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let agreed = async |wishes: Value| -> Value {
        let mut wire = Wire::connect(server.tcp).await;
        match wire.identify(&wishes.to_string()).await {
            Frame::Response(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(agreed(json!({ "client_id": "x" })).await, "OK", "nothing is negotiated unless it is asked for");
    let defaults = json!({
        "max_rdy_count": 2500, "version": "1.2.0", "max_msg_timeout": 900_000, "msg_timeout": 60_000,
        "tls_v1": false, "deflate": false, "deflate_level": 6, "max_deflate_level": 6, "snappy": false,
        "sample_rate": 0, "auth_required": false, "output_buffer_size": 16384, "output_buffer_timeout": 250,
    });
    assert_eq!(agreed(json!({ "feature_negotiation": true, "msg_timeout": null })).await, defaults);
    let mut wishes = defaults.clone();
    wishes["msg_timeout"] = json!(1000);
    wishes["sample_rate"] = json!(99);
    wishes["output_buffer_size"] = json!(65536);
    wishes["output_buffer_timeout"] = json!(25);
    let expected = wishes.clone();
    wishes["feature_negotiation"] = json!(true);
    wishes["unknown"] = json!([1]);
    assert_eq!(agreed(wishes).await, expected);
    let unbuffered = agreed(json!({ "feature_negotiation": true, "output_buffer_size": -1 })).await;
    assert_eq!((&unbuffered["output_buffer_size"], &unbuffered["output_buffer_timeout"]), (&json!(1), &json!(0)));
}

/// Clients that can do without, such as go-nsq, go on in the clear.
async fn what_is_not_offered_is_declined_and_the_connection_goes_on(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    for wishes in [
        json!({ "tls_v1": true }),
        json!({ "deflate": true, "deflate_level": 9 }),
        json!({ "snappy": true }),
        json!({ "tls_v1": true, "deflate": true, "snappy": true }),
    ] {
        let mut wire = Wire::connect(server.tcp).await;
        let mut asked = wishes.clone();
        asked["feature_negotiation"] = json!(true);
        let Frame::Response(answer) = wire.identify(&asked.to_string()).await else { panic!("{wishes} is refused") };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        for feature in ["tls_v1", "deflate", "snappy", "auth_required"] {
            assert_eq!(answer[feature], json!(false), "{wishes}");
        }
        wire.is_open().await;
    }
    let mut wire = Wire::connect(server.tcp).await;
    wire.send_body("AUTH", b"secret").await;
    assert_eq!(wire.error().await, "E_AUTH_DISABLED AUTH disabled");
    wire.is_closed().await;
}

async fn identify_refuses_what_is_beyond_the_limits(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let cases = [
        (r#"{"msg_timeout": 900001}"#, "IDENTIFY msg timeout (900001) is invalid"),
        (r#"{"msg_timeout": 999}"#, "IDENTIFY msg timeout (999) is invalid"),
        (r#"{"msg_timeout": -1}"#, "IDENTIFY msg timeout (-1) is invalid"),
        (r#"{"heartbeat_interval": 60001}"#, "IDENTIFY heartbeat interval (60001) is invalid"),
        (r#"{"heartbeat_interval": 999}"#, "IDENTIFY heartbeat interval (999) is invalid"),
        (r#"{"sample_rate": 100}"#, "IDENTIFY sample rate (100) is invalid"),
        (r#"{"output_buffer_size": 63}"#, "IDENTIFY output buffer size (63) is invalid"),
        (r#"{"output_buffer_timeout": 24}"#, "IDENTIFY output buffer timeout (24) is invalid"),
        (r#"{"msg_timeout": "1"}"#, "IDENTIFY failed to decode JSON body"),
        (r#"{"msg_timeout": 1e3}"#, "IDENTIFY failed to decode JSON body"),
        ("[]", "IDENTIFY failed to decode JSON body"),
        ("{", "IDENTIFY failed to decode JSON body"),
    ];
    for (body, text) in cases {
        let mut wire = Wire::connect(server.tcp).await;
        assert_eq!(wire.identify(body).await, Frame::Error(format!("E_BAD_BODY {text}")), "{body}");
        wire.is_closed().await;
    }
}

async fn a_message_is_delivered_once_and_finished(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut consumer = Wire::subscribe(server.tcp, "t", "c", 2).await;
    let mut publisher = Wire::connect(server.tcp).await;
    publisher.send_body("PUB t", b"hello").await;
    publisher.ok().await;
    let message = consumer.message().await;
    assert_eq!((message.attempts, &message.body[..]), (1, &b"hello"[..]));
    assert!(message.id.bytes().all(|byte| byte.is_ascii_hexdigit()) && message.timestamp > 0);
    let channel = server.channel("t", "c").await;
    let client = &channel["clients"][0];
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&json!(0), &json!(1)));
    assert_eq!(
        (&client["in_flight_count"], &client["ready_count"], &client["state"]),
        (&json!(1), &json!(2), &json!(3))
    );

    consumer.send(format!("FIN {}\n", message.id)).await;
    let channel = wait_for("the message to be finished", async || {
        let channel = server.channel("t", "c").await;
        if channel["clients"][0]["finish_count"] == 1 { Ok(channel) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!((&channel["in_flight_count"], &channel["message_count"]), (&json!(0), &json!(1)));
    consumer.send(format!("FIN {}\n", message.id)).await;
    assert_eq!(consumer.error().await, format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id));
}

async fn a_fatal_error_is_told_and_closes_the_connection(kind: Kind) {
    let options = Options { max_msg_size: 10, max_body_size: 100, ..Options::default() };
    let server = nsqd(kind, options).await;
    let big = [&b"\0\0\0\x0b"[..], b"12345678901"].concat();
    let long = "x".repeat(65);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"HELLO there\n".to_vec(), "E_INVALID invalid command HELLO"),
        (b"\n".to_vec(), "E_INVALID invalid command "),
        (b"pub t\n".to_vec(), "E_INVALID invalid command pub"),
        (b"PUB\n".to_vec(), "E_INVALID PUB insufficient number of parameters"),
        (b"PUB \n".to_vec(), "E_BAD_TOPIC PUB topic name \"\" is not valid"),
        (b"PUB a\"b\\\x01\xff\xc3\xa9\n".to_vec(), r#"E_BAD_TOPIC PUB topic name "a\"b\\\x01\xffé" is not valid"#),
        (
            format!("PUB {long}\n").into(),
            Box::leak(format!("E_BAD_TOPIC PUB topic name \"{long}\" is not valid").into_boxed_str()),
        ),
        (b"PUB #ephemeral\n".to_vec(), "E_BAD_TOPIC PUB topic name \"#ephemeral\" is not valid"),
        (b"PUB t\n\0\0\0\0".to_vec(), "E_BAD_MESSAGE PUB invalid message body size 0"),
        (b"PUB t\n\xff\xff\xff\xff".to_vec(), "E_BAD_MESSAGE PUB invalid message body size -1"),
        ([b"PUB t\n", &big[..]].concat(), "E_BAD_MESSAGE PUB message too big 11 > 10"),
        (b"PUB t\n\x7f\xff\xff\xff".to_vec(), "E_BAD_MESSAGE PUB message too big 2147483647 > 10"),
        (b"DPUB t\n".to_vec(), "E_INVALID DPUB insufficient number of parameters"),
        (b"DPUB t x\n".to_vec(), "E_INVALID DPUB could not parse timeout x"),
        (b"DPUB t 3600001\n".to_vec(), "E_INVALID DPUB timeout 3600001 out of range 0-3600000"),
        ([b"DPUB t 1\n", &big[..]].concat(), "E_BAD_MESSAGE DPUB message too big 11 > 10"),
        (b"MPUB ?\n".to_vec(), "E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"?\" is not valid"),
        (b"MPUB t\n\0\0\0\0".to_vec(), "E_BAD_BODY MPUB invalid body size 0"),
        (b"MPUB t\n\0\0\0\x65".to_vec(), "E_BAD_BODY MPUB body too big 101 > 100"),
        (b"MPUB t\n\0\0\0\x04\0\0\0\0".to_vec(), "E_BAD_BODY MPUB invalid message count 0"),
        (b"MPUB t\n\0\0\0\x04\0\0\0\x14".to_vec(), "E_BAD_BODY MPUB invalid message count 20"),
        (b"MPUB t\n\0\0\0\x08\0\0\0\x01\0\0\0\0".to_vec(), "E_BAD_MESSAGE MPUB invalid message(0) body size 0"),
        (b"MPUB t\n\0\0\0\x08\0\0\0\x01\0\0\0\x0b".to_vec(), "E_BAD_MESSAGE MPUB message too big 11 > 10"),
        (b"SUB t\n".to_vec(), "E_INVALID SUB insufficient number of parameters"),
        (b"SUB ! c\n".to_vec(), "E_BAD_TOPIC SUB topic name \"!\" is not valid"),
        (b"SUB t !\n".to_vec(), "E_BAD_CHANNEL SUB channel name \"!\" is not valid"),
        (b"RDY 1\n".to_vec(), "E_INVALID cannot RDY in current state"),
        (b"FIN 0123456789abcdef\n".to_vec(), "E_INVALID cannot FIN in current state"),
        (b"REQ 0123456789abcdef 0\n".to_vec(), "E_INVALID cannot REQ in current state"),
        (b"TOUCH 0123456789abcdef\n".to_vec(), "E_INVALID cannot TOUCH in current state"),
        (b"CLS\n".to_vec(), "E_INVALID cannot CLS in current state"),
        (b"AUTH\n\0\0\0\x01x".to_vec(), "E_AUTH_DISABLED AUTH disabled"),
        (b"AUTH x\n".to_vec(), "E_INVALID AUTH invalid number of parameters"),
        (b"IDENTIFY\n\0\0\0\0".to_vec(), "E_BAD_BODY IDENTIFY invalid body size 0"),
        (b"IDENTIFY\n\x7f\xff\xff\xff".to_vec(), "E_BAD_BODY IDENTIFY body too big 2147483647 > 100"),
    ];
    for (bytes, text) in cases {
        let mut wire = Wire::connect(server.tcp).await;
        wire.send(&bytes).await;
        assert_eq!(wire.error().await, text, "{}", bytes.escape_ascii());
        wire.is_closed().await;
    }
    let subscribed = [
        ("SUB t c\n", "E_INVALID cannot SUB in current state"),
        ("IDENTIFY\n", "E_INVALID cannot IDENTIFY in current state"),
        ("RDY x\n", "E_INVALID RDY could not parse count x"),
        ("RDY 2501\n", "E_INVALID RDY count 2501 out of range 0-2500"),
        ("FIN\n", "E_INVALID FIN insufficient number of params"),
        ("FIN short\n", "E_INVALID Invalid Message ID"),
        ("REQ 0123456789abcdef\n", "E_INVALID REQ insufficient number of params"),
        ("REQ 0123456789abcdef x\n", "E_INVALID REQ could not parse timeout x"),
        ("TOUCH\n", "E_INVALID TOUCH insufficient number of params"),
    ];
    for (line, text) in subscribed {
        let mut wire = Wire::subscribe(server.tcp, "t", "c", 0).await;
        wire.send(line).await;
        assert_eq!(wire.error().await, text, "{line}");
        wire.is_closed().await;
    }
    let mut wire = Wire::connect(server.tcp).await;
    wire.identify(r#"{"heartbeat_interval": -1}"#).await;
    wire.send("SUB t c\n").await;
    assert_eq!(wire.error().await, "E_INVALID cannot SUB with heartbeats disabled");
    wire.is_closed().await;
}

async fn an_answer_to_a_message_not_in_flight_is_refused_and_the_connection_lives(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    for (line, text) in [
        ("FIN 0123456789abcdef\n", "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight"),
        ("FIN 0123456789ABCDEF\r\n", "E_FIN_FAILED FIN 0123456789ABCDEF failed ID not in flight"),
        ("REQ 0123456789abcdef 0\n", "E_REQ_FAILED REQ 0123456789abcdef failed ID not in flight"),
        ("TOUCH zzzzzzzzzzzzzzzz\n", "E_TOUCH_FAILED TOUCH zzzzzzzzzzzzzzzz failed ID not in flight"),
    ] {
        wire.send(line).await;
        assert_eq!(wire.error().await, text);
    }
    wire.is_open().await;
}

async fn another_clients_message_is_not_ones_own(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut first = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let mut second = Wire::subscribe(server.tcp, "t", "c", 0).await;
    server.publish("t", "x").await;
    let id = first.message().await.id;
    second.send(format!("FIN {id}\n")).await;
    assert_eq!(second.error().await, format!("E_FIN_FAILED FIN {id} failed client does not own message"));
    second.send(format!("TOUCH {id}\n")).await;
    assert_eq!(second.error().await, format!("E_TOUCH_FAILED TOUCH {id} failed client does not own message"));
}

async fn a_requeued_message_comes_again(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "x").await;
    let first = wire.message().await;
    wire.send(format!("REQ {} 0\n", first.id)).await;
    let second = wire.message().await;
    assert_eq!((second.attempts, &second.id, second.timestamp), (2, &first.id, first.timestamp));
    wire.send(format!("REQ {} 3600000\n", first.id)).await;
    let channel = wait_for("the message to be held back", async || {
        let channel = server.channel("t", "c").await;
        if channel["deferred_count"] == 1 { Ok(channel) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!((&channel["requeue_count"], &channel["in_flight_count"]), (&json!(2), &json!(0)));
    assert_eq!(channel["clients"][0]["requeue_count"], 2);
}

async fn a_requeue_is_cut_to_the_longest_delay(kind: Kind) {
    let options = Options { max_req_timeout: Duration::from_millis(50), ..Options::default() };
    let server = nsqd(kind, options).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "x").await;
    let id = wire.message().await.id;
    // A day; and a number whose nanoseconds overflow to something negative.
    for (attempt, delay) in [(2, "86400000"), (3, "9223372036855")] {
        wire.send(format!("REQ {id} {delay}\n")).await;
        assert_eq!(wire.message().await.attempts, attempt);
    }
}

async fn a_message_that_times_out_comes_again(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::connect(server.tcp).await;
    wire.identify(r#"{"msg_timeout": 1000}"#).await;
    wire.send("SUB t c\nRDY 1\n").await;
    wire.ok().await;
    server.publish("t", "x").await;
    let first = wire.message().await;
    let second = wire.message().await;
    assert_eq!((first.attempts, second.attempts, &second.id), (1, 2, &first.id));
    wire.send("RDY 0\n").await;
    let channel = wait_for("the second time-out", async || {
        let channel = server.channel("t", "c").await;
        if channel["timeout_count"] == 2 { Ok(channel) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!((&channel["depth"], &channel["clients"][0]["in_flight_count"]), (&json!(1), &json!(0)));
    wire.send(format!("FIN {}\n", first.id)).await;
    assert_eq!(wire.error().await, format!("E_FIN_FAILED FIN {} failed ID not in flight", first.id));
}

async fn touch_gives_time_but_not_beyond_the_limit(kind: Kind) {
    let options = Options { max_msg_timeout: Duration::from_millis(2500), ..Options::default() };
    let server = nsqd(kind, options).await;
    let mut wire = Wire::connect(server.tcp).await;
    wire.identify(r#"{"msg_timeout": 1500}"#).await;
    wire.send("SUB t c\nRDY 1\n").await;
    wire.ok().await;
    server.publish("t", "x").await;
    let delivered = std::time::Instant::now();
    let first = wire.message().await;
    let mut touches = 0;
    let second = loop {
        match tokio::time::timeout(Duration::from_millis(100), wire.frame()).await {
            Ok(Frame::Message(message)) => break message,
            Ok(Frame::Error(text)) => assert!(text.ends_with("failed ID not in flight"), "{text}"),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                touches += 1;
                wire.send(format!("TOUCH {}\n", first.id)).await;
            }
        }
        assert!(delivered.elapsed() < Duration::from_secs(20), "touched beyond the limit {touches} times");
    };
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(touches > 15, "it came again after {touches} touches, as if these had given no time");
}

async fn a_deferred_message_waits(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    wire.send_body("DPUB t 300", b"later").await;
    wire.ok().await;
    server.publish("t", "now").await;
    let first = wire.message().await;
    assert_eq!(first.body, b"now");
    wire.send(format!("FIN {}\n", first.id)).await;
    assert_eq!(wire.message().await.body, b"later");
    wire.send_body("DPUB t 3600000", b"much later").await;
    wire.ok().await;
    assert_eq!(server.channel("t", "c").await["deferred_count"], 1);
}

async fn many_messages_at_once(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 10).await;
    wire.send_body("MPUB t", &many(&[b"a", b"b", b"c"])).await;
    wire.ok().await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        bodies.push(wire.message().await.body);
    }
    bodies.sort();
    assert_eq!(bodies, [b"a", b"b", b"c"]);
    assert_eq!(server.topic("t").await["message_bytes"], 3);
}

async fn what_is_in_flight_waits_for_its_time_out_when_the_connection_closes(kind: Kind) {
    let options = Options { msg_timeout: Duration::from_millis(1500), ..Options::default() };
    let server = nsqd(kind, options).await;
    let mut first = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "x").await;
    let id = first.message().await.id;
    drop(first);
    let mut second = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let channel = wait_for("the first client to go", async || {
        let channel = server.channel("t", "c").await;
        if channel["client_count"] == 1 { Ok(channel) } else { Err(channel.to_string()) }
    })
    .await;
    assert_eq!((&channel["in_flight_count"], &channel["depth"]), (&json!(1), &json!(0)));
    let again = second.message().await;
    assert_eq!((again.id, again.attempts), (id, 2));
    assert_eq!(server.channel("t", "c").await["timeout_count"], 1);
}

async fn ready_bounds_what_is_in_flight(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 2).await;
    for body in ["1", "2", "3", "4"] {
        server.publish("t", body).await;
    }
    let first = wire.message().await;
    wire.message().await;
    wire.is_open().await;
    let channel = server.channel("t", "c").await;
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&json!(2), &json!(2)));
    wire.send(format!("FIN {}\n", first.id)).await;
    wire.message().await;
    wire.send("RDY\n").await;
    wire.is_open().await;
    assert_eq!(server.channel("t", "c").await["clients"][0]["ready_count"], 1, "RDY without a number is 1");
}

async fn cls_ends_delivery(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut wire = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "x").await;
    let message = wire.message().await;
    wire.send("CLS\n").await;
    assert_eq!(wire.frame().await, Frame::Response("CLOSE_WAIT".into()));
    server.publish("t", "y").await;
    // Ignored, and what is in flight can still be answered.
    wire.send(format!("RDY 5\nFIN {}\n", message.id)).await;
    wire.is_open().await;
    let channel = server.channel("t", "c").await;
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&json!(1), &json!(0)));
    assert_eq!((&channel["clients"][0]["state"], &channel["clients"][0]["ready_count"]), (&json!(4), &json!(0)));
}

async fn silence_of_two_heartbeats_closes_the_connection(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut silent = Wire::connect(server.tcp).await;
    silent.identify(r#"{"heartbeat_interval": 1000}"#).await;
    let mut heartbeats = 0;
    while let Some(frame) = silent.any_frame().await {
        assert_eq!(frame, Frame::Response("_heartbeat_".into()));
        heartbeats += 1;
    }
    assert!((1..=2).contains(&heartbeats), "{heartbeats} heartbeats before the end");

    let mut lively = Wire::connect(server.tcp).await;
    lively.identify(r#"{"heartbeat_interval": 1000}"#).await;
    for _ in 0..4 {
        assert_eq!(lively.any_frame().await, Some(Frame::Response("_heartbeat_".into())));
        lively.send("NOP\n").await;
    }
}

async fn two_consumers_share_a_channel(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut first = Wire::subscribe(server.tcp, "t", "c", 1).await;
    let mut second = Wire::subscribe(server.tcp, "t", "c", 1).await;
    server.publish("t", "1").await;
    server.publish("t", "2").await;
    let mut bodies = [first.message().await.body, second.message().await.body];
    bodies.sort();
    assert_eq!(bodies, [b"1", b"2"]);
}

async fn every_channel_gets_every_message(kind: Kind) {
    let server = nsqd(kind, Options::default()).await;
    let mut first = Wire::subscribe(server.tcp, "t", "first", 1).await;
    let mut second = Wire::subscribe(server.tcp, "t", "second", 1).await;
    server.publish("t", "x").await;
    let (one, other) = (first.message().await, second.message().await);
    assert_eq!((&one.id, &one.body, one.timestamp), (&other.id, &other.body, other.timestamp));
    first.send(format!("FIN {}\n", one.id)).await;
    first.is_open().await;
    assert_eq!(server.channel("t", "second").await["in_flight_count"], 1, "each has its own copy");
}
