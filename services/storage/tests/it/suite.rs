//! What every S3 must do for us, in one suite that each server goes through.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use md5::{Digest as _, Md5};
use model::Provider::Local;
use sha2::Sha256;
use storage::{
    Attributes, Bucket, Budget, Copy, Deleted, Depth, Digest, ETag, Error, Get, Kind, Length, Limits, Put, Restored,
    Source,
};
use tokio::io::AsyncReadExt as _;

use crate::support::server::{self, Server};
use crate::support::{pattern, read, storage, storage_within, zeros};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    all(&Server::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seaweedfs() {
    let Some(server) = Server::weed("storage: suite on SeaweedFS").await else { return };
    all(&server).await;
}

async fn all(server: &Server) {
    let bucket = server.bucket("suite.bucket", Limits::default()).await;
    objects_come_back_as_they_went(&bucket).await;
    an_empty_object_is_an_object(&bucket).await;
    odd_keys_are_kept(server, &bucket).await;
    sizes_decide_how_it_is_sent(server, &bucket).await;
    a_stream_of_another_length_stores_nothing(server, &bucket).await;
    a_failing_stream_stores_nothing(server, &bucket).await;
    only_the_expected_bytes_are_stored(server, &bucket).await;
    ranges_are_exact(&bucket).await;
    only_the_version_that_was_asked_for(&bucket).await;
    copies_take_over_or_replace(server, &bucket).await;
    streamed_copies_have_attributes_of_their_own(server, &bucket).await;
    what_is_absent_is_told_apart(server, &bucket).await;
    lists_have_pages_and_levels(&bucket).await;
    a_dropped_upload_is_aborted(server).await;
    uploads_share_their_memory(server).await;
    large_parts_are_read_again(server).await;
}

fn attributes() -> Attributes {
    let metadata = [
        ("institution", "example.edu"),
        ("bag", "example.edu/photos"),
        ("bagpath", "data/schöne Bilder/été 日本.jpg"),
        ("md5", "0123456789abcdef0123456789abcdef"),
    ];
    let metadata: BTreeMap<_, _> = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Attributes { content_type: Some("image/jpeg".to_owned()), metadata }
}

fn put_of(length: Length) -> Put {
    Put { attributes: Attributes::default(), length, digest: None }
}

async fn put(bucket: &Bucket, key: &str, bytes: &Bytes) {
    bucket.put_bytes(key, bytes.clone(), Attributes::default()).await.unwrap();
}

async fn delete(bucket: &Bucket, keys: &[String]) {
    let deletions = bucket.delete_many(keys).await;
    assert!(deletions.failed.is_empty() && deletions.rest.is_none(), "{deletions:?}");
}

async fn objects_come_back_as_they_went(bucket: &Bucket) {
    let bytes = pattern(300_000);
    let stored = bucket.put_bytes("a/object", bytes.clone(), attributes()).await.unwrap();
    assert_eq!(stored.size, 300_000);
    let stat = bucket.stat("a/object").await.unwrap();
    assert_eq!((stat.size, &stat.etag), (300_000, &stored.etag));
    assert_eq!(stat.etag.md5(), Some(stat.etag.as_str()));
    assert_eq!(stat.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(stat.metadata, attributes().metadata);
    assert_eq!(stat.restored, Restored::No);
    let age = time::OffsetDateTime::now_utc() - stat.last_modified.unwrap();
    assert!(age.whole_minutes().abs() < 5, "{age}");
    let download = bucket.get("a/object").await.unwrap();
    assert_eq!((download.remaining(), &download.stat.etag), (300_000, &stored.etag));
    assert_eq!(download.stat.metadata, attributes().metadata);
    assert_eq!(read(download).await.unwrap(), bytes);
    let mut text = Vec::new();
    bucket.get("a/object").await.unwrap().into_reader().read_to_end(&mut text).await.unwrap();
    assert_eq!(text, bytes);
}

async fn an_empty_object_is_an_object(bucket: &Bucket) {
    let put = put_of(Length::Known(0));
    bucket.put("empty/known", zeros(0), &put).await.unwrap();
    bucket.put("empty/unknown", zeros(0), &put_of(Length::Estimated(0))).await.unwrap();
    for key in ["empty/known", "empty/unknown"] {
        assert_eq!(bucket.stat(key).await.unwrap().size, 0);
        assert!(read(bucket.get(key).await.unwrap()).await.unwrap().is_empty());
    }
}

const ODD: [&str; 9] = [
    "odd/two  spaces and + and % and %20",
    "odd/quotes ' \" & < > ` $ @ = ; : , ? # [ ] { } | ^ ~ *",
    "odd/back\\slash",
    "odd/narrow\u{202f}no-break",
    "odd/line\u{2028}separator",
    "odd/日本語 é e\u{301} 🦀",
    "odd/trailing space ",
    "odd/(parentheses)!",
    "odd/-._",
];

async fn odd_keys_are_kept(server: &Server, bucket: &Bucket) {
    // SeaweedFS makes a slash of a backslash.
    let odd: Vec<&str> =
        ODD.into_iter().filter(|key| server.kind != server::Kind::Weed || !key.contains('\\')).collect();
    for (n, key) in odd.iter().enumerate() {
        let bytes = Bytes::from(format!("odd key {n}"));
        put(bucket, key, &bytes).await;
        assert_eq!(read(bucket.get(key).await.unwrap()).await.unwrap(), bytes, "{key}");
        let copy = Copy { size: bytes.len() as u64, etag: None, attributes: None };
        bucket.copy_from(&format!("copied/{key}"), bucket, key, &copy).await.unwrap();
    }
    for prefix in ["odd/", "copied/odd/"] {
        let listed: Vec<_> = bucket.list(prefix, Depth::All).into_entries().try_collect().await.unwrap();
        let mut listed: Vec<_> = listed.iter().map(|entry| entry.key.trim_start_matches("copied/")).collect();
        let mut expected = odd.clone();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
    let keys: Vec<String> = odd.iter().map(|key| (*key).to_owned()).collect();
    delete(bucket, &keys).await;
    assert!(bucket.list("odd/", Depth::All).page().await.unwrap().unwrap().entries.is_empty());
}

async fn sizes_decide_how_it_is_sent(server: &Server, bucket: &Bucket) {
    // (bytes, whether the length is told, parts; no parts is one request)
    let cases = [
        (16 * MIB, true, None),
        (16 * MIB, false, None),
        (16 * MIB + 1, true, Some(2)),
        (16 * MIB + 1, false, Some(2)),
        (40 * MIB, true, Some(3)),
        (40 * MIB, false, Some(3)),
    ];
    for (size, is_told, parts) in cases {
        let case = format!("{size} bytes, told {is_told}");
        let length = if is_told { Length::Known(size) } else { Length::Estimated(0) };
        let put = Put { length, attributes: attributes(), digest: None };
        let stored = bucket.put("sized", zeros(size), &put).await.unwrap();
        assert_eq!(stored.size, size, "{case}");
        let suffix = stored.etag.as_str().split_once('-').map(|(_, parts)| parts.parse().unwrap());
        assert_eq!(suffix, parts, "{case}");
        assert_eq!(stored.etag.md5().is_some(), parts.is_none(), "{case}");
        let stat = bucket.stat("sized").await.unwrap();
        assert_eq!((stat.size, stat.metadata), (size, attributes().metadata), "{case}");
        assert_eq!(stat.content_type.as_deref(), Some("image/jpeg"), "{case}");
        let mut download = bucket.get("sized").await.unwrap();
        let mut got = 0;
        while let Some(chunk) = download.chunk().await.unwrap() {
            assert!(chunk.iter().all(|byte| *byte == 0));
            got += chunk.len() as u64;
        }
        assert_eq!(got, size, "{case}");
    }
    assert_eq!(server.uploads(bucket.name()).await, 0);
}

async fn a_stream_of_another_length_stores_nothing(server: &Server, bucket: &Bucket) {
    for (told, real) in [(10, 9), (10, 11), (0, 1), (40 * MIB, 40 * MIB - 1), (40 * MIB, 40 * MIB + 1), (20 * MIB, 5)] {
        let put = put_of(Length::Known(told));
        let error = bucket.put("wrong-length", zeros(real), &put).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{told} {real}: {error}");
        assert!(error.to_string().contains(&format!("{told} bytes")), "{error}");
    }
    assert_eq!(bucket.find("wrong-length").await.unwrap(), None);
    all_are_aborted(server, bucket).await;
}

async fn a_failing_stream_stores_nothing(server: &Server, bucket: &Bucket) {
    for before in [5, 40 * MIB] {
        let stream = zeros(before).chain(futures_util::stream::iter([Err(std::io::Error::other("disk gone"))]));
        let error = bucket.put("failing", stream, &put_of(Length::Estimated(0))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk gone");
    }
    assert_eq!(bucket.find("failing").await.unwrap(), None);
    all_are_aborted(server, bucket).await;
}

async fn only_the_expected_bytes_are_stored(server: &Server, bucket: &Bucket) {
    let digests = |bytes: &[u8]| [Digest::Md5(Md5::digest(bytes).into()), Digest::Sha256(Sha256::digest(bytes).into())];
    let other = [Digest::Md5([7; 16]), Digest::Sha256([7; 32])];
    for size in [5, 200_000, 17 << 20] {
        let bytes = pattern(size);
        put(bucket, "original", &bytes).await;
        let source = Source::new(bucket, "original");
        let stream =
            || futures_util::stream::iter(bytes.chunks(70_000).map(|chunk| Ok::<_, Error>(bytes.slice_ref(chunk))));
        for (digest, is_right) in digests(&bytes).map(|d| (d, true)).into_iter().chain(other.map(|d| (d, false))) {
            for length in [Length::Known(size as u64), Length::Estimated(0)] {
                let put = Put { digest: Some(digest), ..put_of(length) };
                let case = format!("{size} {put:?}");
                let streamed = bucket.put("checked/streamed", stream(), &put).await;
                let copied = bucket.put_from("checked/copied", &source, &put).await;
                for (key, ended) in [("checked/streamed", streamed), ("checked/copied", copied)] {
                    assert_eq!(ended.as_ref().err().map(Error::kind), (!is_right).then_some(Kind::Changed), "{case}");
                    let found = bucket.find(key).await.unwrap();
                    assert_eq!(found.map(|stat| stat.size), is_right.then_some(size as u64), "{case}");
                    bucket.delete(key).await.unwrap();
                }
            }
        }
    }
    all_are_aborted(server, bucket).await;
}

async fn all_are_aborted(server: &Server, bucket: &Bucket) {
    crate::support::wait_for("uploads to be aborted", async || match server.uploads(bucket.name()).await {
        0 => Ok(()),
        left => Err(format!("{left} are left")),
    })
    .await;
}

async fn ranges_are_exact(bucket: &Bucket) {
    let bytes = pattern(100_000);
    put(bucket, "ranged", &bytes).await;
    let get = async |range: std::ops::Range<u64>| {
        let download = bucket.get_with("ranged", Get { range: Some(range), etag: None }).await?;
        assert_eq!(download.stat.size, 100_000);
        read(download).await
    };
    for (first, end) in [(0, 1), (0, 100_000), (1, 99_999), (50_000, 50_001), (99_999, 100_000)] {
        assert_eq!(get(first as u64..end as u64).await.unwrap(), bytes[first..end], "{first}..{end}");
    }
    assert_eq!(get(99_990..1 << 50).await.unwrap(), bytes[99_990..], "the end of the object ends the range");
    let error = get(100_000..100_001).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (Kind::Refused, Some(416)), "{error}");
    assert_eq!(get(5..5).await.unwrap_err().kind(), Kind::Refused);
}

async fn only_the_version_that_was_asked_for(bucket: &Bucket) {
    put(bucket, "version", &Bytes::from_static(b"first")).await;
    let first = bucket.stat("version").await.unwrap().etag;
    put(bucket, "version", &Bytes::from_static(b"second")).await;
    let get = Get { range: None, etag: Some(first) };
    let error = bucket.get_with("version", get.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
    let error = bucket.get_with("version", Get { range: Some(1..2), ..get }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
    let now = bucket.stat("version").await.unwrap().etag;
    let get = Get { range: Some(0..3), etag: Some(ETag::new(&format!("\"{}\"", now.as_str()))) };
    assert_eq!(read(bucket.get_with("version", get).await.unwrap()).await.unwrap(), b"sec");
}

async fn copies_take_over_or_replace(server: &Server, bucket: &Bucket) {
    let other = server.bucket("suite.copies", Limits::default()).await;
    let bytes = pattern(70_000);
    let stored = bucket.put_bytes("7/original", bytes.clone(), attributes()).await.unwrap();
    let copy = Copy { size: 70_000, etag: Some(stored.etag.clone()), attributes: None };
    let copied = other.copy_from("taken-over", bucket, "7/original", &copy).await.unwrap();
    assert_eq!(copied.etag, stored.etag);
    let stat = other.stat("taken-over").await.unwrap();
    assert_eq!(
        (stat.size, stat.metadata, stat.content_type),
        (70_000, attributes().metadata, attributes().content_type)
    );
    let replaced = Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
    other.copy_from("replaced", bucket, "7/original", &Copy { attributes: Some(replaced), ..copy }).await.unwrap();
    let stat = other.stat("replaced").await.unwrap();
    assert_eq!((stat.metadata.len(), stat.content_type.as_deref()), (0, Some("text/plain")));
    assert_eq!(read(other.get("replaced").await.unwrap()).await.unwrap(), bytes);
    let copy = Copy { size: 5, etag: None, attributes: None };
    let error = other.copy_from("nothing", bucket, "no/such", &copy).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}

async fn streamed_copies_have_attributes_of_their_own(server: &Server, bucket: &Bucket) {
    let other = server.bucket("suite.streamed", Limits::default()).await;
    let bytes = pattern(17 << 20);
    put(bucket, "streamed", &bytes).await;
    let put = Put { attributes: attributes(), length: Length::Known(17 * MIB), digest: None };
    let source = Source::new(bucket, "streamed");
    let stored = other.put_from("there", &source, &put).await.unwrap();
    assert_eq!(stored.size, 17 * MIB);
    assert_eq!(other.stat("there").await.unwrap().metadata, attributes().metadata);
    assert_eq!(read(other.get("there").await.unwrap()).await.unwrap(), bytes);
    let wrong = Put { length: Length::Known(5), ..put };
    assert_eq!(other.put_from("there", &source, &wrong).await.unwrap_err().kind(), Kind::Changed);
    let absent = Source::new(bucket, "no/such");
    let error = other.put_from("there", &absent, &wrong).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (Kind::NotFound, Some("no/such")), "{error}");
}

async fn what_is_absent_is_told_apart(server: &Server, bucket: &Bucket) {
    let error = bucket.get("no/such").await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (Kind::NotFound, Some("no/such")), "{error}");
    assert!(!error.is_transient());
    assert_eq!(bucket.stat("no/such").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(bucket.find("no/such").await.unwrap(), None);
    put(bucket, "goes", &Bytes::from_static(b"x")).await;
    assert_eq!(bucket.delete("goes").await.unwrap(), Deleted::Now);
    assert_eq!(bucket.find("goes").await.unwrap(), None);
    bucket.delete("goes").await.unwrap();
    let nowhere = storage(&server.address, Limits::default()).await.bucket(&Local, "no.such.bucket").unwrap();
    for error in [
        nowhere.get("key").await.unwrap_err(),
        nowhere.list("", Depth::All).page().await.unwrap_err(),
        nowhere.stat("key").await.unwrap_err(),
        nowhere.find("key").await.unwrap_err(),
        nowhere.delete_many(&["key".to_owned()]).await.rest.unwrap().error,
        nowhere.put_bytes("key", Bytes::from_static(b"x"), Attributes::default()).await.unwrap_err(),
        nowhere.put("key", zeros(20 * MIB), &put_of(Length::Estimated(0))).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NoBucket, "{error}");
    }
}

async fn lists_have_pages_and_levels(bucket: &Bucket) {
    let keys: Vec<String> = (0..1100).map(|n| format!("many/{n:04}")).collect();
    let bytes = Bytes::from_static(b"small");
    let stored = futures_util::stream::iter(&keys)
        .map(|key| bucket.put_bytes(key, bytes.clone(), Attributes::default()))
        .buffer_unordered(32);
    stored.try_for_each(async |_| Ok(())).await.unwrap();
    put(bucket, "many/deeper/one", &bytes).await;
    put(bucket, "many/deeper/two", &bytes).await;
    put(bucket, "many-but-elsewhere", &bytes).await;

    let mut list = bucket.list("many/", Depth::One);
    let (mut found, mut folders, mut pages) = (Vec::new(), Vec::new(), 0);
    while let Some(page) = list.page().await.unwrap() {
        assert!(page.entries.len() + page.folders.len() <= 1000);
        pages += 1;
        found.extend(page.entries);
        folders.extend(page.folders);
    }
    assert_eq!((pages, folders), (2, vec!["many/deeper/".to_owned()]));
    assert_eq!(found.iter().map(|entry| &entry.key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
    assert!(found.iter().all(|entry| entry.size == 5 && entry.etag.md5().is_some() && entry.last_modified.is_some()));

    let all: Vec<_> = bucket.list("many/", Depth::All).into_entries().try_collect().await.unwrap();
    assert_eq!(all.len(), 1102);
    let keys: Vec<String> = all.into_iter().map(|entry| entry.key).collect();
    delete(bucket, &keys).await;
    // What is gone counts as deleted.
    delete(bucket, &keys[..5]).await;
    assert!(bucket.list("many/", Depth::All).page().await.unwrap().unwrap().entries.is_empty());
    assert_eq!(bucket.list("many", Depth::All).page().await.unwrap().unwrap().entries.len(), 1);
}

async fn a_dropped_upload_is_aborted(server: &Server) {
    let storage = storage(&server.address, Limits::default()).await;
    server.sdk.create_bucket().bucket("suite.dropped").send().await.unwrap();
    let bucket = storage.bucket(&Local, "suite.dropped").unwrap();
    let endless = zeros(48 * MIB).chain(futures_util::stream::pending());
    let upload = tokio::spawn({
        let bucket = bucket.clone();
        async move { bucket.put("dropped", endless, &put_of(Length::Estimated(0))).await }
    });
    crate::support::wait_for("the upload to begin", async || match server.uploads("suite.dropped").await {
        1 => Ok(()),
        count => Err(format!("{count} uploads")),
    })
    .await;
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    storage.close().await;
    assert_eq!(server.uploads("suite.dropped").await, 0);
    assert_eq!(bucket.find("dropped").await.unwrap(), None);
}

async fn uploads_share_their_memory(server: &Server) {
    let budget = Budget::new(32 << 20);
    let storage = storage_within(&server.address, Limits::default(), &budget).await;
    server.sdk.create_bucket().bucket("suite.memory").send().await.unwrap();
    let bucket = storage.bucket(&Local, "suite.memory").unwrap();
    // Callers that hold all they may get, and upload meanwhile.
    let uploads = (0..12).map(async |n: u64| {
        let _held = budget.take(16 * MIB).await;
        let size = if n.is_multiple_of(3) { 17 * MIB } else { MIB };
        let put = put_of(if n.is_multiple_of(2) { Length::Known(size) } else { Length::Estimated(0) });
        bucket.put(&format!("{n}"), zeros(size), &put).await
    });
    let stored: Vec<_> = futures_util::future::try_join_all(uploads).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.size).sum::<u64>(), 4 * 17 * MIB + 8 * MIB);
    assert_eq!((budget.held(), budget.peak()), (0, 32 << 20));
}

/// Parts that are not held in memory, whole and out of the middle of the source.
async fn large_parts_are_read_again(server: &Server) {
    let budget = Budget::new(32 << 20);
    let storage = storage_within(&server.address, Limits { held_part: 1, ..Limits::default() }, &budget).await;
    server.sdk.create_bucket().bucket("suite.again").send().await.unwrap();
    let bucket = storage.bucket(&Local, "suite.again").unwrap();
    let bytes = pattern(40 << 20);
    put(&bucket, "original", &bytes).await;
    for range in [0..40 * MIB, 12_345..35 * MIB + 1] {
        let part = bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        let get = Get { range: Some(range.clone()), etag: None };
        let source = Source { get, ..Source::new(&bucket, "original") };
        let digest = Some(Digest::Sha256(Sha256::digest(&part).into()));
        let length = Length::Known(part.len() as u64);
        let put = Put { digest, attributes: attributes(), length };
        let stored = bucket.put_from("there", &source, &put).await.unwrap();
        assert!(stored.etag.as_str().ends_with("-3"), "{stored:?}");
        assert_eq!(bucket.stat("there").await.unwrap().metadata, attributes().metadata);
        assert!(read(bucket.get("there").await.unwrap()).await.unwrap() == part);
        bucket.delete("there").await.unwrap();
        let wrong = Put { digest: Some(Digest::Sha256([7; 32])), ..put };
        let error = bucket.put_from("there", &source, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Changed, "{error}");
        assert_eq!(bucket.find("there").await.unwrap(), None);
    }
    storage.close().await;
    assert_eq!(server.uploads(bucket.name()).await, 0);
    assert_eq!(budget.peak(), 0, "nothing was held");
}
