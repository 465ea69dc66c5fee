//! What tests of clients make the Registry do wrong.

use std::time::Duration;

use reqwest::Method;
use stack::registry::Fault;

use super::{new_item, start};

#[tokio::test]
async fn faults_hit_what_they_name_and_then_are_over() {
    let peer = start();
    let faults = peer.registry.faults();
    faults.add("/admin-api/v3/items", Fault::Status(503), 2);
    faults.add_for("PUT", "/admin-api/v3/files", Fault::Status(429), 1);
    assert_eq!(peer.client.get("objects").await.status, 200);
    assert_eq!(peer.client.get("files/show/1").await.status, 200);
    let statuses = [peer.client.get("items").await.status, peer.client.get("items/show/1").await.status];
    assert_eq!((statuses, peer.client.get("items").await.status), ([503, 503], 200));
    faults.clear();
    faults.add("/", Fault::Delay(Duration::from_millis(1)), 1);
    assert_eq!(peer.client.get("items").await.status, 200);
}

#[tokio::test]
async fn a_cut_before_does_nothing_and_a_cut_after_does_it_all() {
    let peer = start();
    let create = async |name: &str| {
        let body = new_item(name).to_string();
        peer.client.try_send(Method::POST, "/admin-api/v3/items/create/4", body, "application/json").await
    };
    for (fault, name, count) in [(Fault::CutBefore, "before.tar", 0), (Fault::CutAfter, "after.tar", 1)] {
        peer.registry.faults().add("/admin-api/v3/items/create", fault, 1);
        assert!(create(name).await.is_err());
        assert_eq!(peer.client.count(&format!("items?name={name}")).await, count);
    }
}
