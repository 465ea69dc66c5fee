//! Uploads and copies to a server that fails in the middle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use storage::{Attributes, Budget, Copy, Digest, ETag, Kind, Length, Limits, Put, Source};

use crate::support::proxy::{Fate, Proxy};
use crate::support::stub::{Answer, Request, Stub, answer, error};
use crate::support::{assert_discreet, bucket, hasty, pattern, storage, storage_within, zeros};

const MIB: u64 = 1 << 20;

fn put_of(length: Length) -> Put {
    Put { attributes: Attributes::default(), length, digest: None }
}

/// What S3 does for an upload in parts, or whatever a test puts in its place.
#[derive(Default)]
struct Parts {
    size: AtomicUsize,
    etags: Mutex<BTreeMap<usize, [u8; 16]>>,
}

impl Parts {
    fn answer(&self, request: &Request) -> Answer {
        let line = &request.line;
        if line.contains("?uploads") {
            return answer(
                200,
                &[],
                b"<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>",
            );
        }
        if request.is("PUT") && line.contains("partNumber=") {
            let number = line.split_once("partNumber=").unwrap().1.split('&').next().unwrap().parse().unwrap();
            let md5: [u8; 16] = Md5::digest(&request.body).into();
            self.etags.lock().unwrap().insert(number, md5);
            self.size.fetch_add(request.body.len(), Ordering::SeqCst);
            return answer(200, &[("ETag", &format!("\"{}\"", hex::encode(md5)))], b"");
        }
        if request.is("PUT") {
            return answer(200, &[("ETag", &format!("\"{}\"", hex::encode(Md5::digest(&request.body))))], b"");
        }
        if request.is("POST") {
            let body = format!(
                "<CompleteMultipartUploadResult><ETag>\"{}\"</ETag></CompleteMultipartUploadResult>",
                self.etag()
            );
            return answer(200, &[], body.as_bytes());
        }
        if request.is("HEAD") {
            let size = self.size.load(Ordering::SeqCst).to_string();
            return answer(200, &[("ETag", &format!("\"{}\"", self.etag())), ("Content-Length", &size)], b"");
        }
        answer(204, &[], b"")
    }

    fn etag(&self) -> String {
        let etags = self.etags.lock().unwrap();
        let all: Vec<u8> = etags.values().flatten().copied().collect();
        format!("{}-{}", hex::encode(Md5::digest(&all)), etags.len())
    }
}

