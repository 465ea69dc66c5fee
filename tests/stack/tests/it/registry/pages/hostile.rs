//! What must not happen: another site's forms obeyed, a page read under a foreign name, markup or SQL from a record
//! taken for anything but text, requests without bounds.

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use stack::registry::store::WorkItem;
use stack::registry::{Fixtures, Options};

use super::super::{Peer, new_event, new_file, new_item, new_object, start, start_with};
use super::{Browser, between, form};

/// Each would show in a page if it got out of a text or out of an attribute.
const NASTY: [&str; 4] = [
    "<script>alert('nasty')</script>",
    "\" onmouseover=\"nasty()\" x=\"",
    "' nasty; --</td></table></form></title></option>",
    "{{ 7 * 7 }}&lt;nasty&gt;<!-- nasty \u{202e}\u{0}\u{1F41B}",
];

#[tokio::test]
async fn another_site_changes_nothing() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    let page = browser.page("/").await;
    let token = between(&page, "name=\"csrf\" value=\"", "\"").to_owned();
    let with = |token: &str| browser.request(Method::POST, "/work_items/1/cancel").body(form(&[("csrf", token)]));
    let own = peer.registry.url();
    for (what, request) in [
        ("no token", browser.request(Method::POST, "/work_items/1/cancel")),
        ("a wrong token", with("0123456789abcdef0123456789abcdef")),
        ("another origin", with(&token).header("Origin", "http://evil.example")),
        ("another port", with(&token).header("Origin", "http://127.0.0.1:1")),
        ("no origin to be told", with(&token).header("Origin", "null")),
        ("another site", with(&token).header("Sec-Fetch-Site", "cross-site")),
        ("another host of the site", with(&token).header("Origin", &own).header("Sec-Fetch-Site", "same-site")),
        ("the token in the address", browser.request(Method::POST, &format!("/work_items/1/cancel?csrf={token}"))),
        ("another site's user", browser.request(Method::POST, "/act_as").body(form(&[("user", "8")]))),
    ] {
        let shown = browser.send(request).await;
        assert_eq!(shown.status, 403, "{what}");
        assert!(shown.text.contains("did not come from these pages"), "{what}");
    }
    let item: WorkItem = peer.registry.store().find(1).unwrap().unwrap();
    assert_eq!(item.status, "Pending");
    let shown = browser.send(with(&token).header("Origin", &own).header("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!(shown.status, 303);
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_reads_nothing() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
        let shown = browser.send(browser.request(Method::GET, "/objects").header("Host", host)).await;
        assert_eq!(shown.status, 403, "{host}");
        assert!(!shown.text.contains("toads") && shown.text.contains("names of this machine"), "{host}");
    }
    let shown = browser.send(browser.request(Method::GET, "/objects").header("Host", "localhost:1")).await;
    assert_eq!(shown.status, 200);
}

