//! What must be true of the whole system when work is over: nothing is left anywhere, and nothing is stored that nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use e2e::System;
use model::{Status, Topic};
use stack::settings::{PRESERVATION_BUCKETS, STAGING_BUCKET, receiving_bucket};
use stack::testing::until;

use crate::bag::INSTITUTION;
use crate::expect::buckets;

/// The ids of items that failed: what Redis and staging hold of them is for administrators (07 B.16).
async fn failed(system: &System) -> BTreeSet<String> {
    let items = system.all_items().await.unwrap();
    items.iter().filter(|item| item.status == Status::Failed).map(|item| item.id.to_string()).collect()
}

/// Redis has a key for each item that failed, and no other.
pub(crate) async fn redis_holds_what_failed(system: &System) {
    let keys: BTreeSet<String> = system.redis_keys().await.unwrap().into_iter().collect();
    assert_eq!(keys, failed(system).await);
}

/// Staging has nothing but of items that failed.
pub(crate) async fn staging_holds_what_failed(system: &System) {
    let (keys, failed) = (system.keys(STAGING_BUCKET, "").await.unwrap(), failed(system).await);
    let others = keys.iter().filter(|key| !key.split_once('/').is_some_and(|(item, _)| failed.contains(item)));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Receiving holds these tars, which were not ingested.
pub(crate) async fn receiving_holds(system: &System, run: &str, kept: impl IntoIterator<Item = String>) {
    let there: BTreeSet<String> = system.keys(&receiving_bucket(INSTITUTION), run).await.unwrap().into_iter().collect();
    assert_eq!(there, kept.into_iter().collect::<BTreeSet<_>>());
}

/// Each preservation bucket has exactly the copies that the Registry knows.
pub(crate) async fn preservation_holds_what_the_registry_knows(system: &System) {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in system.all_files().await.unwrap() {
        for (bucket, _) in buckets(&file.storage_option) {
            known.entry(bucket.to_owned()).or_default().insert(file.uuid.clone());
        }
    }
    for (_, bucket) in PRESERVATION_BUCKETS {
        let there: BTreeSet<String> = system.keys(bucket, "").await.unwrap().into_iter().collect();
        let known = known.remove(bucket).unwrap_or_default();
        let lost: Vec<_> = known.difference(&there).collect();
        let unknown: Vec<_> = there.difference(&known).collect();
        assert!(lost.is_empty() && unknown.is_empty(), "{bucket} lacks {lost:?}, and nobody knows {unknown:?}");
    }
}

/// No message waits, is in work, or waits for its time. The last answers may still be under way to nsqd.
pub(crate) async fn topics_are_drained(system: &System) {
    for topic in Topic::ALL {
        until("a topic to be drained", async || match system.load(topic.as_str()).await {
            Ok(load) if load.is_idle() => Ok(()),
            other => Err(format!("{topic}: {other:?}")),
        })
        .await;
    }
}
