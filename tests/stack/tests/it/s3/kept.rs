//! What is kept, and what goes away.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use stack::s3::{Options, S3, StorageClass};

use super::target::{Target, failure};
use crate::support::wait_for;

fn options(folder: &Path) -> Options {
    let archived = [("glacier".to_owned(), StorageClass::DeepArchive)].into();
    Options { folder: Some(folder.to_owned()), archived, buckets: vec!["glacier".into()], ..Options::default() }
}

/// A server on a folder that has `bucket` already.
async fn reopen(folder: &Path, new_bucket: &str) -> (S3, Target) {
    let server = S3::start(options(folder)).await.unwrap();
    let mut target = Target::at(&server.endpoint(), new_bucket).await;
    "bucket".clone_into(&mut target.bucket);
    (server, target)
}

/// Every file below the folder, with what it takes on disk.
fn files(folder: &Path) -> Vec<(String, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path().display().to_string(), metadata.blocks() * 512));
        }
    }
    found
}

#[tokio::test]
async fn a_kept_folder_reopens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(options(folder.path())).await;
    let put = target.client.put_object().bucket("bucket").key("ü/key").body(b"hello".to_vec().into());
    put.metadata("bag", "b").content_type("text/x-test").send().await.unwrap();
    target.put("replaced", "old").await;
    target.put("replaced", "new").await;
    target.put("deleted", "x").await;
    target.client.delete_object().bucket("bucket").key("deleted").send().await.unwrap();
    let copy = target.client.copy_object().bucket("glacier").key("copy").copy_source("bucket/replaced");
    copy.send().await.unwrap();
    let start = target.client.create_multipart_upload().bucket("bucket").key("parts").metadata("m", "1");
    let id = start.send().await.unwrap().upload_id.unwrap();
    let part = target.client.upload_part().bucket("bucket").key("parts").upload_id(&id).part_number(1);
    let etag = part.body(b"part".to_vec().into()).send().await.unwrap().e_tag.unwrap();
    target.into_server().stop().await;

    // What a server that was killed may leave.
    let orphan = folder.path().join("data/0/4095");
    std::fs::write(&orphan, "torn").unwrap();
    let (server, target) = reopen(folder.path(), "new-bucket").await;
    assert!(!orphan.exists());
    assert_eq!(target.keys().await, ["replaced", "ü/key"]);
    assert_eq!(target.get("replaced").await, b"new");
    let head = target.client.head_object().bucket("bucket").key("ü/key").send().await.unwrap();
    assert_eq!((head.metadata().unwrap()["bag"].as_str(), head.content_type()), ("b", Some("text/x-test")));
    let archived = target.client.get_object().bucket("glacier").key("copy").send().await;
    assert_eq!(failure(archived), ("InvalidObjectState".into(), 403));
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = |target: &Target| {
        let complete = target.client.complete_multipart_upload().bucket("bucket").key("parts").upload_id(&id);
        complete.multipart_upload(parts.clone()).send()
    };
    complete(&target).await.unwrap();
    assert_eq!(target.get("parts").await, b"part");
    server.stop().await;
    // A client that did not get that answer asks the next server.
    let (server, target) = reopen(folder.path(), "third").await;
    complete(&target).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_folder_serves_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = S3::start(options(folder.path())).await.unwrap();
    let error = S3::start(options(folder.path())).await.unwrap_err().to_string();
    assert!(error.contains("is in use by another S3 server"), "{error}");
    first.stop().await;
    S3::start(options(folder.path())).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_long_history_is_made_short() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(options(folder.path())).await;
    target.put("kept", "hello").await;
    let journal = folder.path().join("journal");
    target.into_server().stop().await;
    let line = "{\"delete\":{\"bucket\":\"bucket\",\"key\":\"never was\"}}\n";
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text.push_str(&line.repeat(20_000));
    std::fs::write(&journal, text).unwrap();
    let (server, target) = reopen(folder.path(), "other").await;
    assert!(std::fs::metadata(&journal).unwrap().len() < 10_000);
    assert_eq!(target.get("kept").await, b"hello");
    target.put("more", "x").await;
    server.stop().await;
    let (server, target) = reopen(folder.path(), "another").await;
    assert_eq!(target.keys().await, ["kept", "more"]);
    server.stop().await;
}

