//! Multipart uploads.

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};

use super::super::target::{Target, failure};

const PART: usize = 5 << 20;

/// An upload under way.
struct Upload<'a> {
    target: &'a Target,
    id: String,
}

impl<'a> Upload<'a> {
    async fn start(target: &'a Target) -> Self {
        let start = target.client.create_multipart_upload().bucket(&target.bucket).key("key").metadata("bag", "b");
        let id = start.content_type("text/x-test").send().await.unwrap().upload_id.unwrap();
        Self { target, id }
    }

    async fn part(&self, number: i32, body: Vec<u8>) -> CompletedPart {
        let part = self.target.client.upload_part().bucket(&self.target.bucket).key("key").upload_id(&self.id);
        let part = part.part_number(number).body(body.into()).send().await.unwrap();
        CompletedPart::builder().part_number(number).e_tag(part.e_tag().unwrap()).build()
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<String, (String, u16)> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.target.client.complete_multipart_upload().bucket(&self.target.bucket).key("key");
        match complete.upload_id(&self.id).multipart_upload(parts).send().await {
            Ok(done) => Ok(done.e_tag.unwrap()),
            failed => Err(failure(failed)),
        }
    }
}

pub(super) async fn parts_become_an_object(target: &Target) {
    let upload = Upload::start(target).await;
    let second = upload.part(20, b"end".to_vec()).await;
    let first = upload.part(3, vec![1; PART]).await;
    assert!(target.keys().await.is_empty(), "an upload is no object yet");
    let etag = upload.complete(vec![first, second]).await.unwrap();
    assert_eq!(etag, "\"1895fd3f1fa1af269610f12d13feb801-2\"");
    assert!(target.get("key").await == [&vec![1; PART][..], b"end"].concat());
    let head = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert_eq!((head.metadata().unwrap()["bag"].as_str(), head.content_type()), ("b", Some("text/x-test")));
    let listed = target.client.list_objects_v2().bucket(&target.bucket).send().await.unwrap();
    assert_eq!(listed.contents()[0].e_tag(), Some(etag.as_str()));
    let across = target.client.get_object().bucket(&target.bucket).key("key");
    let across = across.range(format!("bytes={}-{}", PART - 2, PART)).send().await.unwrap();
    assert_eq!(across.body.collect().await.unwrap().to_vec(), [1, 1, b'e']);
}

pub(super) async fn a_part_is_replaced_by_its_number(target: &Target) {
    let upload = Upload::start(target).await;
    let old = upload.part(1, b"old".to_vec()).await;
    let new = upload.part(1, b"new".to_vec()).await;
    assert_eq!(upload.complete(vec![old]).await, Err(("InvalidPart".into(), 400)));
    upload.complete(vec![new]).await.unwrap();
    assert_eq!(target.get("key").await, b"new");
}

pub(super) async fn parts_in_the_wrong_order_are_refused(target: &Target) {
    let upload = Upload::start(target).await;
    let (first, second) = (upload.part(1, vec![1; PART]).await, upload.part(2, b"end".to_vec()).await);
    let wrong = upload.complete(vec![second.clone(), first.clone()]).await;
    assert_eq!(wrong, Err(("InvalidPartOrder".into(), 400)));
    upload.complete(vec![first, second]).await.unwrap();
}

pub(super) async fn parts_that_are_not_there_are_refused(target: &Target) {
    let upload = Upload::start(target).await;
    let there = upload.part(1, b"there".to_vec()).await;
    let missing = CompletedPart::builder().part_number(2).e_tag(there.e_tag().unwrap()).build();
    assert_eq!(upload.complete(vec![missing]).await, Err(("InvalidPart".into(), 400)));
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"5d41402abc4b2a76b9719d911017c592\"").build();
    assert_eq!(upload.complete(vec![wrong]).await, Err(("InvalidPart".into(), 400)));
    assert_eq!(upload.complete(vec![]).await, Err(("MalformedXML".into(), 400)));
    assert!(target.keys().await.is_empty());
}

pub(super) async fn small_parts_are_refused(target: &Target) {
    let upload = Upload::start(target).await;
    let parts = vec![upload.part(1, vec![1; PART - 1]).await, upload.part(2, b"end".to_vec()).await];
    assert_eq!(upload.complete(parts).await, Err(("EntityTooSmall".into(), 400)));
}

pub(super) async fn an_aborted_upload_is_gone(target: &Target) {
    let upload = Upload::start(target).await;
    let part = upload.part(1, b"part".to_vec()).await;
    let abort =
        || target.client.abort_multipart_upload().bucket(&target.bucket).key("key").upload_id(&upload.id).send();
    abort().await.unwrap();
    assert_eq!(upload.complete(vec![part]).await, Err(("NoSuchUpload".into(), 404)));
    assert_eq!(failure(abort().await), ("NoSuchUpload".into(), 404));
    let again = target.client.upload_part().bucket(&target.bucket).key("key").upload_id(&upload.id).part_number(1);
    assert_eq!(failure(again.body(b"x".to_vec().into()).send().await), ("NoSuchUpload".into(), 404));
}

