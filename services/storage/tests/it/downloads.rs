//! Downloads over connections that break, stall and crawl.

use std::time::Duration;

use storage::{Bucket, Get, Kind, Limits};

use crate::support::proxy::{Fate, Proxy};
use crate::support::stub::{Answer, Request, Stub, answer};
use crate::support::{assert_discreet, bucket, hasty, pattern, read};

/// An object behind a stub that knows ranges and `If-Match`, behind a proxy that has fates for its connections.
async fn object(size: usize, fates: &[Fate]) -> (Stub, Proxy, Bucket) {
    let stub = Stub::new(move |request| serve(request, &pattern(size), "v1")).await;
    let proxy = Proxy::new(&stub.address.to_string(), fates).await;
    let bucket = bucket(&proxy.address.to_string(), hasty(), "bucket").await;
    (stub, proxy, bucket)
}

fn serve(request: &Request, bytes: &[u8], etag: &str) -> Answer {
    let etag = format!("\"{etag}\"");
    if request.header("if-match").is_some_and(|wanted| wanted != etag) {
        return crate::support::stub::error(412, "PreconditionFailed");
    }
    let Some(range) = request.header("range") else { return answer(200, &[("ETag", &etag)], bytes) };
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let last = last.min(bytes.len() - 1);
    let content_range = format!("bytes {first}-{last}/{}", bytes.len());
    answer(206, &[("ETag", &etag), ("Content-Range", &content_range)], &bytes[first..=last])
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_where_it_broke() {
    let bytes = pattern(3_000_000);
    for cut in [0, 1, 50, 120, 121, 5_000, 1_000_000, 2_999_999] {
        let (stub, proxy, bucket) = object(3_000_000, &[Fate::CutDown(cut), Fate::CutDown(cut + 200_000)]).await;
        assert_eq!(read(bucket.get("key").await.unwrap()).await.unwrap(), bytes, "cut after {cut}");
        assert!(proxy.connections() >= 2, "cut after {cut}");
        for request in stub.requests().iter().filter(|request| request.header("range").is_some()) {
            assert_eq!(request.header("if-match"), Some("\"v1\""));
        }
    }
}

#[tokio::test]
async fn a_range_that_breaks_ends_where_it_should() {
    let (stub, _proxy, bucket) = object(500_000, &[Fate::CutDown(70_000)]).await;
    let get = Get { range: Some(100..400_000), etag: None };
    let bytes = read(bucket.get_with("key", get).await.unwrap()).await.unwrap();
    assert_eq!(bytes, pattern(500_000)[100..400_000]);
    let ranges: Vec<_> = stub.requests().iter().filter_map(|r| r.header("range").map(ToOwned::to_owned)).collect();
    assert_eq!((ranges.len(), ranges[0].as_str()), (2, "bytes=100-399999"));
    assert!(ranges[1].ends_with("-399999") && ranges[1] != ranges[0], "{ranges:?}");
}

#[tokio::test]
async fn a_stall_ends_the_connection_and_not_the_download() {
    for after in [0, 150, 1_000_000] {
        let (_stub, proxy, bucket) = object(2_000_000, &[Fate::StallDown(after)]).await;
        // The answer's head has a limit of its own.
        let limits = Limits { answer: Duration::from_secs(1), ..hasty() };
        let bucket =
            if after == 0 { self::bucket(&proxy.address.to_string(), limits, bucket.name()).await } else { bucket };
        assert_eq!(read(bucket.get("key").await.unwrap()).await.unwrap(), pattern(2_000_000), "stalled after {after}");
        assert_eq!(proxy.connections(), 2, "stalled after {after}");
    }
}

#[tokio::test]
async fn breaks_without_progress_end() {
    let (_stub, proxy, bucket) = object(100_000, &[Fate::CutDown(300); 100]).await;
    let error = match bucket.get("key").await {
        Ok(download) => read(download).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.is_transient());
    assert!(error.to_string().starts_with("GET of `bucket/key`: "), "{error}");
    assert!(proxy.connections() < 30, "{}", proxy.connections());
    assert_discreet(&error);
}

#[tokio::test]
async fn an_object_that_was_replaced_meanwhile_is_never_mixed() {
    let versions = std::sync::atomic::AtomicUsize::new(0);
    let stub = Stub::new(move |request| {
        let version = versions.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        serve(request, &pattern(400_000), &format!("v{version}"))
    })
    .await;
    let proxy = Proxy::new(&stub.address.to_string(), &[Fate::CutDown(100_000)]).await;
    let bucket = bucket(&proxy.address.to_string(), hasty(), "bucket").await;
    let error = read(bucket.get("key").await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_slow_reader_is_no_stall() {
    // Longer than the limit, on the clock of tokio: the connection is kept although nobody reads.
    let (_stub, proxy, bucket) = object(5_000_000, &[]).await;
    let mut download = bucket.get("key").await.unwrap();
    let first = download.chunk().await.unwrap().unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(5)).await;
    tokio::time::resume();
    let rest = read(download).await.unwrap();
    assert_eq!([first.to_vec(), rest].concat(), pattern(5_000_000));
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn answers_that_do_not_fit_are_refused() {
    type Headers = &'static [(&'static str, &'static str)];
    const ETAG: (&str, &str) = ("ETag", "\"v1\"");
    let cases: [(&str, u16, Headers, &[u8]); 7] = [
        ("no ETag", 206, &[("Content-Range", "bytes 5-7/10")], b"abc"),
        ("another range", 206, &[ETAG, ("Content-Range", "bytes 4-6/10")], b"abc"),
        ("another length", 206, &[ETAG, ("Content-Range", "bytes 5-7/10")], b"abcd"),
        ("no such range", 206, &[ETAG, ("Content-Range", "bytes 5-7/6")], b"abc"),
        ("no number", 206, &[ETAG, ("Content-Range", "bytes 5-x/10")], b"abc"),
        ("no range", 206, &[ETAG], b"abc"),
        ("everything", 200, &[ETAG], b"abcdefghij"),
    ];
    for (case, status, headers, body) in cases {
        let stub = Stub::new(move |_| answer(status, headers, body)).await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
        let get = Get { range: Some(5..8), etag: None };
        let error = bucket.get_with("key", get).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{case}: {error}");
    }
}
