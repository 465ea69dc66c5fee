//! What arrives must be what was sent: digests of every kind, and bodies in signed chunks.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};

use super::super::raw::{Answer, Request, exchange};
use super::super::target::{Target, failure};

pub(super) async fn a_content_md5_is_verified(target: &Target) {
    let put = |md5: &str| {
        let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"hello".to_vec().into());
        put.content_md5(md5).send()
    };
    put("XUFAKrxLKna5cZ2REBfFkg==").await.unwrap();
    assert_eq!(failure(put("XUFAKrxLKna5cZ2REBfFkQ==").await), ("BadDigest".into(), 400));
    assert_eq!(target.get("key").await, b"hello");
}

pub(super) async fn a_content_md5_that_is_none_is_refused(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"hello".to_vec().into());
    assert_eq!(failure(put.content_md5("bm90IGFuIG1kNQ==").send().await), ("InvalidDigest".into(), 400));
    assert!(target.keys().await.is_empty());
}

pub(super) async fn an_empty_content_md5_is_refused(target: &Target) {
    let put = Request::new("PUT", format!("/{}/key", target.bucket)).body("hello").header("content-md5", "");
    let refused = put.send(&target.endpoint).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidDigest".into()));
    assert!(target.keys().await.is_empty());
}

/// A list of keys to delete that was changed on its way would delete something else.
pub(super) async fn the_content_md5_of_a_document_is_verified(target: &Target) {
    target.put("key", "hello").await;
    let delete = |md5: &str| {
        let delete = Request::new("POST", format!("/{}", target.bucket)).query("delete=").header("content-md5", md5);
        let delete = delete.body("<Delete><Object><Key>key</Key></Object></Delete>");
        async move { delete.send(&target.endpoint).await }
    };
    let refused = delete("XUFAKrxLKna5cZ2REBfFkg==").await;
    assert_eq!((refused.status, refused.code()), (400, "BadDigest".into()));
    assert_eq!(target.keys().await, ["key"]);
    assert_eq!(delete("VUxjCEXWiErKatrg6+J0xA==").await.status, 200);
    assert!(target.keys().await.is_empty());
}

/// Headers with the right and a wrong checksum of `hello`.
const SUMS: [(&str, &str, &str); 5] = [
    ("x-amz-checksum-crc32", "NhCmhg==", "NhCmhQ=="),
    ("x-amz-checksum-crc32c", "mnG7TA==", "mnG7TQ=="),
    ("x-amz-checksum-crc64nvme", "M3eFcAZSQlc=", "M3eFcAZSQlg="),
    ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=", "qvTGHdzF6KLavt4PO0gs2a6pQ08="),
    (
        "x-amz-checksum-sha256",
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCA=",
    ),
];

pub(super) async fn checksums_are_verified(target: &Target) {
    let path = format!("/{}/key", target.bucket);
    for (header, right, wrong) in SUMS {
        let put = |sum| Request::new("PUT", &path).body("hello").header(header, sum);
        let refused = put(wrong).send(&target.endpoint).await;
        assert_eq!((refused.status, refused.code()), (400, "BadDigest".into()), "{header}");
        assert!(target.keys().await.is_empty(), "{header}");
        assert_eq!(put(right).send(&target.endpoint).await.status, 200, "{header}");
        target.client.delete_object().bucket(&target.bucket).key("key").send().await.unwrap();
    }
}

pub(super) async fn checksums_come_back(target: &Target) {
    let path = format!("/{}/key", target.bucket);
    for (header, right, _) in SUMS {
        let put = Request::new("PUT", &path).body("hello").header(header, right).send(&target.endpoint).await;
        assert_eq!(put.status, 200, "{header}");
        let get = |mode: bool| {
            let request = Request::new("GET", &path);
            if mode { request.header("x-amz-checksum-mode", "ENABLED") } else { request }
        };
        assert_eq!(get(true).send(&target.endpoint).await.header(header), Some(right));
        assert_eq!(get(false).send(&target.endpoint).await.header(header), None);
    }
}

