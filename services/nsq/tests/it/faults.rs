//! Servers that answer half, wrongly, late or never, and names that lead nowhere.

use std::error::Error as _;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nsq::{Closed, Consumer, HttpError, Lookup, Lost, Options, PublishError, Publisher, Source, TopicLoad};
use stack::scripted::{Scripted, Then};
use stack::testing::{PATIENCE, until};
use tokio::time::{Instant, timeout};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::support::{fast, name, next, provide_cryptography};

const IDENTIFIED: &str = r#"{"max_rdy_count":2500,"msg_timeout":60000,"max_msg_timeout":900000}"#;
const ID: &str = "0123456789abcdef";

fn frame(kind: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap() + 4;
    [&length.to_be_bytes()[..], &kind.to_be_bytes(), data].concat()
}

fn message(id: &str, body: &str) -> Vec<u8> {
    let data = [&1_i64.to_be_bytes()[..], &1_u16.to_be_bytes(), id.as_bytes(), body.as_bytes()].concat();
    frame(2, &data)
}

/// An answer over HTTP that closes the connection.
fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// What a good nsqd says, and then this.
fn subscribed(then: &[u8]) -> Vec<Vec<u8>> {
    vec![frame(0, IDENTIFIED.as_bytes()), [&frame(0, b"OK"), then].concat()]
}

fn consumer(fake: &Scripted) -> Consumer {
    let source = Source::Nsqd(vec![fake.address().to_string()]);
    Consumer::start(fast(Options::new(name("topic"), name("channel"), source)))
}

/// The consumer leaves a server that says this, and comes back to one that behaves.
async fn survives(what: &str, conversation: Vec<Vec<u8>>, then: Then) {
    let fake = Scripted::start(vec![(conversation, then), (subscribed(&message(ID, "42")), Then::Waits)]).await;
    let mut consumer = consumer(&fake);
    let message = timeout(PATIENCE, consumer.next()).await.unwrap_or_else(|_| panic!("{what}: no message"));
    assert_eq!(&*message.unwrap().body, b"42", "{what}");
    assert!(fake.visits() >= 2, "{what}");
}

#[tokio::test]
async fn a_consumer_leaves_a_server_that_is_none() {
    let identified = || frame(0, IDENTIFIED.as_bytes());
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("HTTP", vec![http("400 Bad Request", "", "")]),
        ("nothing but a number", vec![vec![0, 0, 0]]),
        ("a frame of 4 GiB", vec![vec![255; 64]]),
        ("a frame too short", vec![vec![0, 0, 0, 1, 0]]),
        ("an unknown type", vec![frame(9, b"OK")]),
        ("no JSON", vec![frame(0, b"OK")]),
        ("half the JSON", vec![frame(0, &IDENTIFIED.as_bytes()[..20])]),
        ("another JSON", vec![frame(0, b"[]")]),
        ("a refusal of IDENTIFY", vec![frame(1, b"E_BAD_BODY IDENTIFY msg timeout (1) is invalid")]),
        ("AUTH", vec![frame(0, IDENTIFIED.replace('}', ",\"auth_required\":true}").as_bytes())]),
        ("a message too early", vec![message(ID, "1")]),
        ("a refusal of SUB", vec![identified(), frame(1, b"E_BAD_TOPIC SUB topic name is not valid")]),
        ("an odd answer to SUB", vec![identified(), frame(0, b"KO")]),
        ("a fatal error", subscribed(&frame(1, b"E_INVALID cannot RDY in current state"))),
        ("a message without a header", subscribed(&frame(2, b"short"))),
        ("half a message", subscribed(&message(ID, "1")[..20])),
        ("a message over the limit", subscribed(&frame(2, &vec![0; 2 * 1024 * 1024])[..100])),
    ];
    for then in [Then::Closes, Then::Waits] {
        for (what, conversation) in &cases {
            if then == Then::Waits && matches!(*what, "nothing but a number" | "half a message") {
                continue; // For those one must wait: below.
            }
            survives(what, conversation.clone(), then).await;
        }
    }
}

#[tokio::test]
async fn a_consumer_leaves_a_server_that_falls_silent() {
    tokio::join!(
        survives("nothing", vec![], Then::Waits),
        survives("half a frame", vec![vec![0, 0, 0]], Then::Waits),
        survives("nothing after IDENTIFY", vec![frame(0, IDENTIFIED.as_bytes())], Then::Waits),
        survives("no heartbeat", subscribed(b""), Then::Waits),
        survives("half a message", subscribed(&message(ID, "1")[..20]), Then::Waits),
    );
}

