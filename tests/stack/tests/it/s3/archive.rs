//! Archived objects, by a clock that the test moves.

use std::time::Duration;

use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, StorageClass, Tier};
use stack::s3::Options;

use super::raw::{Answer, Request};
use super::target::{Target, failure, plain};

/// What the system in use sends, to the byte.
const RESTORE: &str = "<RestoreRequest><Days>10</Days><GlacierJobParameters><Tier>Standard</Tier></GlacierJobParameters></RestoreRequest>";

async fn glacier() -> Target {
    let archived = [("glacier-va".to_owned(), stack::s3::StorageClass::Glacier)].into();
    let buckets = vec!["glacier-va".to_owned()];
    let mut target = Target::start(Options { archived, buckets, ..Options::default() }).await;
    "glacier-va".clone_into(&mut target.bucket);
    target
}

async fn restore(target: &Target) -> Answer {
    let request = Request::new("POST", format!("/{}/key", target.bucket)).query("restore=").body(RESTORE);
    request.send(&target.endpoint).await
}

/// `x-amz-restore`.
async fn state(target: &Target) -> Option<String> {
    let head = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
    assert_eq!(head.storage_class(), Some(&StorageClass::Glacier));
    head.restore
}

#[tokio::test]
async fn an_archived_object_is_restored_and_expires() {
    let target = glacier().await;
    target.put("key", "hello").await;
    let get = || target.client.get_object().bucket(&target.bucket).key("key").send();
    assert_eq!(failure(get().await), ("InvalidObjectState".into(), 403));
    assert_eq!(state(&target).await, None);

    assert_eq!(restore(&target).await.status, 202);
    let again = restore(&target).await;
    assert_eq!((again.status, again.code()), (409, "RestoreAlreadyInProgress".into()));
    assert_eq!(state(&target).await.unwrap(), "ongoing-request=\"true\"");
    assert_eq!(failure(get().await), ("InvalidObjectState".into(), 403));

    target.server().clock().advance(Duration::from_hours(5));
    let shown = state(&target).await.unwrap();
    assert!(shown.starts_with("ongoing-request=\"false\", expiry-date=\""), "{shown}");
    assert!(shown.ends_with(" 00:00:00 GMT\""), "{shown}");
    assert_eq!(target.get("key").await, b"hello");
    assert_eq!(restore(&target).await.status, 200);

    target.server().clock().advance(Duration::from_hours(9 * 24));
    assert_eq!(target.get("key").await, b"hello", "ten days are not over");
    target.server().clock().advance(Duration::from_hours(3 * 24));
    assert_eq!(state(&target).await, None);
    assert_eq!(failure(get().await), ("InvalidObjectState".into(), 403));
    assert_eq!(restore(&target).await.status, 202);
}

#[tokio::test]
async fn a_faster_tier_overtakes() {
    let target = glacier().await;
    target.put("key", "hello").await;
    let ask = |tier| {
        let job = GlacierJobParameters::builder().tier(tier).build().unwrap();
        let request = RestoreRequest::builder().days(1).glacier_job_parameters(job).build();
        target.client.restore_object().bucket(&target.bucket).key("key").restore_request(request).send()
    };
    ask(Tier::Bulk).await.unwrap();
    target.server().clock().advance(Duration::from_hours(5));
    assert_eq!(state(&target).await.unwrap(), "ongoing-request=\"true\"");
    ask(Tier::Expedited).await.unwrap();
    target.server().clock().advance(Duration::from_mins(5));
    assert_eq!(target.get("key").await, b"hello");
}

#[tokio::test]
async fn only_what_is_archived_is_restored() {
    let target = Target::ours().await;
    let missing = restore(&target).await;
    assert_eq!((missing.status, missing.code()), (404, "NoSuchKey".into()));
    target.put("key", "hello").await;
    let refused = restore(&target).await;
    assert_eq!((refused.status, refused.code()), (403, "InvalidObjectState".into()));
    let malformed = Request::new("POST", "/bucket/key").query("restore=").body("<RestoreRequest><Days>ten");
    let malformed = malformed.send(&target.endpoint).await;
    assert_eq!((malformed.status, malformed.code()), (400, "MalformedXML".into()));
}

#[tokio::test]
async fn an_archived_object_is_no_source_until_it_is_restored() {
    let target = glacier().await;
    target.put("key", "hello").await;
    let copy = || target.client.copy_object().bucket("bucket").key("copy").copy_source("glacier-va/key").send();
    assert_eq!(failure(copy().await), ("InvalidObjectState".into(), 403));
    assert_eq!(restore(&target).await.status, 202);
    target.server().clock().advance(Duration::from_hours(5));
    copy().await.unwrap();
    let got = target.client.get_object().bucket("bucket").key("copy").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
}

#[tokio::test]
async fn an_object_that_replaces_a_restored_one_is_archived() {
    let target = glacier().await;
    target.put("key", "hello").await;
    assert_eq!(restore(&target).await.status, 202);
    target.server().clock().advance(Duration::from_hours(5));
    target.put("key", "new").await;
    assert_eq!(state(&target).await, None);
    assert_eq!(restore(&target).await.status, 202);
}

#[tokio::test]
async fn another_process_moves_the_clock() {
    let target = Target::start(Options { admin: true, ..Options::default() }).await;
    let admin = target.server().admin().unwrap();
    let url = format!("{}/clock", admin.url());
    let moved = plain().post(&url).bearer_auth(admin.token()).body(r#"{"advance_seconds": 3600}"#);
    let moved = moved.send().await.unwrap();
    assert_eq!(moved.status(), 200);
    let text = moved.text().await.unwrap();
    assert!(text.contains("\"ahead_seconds\":3600"), "{text}");
    assert_eq!(target.server().clock().ahead(), Duration::from_hours(1));
    assert_eq!(plain().get(&url).send().await.unwrap().status(), 401);
    assert_eq!(plain().get(&url).bearer_auth("guess").send().await.unwrap().status(), 401);
    let wrong = plain().post(&url).bearer_auth(admin.token()).body(r#"{"advance": 1}"#).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn the_admin_path_is_closed_unless_it_is_asked_for() {
    let target = Target::ours().await;
    assert!(target.server().admin().is_none());
    let got = plain().get(format!("{}/.stack/clock", target.endpoint)).send().await.unwrap();
    assert_eq!(got.status(), 400);
    assert!(got.text().await.unwrap().contains("<Code>InvalidBucketName</Code>"));
}
