//! At random: filters never bring an error that spec 05 does not name, and records come back as they were sent.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{Peer, new_item, start};

const LISTS: [&str; 9] =
    ["institutions", "objects", "files", "checksums", "storage_records", "events", "items", "deletions", "alerts"];
const COLUMNS: [&str; 14] = [
    "action",
    "created_at",
    "file_count",
    "generic_file_id",
    "identifier",
    "institution_id",
    "name",
    "node",
    "page",
    "per_page",
    "queued_at",
    "retry",
    "size",
    "sort",
];
const OPERATORS: [&str; 12] = [
    "",
    "__ne",
    "__gt",
    "__gteq",
    "__lt",
    "__lteq",
    "__starts_with",
    "__contains",
    "__in",
    "__is_null",
    "__not_null",
    "__x",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        any::<i64>().prop_map(|number| number.to_string()),
        select(vec!["true", "false", "2021-01-12", "2016-08-30T15:41:45-05:00", "id__desc", "A", "2", "-1", "0"])
            .prop_map(str::to_owned),
        select(vec!["' OR 1=1 --", "%", "_", "\\", "1;DROP TABLE users", "\u{0}", "NULL", "id__desc__x"])
            .prop_map(str::to_owned),
    ]
}

fn run<S: Strategy>(
    strategy: &S,
    test: impl Fn(&Peer, &tokio::runtime::Runtime, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = start();
    // The runner keeps no file of past failures: a case that failed becomes a test of its own.
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, |value| test(&peer, &runtime, value)).unwrap();
    assert_eq!(peer.registry.store().users().unwrap().len(), 9);
}

#[test]
fn random_filters_bring_no_other_errors() {
    let name = (select(COLUMNS.to_vec()), select(OPERATORS.to_vec()))
        .prop_map(|(column, operator)| format!("{column}{operator}"));
    let strategy = (select(LISTS.to_vec()), proptest::collection::vec((name, value()), 0..4));
    run(&strategy, |peer, runtime, (list, params)| {
        let query: Vec<String> =
            params.iter().map(|(name, value)| format!("{name}={}", super::escape(value))).collect();
        let reply = runtime.block_on(peer.client.get(&format!("{list}?{}", query.join("&"))));
        if reply.status == 200 {
            prop_assert!(reply.json()["count"].is_i64());
        } else {
            let error = reply.error(500);
            let known = ["Invalid query params: ", "ERROR #22P02 ", "ERROR #22007 ", "ERROR #42703 "];
            prop_assert!(known.iter().any(|known| error.starts_with(known)), "{}", error);
        }
        Ok(())
    });
}

#[test]
fn random_texts_stay_data() {
    let strategy = ("\\PC{1,40}", "(?s).{0,40}", any::<i64>());
    run(&strategy, |peer, runtime, (name, note, size)| {
        let mut item = new_item(&name);
        (item["note"], item["size"]) = (json!(note), json!(size));
        let reply = runtime.block_on(peer.client.post("items/create/4", &item));
        prop_assert_eq!(reply.status, 201, "{:?}", reply);
        let shown = runtime.block_on(peer.client.show(&format!("items/show/{}", reply.json()["id"])));
        let without_nul = |text: &str| Value::String(text.replace('\0', ""));
        prop_assert_eq!(&shown["name"], &without_nul(&name));
        prop_assert_eq!(&shown["note"], &without_nul(&note));
        prop_assert_eq!(&shown["size"], &json!(size));
        Ok(())
    });
}

#[test]
fn random_json_is_answered() {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        "\\PC{0,8}".prop_map(Value::String)
    ];
    let field = select(vec![
        "id",
        "institution_id",
        "name",
        "identifier",
        "size",
        "bag_date",
        "checksums",
        "generic_file_id",
        "Retry",
    ]);
    let json = leaf.prop_recursive(3, 20, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((field.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    });
    let paths = [
        "objects/create/4",
        "files/create/4",
        "files/create_batch/4",
        "events/create",
        "items/create/4",
        "checksums/create/4",
    ];
    run(&(select(paths.to_vec()), json), |peer, runtime, (path, body)| {
        let reply = runtime.block_on(peer.client.post(path, &body));
        prop_assert!([201, 400, 404, 405, 500].contains(&reply.status), "{:?}", reply);
        prop_assert!(reply.json().is_object());
        Ok(())
    });
}