#[tokio::test]
async fn a_server_that_sends_without_end_is_left() {
    let flood: Vec<u8> = (0..100_000).flat_map(|number| message(&format!("{number:016}"), "1")).collect();
    let fake = Scripted::start(vec![(subscribed(&flood), Then::Waits)]).await;
    let mut consumer = consumer(&fake);
    timeout(PATIENCE, fake.visited(3)).await.unwrap();
    // What came before is lost, and is not handed out.
    if let Ok(message) = timeout(Duration::from_millis(100), consumer.next()).await {
        drop(message);
    }
    let closed = consumer.close(Duration::from_millis(100)).await;
    assert!(closed.unanswered < 1_000, "{closed:?}");
}

/// nsqd's word about one message leaves the others, and the connection, as they are.
#[tokio::test]
async fn an_expected_error_is_about_one_message() {
    let other = "fedcba9876543210";
    let pieces = [
        message(ID, "1"),
        message(other, "2"),
        frame(1, format!("E_TOUCH_FAILED TOUCH {ID} failed ID not in flight").as_bytes()),
        frame(1, format!("E_FIN_FAILED FIN {other} failed ID not in flight").as_bytes()),
        frame(1, b"E_REQ_FAILED REQ 1111111111111111 failed ID not in flight"),
        frame(0, b"of the future"),
        message("2222222222222222", "3"),
    ];
    let fake = Scripted::start(vec![(subscribed(&pieces.concat()), Then::Waits)]).await;
    let mut consumer = consumer(&fake);
    // The first was lost before anybody took it.
    let (second, third) = (next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!((&*second.body, &*third.body), (&b"2"[..], &b"3"[..]));
    assert_eq!((second.is_lost(), third.is_lost()), (None, None));
    assert_eq!((consumer.connections(), fake.visits()), (1, 1));
}

/// A requeue whose answer never comes ends with the connection.
#[tokio::test]
async fn a_requeue_does_not_wait_for_ever() {
    let fake = Scripted::start(vec![(subscribed(&message(ID, "1")), Then::Waits)]).await;
    let mut consumer = consumer(&fake);
    let message = next(&mut consumer).await;
    assert_eq!(timeout(PATIENCE, message.requeue(Duration::ZERO)).await.unwrap(), Err(Lost::Disconnected));
}

#[tokio::test]
async fn an_nsqd_that_cannot_be_reached_is_in_nobodys_way() {
    let fake = Scripted::start(vec![(subscribed(&message(ID, "1")), Then::Waits)]).await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = vec![
        "no-such-host.invalid:4150".to_owned(),
        "no address".to_owned(),
        unused.to_string(),
        fake.address().to_string(),
    ];
    let mut consumer = Consumer::start(fast(Options::new(name("t"), name("c"), Source::Nsqd(addresses))));
    next(&mut consumer).await.finish().unwrap();
    assert_eq!(consumer.connections(), 1);
    // The fake never confirms the closing.
    let begun = Instant::now();
    let closed = timeout(PATIENCE, consumer.close(Duration::from_millis(50))).await.unwrap();
    assert_eq!(closed, Closed { unanswered: 0 });
    assert!(begun.elapsed() < PATIENCE);
}

async fn published(answers: Vec<Vec<u8>>, then: Then) -> (Result<(), PublishError>, usize) {
    provide_cryptography();
    let fake = Scripted::start(answers.into_iter().map(|answer| (vec![answer], then)).collect()).await;
    let publisher = Publisher::new(&fake.address().to_string()).unwrap();
    let outcome = timeout(PATIENCE, publisher.publish(&name("topic"), "1")).await.unwrap();
    (outcome, fake.visits())
}

#[tokio::test]
async fn a_publish_is_tried_again_where_that_may_help() {
    let ok = || http("200 OK", "", "OK");
    for bad in [
        http("503 Service Unavailable", "", "exiting"),
        http("500 Internal Server Error", "", "NOK"),
        http("429 Too Many Requests", "", ""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nOK".to_vec(),
        b"HTTP/1.1 2".to_vec(),
        b"\0\0\0\x06".to_vec(),
        vec![],
    ] {
        let (outcome, visits) = published(vec![bad.clone(), ok()], Then::Closes).await;
        assert!(outcome.is_ok() && visits == 2, "{:?}: {outcome:?} after {visits}", bad.escape_ascii().to_string());
        let (outcome, visits) = published(vec![bad], Then::Closes).await;
        assert!(matches!(outcome, Err(PublishError::Unavailable { .. })), "{outcome:?}");
        assert_eq!(visits, 4);
    }
}

#[tokio::test]
async fn a_publish_that_is_refused_is_not_tried_again() {
    for (bad, says) in [
        (http("400 Bad Request", "", r#"{"message":"INVALID_DEFER"}"#), "INVALID_DEFER"),
        (http("413 Request Entity Too Large", "", r#"{"message":"MSG_TOO_BIG"}"#), "413"),
        (http("404 Not Found", "", ""), "404"),
        (http("302 Found", "Location: http://127.0.0.1:1/pub\r\n", ""), "302"),
        (http("204 No Content", "", ""), "204"),
        (http("400 Bad Request", "", &"x\n".repeat(100_000)), "400"),
        (http("200 OK", "", &"x".repeat(9 * 1024 * 1024)), "longer than"),
    ] {
        let (outcome, visits) = published(vec![bad], Then::Closes).await;
        let Err(error @ PublishError::Refused { .. }) = outcome else { panic!("{says}: {outcome:?}") };
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains(says) && cause.len() < 500 && visits == 1, "{says}: {cause}, {visits}");
        assert!(error.to_string().contains("topic"), "{error}");
    }
}

#[tokio::test]
async fn a_publish_does_not_wait_for_ever() {
    let (outcome, visits) = published(vec![vec![]], Then::Waits).await;
    assert!(matches!(outcome, Err(PublishError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(visits, 4);
    provide_cryptography();
    let publisher = Publisher::new("no-such-host.invalid:4151").unwrap();
    let outcome = timeout(PATIENCE, publisher.publish(&name("topic"), "1")).await.unwrap();
    assert!(matches!(outcome, Err(PublishError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn addresses_are_checked() {
    provide_cryptography();
    for bad in ["", "http://", "ftp://host:1", "host:99999", "a b:1"] {
        assert!(Publisher::new(bad).is_err(), "{bad}");
        let error = Lookup::new([bad]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{bad}`")), "{error}");
    }
    assert!(Lookup::new(Vec::<String>::new()).is_err());
    for good in ["localhost:4151", "http://localhost:4151", "http://[::1]:4151/", "10.0.0.1:1"] {
        assert!(Publisher::new(good).is_ok() && Lookup::new([good]).is_ok(), "{good}");
    }
}

#[tokio::test]
async fn what_nsqlookupd_and_nsqd_say_is_checked() {
    provide_cryptography();
    for (bad, says) in [
        (http("200 OK", "", "OK"), "not what it should be"),
        (http("200 OK", "", r#"{"producers":7}"#), "not what it should be"),
        (
            http("200 OK", "", r#"{"producers":[{"broadcast_address":"h","tcp_port":70000,"http_port":1}]}"#),
            "should be",
        ),
        (http("200 OK", "", r#"{"producers":[{"broadcast_address":"a b","tcp_port":1,"http_port":1}]}"#), "no address"),
        (http("500 Internal Server Error", "", ""), "500"),
        (http("301 Moved Permanently", "Location: /nodes\r\n", ""), "301"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(), "no answer"),
        (vec![], "no answer"),
    ] {
        let fake = Scripted::start(vec![(vec![bad], Then::Closes)]).await;
        let lookup = Lookup::new([fake.address().to_string()]).unwrap();
        let error = timeout(PATIENCE, lookup.topic_load(&name("topic"))).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let nobody = Scripted::start(vec![(vec![http("200 OK", "", r#"{"producers":null}"#)], Then::Closes)]).await;
    let lookup = Lookup::new([nobody.address().to_string()]).unwrap();
    assert_eq!(lookup.topic_load(&name("topic")).await.unwrap(), TopicLoad::default());
    let lookup = Lookup::new(["no-such-host.invalid:4161"]).unwrap();
    assert!(matches!(lookup.nodes().await, Err(HttpError::Unavailable { .. })));
}

/// One nsqlookupd that is away or talks nonsense leaves what the other says.
#[tokio::test]
async fn one_of_two_nsqlookupd_is_enough_to_consume() {
    provide_cryptography();
    let nsqd = Scripted::start(vec![(subscribed(&message(ID, "1")), Then::Waits)]).await;
    let producers = format!(
        r#"{{"channels":[],"producers":[{{"broadcast_address":"127.0.0.1","tcp_port":{},"http_port":1}},
            {{"broadcast_address":"","tcp_port":1,"http_port":1}},{{"broadcast_address":"h","tcp_port":0,"http_port":1}}]}}"#,
        nsqd.address().port()
    );
    let good = Scripted::start(vec![(vec![http("200 OK", "", &producers)], Then::Closes)]).await;
    let bad = Scripted::start(vec![(vec![http("200 OK", "", "[")], Then::Closes)]).await;
    let lookup = Lookup::new([bad.address().to_string(), good.address().to_string()]).unwrap();
    let mut consumer = Consumer::start(fast(Options::new(name("t"), name("c"), Source::Lookupd(lookup))));
    next(&mut consumer).await.finish().unwrap();
}

/// Fails when it is first told that this topic was subscribed to: a panic in the middle of a connection.
#[derive(Debug, Default)]
struct PanicsOnce(AtomicBool);

const PANICS: &str = "panics-once";

struct IsPanics(bool);

impl Visit for IsPanics {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 |= field.name() == "topic" && format!("{value:?}") == PANICS;
    }
}

impl Subscriber for PanicsOnce {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("nsq") && *metadata.level() == Level::INFO
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut meant = IsPanics(false);
        event.record(&mut meant);
        assert!(!meant.0 || self.0.swap(true, Ordering::Relaxed), "as a fault of ours would");
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

#[tokio::test]
async fn a_panic_in_a_connection_does_not_lose_the_nsqd() {
    // For all threads, since a scoped one races with the other tests for who first comes past a line that logs.
    tracing::subscriber::set_global_default(PanicsOnce::default()).unwrap();
    let fake = Scripted::start(vec![(subscribed(&message(ID, "42")), Then::Waits)]).await;
    let source = Source::Nsqd(vec![fake.address().to_string()]);
    let mut consumer = Consumer::start(fast(Options::new(name(PANICS), name("channel"), source)));
    assert_eq!(&*next(&mut consumer).await.body, b"42");
    assert_eq!((fake.visits(), consumer.connections()), (2, 1));
}

#[tokio::test]
async fn a_consumer_says_for_how_long_it_is_subscribed_nowhere() {
    let closed = (vec![vec![]], Then::Closes);
    let fake = Scripted::start(vec![closed.clone(), closed, (subscribed(&message(ID, "1")), Then::Waits)]).await;
    let mut consumer = consumer(&fake);
    assert_eq!(consumer.failing_for(), None, "nothing was tried yet");
    let failing = async || consumer.failing_for().filter(|length| !length.is_zero()).ok_or("not yet");
    until("two failures", failing).await;
    next(&mut consumer).await.finish().unwrap();
    assert_eq!(consumer.failing_for(), None);
}

/// A topic that nobody has published to yet is nowhere, and that is no failure.
#[tokio::test]
async fn a_consumer_without_an_nsqd_is_well_once_nsqlookupd_answers() {
    provide_cryptography();
    let away = (vec![http("503 Service Unavailable", "", "")], Then::Closes);
    let nothing = (vec![http("200 OK", "", r#"{"producers":[]}"#)], Then::Closes);
    let fake = Scripted::start(vec![away.clone(), away.clone(), away, nothing]).await;
    let lookup = Lookup::new([fake.address().to_string()]).unwrap();
    let consumer = Consumer::start(fast(Options::new(name("t"), name("c"), Source::Lookupd(lookup))));
    until("failures", async || consumer.failing_for().map(drop).ok_or("none")).await;
    until("an end of them", async || consumer.failing_for().map_or(Ok(()), Err)).await;
}

#[tokio::test]
async fn a_publisher_says_for_how_long_nsqd_is_not_reached() {
    provide_cryptography();
    let away = (vec![vec![]], Then::Closes);
    let refuses = (vec![http("400 Bad Request", "", "")], Then::Closes);
    let fake = Scripted::start(vec![away.clone(), away.clone(), away.clone(), away, refuses]).await;
    let publisher = Publisher::new(&fake.address().to_string()).unwrap();
    assert!(publisher.publish(&name("topic"), "1").await.is_err());
    assert!(publisher.clone().failing_for().is_some_and(|length| !length.is_zero()));
    assert!(publisher.publish(&name("topic"), "1").await.is_err());
    assert_eq!(publisher.failing_for(), None, "it answers");
}
