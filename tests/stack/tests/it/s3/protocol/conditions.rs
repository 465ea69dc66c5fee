//! Conditional requests.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use super::super::target::{Target, failure};

pub(super) async fn reads_by_etag(target: &Target) {
    let etag = target.put("key", "hello").await;
    let get = || target.client.get_object().bucket(&target.bucket).key("key");
    let head = || target.client.head_object().bucket(&target.bucket).key("key");
    get().if_match(&etag).send().await.unwrap();
    get().if_none_match("\"other\"").send().await.unwrap();
    assert_eq!(failure(get().if_match("\"other\"").send().await), ("PreconditionFailed".into(), 412));
    assert_eq!(failure(get().if_none_match(&etag).send().await).1, 304);
    assert_eq!(failure(head().if_match("\"other\"").send().await).1, 412);
    assert_eq!(failure(head().if_none_match(&etag).send().await).1, 304);
}

pub(super) async fn reads_by_time(target: &Target) {
    let etag = target.put("key", "hello").await;
    let long_ago = DateTime::from_str("2001-01-01T00:00:00Z", DateTimeFormat::DateTime).unwrap();
    let far_ahead = DateTime::from_str("2101-01-01T00:00:00Z", DateTimeFormat::DateTime).unwrap();
    let get = || target.client.get_object().bucket(&target.bucket).key("key");
    get().if_modified_since(long_ago).send().await.unwrap();
    get().if_unmodified_since(far_ahead).send().await.unwrap();
    assert_eq!(failure(get().if_unmodified_since(long_ago).send().await).1, 412);
    // The ETag decides where both are given.
    get().if_match(&etag).if_unmodified_since(long_ago).send().await.unwrap();
}

pub(super) async fn a_put_that_must_not_replace(target: &Target) {
    let put = |body: &str| {
        let put = target.client.put_object().bucket(&target.bucket).key("key").if_none_match("*");
        put.body(body.as_bytes().to_vec().into()).send()
    };
    put("first").await.unwrap();
    assert_eq!(failure(put("second").await), ("PreconditionFailed".into(), 412));
    assert_eq!(target.get("key").await, b"first");
}

pub(super) async fn a_put_that_must_replace(target: &Target) {
    let etag = target.put("key", "first").await;
    let put = |key: &str, etag: &str| {
        let put = target.client.put_object().bucket(&target.bucket).key(key).if_match(etag);
        put.body(b"second".to_vec().into()).send()
    };
    assert_eq!(failure(put("key", "\"other\"").await), ("PreconditionFailed".into(), 412));
    assert_eq!(target.get("key").await, b"first");
    put("key", &etag).await.unwrap();
    assert_eq!(target.get("key").await, b"second");
    assert_eq!(failure(put("missing", &etag).await).1, 404);
}

pub(super) async fn copies_by_the_state_of_the_source(target: &Target) {
    let etag = target.put("key", "hello").await;
    let source = format!("{}/key", target.bucket);
    let copy = || target.client.copy_object().bucket(&target.bucket).key("copy").copy_source(&source);
    assert_eq!(failure(copy().copy_source_if_match("\"other\"").send().await), ("PreconditionFailed".into(), 412));
    assert_eq!(failure(copy().copy_source_if_none_match(&etag).send().await), ("PreconditionFailed".into(), 412));
    assert_eq!(target.keys().await, ["key"]);
    copy().copy_source_if_match(&etag).send().await.unwrap();
    assert_eq!(target.get("copy").await, b"hello");
}
