//! Leases and locks: 07 A.1, A.12, B.13 and H.52.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis_store::{Held, LeaseName, LeaseTaken, Loss, Owner, Store};
use stack::testing::{PATIENCE, until};
use tokio::time::{Instant, timeout};

use crate::support::{Server, on_every_server};

on_every_server! {
    a_lease_is_had_by_one_and_lives_in_its_own_database;
    a_lease_is_renewed_and_ends_without_its_holder;
    an_objects_lock_goes_from_stage_to_stage_with_its_item;
    a_lost_lease_is_told;
}

async fn take(store: &Store, name: LeaseName<'_>, owner: Owner, lifetime: Duration) -> Result<Held, Owner> {
    match store.take_lease(name, owner, "host", lifetime).await.unwrap() {
        LeaseTaken::Ours(held) => Ok(held),
        LeaseTaken::Theirs { owner, host } => {
            assert_eq!(host, "host");
            Err(owner)
        }
    }
}

async fn a_lease_is_had_by_one_and_lives_in_its_own_database(server: Server) {
    let store = server.store();
    let bucket = LeaseName::Bucket("aptrust.receiving.example.edu");
    let held = take(&store, bucket, Owner::holder(), Duration::from_mins(1)).await.unwrap();
    assert!(take(&store, bucket, Owner::holder(), Duration::from_mins(1)).await.is_err());
    let other = take(&store, LeaseName::Run("aptrust.receiving.example.edu"), Owner::holder(), PATIENCE).await.unwrap();
    let (mut items, mut leases) = (server.raw(0).await, server.raw(1).await);
    assert!(items.keys::<_, Vec<String>>("*").await.unwrap().is_empty(), "07 A.1");
    let ttl: i64 = leases.pttl("bucket:aptrust.receiving.example.edu").await.unwrap();
    assert!(ttl > 50_000 && ttl <= 60_000, "{ttl}");
    held.release().await.unwrap();
    other.release().await.unwrap();
    assert!(leases.keys::<_, Vec<String>>("*").await.unwrap().is_empty());
}

async fn a_lease_is_renewed_and_ends_without_its_holder(server: Server) {
    let (store, other) = (server.store(), server.store());
    let (name, lifetime) = (LeaseName::Run("apt_queue"), Duration::from_millis(600));
    let held = take(&store, name, Owner::holder(), lifetime).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 3 * lifetime {
        assert!(take(&other, name, Owner::holder(), lifetime).await.is_err());
        held.check().unwrap();
    }
    drop(held);
    until("the lease to end", async || take(&other, name, Owner::holder(), lifetime).await.map(drop)).await;
}

/// 07 A.12.
async fn an_objects_lock_goes_from_stage_to_stage_with_its_item(server: Server) {
    let (first, second) = (server.store(), server.store());
    let (name, day) = (LeaseName::Object("example.edu/bag"), Duration::from_hours(24));
    take(&first, name, Owner::Item(1), day).await.unwrap().leave();
    assert_eq!(take(&second, name, Owner::Item(2), day).await.unwrap_err(), Owner::Item(1));
    let held = take(&second, name, Owner::Item(1), day).await.unwrap();
    first.release_lease(name, Owner::Item(2)).await.unwrap();
    assert!(take(&first, name, Owner::Item(2), day).await.is_err());
    held.release().await.unwrap();
    take(&first, name, Owner::Item(2), day).await.unwrap().leave();
    second.release_lease(name, Owner::Item(2)).await.unwrap();
    take(&first, name, Owner::Item(1), day).await.unwrap().release().await.unwrap();
}

async fn a_lost_lease_is_told(mut server: Server) {
    let (store, mut leases) = (server.store(), server.raw(1).await);
    let (name, lifetime) = (LeaseName::Run("apt_queue"), Duration::from_secs(2));
    let held = take(&store, name, Owner::holder(), lifetime).await.unwrap();
    let _: () = leases.del("run:apt_queue").await.unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::Gone);
    let held = take(&store, name, Owner::holder(), lifetime).await.unwrap();
    let theirs = r#"{"owner":{"item":1},"host":"thief"}"#;
    let _: () = leases.set("run:apt_queue", theirs).await.unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::Taken);
    held.release().await.unwrap();
    assert_eq!(leases.get::<_, String>("run:apt_queue").await.unwrap(), theirs);
    let _: () = leases.del("run:apt_queue").await.unwrap();
    let held = take(&store, name, Owner::holder(), Duration::from_secs(4)).await.unwrap();
    server.stop();
    let until = held.check().unwrap();
    assert_eq!(timeout(PATIENCE, held.lost()).await.unwrap(), Loss::NotRenewed);
    assert!(Instant::now() < until);
}
