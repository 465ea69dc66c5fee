//! No server, no way there, or one that does not answer as S3 does.

use std::time::Duration;

use bytes::Bytes;
use model::Provider::Local;
use storage::{Attributes, Bucket, Budget, Config, Depth, Error, Kind, Limits, Provider, Scheme, Storage};

use crate::support::stub::{Answer, Request, Stub, answer, error};
use crate::support::{KEY, SECRET, assert_discreet, bucket, hasty};

/// Every operation that one request makes, and what became of it.
async fn each(bucket: &Bucket) -> Vec<Error> {
    let copy = storage::Copy { size: 5, etag: None, attributes: None };
    vec![
        bucket.get("key").await.unwrap_err(),
        bucket.stat("key").await.unwrap_err(),
        bucket.find("key").await.unwrap_err(),
        bucket.put_bytes("key", Bytes::from_static(b"bytes"), Attributes::default()).await.unwrap_err(),
        bucket.copy_from("key", bucket, "other", &copy).await.unwrap_err(),
        bucket.delete("key").await.unwrap_err(),
        bucket.delete_many(&["key".to_owned()]).await.rest.unwrap().error,
        bucket.list("", Depth::All).page().await.unwrap_err(),
        bucket.restore("key", 10, storage::Tier::Standard).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn nobody_listens() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for error in each(&bucket(&address, hasty(), "bucket").await).await {
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.is_transient() && error.bucket() == "bucket");
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    for error in each(&bucket("s3.invalid:9000", hasty(), "bucket").await).await {
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let stub = Stub::new(|_| Answer::Never).await;
    let limits = Limits { answer: Duration::from_millis(150), attempts: 2, ..hasty() };
    for error in each(&bucket(&stub.address.to_string(), limits, "bucket").await).await {
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert_discreet(&error);
    }
    assert_eq!(stub.requests().len(), 9 * 2, "each was tried twice");
}

#[tokio::test]
async fn statuses_have_kinds_and_only_some_are_tried_again() {
    let cases = [
        (400, "MalformedXML", Kind::Refused, 1),
        (400, "RequestTimeout", Kind::Unavailable, 3),
        (401, "Unauthorized", Kind::Denied, 1),
        (403, "AccessDenied", Kind::Denied, 1),
        (403, "SignatureDoesNotMatch", Kind::Denied, 1),
        (404, "NoSuchBucket", Kind::NoBucket, 1),
        (408, "Odd", Kind::Unavailable, 3),
        (429, "TooMany", Kind::Throttled, 3),
        (499, "Odd", Kind::Unavailable, 3),
        (500, "InternalError", Kind::Unavailable, 3),
        (502, "BadGateway", Kind::Unavailable, 3),
        (503, "SlowDown", Kind::Throttled, 3),
        (504, "GatewayTimeout", Kind::Unavailable, 3),
        (520, "Odd", Kind::Unavailable, 3),
    ];
    for (status, code, kind, tries) in cases {
        let stub = Stub::new(move |_| error(status, code)).await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
        let error = bucket.delete("some/key").await.unwrap_err();
        assert_eq!((error.kind(), error.status(), error.code()), (kind, Some(status), Some(code)), "{error}");
        assert_eq!(stub.requests().len(), tries, "{code}");
        assert_eq!(
            error.to_string(),
            format!("DELETE of `bucket/some/key`: {kind}: Told to ({status}, {code}, request r-1)")
        );
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn only_s3_says_that_an_object_is_absent() {
    let page = |_: &Request| answer(404, &[("Content-Type", "text/html")], b"<html><body>Not here</body></html>");
    let stub = Stub::new(page).await;
    let bucket = self::bucket(&stub.address.to_string(), hasty(), "bucket").await;
    for error in [
        bucket.get("key").await.unwrap_err(),
        bucket.delete("key").await.unwrap_err(),
        bucket.restore("key", 10, storage::Tier::Standard).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.is_transient()), (Kind::Malformed, true), "{error}");
    }
    // HEAD of the bucket finds nothing either.
    assert_eq!(bucket.find("key").await.unwrap_err().kind(), Kind::NoBucket);
}

#[tokio::test]
async fn absence_is_proven_by_the_bucket() {
    // What HEAD of the bucket says, and what then is known of the object.
    let cases = [
        (200, Ok(None)),
        (403, Ok(None)),
        (404, Err(Kind::NoBucket)),
        (500, Err(Kind::Unavailable)),
        (503, Err(Kind::Throttled)),
    ];
    for (status, expected) in cases {
        let stub = Stub::new(move |request| match request.line.as_str() {
            "HEAD /bucket/key" => answer(404, &[], b""),
            _ => answer(status, &[], b""),
        })
        .await;
        let bucket = self::bucket(&stub.address.to_string(), hasty(), "bucket").await;
        assert_eq!(bucket.find("key").await.map_err(|error| error.kind()), expected, "{status}");
    }
}

#[tokio::test]
async fn redirections_are_not_followed() {
    for (status, code) in [(301, "PermanentRedirect"), (307, "TemporaryRedirect"), (302, "")] {
        let stub = Stub::new(move |_| {
            let body = format!("<Error><Code>{code}</Code><Endpoint>elsewhere.example</Endpoint></Error>");
            answer(status, &[("Location", "http://127.0.0.1:1/bucket/key")], body.as_bytes())
        })
        .await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
        let error = bucket.get("key").await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (Kind::Refused, Some(status)), "{error}");
        assert_eq!(stub.requests().len(), 1);
    }
}

#[tokio::test]
async fn answers_of_something_else_are_no_answers_of_s3() {
    let page = b"<html><body>Please log in</body></html>";
    let stub = Stub::new(move |_| answer(200, &[("Content-Type", "text/html")], page)).await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    for (n, result) in [
        bucket.get("key").await.map(drop),
        bucket.stat("key").await.map(drop),
        bucket.put_bytes("key", Bytes::from_static(b"bytes"), Attributes::default()).await.map(drop),
    ]
    .into_iter()
    .enumerate()
    {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{n}: {error}");
        assert!(error.is_transient(), "{error}");
    }
    for garbage in
        [&b"HTTP/1.1 2000 What\r\n\r\n"[..], b"\x00\x01\x02\x03", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nConte"]
    {
        let stub = Stub::new(move |_| Answer::Last(garbage.to_vec())).await;
        let error = self::bucket(&stub.address.to_string(), hasty(), "bucket").await.stat("key").await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unavailable | Kind::Malformed), "{error}");
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>1</Size>\
        <ETag>\"e\"</ETag></Contents></ListBucketResult>";
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{listing}", listing.len());
    for cut in (0..whole.len()).step_by(7) {
        let half = whole.as_bytes()[..cut].to_vec();
        let stub = Stub::new(move |_| Answer::Last(half.clone())).await;
        let limits = Limits { attempts: 1, ..hasty() };
        let bucket = bucket(&stub.address.to_string(), limits, "bucket").await;
        let error = bucket.list("", Depth::All).page().await.unwrap_err();
        assert!(error.is_transient(), "cut after {cut}: {error}");
    }
}

#[tokio::test]
async fn credentials_come_in_pairs_and_providers_are_known() {
    let config = |key: Option<&str>, secret: Option<&str>| Config {
        providers: vec![Provider {
            name: Local,
            host: "127.0.0.1:1".to_owned(),
            scheme: Scheme::Http,
            key: key.map(ToOwned::to_owned),
            secret: secret.map(ToOwned::to_owned),
        }],
        regions: vec![],
        limits: hasty(),
    };
    for (key, secret, message) in [
        (Some(KEY), None, "provider Local has a key but no secret"),
        (Some(KEY), Some(""), "provider Local has a key but no secret"),
        (None, Some(SECRET), "provider Local has a secret but no key"),
    ] {
        let error = Storage::new(&config(key, secret), &Budget::new(0)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Settings);
        assert!(error.to_string().ends_with(message), "{error}");
        assert_discreet(&error);
    }
    assert!(!format!("{:?}", config(Some(KEY), Some(SECRET))).contains(SECRET));
    let storage = Storage::new(&config(Some(KEY), Some(SECRET)), &Budget::new(0)).await.unwrap();
    assert!(!format!("{storage:?}").contains(SECRET));
    let error = storage.bucket(&model::Provider::Aws, "some.bucket").unwrap_err();
    assert!(error.to_string().ends_with("no S3 client for provider AWS or bucket some.bucket"), "{error}");
}
