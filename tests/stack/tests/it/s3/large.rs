//! Objects larger than one request may send or copy: put together and copied by parts. Zeros take no room, and a part that is a
//! whole object is copied without being read, so that six gibibytes cost next to nothing.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use stack::s3::Options;

use super::raw::Request;
use super::target::{Target, failure};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Makes an object of copies: of which source, and which bytes of it; all of them if none are named.
async fn assemble(target: &Target, key: &str, parts: &[(&str, Option<Range<u64>>)]) {
    let start = target.client.create_multipart_upload().bucket(&target.bucket).key(key).send().await.unwrap();
    let id = start.upload_id().unwrap();
    let mut copied = Vec::new();
    for (number, (source, range)) in (1..).zip(parts) {
        let copy = target.client.upload_part_copy().bucket(&target.bucket).key(key).upload_id(id).part_number(number);
        let range = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let copy = copy.copy_source(format!("{}/{source}", target.bucket)).set_copy_source_range(range);
        let part = copy.send().await.unwrap().copy_part_result.unwrap();
        copied.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let copied = CompletedMultipartUpload::builder().set_parts(Some(copied)).build();
    let complete = target.client.complete_multipart_upload().bucket(&target.bucket).key(key).upload_id(id);
    complete.multipart_upload(copied).send().await.unwrap();
}

#[tokio::test]
async fn what_is_beyond_five_gibibytes_is_copied_by_parts() {
    let target = Target::ours().await;
    target.put("zeros", vec![0; 64 << 20]).await;
    target.put("mark", [vec![7; 8], vec![0; 5 << 20]].concat()).await;
    // The mark stands at the end of the fifth gibibyte, across which a part is copied below.
    let mut parts = vec![("zeros", None); 80];
    parts.push(("mark", None));
    parts.extend(vec![("zeros", None); 16]);
    assemble(&target, "large", &parts).await;
    let size = |key: &'static str| {
        let head = target.client.head_object().bucket(&target.bucket).key(key).send();
        async { u64::try_from(head.await.unwrap().content_length().unwrap()).unwrap() }
    };
    let whole = size("large").await;
    assert_eq!(whole, 6 * GIB + 5 * MIB + 8);

    let source = format!("{}/large", target.bucket);
    let at_once = target.client.copy_object().bucket(&target.bucket).key("copy").copy_source(&source).send().await;
    assert_eq!(failure(at_once), ("InvalidRequest".into(), 400));
    let start = target.client.create_multipart_upload().bucket(&target.bucket).key("copy").send().await.unwrap();
    let part = target.client.upload_part_copy().bucket(&target.bucket).key("copy").copy_source(&source);
    let part = part.upload_id(start.upload_id().unwrap()).part_number(1).send().await;
    assert_eq!(failure(part), ("InvalidRequest".into(), 400), "a part without a range is the whole source");

    let (across, end) = (5 * GIB - 5 * MIB..5 * GIB + 4, whole - 3..whole);
    assemble(
        &target,
        "copy",
        &[("large", Some(across)), ("large", Some(5 * GIB + 4..5 * GIB + 6 * MIB)), ("large", Some(end))],
    )
    .await;
    assert_eq!(size("copy").await, 11 * MIB + 3);
    let copy = target.get("copy").await;
    let (before, mark) = copy.split_at(5 << 20);
    assert!(mark.starts_with(&[7; 8]) && mark[8..].iter().chain(before).all(|byte| *byte == 0));
}

/// Clients give up after a minute without a byte, and hashing five gibibytes may take longer.
#[tokio::test]
async fn a_copy_that_takes_long_keeps_its_client_waiting() {
    let target = Target::start(Options { patience: Duration::from_secs(2), ..Options::default() }).await;
    target.put("zeros", vec![0; 64 << 20]).await;
    assemble(&target, "large", &vec![("zeros", None); 8]).await;
    let start = target.client.create_multipart_upload().bucket("bucket").key("copy").send().await.unwrap();
    let copy =
        Request::new("PUT", "/bucket/copy").query(&format!("partNumber=1&uploadId={}", start.upload_id().unwrap()));
    let copy = copy.header("x-amz-copy-source", "bucket/large");
    // Not the whole source, whose md5 is not known either, but nearly so: it has to be read.
    let answer = copy.header("x-amz-copy-source-range", "bytes=0-536870910").send(&target.endpoint).await;
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{body}");
    // A chunk of one space.
    assert!(body.contains("\r\n1\r\n \r\n") && body.contains("<CopyPartResult"), "{body}");
    let copy = target.client.upload_part_copy().bucket("bucket").key("copy").copy_source("bucket/large").part_number(2);
    let copy = copy.upload_id(start.upload_id().unwrap()).copy_source_range("bytes=1-536870911").send().await.unwrap();
    assert!(copy.copy_part_result().unwrap().e_tag().is_some());
    let parts = target.client.list_parts().bucket("bucket").key("copy").upload_id(start.upload_id().unwrap());
    assert_eq!(parts.send().await.unwrap().parts()[0].size(), Some(536_870_911));
}
