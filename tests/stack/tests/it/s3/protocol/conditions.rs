//! Conditional requests.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

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

pub(super) async fn copies_by_the_state_of_the_destination(target: &Target) {
    target.put("from", "hello").await;
    let etag = target.put("to", "first").await;
    let copy = |to: &str| {
        let copy = target.client.copy_object().bucket(&target.bucket).key(to);
        copy.copy_source(format!("{}/from", target.bucket))
    };
    assert_eq!(failure(copy("to").if_none_match("*").send().await), ("PreconditionFailed".into(), 412));
    assert_eq!(failure(copy("to").if_match("\"other\"").send().await), ("PreconditionFailed".into(), 412));
    assert_eq!(target.get("to").await, b"first");
    copy("to").if_match(etag).send().await.unwrap();
    copy("new").if_none_match("*").send().await.unwrap();
    assert_eq!((target.get("to").await, target.get("new").await), (b"hello".to_vec(), b"hello".to_vec()));
}

/// When it was stored, as a list and a HEAD tell it, and a time that it was not stored at.
async fn times(target: &Target, key: &str) -> (DateTime, DateTime) {
    let head = target.client.head_object().bucket(&target.bucket).key(key).send().await.unwrap();
    let stored = *head.last_modified().unwrap();
    (stored, DateTime::from_secs(stored.secs() - 1))
}

pub(super) async fn deletes_by_what_is_there(target: &Target) {
    let etag = target.put("key", "hello").await;
    let (stored, other) = times(target, "key").await;
    let delete = || target.client.delete_object().bucket(&target.bucket).key("key");
    for wrong in [
        delete().if_match("\"other\""),
        delete().if_match_size(4),
        delete().if_match_last_modified_time(other),
        delete().if_match(&etag).if_match_size(5).if_match_last_modified_time(other),
    ] {
        assert_eq!(failure(wrong.send().await), ("PreconditionFailed".into(), 412));
    }
    assert_eq!(target.keys().await, ["key"]);
    delete().if_match(etag).if_match_size(5).if_match_last_modified_time(stored).send().await.unwrap();
    assert!(target.keys().await.is_empty());
}

pub(super) async fn many_deletes_by_what_is_there(target: &Target) {
    let etag = target.put("right", "hello").await;
    for key in ["by etag", "by size", "by time"] {
        target.put(key, "hello").await;
    }
    let (stored, other) = times(target, "right").await;
    let object = |key: &str| ObjectIdentifier::builder().key(key);
    let objects = [
        object("right").e_tag(etag).size(5).last_modified_time(stored),
        object("by etag").e_tag("\"other\""),
        object("by size").size(4),
        object("by time").last_modified_time(other),
    ];
    let objects = objects.into_iter().map(|object| object.build().unwrap()).collect();
    let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
    let told = target.client.delete_objects().bucket(&target.bucket).delete(delete).send().await.unwrap();
    assert_eq!(told.deleted().iter().filter_map(|it| it.key()).collect::<Vec<_>>(), ["right"]);
    for error in told.errors() {
        assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}");
        assert!(error.message().is_some_and(|it| !it.is_empty()), "{error:?}");
    }
    assert_eq!(target.keys().await, ["by etag", "by size", "by time"]);
}

pub(super) async fn an_upload_is_aborted_by_its_time(target: &Target) {
    let start = target.client.create_multipart_upload().bucket(&target.bucket).key("key").send().await.unwrap();
    let listed = || async {
        let listed = target.client.list_multipart_uploads().bucket(&target.bucket).send().await.unwrap();
        listed.uploads().iter().map(|upload| *upload.initiated().unwrap()).collect::<Vec<_>>()
    };
    let [started] = listed().await[..] else { panic!("it must be listed") };
    let abort = |time| {
        let abort = target.client.abort_multipart_upload().bucket(&target.bucket).key("key");
        abort.upload_id(start.upload_id().unwrap()).if_match_initiated_time(time).send()
    };
    let wrong = abort(DateTime::from_secs(started.secs() - 1)).await;
    assert_eq!(failure(wrong), ("PreconditionFailed".into(), 412));
    assert_eq!(listed().await.len(), 1);
    abort(started).await.unwrap();
    assert!(listed().await.is_empty());
}
