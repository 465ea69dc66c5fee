//! Server-side copies.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};

use super::super::target::{Target, failure};

async fn source(target: &Target) -> String {
    let put = target.client.put_object().bucket(&target.bucket).key("from a ü+b").body(b"hello".to_vec().into());
    put.metadata("bag", "test.edu/bag").content_type("text/x-test").send().await.unwrap();
    format!("{}/from%20a%20%C3%BC%2Bb", target.bucket)
}

pub(super) async fn a_copy_keeps_what_describes_it(target: &Target) {
    let source = source(target).await;
    let other = format!("{}-copies", target.bucket);
    target.client.create_bucket().bucket(&other).send().await.unwrap();
    let copy = target.client.copy_object().bucket(&other).key("copy").copy_source(&source).send().await.unwrap();
    let result = copy.copy_object_result().unwrap();
    assert_eq!(result.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let head = target.client.head_object().bucket(&other).key("copy").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["bag"], "test.edu/bag");
    assert_eq!((head.content_type(), head.content_length()), (Some("text/x-test"), Some(5)));
    // The copy stands on its own.
    target.client.delete_object().bucket(&target.bucket).key("from a ü+b").send().await.unwrap();
    let got = target.client.get_object().bucket(&other).key("copy").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
}

pub(super) async fn a_copy_may_describe_it_anew(target: &Target) {
    let source = source(target).await;
    let copy = target.client.copy_object().bucket(&target.bucket).key("copy").copy_source(&source);
    let copy = copy.metadata_directive(MetadataDirective::Replace).metadata("other", "1").content_type("text/y");
    copy.send().await.unwrap();
    let head = target.client.head_object().bucket(&target.bucket).key("copy").send().await.unwrap();
    let metadata = head.metadata().unwrap();
    assert_eq!((metadata.len(), metadata["other"].as_str()), (1, "1"));
    assert_eq!(head.content_type(), Some("text/y"));
}

pub(super) async fn a_copy_of_nothing_is_refused(target: &Target) {
    let copy = target.client.copy_object().bucket(&target.bucket).key("copy");
    let copy = copy.copy_source(format!("{}/missing", target.bucket)).send().await;
    assert_eq!(failure(copy), ("NoSuchKey".into(), 404));
}

pub(super) async fn a_copy_to_itself_must_change_something(target: &Target) {
    let source = source(target).await;
    let copy = target.client.copy_object().bucket(&target.bucket).key("from a ü+b").copy_source(&source);
    assert_eq!(failure(copy.send().await), ("InvalidRequest".into(), 400));
}

pub(super) async fn a_copy_may_be_described_anew_in_place(target: &Target) {
    let source = source(target).await;
    let copy = target.client.copy_object().bucket(&target.bucket).key("from a ü+b").copy_source(&source);
    copy.metadata_directive(MetadataDirective::Replace).metadata("new", "1").send().await.unwrap();
    let head = target.client.head_object().bucket(&target.bucket).key("from a ü+b").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["new"], "1");
    assert_eq!(target.get("from a ü+b").await, b"hello");
}

pub(super) async fn parts_are_copied_from_ranges(target: &Target) {
    const PART: usize = 5 << 20;
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    target.put("from", body.clone()).await;
    let start = target.client.create_multipart_upload().bucket(&target.bucket).key("to").send().await.unwrap();
    let id = start.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, range) in [(1, 7..PART + 7), (2, 100..200)] {
        let copy = target.client.upload_part_copy().bucket(&target.bucket).key("to").upload_id(id).part_number(number);
        let copy = copy.copy_source(format!("{}/from", target.bucket));
        let copy = copy.copy_source_range(format!("bytes={}-{}", range.start, range.end - 1)).send().await.unwrap();
        let etag = copy.copy_part_result().unwrap().e_tag().unwrap();
        parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = target.client.complete_multipart_upload().bucket(&target.bucket).key("to").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();
    assert!(target.get("to").await == [&body[7..PART + 7], &body[100..200]].concat());
}
