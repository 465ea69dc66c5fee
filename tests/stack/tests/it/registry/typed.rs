//! The records past HTTP, as the pages and other tests use them.

use stack::registry::auth::{by_api_key, by_password};
use stack::registry::store::{Error, IntellectualObjectView, Query, WorkItem, WorkItemView};

use super::start;

#[test]
fn lists_are_asked_for_with_conditions_order_and_page() {
    let peer = start();
    let store = peer.registry.store();
    let waiting = Query::new()
        .any_of("stage", &["Receive", "Requested"])
        .filter("status", "Pending")
        .filter("node__is_null", "true")
        .descending("name")
        .page(2, 8);
    let page = store.list::<WorkItemView>(&waiting).unwrap();
    let names: Vec<&str> = page.results.iter().map(|item| item.name.as_str()).collect();
    assert_eq!((page.count, names[0], names.len()), (21, "fake_bag_13.tar", 8));
    let by_id = Query::new().filter("identifier__contains", "PHOTO").ascending("id");
    assert_eq!(store.list::<IntellectualObjectView>(&by_id).unwrap().results[0].identifier, "institution1.edu/photos");
    let unknown = store.list::<WorkItemView>(&Query::new().filter("no_such", "x"));
    assert!(matches!(unknown, Err(Error::Other(text)) if text == "ERROR #42703 column \"no_such\" does not exist"));
}

#[test]
fn items_are_counted_by_stage_and_status() {
    let peer = start();
    let counts = peer.registry.store().item_counts().unwrap();
    assert_eq!(counts.iter().map(|(_, _, count)| count).sum::<i64>(), 33);
    assert!(counts.contains(&("Receive".to_owned(), "Pending".to_owned(), 20)));
}

#[test]
fn a_record_is_found_by_id_or_not_at_all() {
    let peer = start();
    let store = peer.registry.store();
    assert_eq!(store.find::<WorkItem>(1).unwrap().unwrap().name, "fake_bag_01.tar");
    assert_eq!(store.find::<WorkItem>(-1).unwrap(), None);
    assert_eq!(store.deletion_request(1).unwrap().unwrap().generic_files.unwrap().len(), 3);
    assert!(store.deletion_items(1).unwrap().is_empty());
}

/// A password lets in only who is active; a key lets in whoever has it.
#[test]
fn people_sign_in_with_a_password_or_a_key() {
    let peer = start();
    let store = peer.registry.store();
    let email = |user: Option<stack::registry::store::User>| user.map(|user| user.email);
    assert_eq!(email(by_password(store, "admin@test.edu", "password").unwrap()).as_deref(), Some("admin@test.edu"));
    assert_eq!(email(by_password(store, "inactive@inst1.edu", "password").unwrap()), None);
    assert!(by_api_key(store, "inactive@inst1.edu", "password").unwrap().is_some());
    assert_eq!(email(by_password(store, "admin@test.edu", "").unwrap()), None);
}
