//! What holds on every server, by the embedded nsqd and by the real one.

use std::collections::BTreeSet;
use std::time::Duration;

use nsq::{Closed, Consumer, Lost, Options, PublishError, Source, TopicLoad};
use stack::testing::{PATIENCE, until};
use tokio::time::{Instant, sleep_until, timeout};

use crate::support::{Cluster, Kind, Limits, fast, name, next};

/// Each test once per kind of server.
macro_rules! on_every_server {
    ($($test:ident: $count:literal nsqd, $limits:expr;)*) => {
        on_every_server! { @ embedded, Embedded: $($test, $count, $limits;)* }
        on_every_server! { @ real, Real: $($test, $count, $limits;)* }
    };
    (@ $module:ident, $kind:ident: $($test:ident, $count:literal, $limits:expr;)*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    let cluster = super::Cluster::start(super::Kind::$kind, stringify!($test), $count, $limits).await;
                    if let Some(cluster) = cluster {
                        super::$test(cluster).await;
                    }
                }
            )*
        }
    };
}

on_every_server! {
    a_message_comes_with_what_nsqd_knows_of_it: 1 nsqd, super::Limits::default();
    a_requeue_is_confirmed_and_comes_back_after_its_delay: 1 nsqd, super::Limits::default();
    a_message_without_an_answer_goes_back_at_once: 1 nsqd, super::Limits::default();
    touching_keeps_a_message_until_the_cap: 1 nsqd, super::short();
    a_message_that_timed_out_is_lost_and_its_requeue_refused: 1 nsqd, super::short();
    a_timed_out_message_that_nobody_took_is_not_handed_out: 1 nsqd, super::short();
    closing_waits_for_the_answers: 1 nsqd, super::Limits::default();
    closing_gives_up_in_time: 1 nsqd, super::Limits::default();
    nobody_gets_more_than_asked_for: 1 nsqd, super::Limits::default();
    several_nsqd_share_the_messages_in_flight: 3 nsqd, super::Limits::default();
    more_nsqd_than_messages_take_turns: 3 nsqd, super::Limits::default();
    nsqlookupd_leads_to_every_nsqd: 2 nsqd, super::Limits::default();
    nsqlookupd_may_be_away: 1 nsqd, super::Limits::default();
    an_nsqd_that_restarts_is_found_again: 1 nsqd, super::Limits::default();
    a_deferred_message_waits: 1 nsqd, super::Limits::default();
    nsqds_refusals_are_told: 1 nsqd, super::Limits::default();
}

fn short() -> Limits {
    Limits { message_timeout: Duration::from_secs(1), max_message_timeout: Duration::from_secs(3) }
}

fn load(depth: u64, in_flight: u64, deferred: u64) -> TopicLoad {
    TopicLoad { depth, in_flight, deferred }
}

async fn a_message_comes_with_what_nsqd_knows_of_it(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "4711").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    assert_eq!((&*message.body, message.attempts), (&b"4711"[..], 1));
    assert_eq!(message.source(), cluster.nsqd(0).tcp);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(now.abs_diff(u128::try_from(message.timestamp).unwrap()) < PATIENCE.as_nanos());
    assert_eq!(message.touch_interval(), Duration::from_secs(20));
    let left = message.final_deadline() - Instant::now();
    assert!(left <= Duration::from_mins(15) && left > Duration::from_mins(14), "{left:?}");
    assert!(message.deadline() <= Instant::now() + Duration::from_mins(1));
    assert_eq!(message.is_lost(), None);
    cluster.load(&topic, load(0, 1, 0)).await;
    message.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
}

async fn a_requeue_is_confirmed_and_comes_back_after_its_delay(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    let id = message.id();
    let begun = Instant::now();
    timeout(PATIENCE, message.requeue(Duration::from_millis(300))).await.unwrap().unwrap();
    let message = next(&mut consumer).await;
    assert_eq!((message.id(), message.attempts), (id, 2));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    message.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
}

async fn a_message_without_an_answer_goes_back_at_once(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    drop(next(&mut consumer).await);
    let message = next(&mut consumer).await;
    assert_eq!(message.attempts, 2);
    message.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
}

/// 07 A.6, and never forward: nsqd takes a touch beyond the cap for one that ends earlier.
async fn touching_keeps_a_message_until_the_cap(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    let delivered = Instant::now();
    let cap = message.final_deadline();
    while message.deadline() < cap {
        sleep_until(message.deadline() - 2 * message.touch_interval()).await;
        message.touch().unwrap();
    }
    assert_eq!(message.touch(), Ok(cap));
    assert_eq!(message.touch(), Ok(cap));
    assert_eq!(timeout(PATIENCE, message.lost()).await.unwrap(), Lost::TimedOut);
    assert!(delivered.elapsed() > Duration::from_secs(2));
    assert_eq!(message.touch(), Err(Lost::TimedOut));
    let again = next(&mut consumer).await;
    assert_eq!((again.id(), again.attempts), (message.id(), 2));
    assert_eq!(message.is_lost(), Some(Lost::DeliveredAgain));
    // The old delivery says nothing about the new one.
    assert_eq!(message.finish(), Err(Lost::DeliveredAgain));
    cluster.load(&topic, load(0, 1, 0)).await;
    again.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
}

