//! Claims on items: 07 A.2, A.4 and A.10.

use std::time::Duration;

use model::{IngestFile, Topic};
use redis::AsyncCommands as _;
use redis_store::{ClaimTaken, Claimed, Held, Loss, Store};
use serde_json::{Value, json};
use stack::testing::{PATIENCE, until};
use tokio::time::{Instant, timeout};

use crate::support::{Server, on_every_server};

on_every_server! {
    a_claim_is_had_by_one;
    a_dead_claim_can_be_taken;
    a_heartbeat_keeps_a_claim_alive;
    a_lost_claim_is_told;
    nothing_brings_a_deleted_item_back;
    a_claim_is_given_up_at_half_its_time_without_redis;
    of_many_who_ask_one_gets_it;
    heartbeats_get_through_while_files_are_saved;
    the_claims_of_all_items_are_listed;
    an_item_that_waits_says_until_when;
    ways_back_are_counted_with_the_item;
}

const TOPIC: Topic = Topic::IngestPrefetch;
const FIELD: &str = "claim:ingest01_prefetch";

async fn take(store: &Store, lifetime: Duration) -> Result<Held, String> {
    match store.take_claim(1, TOPIC, "host", lifetime).await.unwrap() {
        ClaimTaken::Ours(held) => Ok(held),
        ClaimTaken::Theirs(claimant) => Err(format!("{claimant:?}")),
    }
}

async fn a_claim_is_had_by_one(server: Server) {
    let (store, other, mut raw) = (server.store(), server.store(), server.raw(0).await);
    assert_eq!(store.claimant(1, TOPIC).await.unwrap(), None);
    let held = take(&store, Duration::from_mins(2)).await.unwrap();
    let until = held.check().unwrap();
    assert!(until <= Instant::now() + Duration::from_mins(2) && until > Instant::now() + Duration::from_mins(1));
    let document: Value = serde_json::from_str(&raw.hget::<_, _, String>(1, FIELD).await.unwrap()).unwrap();
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut raw).await.unwrap();
    assert!((document["heartbeat"].as_i64().unwrap() / 1000).abs_diff(seconds) < PATIENCE.as_secs());
    assert_eq!((&document["host"], &document["lifetime"]), (&json!("host"), &json!(120_000)));
    assert!(document["token"].as_str().unwrap().len() == 36);
    let theirs = take(&other, Duration::from_mins(2)).await.unwrap_err();
    assert!(theirs.contains("host"), "{theirs}");
    let claimant = other.claimant(1, TOPIC).await.unwrap().unwrap();
    assert!(!claimant.is_dead() && claimant.age < PATIENCE && claimant.lifetime == Duration::from_mins(2));
    // Another topic is another claim.
    let ClaimTaken::Ours(second) = other.take_claim(1, Topic::IngestCleanup, "other", PATIENCE).await.unwrap() else {
        panic!("the claim of another topic is in the way");
    };
    second.release().await.unwrap();
    held.release().await.unwrap();
    assert!(!raw.exists::<_, bool>(1).await.unwrap());
    take(&other, Duration::from_mins(2)).await.unwrap().release().await.unwrap();
}

async fn a_dead_claim_can_be_taken(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query_async(&mut raw).await.unwrap();
    let mut document = json!({
        "token": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "host": "gone", "heartbeat": seconds * 1000, "lifetime": 120_000,
    });
    let _: () = raw.hset(1, FIELD, document.to_string()).await.unwrap();
    assert!(take(&store, Duration::from_secs(1)).await.is_err(), "its holder's lifetime counts, not ours");
    document["heartbeat"] = json!((seconds - 121) * 1000);
    let _: () = raw.hset(1, FIELD, document.to_string()).await.unwrap();
    assert!(store.claimant(1, TOPIC).await.unwrap().unwrap().is_dead());
    let held = take(&store, PATIENCE).await.unwrap();
    assert_eq!(store.claimant(1, TOPIC).await.unwrap().unwrap().host, "host");
    held.release().await.unwrap();
    // One from the future is alive, and no reason to count below zero.
    document["heartbeat"] = json!((seconds + 1_000_000) * 1000);
    let _: () = raw.hset(1, FIELD, document.to_string()).await.unwrap();
    assert!(take(&store, PATIENCE).await.is_err());
    let _: () = raw.hset(1, FIELD, "{}").await.unwrap();
    let error = store.take_claim(1, TOPIC, "host", PATIENCE).await.unwrap_err().to_string();
    assert!(error.contains(FIELD), "{error}");
}

async fn a_heartbeat_keeps_a_claim_alive(server: Server) {
    let (store, other) = (server.store(), server.store());
    let lifetime = Duration::from_millis(600);
    let held = take(&store, lifetime).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 3 * lifetime {
        assert!(take(&other, lifetime).await.is_err());
        held.check().unwrap();
    }
    // And without it the claim dies.
    held.leave();
    until("the claim to die", async || take(&other, lifetime).await.map(drop)).await;
}

async fn a_lost_claim_is_told(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let lifetime = Duration::from_secs(2);
    let held = take(&store, lifetime).await.unwrap();
    let theirs = json!({
        "token": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "host": "thief", "heartbeat": 0, "lifetime": 0,
    });
    let _: () = raw.hset(1, FIELD, theirs.to_string()).await.unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::Taken);
    assert_eq!(held.check(), Err(Loss::Taken));
    // What is not ours is not released.
    held.release().await.unwrap();
    assert_eq!(raw.hget::<_, _, String>(1, FIELD).await.unwrap(), theirs.to_string());
    let held = take(&store, lifetime).await.unwrap();
    let _: () = raw.hdel(1, FIELD).await.unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::Gone);
}