#[tokio::test]
async fn what_no_object_needs_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(options(folder.path())).await;
    let data = folder.path().join("data");
    target.put("one", vec![1; 1 << 20]).await;
    target.put("one", vec![2; 1 << 20]).await;
    let copy = target.client.copy_object().bucket("bucket").key("two").copy_source("bucket/one");
    copy.send().await.unwrap();
    assert_eq!(files(&data).len(), 2);
    for key in ["one", "two"] {
        target.client.delete_object().bucket("bucket").key(key).send().await.unwrap();
    }
    let start = target.client.create_multipart_upload().bucket("bucket").key("m").send().await.unwrap();
    let id = start.upload_id.unwrap();
    let mut parts = Vec::new();
    for number in [1, 2] {
        let part = target.client.upload_part().bucket("bucket").key("m").upload_id(&id).part_number(number);
        let etag = part.body(b"part".to_vec().into()).send().await.unwrap().e_tag.unwrap();
        parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    parts.truncate(1);
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = target.client.complete_multipart_upload().bucket("bucket").key("m").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();
    wait_for("the unused files to go", || async {
        let left = files(&data);
        if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    target.into_server().stop().await;
}

#[tokio::test]
async fn zeros_take_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(options(folder.path())).await;
    let zeros = tempfile::NamedTempFile::new().unwrap();
    zeros.as_file().set_len(100 << 20).unwrap();
    let body = ByteStream::from_path(zeros.path()).await.unwrap();
    let put = target.client.put_object().bucket("bucket").key("zeros").body(body).send().await.unwrap();
    assert_eq!(put.e_tag(), Some("\"2f282b84e7e608d5852449ed940bfc51\""));
    let head = target.client.head_object().bucket("bucket").key("zeros").send().await.unwrap();
    assert_eq!(head.content_length(), Some(100 << 20));
    let taken: u64 = files(&folder.path().join("data")).iter().map(|(_, bytes)| bytes).sum();
    assert!(taken < 1 << 20, "{taken} bytes");
    let last = target.client.get_object().bucket("bucket").key("zeros").range("bytes=-3").send().await.unwrap();
    assert_eq!(last.body.collect().await.unwrap().to_vec(), [0; 3]);
    target.into_server().stop().await;
}

/// The bytes are those of the object that was there when the answer began, whatever happens meanwhile.
#[tokio::test]
async fn a_reader_keeps_what_it_reads() {
    let target = Target::ours().await;
    target.put("key", vec![1; 8 << 20]).await;
    let got = target.client.get_object().bucket("bucket").key("key").send().await.unwrap();
    target.put("key", vec![2; 8 << 20]).await;
    target.client.delete_object().bucket("bucket").key("key").send().await.unwrap();
    let bytes = got.body.collect().await.unwrap().to_vec();
    assert!(bytes.len() == 8 << 20 && bytes.iter().all(|byte| *byte == 1));
}

#[tokio::test]
async fn nothing_is_left_when_a_server_is_dropped() {
    let target = Target::ours().await;
    target.put("key", "x").await;
    let (address, client) = (target.server().address(), target.client.clone());
    drop(target.into_server());
    wait_for("the port to be free", || async {
        match tokio::net::TcpListener::bind(address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    let put = client.put_object().bucket("bucket").key("key").body(b"x".to_vec().into()).send();
    let put = tokio::time::timeout(Duration::from_secs(30), put).await.unwrap();
    assert_eq!(failure(put).1, 0);
}

#[tokio::test]
async fn servers_do_not_know_each_other() {
    let (one, two) = (Target::ours().await, Target::ours().await);
    assert_ne!(one.endpoint, two.endpoint);
    one.put("key", "one").await;
    two.put("key", "two").await;
    assert_eq!(one.get("key").await, b"one");
    assert_eq!(two.get("key").await, b"two");
}