/// 07 A.5: the worker learns that it must publish instead.
async fn a_message_that_timed_out_is_lost_and_its_requeue_refused(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    consumer.set_max_in_flight(0);
    assert_eq!(timeout(PATIENCE, message.lost()).await.unwrap(), Lost::TimedOut);
    cluster.load(&topic, load(1, 0, 0)).await;
    assert_eq!(timeout(PATIENCE, message.requeue(Duration::ZERO)).await.unwrap(), Err(Lost::NotInFlight));
    // The connection outlives such answers.
    consumer.set_max_in_flight(1);
    let message = next(&mut consumer).await;
    assert_eq!(message.attempts, 2);
    let again = next(&mut consumer).await;
    assert_eq!(again.attempts, 3);
    assert_eq!(message.finish(), Err(Lost::DeliveredAgain));
    again.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
    assert_eq!(consumer.connections(), 1);
}

async fn a_timed_out_message_that_nobody_took_is_not_handed_out(cluster: Cluster) {
    let topic = name("topic");
    let mut consumer = Consumer::start(cluster.options(&topic));
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let lookup = cluster.lookup();
    let node = until("the node", async || lookup.nodes().await.unwrap().pop_first().ok_or("none")).await;
    until("three time-outs", async || {
        let stats = lookup.stats(&node, Some(&topic)).await.unwrap();
        let timeouts = stats.topics[0].channels[0].timeout_count;
        if timeouts >= 3 { Ok(()) } else { Err(timeouts) }
    })
    .await;
    let message = next(&mut consumer).await;
    assert!(message.attempts >= 3);
    assert_eq!(message.is_lost(), None);
    message.finish().unwrap();
    cluster.load(&topic, load(0, 0, 0)).await;
}

async fn closing_waits_for_the_answers(cluster: Cluster) {
    let topic = name("topic");
    for body in ["1", "2", "3"] {
        cluster.publisher(0).publish(&topic, body).await.unwrap();
    }
    let mut consumer = Consumer::start(cluster.options(&topic));
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    cluster.load(&topic, load(0, 3, 0)).await;
    consumer.stop();
    assert!(timeout(PATIENCE, consumer.next()).await.unwrap().is_none());
    // The third, which nobody took, is back; nothing new comes.
    cluster.load(&topic, load(1, 2, 0)).await;
    let closing = tokio::spawn(consumer.close(PATIENCE));
    first.touch().unwrap();
    first.finish().unwrap();
    timeout(PATIENCE, second.requeue(Duration::ZERO)).await.unwrap().unwrap();
    assert_eq!(timeout(PATIENCE, closing).await.unwrap().unwrap(), Closed { unanswered: 0 });
    cluster.load(&topic, load(2, 0, 0)).await;
}

async fn closing_gives_up_in_time(cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    let closed = timeout(PATIENCE, consumer.close(Duration::from_millis(200))).await.unwrap();
    assert_eq!(closed, Closed { unanswered: 1 });
    assert_eq!(timeout(PATIENCE, message.lost()).await.unwrap(), Lost::Disconnected);
    assert_eq!(message.touch(), Err(Lost::Disconnected));
    assert_eq!(timeout(PATIENCE, message.requeue(Duration::ZERO)).await.unwrap(), Err(Lost::Disconnected));
}

async fn nobody_gets_more_than_asked_for(cluster: Cluster) {
    let topic = name("topic");
    let mut consumer = Consumer::start(Options { max_in_flight: 3, ..cluster.options(&topic) });
    for body in 0..8 {
        cluster.publisher(0).publish(&topic, body.to_string()).await.unwrap();
    }
    cluster.load(&topic, load(5, 3, 0)).await;
    let held = [next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await];
    consumer.set_max_in_flight(0);
    for message in held {
        message.finish().unwrap();
    }
    cluster.load(&topic, load(5, 0, 0)).await;
    consumer.set_max_in_flight(5);
    cluster.load(&topic, load(0, 5, 0)).await;
}

async fn several_nsqd_share_the_messages_in_flight(cluster: Cluster) {
    let topic = name("topic");
    let mut consumer = Consumer::start(Options { max_in_flight: 6, ..cluster.options(&topic) });
    until("three connections", async || if consumer.connections() == 3 { Ok(()) } else { Err(consumer.connections()) })
        .await;
    for body in 0..30 {
        cluster.publisher(0).publish(&topic, body.to_string()).await.unwrap();
    }
    // One nsqd has everything: it gets all but one message for each of the others.
    cluster.load(&topic, load(26, 4, 0)).await;
    for index in [1, 2] {
        cluster.publisher(index).publish(&topic, "other").await.unwrap();
    }
    cluster.load(&topic, load(26, 6, 0)).await;
    let mut sources = BTreeSet::new();
    for _ in 0..32 {
        let message = next(&mut consumer).await;
        sources.insert(message.source().to_owned());
        message.finish().unwrap();
    }
    assert_eq!(sources.len(), 3);
    cluster.load(&topic, load(0, 0, 0)).await;
}

