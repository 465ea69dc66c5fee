//! PREMIS events (spec 05 §6.6) and the alerts about fixity checks that failed (§9).

use serde_json::{Value, json};

use super::{column, new_event, start};

/// A quirk and a must: the fixity checker sends `Failed`, which is no word of the vocabulary.
#[tokio::test]
async fn an_event_is_stored_without_validation() {
    let peer = start();
    let created =
        peer.client.post("events/create", &json!({ "identifier": "not a uuid", "outcome": "Failed" })).await.with(201);
    let shown = peer.client.show("events/show/not%20a%20uuid").await;
    assert_eq!(
        (&shown["id"], &shown["outcome"], &shown["date_time"]),
        (&created["id"], &json!("Failed"), &json!("0001-01-01T00:00:00Z"))
    );
}

#[tokio::test]
async fn a_view_shows_the_identifiers() {
    let peer = start();
    let event = peer.client.show("events/show/1").await;
    assert_eq!(event["institution_name"], "Institution Two");
    assert_eq!(event["intellectual_object_identifier"], "institution2.edu/coal");
    assert_eq!(event["generic_file_identifier"], "institution2.edu/coal/doc1");
}

#[tokio::test]
async fn an_event_with_an_id_is_405_and_a_duplicate_is_500() {
    let peer = start();
    let mut event = new_event("ingestion");
    peer.client.post("events/create", &event).await.with(201);
    let text = "ERROR #23505 duplicate key value violates unique constraint \"index_premis_events_on_identifier\"";
    assert_eq!(peer.client.post("events/create", &event).await.error(500), text);
    event["id"] = json!(1);
    assert_eq!(peer.client.post("events/create", &event).await.error(405), "operation not supported");
}

/// A must: whatever the outcome.
#[tokio::test]
async fn a_fixity_check_sets_the_time_of_the_file() {
    let peer = start();
    for (outcome, time) in [("Success", "2024-01-02T03:04:05Z"), ("Failed", "2024-02-02T03:04:05Z")] {
        let mut event = new_event("fixity check");
        (event["outcome"], event["date_time"], event["generic_file_id"]) = (json!(outcome), json!(time), json!(1));
        let before = peer.client.show("files/show/1").await;
        peer.client.post("events/create", &event).await.with(201);
        let file = peer.client.show("files/show/1").await;
        assert_eq!(file["last_fixity_check"], time);
        assert_ne!(file["updated_at"], before["updated_at"]);
        assert_eq!(file["size"], before["size"]);
    }
}

/// A quirk: two statements, of which the first stays.
#[tokio::test]
async fn a_fixity_check_of_no_file_is_404_and_stays() {
    let peer = start();
    let mut event = new_event("fixity check");
    event["generic_file_id"] = json!(999);
    assert_eq!(peer.client.post("events/create", &event).await.error(404), "pg: no rows in result set");
    peer.client.show(&format!("events/show/{}", event["identifier"].as_str().unwrap())).await;
}

#[tokio::test]
async fn failed_checks_are_told_once() {
    let peer = start();
    let path = "alerts/generate_failed_fixity_alerts";
    let none = peer.client.post(path, &Value::Null).await.with(200);
    assert_eq!(none, json!({ "count": 0, "next": "", "previous": "", "results": null }));
    for institution in [2, 2, 3] {
        let mut event = new_event("fixity check");
        let soon = stack::registry::Time::new(time::OffsetDateTime::now_utc() + time::Duration::MILLISECOND);
        (event["outcome"], event["institution_id"], event["generic_file_id"]) =
            (json!("Failed"), json!(institution), json!(1));
        event["date_time"] = serde_json::to_value(soon).unwrap();
        peer.client.post("events/create", &event).await.with(201);
    }
    let told = peer.client.post(path, &Value::Null).await.with(201);
    assert_eq!((&told["count"], column(&told, "failures")), (&json!(3), vec![json!(2), json!(1)]));
    assert_eq!(column(&told, "institution_name"), ["Institution One", "Institution Two"]);
    // Of the two institutions' administrators; aptrust.org has none but the system's own account.
    assert_eq!(peer.client.count("alerts?type=Failed+Fixity+Check&created_at__gteq=2022-01-01").await, 2);
}
