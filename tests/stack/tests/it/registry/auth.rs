//! Who is let in, and what the others are told (spec 05 §2).

use reqwest::Method;
use serde_json::json;

use super::{Client, start};

#[tokio::test]
async fn missing_or_wrong_credentials_are_401() {
    let peer = start();
    let url = peer.registry.url();
    for (user, key) in [
        ("", ""),
        ("system@aptrust.org", ""),
        ("system@aptrust.org", "wrong"),
        ("nobody@aptrust.org", "password"),
        ("sms_user@example.com", "password"),
        ("' OR 1=1 --", "password"),
    ] {
        let client = Client::new(&url, user, key);
        for path in ["items", "no/such/route"] {
            let reply = client.get(path).await;
            let expected = json!({ "Error": "API credentials are missing or invalid.", "StatusCode": 401 });
            assert_eq!(reply.with(401), expected, "{user} {key}");
        }
    }
}

#[tokio::test]
async fn who_is_no_administrator_must_use_the_member_api() {
    let peer = start();
    let reply = peer.client.as_user("admin@inst1.edu").get("files/show/1").await;
    let text = "Permission denied for /admin-api/v3/files/show/*id (institution 0). non-admins must use the member api";
    assert_eq!(reply.with(403), json!({ "error": text }));
}

#[tokio::test]
async fn a_record_that_is_not_there_is_told_before_the_body_is_read() {
    let peer = start();
    let expected = |path: &str| json!({ "error": format!("Not found: {path}") });
    let reply = peer.client.get("objects/show/test.edu%2Fno%20such").await;
    assert_eq!(reply.with(404), expected("/admin-api/v3/objects/show/test.edu/no such"));
    for path in ["objects/update/999", "files/update/999", "items/update/999"] {
        let reply = peer.client.send(Method::PUT, &super::admin(path), "no json", "application/json").await;
        assert_eq!(reply.with(404), expected(&super::admin(path)));
    }
    for path in ["objects/show/0", "objects/show/", "files/show/0", "items/show/999", "institutions/show/x.edu"] {
        assert_eq!(peer.client.get(path).await.with(404), expected(&super::admin(path)));
    }
    // The exception: of an institution's id only the handler finds out, and so it is for a recipient of an alert.
    for path in ["institutions/show/99", "alerts/show/1/99"] {
        assert_eq!(peer.client.get(path).await.error(404), "pg: no rows in result set");
    }
    peer.client.get("alerts/show/99/1").await.with(404);
    for path in ["objects/delete/999", "files/delete/999"] {
        assert_eq!(peer.client.delete(path).await.with(404), expected(&super::admin(path)));
    }
}

#[tokio::test]
async fn an_unknown_route_is_404() {
    let peer = start();
    for (method, path) in [
        (Method::GET, "/admin-api/v3/nothing"),
        (Method::GET, "/"),
        (Method::POST, "/admin-api/v3/items"),
        (Method::GET, "/admin-api/v3/items/show/abc"),
        (Method::POST, "/admin-api/v3/items/create/abc"),
    ] {
        let reply = peer.client.send(method, path, "{}", "application/json").await;
        assert_eq!(reply.with(404), json!({ "error": format!("Missing authorization check for {path}") }));
    }
}

/// A quirk: `deactivated_at` is not asked, only the role counts.
#[tokio::test]
async fn a_deactivated_user_keeps_the_key() {
    let peer = start();
    peer.client.as_user("inactive@inst1.edu").get("items").await.with(403);
}

#[tokio::test]
async fn a_member_sees_the_own_institution_only() {
    let peer = start();
    let member = peer.client.as_user("user@inst1.edu");
    let objects = member.show("/member-api/v3/objects").await;
    assert_eq!(objects["count"], 6);
    assert!(super::column(&objects, "institution_id").iter().all(|id| *id == 2));
    let other = json!({ "error": "Permission denied for /member-api/v3/objects/show/*id (institution 3)." });
    assert_eq!(member.get("/member-api/v3/objects/show/institution2.edu%2Fcoal").await.with(403), other);
    member.get("/member-api/v3/files?institution_id=3").await.with(403);
    member.get("/member-api/v3/storage_records").await.with(404);
    member.send(Method::DELETE, "/member-api/v3/files/delete/1", "", "").await.with(404);
    assert_eq!(member.show("/member-api/v3/alerts").await["count"], 2);
    let file =
        &super::results(&member.show("/member-api/v3/files?identifier=institution1.edu%2Fphotos%2Fpicture1").await)[0];
    assert_eq!(
        (&file["md5"], &file["sha256"], &file["access"]),
        (&json!("12345678"), &json!("9876543210"), &json!("institution"))
    );
    assert_eq!(file.get("checksums"), None);
}
