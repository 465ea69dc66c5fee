//! Answers that S3 gives rarely: restorations, odd lists, deletions that fail in part.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use storage::{Copy, Deleted, Depth, Kind, Restore, Restored, Tier};

use crate::support::stub::{Stub, answer, error};
use crate::support::{bucket, hasty};

#[tokio::test]
async fn a_restoration_has_four_good_answers() {
    let cases = [
        (200, "", Ok(Restore::Available)),
        (202, "", Ok(Restore::Accepted)),
        (409, "RestoreAlreadyInProgress", Ok(Restore::InProgress)),
        (409, "", Ok(Restore::InProgress)),
        (409, "OperationAborted", Err(Kind::Unavailable)),
        (403, "InvalidObjectState", Ok(Restore::NotArchived)),
        (403, "ObjectAlreadyInActiveTierError", Ok(Restore::NotArchived)),
        (503, "GlacierExpeditedRetrievalNotAvailable", Err(Kind::Unavailable)),
        (403, "AccessDenied", Err(Kind::Denied)),
        (404, "NoSuchKey", Err(Kind::NotFound)),
        (503, "SlowDown", Err(Kind::Throttled)),
        (500, "InternalError", Err(Kind::Unavailable)),
        (400, "MalformedXML", Err(Kind::Refused)),
    ];
    for (status, code, expected) in cases {
        let stub = Stub::new(move |_| if status < 300 { answer(status, &[], b"") } else { error(status, code) }).await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "archive").await;
        let got = bucket.restore("key", 10, Tier::Standard).await.map_err(|error| error.kind());
        assert_eq!(got, expected, "{status} {code}");
        let request = &stub.requests()[0];
        assert!(request.line.starts_with("POST /archive/key?restore"), "{}", request.line);
        let body = String::from_utf8(request.body.clone()).unwrap();
        let inside =
            "<Days>10</Days><GlacierJobParameters><Tier>Standard</Tier></GlacierJobParameters></RestoreRequest>";
        assert!(body.ends_with(inside), "{body}");
    }
}

#[tokio::test]
async fn a_restored_copy_has_an_end() {
    let until = time::macros::datetime!(2026-12-21 00:00:00 UTC);
    let cases = [
        (None, Restored::No),
        (Some("ongoing-request=\"true\""), Restored::Ongoing),
        (
            Some("ongoing-request=\"false\", expiry-date=\"Mon, 21 Dec 2026 00:00:00 GMT\""),
            Restored::Until(Some(until)),
        ),
        (Some("ongoing-request=\"false\""), Restored::Until(None)),
        (Some("ongoing-request=\"false\", expiry-date=\"soon\""), Restored::Until(None)),
    ];
    for (header, expected) in cases {
        let stub = Stub::new(move |_| {
            let mut headers = vec![("ETag", "\"e\""), ("x-amz-storage-class", "DEEP_ARCHIVE")];
            headers.extend(header.map(|value| ("x-amz-restore", value)));
            answer(200, &headers, b"")
        })
        .await;
        let stat = bucket(&stub.address.to_string(), hasty(), "archive").await.stat("key").await.unwrap();
        assert_eq!(stat.restored, expected, "{header:?}");
        assert_eq!(stat.storage_class.as_deref(), Some("DEEP_ARCHIVE"));
    }
}

#[tokio::test]
async fn an_archived_object_is_not_read() {
    let stub = Stub::new(|_| error(403, "InvalidObjectState")).await;
    let error = bucket(&stub.address.to_string(), hasty(), "archive").await.get("key").await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (Kind::Archived, false), "{error}");
}