pub(super) async fn a_completed_upload_is_gone(target: &Target) {
    let upload = Upload::start(target).await;
    let part = upload.part(1, b"part".to_vec()).await;
    upload.complete(vec![part.clone()]).await.unwrap();
    let listed = target.client.list_multipart_uploads().bucket(&target.bucket).send().await.unwrap();
    assert!(listed.uploads().is_empty());
    let more = target.client.upload_part().bucket(&target.bucket).key("key").upload_id(&upload.id).part_number(2);
    assert_eq!(failure(more.body(b"x".to_vec().into()).send().await), ("NoSuchUpload".into(), 404));
    let parts = target.client.list_parts().bucket(&target.bucket).key("key").upload_id(&upload.id).send().await;
    assert_eq!(failure(parts), ("NoSuchUpload".into(), 404));
}

/// For a client that did not get the first answer.
pub(super) async fn a_completion_is_answered_again(target: &Target) {
    let upload = Upload::start(target).await;
    let (first, second) = (upload.part(1, vec![1; PART]).await, upload.part(2, b"end".to_vec()).await);
    let both = vec![first, second];
    let etag = upload.complete(both.clone()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(upload.complete(both.clone()).await.as_ref(), Ok(&etag));
    }
    assert_eq!(target.get("key").await.len(), PART + 3);
}

pub(super) async fn parts_are_listed_in_pages(target: &Target) {
    let upload = Upload::start(target).await;
    for number in [1, 2, 5, 9] {
        upload.part(number, vec![b'x'; usize::try_from(number).unwrap()]).await;
    }
    let list = || target.client.list_parts().bucket(&target.bucket).key("key").upload_id(&upload.id).max_parts(3);
    let first = list().send().await.unwrap();
    let shown: Vec<_> = first.parts().iter().map(|part| (part.part_number().unwrap(), part.size().unwrap())).collect();
    assert_eq!(shown, [(1, 1), (2, 2), (5, 5)]);
    assert_eq!(first.is_truncated(), Some(true));
    let marker = first.next_part_number_marker().unwrap();
    let second = list().part_number_marker(marker).send().await.unwrap();
    assert_eq!(second.parts().len(), 1);
    assert_eq!((second.parts()[0].part_number(), second.is_truncated()), (Some(9), Some(false)));
}

pub(super) async fn uploads_are_listed(target: &Target) {
    let mut ids = Vec::new();
    for key in ["a", "b/1", "b/2", "c"] {
        let start = target.client.create_multipart_upload().bucket(&target.bucket).key(key).send().await.unwrap();
        ids.push((key.to_owned(), start.upload_id.unwrap()));
    }
    let list = || target.client.list_multipart_uploads().bucket(&target.bucket);
    let mut shown = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let page = list().max_uploads(3).set_key_marker(key).set_upload_id_marker(id).send().await.unwrap();
        shown
            .extend(page.uploads().iter().map(|it| (it.key().unwrap().to_owned(), it.upload_id().unwrap().to_owned())));
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
    assert_eq!(shown, ids);
    let some = list().prefix("b/").send().await.unwrap();
    assert_eq!(some.uploads().iter().map(|it| it.key().unwrap()).collect::<Vec<_>>(), ["b/1", "b/2"]);
}

pub(super) async fn a_part_number_out_of_range_is_refused(target: &Target) {
    let upload = Upload::start(target).await;
    for number in [0, 10_001] {
        let part = target.client.upload_part().bucket(&target.bucket).key("key").upload_id(&upload.id);
        let part = part.part_number(number).body(b"x".to_vec().into()).send().await;
        assert_eq!(failure(part), ("InvalidArgument".into(), 400), "{number}");
    }
}

/// Composite for the SHAs, of the whole for the CRC of 64 bits.
pub(super) async fn checksums_of_parts_make_one_of_the_whole(target: &Target) {
    let client = target.checking_client();
    for algorithm in [ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc64Nvme] {
        let start = client.create_multipart_upload().bucket(&target.bucket).key("key");
        let start = start.checksum_algorithm(algorithm.clone()).send().await.unwrap();
        let id = start.upload_id().unwrap();
        let mut parts = Vec::new();
        for (number, body) in [(1, vec![1; PART]), (2, b"end".to_vec())] {
            let part = client.upload_part().bucket(&target.bucket).key("key").upload_id(id).part_number(number);
            let part = part.checksum_algorithm(algorithm.clone()).body(body.into()).send().await.unwrap();
            let completed = CompletedPart::builder().part_number(number).e_tag(part.e_tag().unwrap());
            let completed = completed.set_checksum_sha256(part.checksum_sha256);
            parts.push(completed.set_checksum_crc64_nvme(part.checksum_crc64_nvme).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = client.complete_multipart_upload().bucket(&target.bucket).key("key").upload_id(id);
        let done = complete.multipart_upload(parts).send().await.unwrap();
        let head = client.head_object().bucket(&target.bucket).key("key");
        let head = head.checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled).send().await.unwrap();
        if algorithm == ChecksumAlgorithm::Sha256 {
            let sum = done.checksum_sha256().unwrap();
            assert!(sum.ends_with("-2"), "{sum}");
            assert_eq!(head.checksum_sha256(), Some(sum));
        } else {
            assert_eq!(head.checksum_crc64_nvme(), done.checksum_crc64_nvme());
            assert!(done.checksum_crc64_nvme().is_some());
        }
    }
}