/// A stub on which some requests go another way.
async fn upload_stub(other: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Stub {
    let parts = Parts::default();
    Stub::new(move |request| other(request).unwrap_or_else(|| parts.answer(request))).await
}

fn aborts(stub: &Stub) -> usize {
    stub.requests().iter().filter(|request| request.is("DELETE") && request.line.contains("uploadId=u-1")).count()
}

#[tokio::test]
async fn what_is_sent_says_what_it_is() {
    let stub = upload_stub(|_| None).await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let attributes = Attributes::new("text/plain", [("bagpath", "data/é".to_owned())]);
    bucket.put_bytes("small", Bytes::from_static(b"hello"), attributes.clone()).await.unwrap();
    bucket.put("large", zeros(17 * MIB), &Put { attributes, ..put_of(Length::Known(17 * MIB)) }).await.unwrap();
    let requests = stub.requests();
    let kinds: Vec<_> = requests.iter().map(|r| r.line.split(['?', '=']).next().unwrap()).collect();
    let large = "/bucket/large";
    let expected = [
        "PUT /bucket/small",
        &format!("POST {large}"),
        &format!("PUT {large}"),
        &format!("PUT {large}"),
        &format!("POST {large}"),
        &format!("HEAD {large}"),
    ];
    assert_eq!(kinds, expected);
    for request in &requests {
        if request.is("PUT") {
            let md5 = BASE64_STANDARD.encode(Md5::digest(&request.body));
            assert_eq!(request.header("content-md5"), Some(md5.as_str()));
            assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        }
        for header in [
            "x-amz-checksum-crc32",
            "x-amz-sdk-checksum-algorithm",
            "x-amz-trailer",
            "transfer-encoding",
            "x-amz-storage-class",
        ] {
            assert_eq!(request.header(header), None, "{header}");
        }
        assert!(request.header("authorization").unwrap().contains("/us-east-1/s3/aws4_request"));
    }
    for request in &requests[..2] {
        assert_eq!(request.header("content-type"), Some("text/plain"));
        assert!(request.header("x-amz-meta-bagpath").is_some());
    }
}

#[tokio::test]
async fn an_expected_md5_goes_along_and_other_bytes_are_not_even_sent() {
    let stub = Stub::new(|_| answer(200, &[("ETag", "\"opaque\"")], b"")).await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let md5: [u8; 16] = Md5::digest([0; 5]).into();
    let put = Put { digest: Some(Digest::Md5(md5)), ..put_of(Length::Known(5)) };
    bucket.put("key", zeros(5), &put).await.unwrap();
    assert_eq!(stub.requests()[0].header("content-md5"), Some(BASE64_STANDARD.encode(md5).as_str()));
    let other = Put { digest: Some(Digest::Md5([7; 16])), ..put };
    assert_eq!(bucket.put("key", zeros(5), &other).await.unwrap_err().kind(), Kind::Changed);
    assert_eq!(stub.requests().len(), 1);
}

#[tokio::test]
async fn other_bytes_than_were_sent_do_not_pass() {
    // (ETag, encryption, whether it passes): only an md5 tells.
    let cases = [
        ("0123456789abcdef0123456789abcdef", None, false),
        ("0123456789abcdef0123456789abcdef", Some("aws:kms"), true),
        ("0123456789abcdef0123456789abcdef", Some("AES256"), false),
        ("0123456789abcdef0123456789abcdef-1", None, true),
        ("whatever", None, true),
    ];
    for (etag, encryption, passes) in cases {
        let stub = Stub::new(move |_| {
            let etag = format!("\"{etag}\"");
            let mut headers = vec![("ETag", etag.as_str())];
            headers.extend(encryption.map(|kind| ("x-amz-server-side-encryption", kind)));
            answer(200, &headers, b"")
        })
        .await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
        let stored = bucket.put_bytes("key", Bytes::from_static(b"bytes"), Attributes::default()).await;
        match stored {
            Ok(stored) => assert!(passes && stored.etag.as_str() == etag, "{etag} {encryption:?}"),
            Err(error) => assert!(!passes && error.kind() == Kind::Changed, "{etag} {encryption:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn bytes_that_were_damaged_on_the_way_may_be_sent_again() {
    let stub = upload_stub(|request| request.is("PUT").then(|| error(400, "BadDigest"))).await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let small = bucket.put_bytes("key", Bytes::from_static(b"bytes"), Attributes::default()).await.unwrap_err();
    let large = bucket.put("key", zeros(17 * MIB), &put_of(Length::Known(17 * MIB))).await.unwrap_err();
    assert!(small.is_transient() && large.is_transient(), "{small} {large}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_part_aborts_the_upload() {
    let stub = upload_stub(|request| request.line.contains("partNumber=2").then(|| error(403, "AccessDenied"))).await;
    let storage = storage(&stub.address.to_string(), hasty()).await;
    let bucket = storage.bucket(&model::Provider::Local, "bucket").unwrap();
    let error = bucket.put("key", zeros(200 * MIB), &put_of(Length::Estimated(0))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert_discreet(&error);
    storage.close().await;
    assert_eq!(aborts(&stub), 1);
    let sent = stub.requests().iter().filter(|request| request.line.contains("partNumber=")).count();
    assert!(sent < 9, "it stopped soon: {sent} parts of 13");
}

#[tokio::test]
async fn a_part_is_sent_again() {
    let failures = AtomicUsize::new(0);
    let stub = upload_stub(move |request| {
        let fails = request.line.contains("partNumber=2") && failures.fetch_add(1, Ordering::SeqCst) < 2;
        fails.then(|| error(503, "SlowDown"))
    })
    .await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let stored = bucket.put("key", zeros(33 * MIB), &put_of(Length::Known(33 * MIB))).await.unwrap();
    assert_eq!(stored.size, 33 * MIB);
    assert_eq!(aborts(&stub), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_in_flight_and_their_memory_are_bounded() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let parts = Parts::default();
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let stub = Stub::new(move |request| {
        if request.line.contains("partNumber=") {
            peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answer = parts.answer(request);
            counted.fetch_sub(1, Ordering::SeqCst);
            return answer;
        }
        parts.answer(request)
    })
    .await;
    let budget = Budget::new(128 << 20);
    let storage = storage_within(&stub.address.to_string(), Limits { parts: 2, ..hasty() }, &budget).await;
    let bucket = storage.bucket(&model::Provider::Local, "bucket").unwrap();
    bucket.put("key", zeros(80 * MIB), &put_of(Length::Known(80 * MIB))).await.unwrap();
    assert!(most.load(Ordering::SeqCst) <= 2);
    // Two on their way, and one that is being filled.
    assert!(budget.peak() <= 3 * (16 << 20), "{}", budget.peak());
}

#[tokio::test]
async fn a_lost_answer_to_the_completion_is_no_failure() {
    let tries = AtomicUsize::new(0);
    let stub = upload_stub(move |request| {
        if !(request.is("POST") && request.line.contains("uploadId=")) {
            return None;
        }
        Some(match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Last(Vec::new()),
            _ => error(404, "NoSuchUpload"),
        })
    })
    .await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let stored = bucket.put("key", zeros(20 * MIB), &put_of(Length::Known(20 * MIB))).await.unwrap();
    assert_eq!(stored.size, 20 * MIB);
    assert!(stored.etag.as_str().ends_with("-2"));
    assert_eq!(aborts(&stub), 0);
}

#[tokio::test]
async fn an_error_in_a_good_status_is_an_error() {
    let inside =
        |code: &str| answer(200, &[], format!("<Error><Code>{code}</Code><Message>m</Message></Error>").as_bytes());
    let stub = upload_stub(move |request| match request.header("x-amz-copy-source") {
        Some(_) => Some(inside("AccessDenied")),
        None => (request.is("POST") && request.line.contains("uploadId=")).then(|| inside("InternalError")),
    })
    .await;
    let storage = storage(&stub.address.to_string(), hasty()).await;
    let bucket = storage.bucket(&model::Provider::Local, "bucket").unwrap();
    let error = bucket.put("key", zeros(20 * MIB), &put_of(Length::Known(20 * MIB))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, Some("InternalError")), "{error}");
    storage.close().await;
    assert_eq!(aborts(&stub), 1);
    let copy = Copy { size: 5, etag: None, attributes: None };
    let error = bucket.copy_from("key", &bucket, "other", &copy).await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"), "{error}");
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_object_that_is_not_what_was_completed_is_an_error() {
    let stub = upload_stub(|request| {
        request.is("HEAD").then(|| answer(200, &[("ETag", "\"other-2\""), ("Content-Length", "5")], b""))
    })
    .await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let error = bucket.put("key", zeros(20 * MIB), &put_of(Length::Known(20 * MIB))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
}

#[tokio::test]
async fn a_server_that_takes_no_more_bytes_is_given_up() {
    let stub = upload_stub(|_| None).await;
    let proxy = Proxy::new(&stub.address.to_string(), &[Fate::StallUp(300_000)]).await;
    let bucket = bucket(&proxy.address.to_string(), hasty(), "bucket").await;
    let bytes = pattern(12 << 20);
    let stored = bucket.put_bytes("key", bytes.clone(), Attributes::default()).await.unwrap();
    assert_eq!(stored.etag, ETag::new(&hex::encode(Md5::digest(&bytes))));
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_cut_upload_is_sent_again_from_its_first_byte() {
    for cut in [0, 10, 700, 1_000_000] {
        let stub = upload_stub(|_| None).await;
        let proxy = Proxy::new(&stub.address.to_string(), &[Fate::CutUp(cut), Fate::CutDown(20)]).await;
        let bucket = bucket(&proxy.address.to_string(), hasty(), "bucket").await;
        let bytes = pattern(2 << 20);
        bucket.put_bytes("key", bytes.clone(), Attributes::default()).await.unwrap();
        assert_eq!(stub.requests().last().unwrap().body, bytes, "cut after {cut}");
        assert_eq!(proxy.connections(), 3, "cut after {cut}");
    }
}

#[tokio::test]
async fn a_copy_of_more_than_5_gib_goes_in_even_parts() {
    const SIZE: u64 = (11 << 30) + 5;
    let stub = Stub::new(|request| {
        if request.is("HEAD") {
            let size = SIZE.to_string();
            let headers = [
                ("ETag", "\"e-1\""),
                ("Content-Length", size.as_str()),
                ("Content-Type", "application/x-tar"),
                ("x-amz-meta-bag", "example.edu/bag"),
            ];
            return answer(200, &headers, b"");
        }
        if request.line.contains("?uploads") {
            return answer(
                200,
                &[],
                b"<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>",
            );
        }
        if request.is("PUT") {
            return answer(200, &[], b"<CopyPartResult><ETag>\"part\"</ETag></CopyPartResult>");
        }
        answer(200, &[], b"<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>")
    })
    .await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let copy = Copy { size: SIZE, etag: Some(ETag::new("e-1")), attributes: None };
    let stored = bucket.copy_from("target", &bucket, "17/so urce+é", &copy).await.unwrap();
    assert_eq!(stored.size, SIZE);
    let requests = stub.requests();
    let begun = requests.iter().find(|request| request.line.contains("?uploads")).unwrap();
    assert_eq!(begun.header("content-type"), Some("application/x-tar"));
    assert_eq!(begun.header("x-amz-meta-bag"), Some("example.edu/bag"));
    let parts: Vec<_> = requests.iter().filter(|request| request.is("PUT")).collect();
    let mut covered: Vec<(u64, u64)> = parts
        .iter()
        .map(|part| {
            assert_eq!(part.header("x-amz-copy-source"), Some("bucket/17/so%20urce%2B%C3%A9"));
            assert_eq!(part.header("x-amz-copy-source-if-match"), Some("\"e-1\""));
            let range = part.header("x-amz-copy-source-range").unwrap().trim_start_matches("bytes=");
            let (first, last) = range.split_once('-').unwrap();
            (first.parse().unwrap(), last.parse().unwrap())
        })
        .collect();
    covered.sort_unstable();
    assert_eq!(covered.len(), 3);
    assert_eq!((covered[0].0, covered[2].1), (0, SIZE - 1));
    assert!(covered.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));

    let other = Copy { etag: Some(ETag::new("e-2")), ..copy.clone() };
    assert_eq!(bucket.copy_from("target", &bucket, "source", &other).await.unwrap_err().kind(), Kind::Changed);
    let other = Copy { size: SIZE + 1, ..copy };
    assert_eq!(bucket.copy_from("target", &bucket, "source", &other).await.unwrap_err().kind(), Kind::Changed);
}

#[tokio::test]
async fn small_copies_do_not_wait_long_for_an_answer() {
    let stub = Stub::new(|_| Answer::Never).await;
    let limits = Limits { answer: Duration::from_millis(100), attempts: 2, ..hasty() };
    let bucket = bucket(&stub.address.to_string(), limits, "bucket").await;
    let copy = Copy { size: MIB, etag: None, attributes: None };
    let error = bucket.copy_from("key", &bucket, "other", &copy).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_upload_that_the_service_lost_is_no_missing_object() {
    let stub = upload_stub(|request| request.line.contains("partNumber=2").then(|| error(404, "NoSuchUpload"))).await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let error = bucket.put("key", zeros(20 * MIB), &put_of(Length::Known(20 * MIB))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_not_found(), error.is_transient()), (Kind::Unavailable, false, true), "{error}");
}

#[tokio::test]
async fn what_needs_more_memory_than_there_is_is_refused_before_it_begins() {
    let stub = upload_stub(|_| None).await;
    let storage = storage_within(&stub.address.to_string(), hasty(), &Budget::new(0)).await;
    let bucket = storage.bucket(&model::Provider::Local, "bucket").unwrap();
    for (length, said) in [
        (Length::Known(200 << 30), "parts of 32 MiB, and one may hold 16 MiB"),
        (Length::Estimated(200 << 30), "parts of 21 MiB, and one may hold 16 MiB"),
        (Length::Known((5 << 40) + 1), "S3 takes objects up to 5 TiB"),
    ] {
        let error = bucket.put("key", zeros(5), &put_of(length)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.is_transient());
    }
    assert!(stub.requests().is_empty());
}

/// An object whose parts are read again while they are sent: the stub gives its bytes and takes them.
async fn again(
    size: usize,
    source: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    fates: &[Fate],
) -> (Stub, Proxy, Result<storage::Stored, storage::Error>) {
    let (parts, bytes) = (Parts::default(), pattern(size));
    let stub = Stub::new(move |request| match source(request) {
        Some(answer) => answer,
        None if request.is("GET") => {
            let Some(range) = request.header("range") else { return answer(200, &[("ETag", "\"v1\"")], &bytes) };
            let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            let content_range = format!("bytes {first}-{last}/{}", bytes.len());
            answer(206, &[("ETag", "\"v1\""), ("Content-Range", &content_range)], &bytes[first..=last])
        }
        None => parts.answer(request),
    })
    .await;
    let proxy = Proxy::new(&stub.address.to_string(), fates).await;
    // One request may meet every bad connection.
    let attempts = u32::try_from(fates.len()).unwrap() + 2;
    let limits = Limits { held_part: 1, attempts, ..hasty() };
    let storage = storage(&proxy.address.to_string(), limits).await;
    let bucket = storage.bucket(&model::Provider::Local, "bucket").unwrap();
    let digest = Some(Digest::Md5(Md5::digest(pattern(size)).into()));
    let put = Put { digest, ..put_of(Length::Known(size as u64)) };
    let ended = bucket.put_from("key", &Source::new(&bucket, "source"), &put).await;
    storage.close().await;
    (stub, proxy, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_read_again_survive_a_bad_network() {
    let fates =
        [5_000_000, 70_000, 300_000, 1_000_000, 2_000_000].map(|bytes| [Fate::CutDown(bytes), Fate::CutUp(bytes)]);
    let (stub, proxy, ended) = again(40 << 20, |_| None, &fates.concat()).await;
    assert_eq!(ended.unwrap().size, 40 << 20);
    assert!(proxy.connections() >= 10, "{}", proxy.connections());
    for request in stub.requests().iter().filter(|request| request.line.contains("partNumber=")) {
        let md5 = BASE64_STANDARD.encode(Md5::digest(&request.body));
        assert_eq!(request.header("content-md5"), Some(md5.as_str()), "whole, and of its own digest");
    }
    for read in stub.requests().iter().filter(|request| request.header("range").is_some()) {
        assert_eq!(read.header("if-match"), Some("\"v1\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_was_replaced_while_parts_were_sent_stores_nothing() {
    let replaced = |request: &Request| request.header("if-match").is_some().then(|| error(412, "PreconditionFailed"));
    let (stub, _proxy, ended) = again(20 << 20, replaced, &[]).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
    assert_eq!(aborts(&stub), 1);
    let tries = stub.requests().iter().filter(|request| request.header("if-match").is_some()).count();
    assert!(tries <= 2, "it is not asked for again and again: {tries}");
}