#[tokio::test]
async fn a_list_that_goes_round_in_circles_ends() {
    for token in ["<NextContinuationToken>same</NextContinuationToken>", ""] {
        let stub = Stub::new(move |_| {
            let body = format!("<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>");
            answer(200, &[], body.as_bytes())
        })
        .await;
        let mut list = bucket(&stub.address.to_string(), hasty(), "bucket").await.list("", Depth::All);
        let error = loop {
            match list.page().await {
                Ok(page) => assert!(page.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::Malformed, "{error}");
        assert!(stub.requests().len() <= 2);
    }
}

#[tokio::test]
async fn a_list_without_etags_or_sizes_is_none() {
    for entry in ["<Key>k</Key><Size>1</Size>", "<Key>k</Key><ETag>e</ETag>", "<Size>1</Size><ETag>e</ETag>"] {
        let stub = Stub::new(move |_| {
            let body = format!("<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>");
            answer(200, &[], body.as_bytes())
        })
        .await;
        let error =
            bucket(&stub.address.to_string(), hasty(), "b").await.list("", Depth::All).page().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{entry}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_tells_what_was_gone_is_believed() {
    let stub = Stub::new(|_| error(404, "NoSuchKey")).await;
    let gone = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    assert_eq!(gone.delete("key").await.unwrap(), Deleted::Before);
    let stub = Stub::new(|_| answer(204, &[], b"")).await;
    assert_eq!(bucket(&stub.address.to_string(), hasty(), "bucket").await.delete("key").await.unwrap(), Deleted::Now);
}

#[tokio::test]
async fn deletions_fail_one_by_one() {
    let stub = Stub::new(|_| {
        let failed =
            |key: &str, code: &str| format!("<Error><Key>{key}</Key><Code>{code}</Code><Message>m</Message></Error>");
        let all = [failed("locked", "AccessDenied"), failed("gone", "NoSuchKey"), failed("busy", "SlowDown")].concat();
        answer(200, &[], format!("<DeleteResult>{all}</DeleteResult>").as_bytes())
    })
    .await;
    let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
    let keys: Vec<String> = ["locked", "gone", "busy", "fine"].map(ToOwned::to_owned).to_vec();
    let deletions = bucket.delete_many(&keys).await;
    assert!(deletions.rest.is_none(), "{deletions:?}");
    let failed: Vec<_> = deletions.failed.iter().map(|error| (error.key().unwrap(), error.kind())).collect();
    assert_eq!(failed, [("locked", Kind::Denied), ("busy", Kind::Throttled)]);
    let request = &stub.requests()[0];
    let md5 = BASE64_STANDARD.encode(<md5::Md5 as md5::Digest>::digest(&request.body));
    assert_eq!(request.header("content-md5"), Some(md5.as_str()));
}

#[tokio::test]
async fn no_answer_is_lost_when_a_later_batch_fails() {
    type Second = fn() -> crate::support::stub::Answer;
    const UNNAMED: &[u8] = b"<DeleteResult><Error><Code>InternalError</Code></Error></DeleteResult>";
    let refused = b"<DeleteResult><Error><Key>k5</Key><Code>AccessDenied</Code></Error></DeleteResult>";
    let seconds: [(Second, Kind); 3] = [
        (|| error(403, "AccessDenied"), Kind::Denied),
        (|| error(503, "SlowDown"), Kind::Throttled),
        // Of which key is not said: so none of them is known to be gone.
        (|| answer(200, &[], UNNAMED), Kind::Unavailable),
    ];
    for (second, kind) in seconds {
        let stub = Stub::new(move |request| {
            let is_first = String::from_utf8_lossy(&request.body).contains("<Key>k5</Key>");
            if is_first { answer(200, &[], refused) } else { second() }
        })
        .await;
        let bucket = bucket(&stub.address.to_string(), hasty(), "bucket").await;
        let keys: Vec<String> = (0..2500).map(|n| format!("k{n}")).collect();
        let deletions = bucket.delete_many(&keys).await;
        let failed: Vec<_> = deletions.failed.iter().map(|error| (error.key().unwrap(), error.kind())).collect();
        assert_eq!(failed, [("k5", Kind::Denied)]);
        let rest = deletions.rest.unwrap();
        assert_eq!((rest.count, rest.error.kind()), (1500, kind), "{}", rest.error);
    }
}

#[tokio::test]
async fn a_copy_says_which_object_is_absent() {
    for (code, status, kind) in
        [("NoSuchKey", 404, Kind::NotFound), ("ObjectNotInActiveTierError", 403, Kind::Archived)]
    {
        let stub = Stub::new(move |_| error(status, code)).await;
        let storage = crate::support::storage(&stub.address.to_string(), hasty()).await;
        let bucket = |name| storage.bucket(&model::Provider::Local, name).unwrap();
        let copy = Copy { size: 5, etag: None, attributes: None };
        let error = bucket("there").copy_from("copy", &bucket("here"), "original", &copy).await.unwrap_err();
        assert_eq!((error.kind(), error.bucket(), error.key()), (kind, "here", Some("original")), "{error}");
    }
}
