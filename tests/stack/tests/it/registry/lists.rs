//! Lists: pages, order, filters (spec 05 §5.1, §5.2, §5.4).

use serde_json::{Value, json};

use super::{column, results, start};

#[tokio::test]
async fn pages_are_linked_by_path_and_query() {
    let peer = start();
    let list = peer.client.show("files?state=A").await;
    assert_eq!((&list["count"], results(&list).len()), (&json!(59), 20));
    assert_eq!(list["next"], "/admin-api/v3/files?page=2&per_page=20&state=A");
    assert_eq!(list["previous"], "");
    let list = peer.client.show("files?page=3&per_page=20&state=A").await;
    assert_eq!(list["previous"], "/admin-api/v3/files?page=2&per_page=20&state=A");
    assert_eq!((&list["next"], results(&list).len()), (&json!(""), 19));
}

#[tokio::test]
async fn an_empty_list_is_null() {
    let peer = start();
    for path in ["files?state=X", "files?page=99&per_page=100&sort=identifier", "items?name=none"] {
        let list = peer.client.show(path).await;
        assert_eq!((&list["results"], &list["next"]), (&Value::Null, &json!("")), "{path}");
    }
    assert_eq!(peer.client.show("files?page=99&per_page=100").await["count"], 62);
    let file = peer.client.show("files/show/62").await;
    assert_eq!(
        (&file["checksums"], &file["storage_records"], &file["premis_events"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

/// Quirks of paging.
#[tokio::test]
async fn a_page_that_is_no_number_is_the_first_and_a_length_that_is_none_is_no_limit() {
    let peer = start();
    let rows = |list: &Value| results(list).len();
    for path in ["files?per_page=0", "files?per_page=-5", "files?per_page=x", "files?per_page=0&page=2"] {
        assert_eq!(rows(&peer.client.show(path).await), 62, "{path}");
    }
    for path in ["files?page=0", "files?page=-1", "files?page=x"] {
        let list = peer.client.show(path).await;
        assert_eq!((rows(&list), &list["previous"]), (20, &json!("")), "{path}");
    }
    // The offset is worked out before the length is lowered.
    let list = peer.client.show("files?per_page=5000&page=2").await;
    assert_eq!(
        (&list["results"], &list["previous"]),
        (&Value::Null, &json!("/admin-api/v3/files?page=1&per_page=1000"))
    );
}

#[tokio::test]
async fn an_unknown_parameter_is_an_error() {
    let peer = start();
    let reply = peer.client.get("files?intellectual_object_identifier=x&state=A").await;
    assert_eq!(reply.error(500), "Invalid query params: intellectual_object_identifier");
    for path in ["objects?name=x", "items?sort=no_such", "items?sort=id%3Bdrop", "deletions?stage=x"] {
        assert_eq!(peer.client.get(path).await.status, 500, "{path}");
    }
}

#[tokio::test]
async fn an_empty_filter_is_none_and_of_several_values_the_first_counts() {
    let peer = start();
    assert_eq!(peer.client.count("items?action=").await, 33);
    assert_eq!(peer.client.count("items?action=Delete&action=Ingest").await, 1);
    assert_eq!(peer.client.count("items?action__in=Delete&action__in=Restore+File").await, 2);
}

#[tokio::test]
async fn text_in_a_filter_for_numbers_is_an_error() {
    let peer = start();
    for path in
        ["files?institution_id=x", "files?size__gteq=1.5", "files?institution_id=99999999999", "items?retry=maybe"]
    {
        assert!(peer.client.get(path).await.error(500).starts_with("ERROR #22P02"), "{path}");
    }
    let error = peer.client.get("items?bag_date__gteq=soon").await.error(500);
    assert_eq!(error, "ERROR #22007 invalid input syntax for type timestamp: \"soon\"");
    assert_eq!(peer.client.count("items?retry=true").await, 20);
    assert_eq!(peer.client.count("items?retry=f").await, 13);
    assert_eq!(peer.client.count("files?size__gteq=99999999999").await, 0);
}

/// A quirk: the offset of a time is dropped, not applied.
#[tokio::test]
async fn the_offset_in_a_filter_is_dropped() {
    let peer = start();
    for time in ["2016-08-30T15:41:45Z", "2016-08-30T15:41:45-05:00", "2016-08-30T15%3A41%3A45%2B05:00"] {
        assert_eq!(
            peer.client.count(&format!("items?date_processed__lteq=2020-01-01&bag_date__lteq={time}")).await,
            33
        );
    }
    assert_eq!(peer.client.count("events?date_time__gteq=2016-09-30T18:53:32-23:00").await, 1);
    assert_eq!(peer.client.count("events?date_time__gteq=2016-09-30T18:53:33%2B23:00").await, 0);
}

#[tokio::test]
async fn patterns_match_in_either_case_and_their_wildcards_work() {
    let peer = start();
    assert_eq!(peer.client.count("institutions?name__contains=iNSTITUTION").await, 4);
    assert_eq!(peer.client.count("objects?identifier__starts_with=INSTITUTION1").await, 6);
    assert_eq!(peer.client.count("objects?identifier__starts_with=institution_.edu").await, 12);
    assert_eq!(peer.client.count("objects?identifier__starts_with=%25photos").await, 1);
}

#[tokio::test]
async fn null_and_not_null_take_true_and_false_and_nothing_else() {
    let peer = start();
    for (filter, count) in [("true", 31), ("false", 2), ("maybe", 33)] {
        assert_eq!(peer.client.count(&format!("items?generic_file_id__is_null={filter}")).await, count);
    }
    assert_eq!(peer.client.count("items?node__is_null=true").await, 33);
    assert_eq!(peer.client.count("items?node__not_null=true").await, 0);
}

#[tokio::test]
async fn sorting_takes_several_columns_and_either_direction() {
    let peer = start();
    let list = peer.client.show("files?sort=intellectual_object_id__desc&sort=identifier&per_page=100").await;
    let keys: Vec<(i64, String)> = results(&list)
        .iter()
        .map(|row| (-row["intellectual_object_id"].as_i64().unwrap(), row["identifier"].as_str().unwrap().to_owned()))
        .collect();
    assert!(keys.is_sorted());
    let default = column(&peer.client.show("items?per_page=100").await, "updated_at");
    assert!(default.is_sorted_by(|one, other| one.as_str() >= other.as_str()));
    // As in PostgreSQL, what is not set comes last, and first when falling.
    let ids = |list: &Value| column(list, "generic_file_id");
    assert_eq!(ids(&peer.client.show("items?sort=generic_file_id&per_page=1").await), [33]);
    assert_eq!(ids(&peer.client.show("items?sort=generic_file_id__desc&per_page=1").await), [0]);
}

/// A must: the workers ask for `objects/` and follow, before anybody asks who they are.
#[tokio::test]
async fn a_trailing_slash_is_sent_to_the_list() {
    let peer = start();
    let nobody = peer.client.as_user("");
    let reply = nobody.get("objects/?state=D&page=1").await;
    let location = Some("/admin-api/v3/objects?state=D&page=1".to_owned());
    assert_eq!((reply.status, reply.location), (301, location));
    assert_eq!(peer.client.get("objects/nothing/").await.status, 404);
    assert_eq!(peer.client.count("objects?state=D&page=1").await, 1);
}

/// A quirk: the name of the column is that of the database's own user.
#[tokio::test]
async fn nothing_is_found_by_its_user() {
    let peer = start();
    assert_eq!(peer.client.count("items?user=system%40aptrust.org").await, 0);
}

/// What the workers ask (spec 05 §12), word for word.
#[tokio::test]
async fn the_workers_queries_are_understood() {
    let peer = start();
    for (path, count) in [
        (
            "items?action=Ingest&etag=25a4546c865e4073aa17b31b0708f75d&institution_id=3&name=toads.tar&page=1&per_page=10&sort=date_processed__desc",
            1,
        ),
        (
            "objects?etag=etagforinst2toads&institution_id=3&page=1&per_page=1&updated_at__gteq=2021-01-01T00%3A00%3A00Z",
            1,
        ),
        (
            "events?date_time__gteq=2016-08-01T00%3A00%3A00Z&event_type=ingestion&generic_file_id__is_null=true&intellectual_object_id=6&outcome=Success",
            12,
        ),
        (
            "files?last_fixity_check__gteq=2020-08-01T00%3A00%3A00Z&last_fixity_check__lteq=2020-09-01T00%3A00%3A00Z&per_page=500&sort=last_fixity_check&state=A&storage_option__in=Standard&storage_option__in=Wasabi-VA&storage_option__in=Wasabi-OR&storage_option__in=Wasabi-TX",
            4,
        ),
        ("storage_records?generic_file_id=21", 2),
        (
            "items?action__in=Delete&action__in=Glacier+Restore&action__in=Restore+File&action__in=Restore+Object&node__is_null=true&page=1&per_page=100&queued_at__is_null=true&retry=true&status=Pending",
            0,
        ),
    ] {
        assert_eq!(peer.client.count(path).await, count, "{path}");
    }
}