/// The SDK streams these with the checksum in a trailer.
pub(super) async fn a_checksum_behind_the_body_is_verified(target: &Target) {
    let client = target.checking_client();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 300_000]).unwrap();
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
        let body = aws_sdk_s3::primitives::ByteStream::from_path(file.path()).await.unwrap();
        let put = client.put_object().bucket(&target.bucket).key("key").body(body);
        put.checksum_algorithm(algorithm).send().await.unwrap();
        let get = client.get_object().bucket(&target.bucket).key("key").checksum_mode(ChecksumMode::Enabled);
        let got = get.send().await.unwrap();
        assert_eq!(got.content_encoding(), None, "chunks are how it came, not what it is");
        // The SDK verifies while it reads.
        assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![7; 300_000]);
    }
    let refused = trailer(target, "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n").await;
    assert_eq!((refused.status, refused.code()), (400, "BadDigest".into()));
    let taken = trailer(target, "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n").await;
    assert_eq!(taken.status, 200);
    assert_eq!(target.get("trailed").await, b"hello world");
}

/// Eleven bytes in unsigned chunks, with a CRC-32 behind them.
async fn trailer(target: &Target, body: &str) -> Answer {
    let request = Request::new("PUT", format!("/{}/trailed", target.bucket)).body(body);
    let request = request.payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER").header("content-encoding", "aws-chunked");
    let request = request.header("x-amz-decoded-content-length", "11").header("x-amz-trailer", "x-amz-checksum-crc32");
    request.send(&target.endpoint).await
}

pub(super) async fn the_hash_of_the_body_is_verified(target: &Target) {
    let put = Request::new("PUT", format!("/{}/key", target.bucket)).body("hello");
    let mut changed = put.clone();
    changed.body = b"hallo".to_vec();
    let refused = changed.send(&target.endpoint).await;
    assert_eq!((refused.status, refused.code()), (400, "XAmzContentSHA256Mismatch".into()));
    assert!(target.keys().await.is_empty());
    assert_eq!(put.send(&target.endpoint).await.status, 200);
}

/// The head of a request in signed chunks, and its body.
fn chunked(target: &Target, chunks: &[&[u8]]) -> (String, Vec<u8>) {
    let host = target.endpoint.trim_start_matches("http://");
    let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let request = Request::new("PUT", format!("/{}/key", target.bucket)).payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let request = request.header("content-encoding", "aws-chunked");
    let signed = request.header("x-amz-decoded-content-length", length.to_string()).sign(host);
    let body = signed.chunks(chunks);
    (signed.head, body)
}

async fn send(target: &Target, head: &str, body: &[u8]) -> Answer {
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    exchange(&target.endpoint, &bytes).await
}

pub(super) async fn signed_chunks_are_taken(target: &Target) {
    let (head, body) = chunked(target, &[&[1; 16_384], &[2; 16_384], b"end"]);
    assert_eq!(send(target, &head, &body).await.status, 200);
    assert_eq!(target.get("key").await, [&[1; 16_384][..], &[2; 16_384], b"end"].concat());
    let stored = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
    assert_eq!(stored.content_encoding(), None);
}

pub(super) async fn a_changed_chunk_is_refused(target: &Target) {
    let (head, mut body) = chunked(target, &[&[1; 16_384], b"end"]);
    body[1000] = 0;
    let refused = send(target, &head, &body).await;
    assert_eq!((refused.status, refused.code()), (403, "SignatureDoesNotMatch".into()));
    assert!(target.keys().await.is_empty());
}

pub(super) async fn a_missing_last_chunk_is_refused(target: &Target) {
    let (head, whole) = chunked(target, &[&[1; 16_384], &[2; 16_384]]);
    let (_, first) = chunked(target, &[&[1; 16_384]]);
    // Up to the end of the first chunk, as if the connection had been replayed from there.
    let kept = first.len() - 86;
    let refused = send(target, &head, &whole[..kept]).await;
    assert_eq!(refused.status, 400, "{}", String::from_utf8_lossy(&refused.body));
    assert!(target.keys().await.is_empty());
}
