//! Connections that are cut after each byte of a conversation.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use nsq::{Consumer, Options, Source, TopicLoad};
use stack::proxy::{Fate, Proxy, Way};
use stack::testing::PATIENCE;

use crate::support::{Cluster, Kind, Limits, fast, name, next};

/// Publishes a message and consumes it through the proxy; afterwards nothing is left of it.
async fn conversation(cluster: &Cluster, proxy: &Proxy, topic: &str) {
    let topic = name(topic);
    cluster.publisher(0).publish(&topic, "4711").await.unwrap();
    let source = Source::Nsqd(vec![proxy.address().to_string()]);
    let mut consumer = Consumer::start(fast(Options::new(topic.clone(), name("channel"), source)));
    loop {
        tokio::select! {
            message = next(&mut consumer) => {
                assert_eq!(&*message.body, b"4711");
                // The cut may come before nsqd has the answer: then the message comes again.
                let _ = message.touch();
                let _ = message.finish();
            }
            () = cluster.load(&topic, TopicLoad::default()) => break,
        }
    }
    assert_eq!(consumer.close(PATIENCE).await.unanswered, 0);
    // It looks at only a few of many.
    cluster.delete(&topic).await;
}

async fn a_connection_is_cut_at_every_byte(cluster: Cluster) {
    let whole = Proxy::to(&cluster.nsqd(0).tcp).await;
    conversation(&cluster, &whole, "whole").await;
    let cuts: Vec<(Way, u64)> =
        [Way::Up, Way::Down].into_iter().flat_map(|way| (0..=whole.count(way)).map(move |cut| (way, cut))).collect();
    assert!(cuts.len() > 300, "{}", cuts.len());
    let (cluster, tcp) = (&cluster, &cluster.nsqd(0).tcp);
    // nsqd takes up to five seconds to look at a new topic's time-outs.
    let each = stream::iter(cuts).for_each_concurrent(100, |(way, cut)| async move {
        let proxy = Proxy::with_fates(tcp, [Fate::Cut(way, cut)]).await;
        conversation(cluster, &proxy, &format!("{way:?}-{cut}")).await;
    });
    each.await;
}

async fn run(kind: Kind) {
    let limits = Limits { message_timeout: Duration::from_secs(1), ..Limits::default() };
    if let Some(cluster) = Cluster::start(kind, "a connection is cut at every byte", 1, limits).await {
        a_connection_is_cut_at_every_byte(cluster).await;
    }
}

#[tokio::test]
async fn embedded() {
    run(Kind::Embedded).await;
}

#[tokio::test]
async fn real() {
    run(Kind::Real).await;
}