/// 07 A.10.
async fn nothing_brings_a_deleted_item_back(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    for _ in 0..5 {
        let held = take(&store, Duration::from_secs(1)).await.unwrap();
        assert!(store.delete_item(1).await.unwrap());
        assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::Gone);
        held.release().await.unwrap();
        assert!(!raw.exists::<_, bool>(1).await.unwrap());
    }
}

/// 07 A.4. The holder stops before anybody else can begin.
async fn a_claim_is_given_up_at_half_its_time_without_redis(mut server: Server) {
    let (store, lifetime) = (server.store(), Duration::from_secs(4));
    let held = take(&store, lifetime).await.unwrap();
    server.stop();
    let until = held.check().unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::NotRenewed);
    assert!(Instant::now() < until, "half the time is left");
    assert!(held.release().await.unwrap_err().is_transient());
    // A short absence is none.
    server.start_again();
    let held = take(&store, lifetime).await.unwrap();
    server.cut_connections().await;
    let first = held.check().unwrap();
    until_renewed(&held, first).await;
    held.release().await.unwrap();
}

async fn until_renewed(held: &Held, since: Instant) {
    until("a renewal", async || match held.check() {
        Ok(until) if until > since => Ok(()),
        other => Err(other),
    })
    .await;
}

async fn of_many_who_ask_one_gets_it(server: Server) {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let store = server.store();
        asking.spawn(async move { take(&store, Duration::from_mins(1)).await });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

/// WATCH looks at the whole hash, and the stage writes to it all the time.
async fn heartbeats_get_through_while_files_are_saved(server: Server) {
    let store = server.store();
    let held = take(&store, Duration::from_secs(2)).await.unwrap();
    let files: Vec<IngestFile> =
        (0..50).map(|number| IngestFile::new("example.edu/bag", &number.to_string())).collect();
    let mut saving = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, files) = (store.clone(), files.clone());
        saving.spawn(async move {
            loop {
                store.save_files(1, &files).await.unwrap();
            }
        });
    }
    for _ in 0..5 {
        let before = held.check().unwrap();
        until_renewed(&held, before).await;
    }
    saving.abort_all();
    held.release().await.unwrap();
}

async fn the_claims_of_all_items_are_listed(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let document = |host: &str, lifetime: u64| {
        json!({"token": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "host": host, "heartbeat": 0, "lifetime": lifetime})
            .to_string()
    };
    for item in 0..500 {
        let _: () = raw.hset(item, "object:x", "{}").await.unwrap();
    }
    let _: () = raw.hset(7, FIELD, document("dead", 1)).await.unwrap();
    let _: () = raw.hset(8, "claim:ingest09_cleanup", document("alive", u64::MAX)).await.unwrap();
    let _: () = raw.set("no number", "no hash").await.unwrap();
    // Nor is what has an item's name, but is something else.
    for stranger in [501, 502, 503] {
        let _: () = raw.set(stranger, "no hash").await.unwrap();
    }
    let mut scan = store.claims();
    let mut found: Vec<Claimed> = Vec::new();
    while let Some(claims) = scan.next().await.unwrap() {
        found.extend(claims);
    }
    found.sort_by_key(|claimed| claimed.item);
    found.dedup();
    let seen: Vec<(i64, Topic, &str, bool)> = found
        .iter()
        .map(|claimed| (claimed.item, claimed.topic, &*claimed.claimant.host, claimed.claimant.is_dead()))
        .collect();
    assert_eq!(seen, [(7, TOPIC, "dead", true), (8, Topic::IngestCleanup, "alive", false)]);
}

async fn ways_back_are_counted_with_the_item(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    assert_eq!(store.ways_back(1).await.unwrap(), 0);
    store.save_ways_back(1, 2).await.unwrap();
    assert_eq!(store.ways_back(1).await.unwrap(), 2);
    assert_eq!(raw.hget::<_, _, u32>(1, "ways_back").await.unwrap(), 2);
    store.save_ways_back(1, 0).await.unwrap();
    assert!(!raw.exists::<_, bool>(1).await.unwrap());
}

async fn an_item_that_waits_says_until_when(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    assert_eq!(store.wakes_in(1, TOPIC).await.unwrap(), Duration::ZERO);
    let hour = Duration::from_hours(1);
    store.save_wake(1, TOPIC, Some(hour)).await.unwrap();
    let left = store.wakes_in(1, TOPIC).await.unwrap();
    assert!(left <= hour && left > hour / 2, "{left:?}");
    // As it is read after the clock was set back by a year.
    let year = 365 * 24 * 3_600_000_u64;
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query_async(&mut raw).await.unwrap();
    let wake = json!({ "due": seconds * 1000 + year, "delay": 3_600_000 });
    let (): () = raw.hset(1, "wake:ingest01_prefetch", wake.to_string()).await.unwrap();
    assert_eq!(store.wakes_in(1, TOPIC).await.unwrap(), Duration::ZERO);
    store.save_wake(1, TOPIC, None).await.unwrap();
    assert!(!raw.exists::<_, bool>(1).await.unwrap());
}