async fn more_nsqd_than_messages_take_turns(cluster: Cluster) {
    let topic = name("topic");
    for index in 0..3 {
        for body in 0..2 {
            cluster.publisher(index).publish(&topic, body.to_string()).await.unwrap();
        }
    }
    let mut consumer = Consumer::start(Options { max_in_flight: 1, ..cluster.options(&topic) });
    let mut sources = BTreeSet::new();
    for _ in 0..6 {
        let message = next(&mut consumer).await;
        sources.insert(message.source().to_owned());
        message.finish().unwrap();
    }
    assert_eq!(sources.len(), 3);
}

async fn nsqlookupd_leads_to_every_nsqd(cluster: Cluster) {
    let topic = name("topic");
    let source = Source::Lookupd(cluster.lookup());
    let mut consumer = Consumer::start(fast(Options::new(topic.clone(), name("channel"), source)));
    assert_eq!(cluster.lookup().nodes().await.unwrap().len(), 2);
    // Nobody knows the topic yet.
    for index in 0..2 {
        cluster.publisher(index).publish(&topic, index.to_string()).await.unwrap();
    }
    cluster.announced(&topic, 2).await;
    let mut sources = BTreeSet::new();
    for _ in 0..2 {
        let message = next(&mut consumer).await;
        sources.insert(message.source().to_owned());
        message.finish().unwrap();
    }
    assert_eq!(sources, BTreeSet::from([cluster.nsqd(0).tcp.clone(), cluster.nsqd(1).tcp.clone()]));
}

async fn nsqlookupd_may_be_away(mut cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    cluster.announced(&topic, 1).await;
    let source = Source::Lookupd(cluster.lookup());
    cluster.stop_lookupd().await;
    let mut consumer = Consumer::start(fast(Options::new(topic.clone(), name("channel"), source)));
    assert!(cluster.lookup().nodes().await.is_err());
    assert!(cluster.lookup().topic_load(&topic).await.is_err(), "what cannot be asked is not idle");
    cluster.start_lookupd().await;
    cluster.announced_again(&topic).await;
    next(&mut consumer).await.finish().unwrap();
    cluster.stop_lookupd().await;
    cluster.publisher(0).publish(&topic, "2").await.unwrap();
    next(&mut consumer).await.finish().unwrap();
    // And what was known is not forgotten.
    cluster.stop_nsqd(0).await;
    until("the connection to end", async || if consumer.connections() == 0 { Ok(()) } else { Err(()) }).await;
    cluster.start_nsqd(0).await;
    cluster.publisher(0).publish(&topic, "3").await.unwrap();
    next(&mut consumer).await.finish().unwrap();
}

async fn an_nsqd_that_restarts_is_found_again(mut cluster: Cluster) {
    let topic = name("topic");
    cluster.publisher(0).publish(&topic, "1").await.unwrap();
    let mut consumer = Consumer::start(cluster.options(&topic));
    let message = next(&mut consumer).await;
    cluster.stop_nsqd(0).await;
    assert_eq!(timeout(PATIENCE, message.lost()).await.unwrap(), Lost::Disconnected);
    assert_eq!(message.finish(), Err(Lost::Disconnected));
    let error = cluster.publisher(0).publish(&topic, "2").await.unwrap_err();
    assert!(matches!(error, PublishError::Unavailable { .. }), "{error:?}");
    cluster.start_nsqd(0).await;
    cluster.publisher(0).publish(&topic, "2").await.unwrap();
    next(&mut consumer).await.finish().unwrap();
}

async fn a_deferred_message_waits(cluster: Cluster) {
    let topic = name("topic");
    let mut consumer = Consumer::start(cluster.options(&topic));
    until("a connection", async || if consumer.connections() == 1 { Ok(()) } else { Err(()) }).await;
    cluster.publisher(0).publish_deferred(&topic, "1", Duration::from_hours(100)).await.unwrap();
    cluster.load(&topic, load(0, 0, 1)).await;
    let begun = Instant::now();
    cluster.publisher(0).publish_deferred(&topic, "2", Duration::from_millis(300)).await.unwrap();
    let message = next(&mut consumer).await;
    assert_eq!(&*message.body, b"2");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    message.finish().unwrap();
    cluster.load(&topic, load(0, 0, 1)).await;
}

async fn nsqds_refusals_are_told(cluster: Cluster) {
    let topic = name("topic");
    let publisher = cluster.publisher(0);
    assert!(matches!(publisher.publish(&topic, "").await, Err(PublishError::Empty(_))));
    let error = publisher.publish(&topic, vec![b'x'; 2 * 1024 * 1024]).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { .. }), "{error:?}");
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("413") && text.contains("MSG_TOO_BIG"), "{text}");
}
