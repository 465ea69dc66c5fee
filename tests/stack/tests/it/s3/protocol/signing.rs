//! Who may do what: signatures in headers and in URLs.

use std::time::Duration;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::PresigningConfig;

use super::super::raw::{Request, exchange};
use super::super::target::{ACCESS, Target, client, failure, plain};

pub(super) async fn a_wrong_secret_is_refused(target: &Target) {
    let client = client(&target.endpoint, "wrong", RequestChecksumCalculation::WhenRequired);
    let put = client.put_object().bucket(&target.bucket).key("key").body(b"x".to_vec().into()).send().await;
    assert_eq!(failure(put), ("SignatureDoesNotMatch".into(), 403));
    assert!(target.keys().await.is_empty());
}

pub(super) async fn an_unknown_key_is_refused(target: &Target) {
    let host = target.endpoint.trim_start_matches("http://");
    let head = Request::new("GET", "/").sign(host).head.replace(&format!("Credential={ACCESS}"), "Credential=nobody");
    let refused = exchange(&target.endpoint, format!("{head}\r\n").as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (403, "InvalidAccessKeyId".into()));
}

pub(super) async fn an_unsigned_request_is_refused(target: &Target) {
    target.put("key", "x").await;
    let url = format!("{}/{}/key", target.endpoint, target.bucket);
    assert_eq!(plain().get(&url).send().await.unwrap().status(), 403);
    assert_eq!(plain().put(&url).body("y").send().await.unwrap().status(), 403);
    assert_eq!(plain().delete(&url).send().await.unwrap().status(), 403);
    assert_eq!(target.get("key").await, b"x");
}

pub(super) async fn a_changed_header_is_refused(target: &Target) {
    let host = target.endpoint.trim_start_matches("http://");
    let put = Request::new("PUT", format!("/{}/key", target.bucket)).header("x-amz-meta-bag", "one");
    let head = put.sign(host).head.replace("x-amz-meta-bag: one", "x-amz-meta-bag: two");
    let refused = exchange(&target.endpoint, format!("{head}content-length: 0\r\n\r\n").as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (403, "SignatureDoesNotMatch".into()));
}

fn minute() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_mins(1)).unwrap()
}

pub(super) async fn a_presigned_get_needs_no_key(target: &Target) {
    target.put("a key/ü", "hello").await;
    let get = target.client.get_object().bucket(&target.bucket).key("a key/ü").response_content_type("text/other");
    let url = get.presigned(minute()).await.unwrap();
    let got = plain().get(url.uri()).send().await.unwrap();
    assert_eq!(got.status(), 200);
    assert_eq!(got.headers()["content-type"], "text/other");
    assert_eq!(got.bytes().await.unwrap(), "hello");
}

pub(super) async fn a_presigned_put_needs_no_key(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("key").content_type("text/x-test");
    let url = put.presigned(minute()).await.unwrap();
    let sent = plain().put(url.uri()).header("content-type", "text/x-test").body("hello").send().await.unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(target.get("key").await, b"hello");
}

pub(super) async fn a_presigned_url_of_something_else_is_refused(target: &Target) {
    target.put("mine", "x").await;
    target.put("yours", "y").await;
    let get = target.client.get_object().bucket(&target.bucket).key("mine").presigned(minute()).await.unwrap();
    let other = get.uri().replace("/mine?", "/yours?");
    assert_eq!(plain().get(&other).send().await.unwrap().status(), 403);
    assert_eq!(plain().delete(get.uri()).send().await.unwrap().status(), 403);
    let long = get.uri().replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_eq!(plain().get(&long).send().await.unwrap().status(), 403);
    assert_eq!(target.get("mine").await, b"x");
}

pub(super) async fn an_old_request_is_refused(target: &Target) {
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(1);
    let minute = PresigningConfig::builder().start_time(long_ago).expires_in(Duration::from_mins(1)).build().unwrap();
    target.put("key", "x").await;
    let get = target.client.get_object().bucket(&target.bucket).key("key").presigned(minute).await.unwrap();
    let got = plain().get(get.uri()).send().await.unwrap();
    assert_eq!(got.status(), 403);
    assert!(got.text().await.unwrap().contains("<Code>AccessDenied</Code>"));
}

pub(super) async fn a_presigned_url_for_more_than_a_week_is_refused(target: &Target) {
    target.put("key", "x").await;
    let get = target.client.get_object().bucket(&target.bucket).key("key").presigned(minute()).await.unwrap();
    for (seconds, code) in [
        ("604801", "AuthorizationQueryParametersError"),
        ("-1", "AuthorizationQueryParametersError"),
        // As long as it may be, and not what was signed.
        ("604800", "SignatureDoesNotMatch"),
    ] {
        let url = get.uri().replace("X-Amz-Expires=60", &format!("X-Amz-Expires={seconds}"));
        let refused = plain().get(url).send().await.unwrap().text().await.unwrap();
        assert!(refused.contains(&format!("<Code>{code}</Code>")), "{seconds}: {refused}");
    }
    let week = PresigningConfig::expires_in(Duration::from_hours(7 * 24)).unwrap();
    let get = target.client.get_object().bucket(&target.bucket).key("key").presigned(week).await.unwrap();
    assert_eq!(plain().get(get.uri()).send().await.unwrap().status(), 200);
}

pub(super) async fn a_presigned_url_that_is_not_whole_is_refused(target: &Target) {
    let get = target.client.get_object().bucket(&target.bucket).key("key").presigned(minute()).await.unwrap();
    for (part, other) in [
        ("X-Amz-Date", "other"),
        ("X-Amz-Expires", "other"),
        ("X-Amz-Credential", "other"),
        ("X-Amz-Expires=60", "X-Amz-Expires=soon"),
    ] {
        let refused = plain().get(get.uri().replace(part, other)).send().await.unwrap().text().await.unwrap();
        assert!(refused.contains("<Code>AuthorizationQueryParametersError</Code>"), "{part}: {refused}");
    }
}

/// Whatever refuses a request: its code, some words, and the id to ask about it.
pub(super) async fn refusals_say_why(target: &Target) {
    let host = target.endpoint.trim_start_matches("http://");
    let bucket = format!("/{}", target.bucket);
    let wrong = Request::new("GET", &bucket).sign(host);
    let wrong = wrong.head.replace(&wrong.signature, &"0".repeat(64));
    let unsigned = format!("GET {bucket} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let mut answers = Vec::new();
    for head in [wrong, unsigned] {
        answers.push(exchange(&target.endpoint, format!("{head}\r\n").as_bytes()).await);
    }
    for request in [
        Request::new("GET", "/No_Name"),
        Request::new("GET", format!("{bucket}/{}", "k".repeat(1025))),
        Request::new("GET", format!("{bucket}/missing")),
        Request::new("POST", &bucket).query("delete=").body("<Delete><Object>"),
        Request::new("POST", format!("{bucket}/key")).query("uploadId=none").body("<"),
    ] {
        answers.push(request.send(&target.endpoint).await);
    }
    for answer in answers {
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status >= 400, "{body}");
        let message = body.split("<Message>").nth(1).and_then(|rest| rest.split("</Message>").next());
        assert!(message.is_some_and(|message| !message.is_empty()), "{body}");
        let id = answer.header("x-amz-request-id").unwrap();
        assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{id}: {body}");
    }
}
