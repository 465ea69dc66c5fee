//! Newer versions that come at an inconvenient time, and a tar that comes again.

use e2e::System;
use model::{Status, StorageOption, note};
use stack::settings::receiving_bucket;
use stack::testing::until;

use crate::bag::{Bag, INSTITUTION, payload};
use crate::expect::{self, Road};
use crate::story::{PATIENCE, deposit, settled};

const PRE_FETCH: &str = "ingest_pre_fetch";

/// A second version comes before the first was looked at: only the second is ingested, as an object of its own.
pub(crate) async fn of_two_versions_at_once_the_newer_one_is_ingested(system: &mut System, run: &str) {
    let bag = |text: &str| {
        let mut payload = payload();
        payload[0].1 = text.to_owned().into();
        Bag::good(&format!("{run}-twice"), &StorageOption::Standard, payload)
    };
    let (first, second) = (bag("The first version.\n"), bag("The second version.\n"));
    let name = first.tar_name();
    system.stop_service(PRE_FETCH).await.unwrap();
    for (number, version) in [&first, &second].into_iter().enumerate() {
        deposit(system, &name, version.parts.tar()).await;
        until("the bucket reader to see a version", async || match system.items(&name).await.unwrap() {
            items if items.len() > number => Ok(()),
            items => Err(items),
        })
        .await;
    }
    // One after the other: the newer one would wait for minutes until it is looked at again whether the older one is over.
    system.start_service_with(PRE_FETCH, &["--workers", "1", "--bufsize", "1"]).unwrap();
    settled(system, &[(name.clone(), 2)], PATIENCE).await;
    system.stop_service(PRE_FETCH).await.unwrap();
    system.start_service(PRE_FETCH).unwrap();

    let items = system.items(&name).await.unwrap();
    let [older, newer] = &items[..] else { panic!("two work items, not {items:#?}") };
    assert_eq!((&older.status, &older.note), (&Status::Cancelled, &note::superseded(older.id, newer.id)), "{older:#?}");
    assert!(!older.retry && older.needs_admin_review && !older.is_claimed(), "{older:#?}");
    expect::ingested(newer, Road::Smooth);
    expect::recorded(system, &[&second]).await;
    for item in &items {
        expect::left_nothing(system, item.id).await;
    }
}

/// The same bytes came again while their object was there, before others that are through: nothing was done, and the tar stays.
pub(crate) async fn an_identical_tar_is_left_alone(system: &mut System, ingested: &Bag) {
    let name = ingested.tar_name();
    assert_eq!(system.items(&name).await.unwrap().len(), 1);
    assert!(system.bytes(&receiving_bucket(INSTITUTION), &name).await.unwrap() == ingested.parts.tar());
}