/// Records with the text in every field that takes any, and the pages that show them.
async fn record(peer: &Peer, database: &Path, nth: usize, nasty: &str) -> Vec<String> {
    let mut object = new_object(&format!("{nth}{nasty}"));
    for field in [
        "title",
        "description",
        "alt_identifier",
        "bag_name",
        "etag",
        "bag_group_identifier",
        "source_organization",
        "bagit_profile_identifier",
        "internal_sender_identifier",
        "internal_sender_description",
    ] {
        object[field] = json!(nasty);
    }
    let object = peer.client.post("objects/create/4", &object).await.with(201);
    let mut file = new_file(&object, nasty);
    file["file_format"] = json!(nasty);
    file["checksums"] = json!([{ "algorithm": "md5", "digest": nasty, "datetime": "2024-05-06T07:08:09Z" }]);
    file["storage_records"] = json!([{ "url": "https://example.com/" }]);
    let file = peer.client.post("files/create/4", &file).await.with(201);
    let mut event = new_event(nasty);
    for field in ["agent", "detail", "object", "outcome", "outcome_detail", "outcome_information", "old_uuid"] {
        event[field] = json!(nasty);
    }
    event["identifier"] = json!(format!("{nth}{nasty}"));
    (event["intellectual_object_id"], event["generic_file_id"]) = (object["id"].clone(), file["id"].clone());
    let event = peer.client.post("events/create", &event).await.with(201);
    let mut item = new_item(nasty);
    for field in ["note", "outcome", "bucket", "node", "aptrust_approver", "inst_approver"] {
        item[field] = json!(nasty);
    }
    (item["intellectual_object_id"], item["generic_file_id"]) = (object["id"].clone(), file["id"].clone());
    item["deletion_request_id"] = json!(1);
    let item = peer.client.post("items/create/4", &item).await.with(201);
    // What no client can write, and what would be refused, in the database itself.
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    for sql in [
        "UPDATE storage_records SET url = 'javascript:' || ?1 WHERE generic_file_id = ?2",
        "UPDATE institutions SET name = ?1 || id, identifier = ?1 || id, receiving_bucket = ?1 || id, \
         restore_bucket = ?1 || id, state = ?1 WHERE ?2 > 0",
        "UPDATE users SET name = ?1, email = ?1 || id WHERE id <> 1 AND ?2 > 0",
        "UPDATE alerts SET content = 'token=' || ?1, deletion_request_id = 1 WHERE ?2 > 0",
        "UPDATE work_items SET user = ?1, name = ?1, etag = ?1, action = ?1, stage = ?1, status = ?1 \
         WHERE generic_file_id = ?2",
    ] {
        database.execute(sql, rusqlite::params![nasty, file["id"].as_i64()]).unwrap();
    }
    vec![
        format!("/objects/{}", object["id"]),
        format!("/files/{}", file["id"]),
        format!("/events/{}", event["id"]),
        format!("/work_items/{}", item["id"]),
    ]
}

#[tokio::test]
async fn markup_and_sql_in_every_field_of_every_page_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.db");
    let peer = start_with(Options { database: Some(file.clone()), fixtures: Fixtures::Upstream, ..Options::default() });
    let browser = Browser::new(&peer, 2);
    for (nth, nasty) in NASTY.into_iter().enumerate() {
        let mut paths = record(&peer, &file, nth, nasty).await;
        paths.extend(super::PAGES.map(str::to_owned));
        let escaped = super::super::escape(nasty);
        for path in [
            "/work_items?name=",
            "/work_items?stage=",
            "/work_items?institution_id=",
            "/objects?title=",
            "/objects?state=",
            "/files?identifier=",
            "/events?event_type=",
            "/deletions?state=",
            "/institutions?name=",
            "/deletions/review/1?token=",
            "/work_items/1?done=",
            "/work_items?page=",
            "/nothing?",
        ] {
            paths.push(format!("{path}{escaped}"));
        }
        for path in paths {
            let page = browser.get(&path).await.text;
            assert!(page.contains("</html>"), "{path}: {page}");
            for raw in ["<script>", "\" onmouseover", "' nasty", "</td></table></form>", "<nasty", "<!-- nasty"] {
                assert!(!page.contains(raw), "{path}: `{raw}` in {page}");
            }
            assert!(!page.contains("href=\"javascript:"), "{path}");
        }
        let shown = browser.post("/work_items/28/requeue", &[("stage", nasty)]).await;
        assert!(!shown.text.contains("<script>") && !shown.text.contains("\" onmouse"), "{}", shown.text);
    }
    // And they are all shown, as what they are.
    let page = browser.page("/work_items?institution_id=4").await;
    assert!(page.contains("&#60;script&#62;alert(&#39;nasty&#39;)&#60;/script&#62;"), "{page}");
    assert!(page.contains("{{ 7 * 7 }}&#38;lt;nasty&#38;gt;"), "{page}");
}

#[tokio::test]
async fn forms_and_texts_have_bounds() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    let request = browser.request(Method::POST, "/act_as").body("x".repeat((64 << 10) + 1));
    // The connection may be closed before all of it was sent.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    let mut item = new_item("long.tar");
    item["note"] = json!("é".repeat(1_000_000));
    let item = peer.client.post("items/create/4", &item).await.with(201);
    assert!(browser.page("/work_items").await.len() < 200_000);
    assert!(browser.page(&format!("/work_items/{}", item["id"])).await.len() < 100_000);
    for path in ["/objects/a%zz", "/work_items?name=%zz&status=%", "/%ff", "/?%00"] {
        let status = browser.get(path).await.status.as_u16();
        assert!([200, 400, 404].contains(&status), "{path}: {status}");
    }
}
