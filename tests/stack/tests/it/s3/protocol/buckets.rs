//! Buckets.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::super::raw::Request;
use super::super::target::{Target, failure};

pub(super) async fn a_bucket_is_created_listed_and_deleted(target: &Target) {
    let other = format!("{}-2", target.bucket);
    target.client.create_bucket().bucket(&other).send().await.unwrap();
    let names = || async {
        let listed = target.client.list_buckets().send().await.unwrap();
        listed.buckets().iter().map(|bucket| bucket.name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let listed = names().await;
    assert!(listed.contains(&other) && listed.contains(&target.bucket), "{listed:?}");
    target.client.head_bucket().bucket(&other).send().await.unwrap();
    target.client.delete_bucket().bucket(&other).send().await.unwrap();
    assert!(!names().await.contains(&other));
}

pub(super) async fn a_bucket_says_where_it_is(target: &Target) {
    let other = format!("{}-oregon", target.bucket);
    let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::UsWest2).build();
    target.client.create_bucket().bucket(&other).create_bucket_configuration(place).send().await.unwrap();
    let location = |bucket: &str| target.client.get_bucket_location().bucket(bucket).send();
    // S3 leaves its first region unnamed.
    let here = location(&target.bucket).await.unwrap();
    assert!(here.location_constraint().is_none_or(|it| it.as_str().is_empty()), "{here:?}");
    let there = location(&other).await.unwrap();
    assert_eq!(there.location_constraint(), Some(&BucketLocationConstraint::UsWest2));
    let head = target.client.head_bucket().bucket(&other).send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-west-2"));
}

pub(super) async fn a_bucket_is_created_once(target: &Target) {
    let again = target.client.create_bucket().bucket(&target.bucket).send().await;
    assert_eq!(failure(again), ("BucketAlreadyOwnedByYou".into(), 409));
}

pub(super) async fn a_bucket_with_objects_is_not_deleted(target: &Target) {
    target.put("key", "x").await;
    let deleted = target.client.delete_bucket().bucket(&target.bucket).send().await;
    assert_eq!(failure(deleted), ("BucketNotEmpty".into(), 409));
    assert_eq!(target.keys().await, ["key"]);
}

pub(super) async fn a_missing_bucket_is_told(target: &Target) {
    let missing = "there-is-no-such-bucket";
    assert_eq!(failure(target.client.head_bucket().bucket(missing).send().await).1, 404);
    let expected = ("NoSuchBucket".to_owned(), 404);
    assert_eq!(failure(target.client.get_object().bucket(missing).key("k").send().await), expected);
    let put = target.client.put_object().bucket(missing).key("k").body(b"x".to_vec().into());
    assert_eq!(failure(put.send().await), expected);
    assert_eq!(failure(target.client.delete_bucket().bucket(missing).send().await), expected);
}

pub(super) async fn a_name_against_the_rules_is_refused(target: &Target) {
    for name in ["foo.-bar", "foo-.bar", "foo..bar", "-foo", "Foo", "192.168.5.4", "xn--foo", "foo-s3alias"] {
        let refused = Request::new("PUT", format!("/{name}")).send(&target.endpoint).await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidBucketName".into()), "{name}");
    }
}
