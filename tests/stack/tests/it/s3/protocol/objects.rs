//! Single objects.

use aws_sdk_s3::types::{Delete, ObjectIdentifier, StorageClass};

use super::super::raw::Request;
use super::super::target::{Target, failure};

pub(super) async fn an_object_comes_back(target: &Target) {
    assert_eq!(target.put("key", "hello").await, "\"5d41402abc4b2a76b9719d911017c592\"");
    let got = target.client.get_object().bucket(&target.bucket).key("key").send().await.unwrap();
    assert_eq!(got.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(got.content_length(), Some(5));
    assert!(got.last_modified().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
    let head = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
    assert_eq!((head.content_length(), head.e_tag()), (Some(5), Some("\"5d41402abc4b2a76b9719d911017c592\"")));
}

pub(super) async fn an_empty_object_comes_back(target: &Target) {
    assert_eq!(target.put("empty", "").await, "\"d41d8cd98f00b204e9800998ecf8427e\"");
    assert!(target.get("empty").await.is_empty());
}

pub(super) async fn a_second_object_replaces_the_first(target: &Target) {
    target.put("key", vec![1; 3 << 20]).await;
    target.put("key", "short").await;
    assert_eq!(target.get("key").await, b"short");
    assert_eq!(target.keys().await, ["key"]);
}

pub(super) async fn metadata_and_headers_come_back(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"x".to_vec().into());
    let put = put.metadata("institution", "test.edu").metadata("bagpath", "data/a b.txt").metadata("empty", "");
    let put = put.content_type("text/x-test").cache_control("no-cache").content_disposition("inline");
    put.content_encoding("identity").content_language("de").send().await.unwrap();
    let head = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
    let metadata = head.metadata().unwrap();
    assert_eq!(metadata["institution"], "test.edu");
    assert_eq!(metadata["bagpath"], "data/a b.txt");
    assert_eq!(head.content_type(), Some("text/x-test"));
    assert_eq!(head.cache_control(), Some("no-cache"));
    assert_eq!(head.content_disposition(), Some("inline"));
    assert_eq!(head.content_encoding(), Some("identity"));
    assert_eq!(head.content_language(), Some("de"));
}

pub(super) async fn metadata_beyond_ascii_comes_back(target: &Target) {
    let path = format!("/{}/key", target.bucket);
    let value = "data/Größe/日本 =?UTF-8?Q?x";
    let put = Request::new("PUT", &path).body("x").header("x-amz-meta-bagpath", value);
    assert_eq!(put.send(&target.endpoint).await.status, 200);
    let head = Request::new("HEAD", &path).send(&target.endpoint).await;
    assert_eq!(head.header("x-amz-meta-bagpath"), Some(value), "{}", head.head);
}

pub(super) async fn ranges_are_cut_out(target: &Target) {
    let body: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    target.put("key", body.clone()).await;
    let ranges = [("bytes=0-0", 0..1), ("bytes=999-2000000", 999..2_000_001), ("bytes=3999999-", 3_999_999..4_000_000)];
    for (range, expected) in
        [&ranges[..], &[("bytes=-10", 3_999_990..4_000_000), ("bytes=3999990-9999999", 3_999_990..4_000_000)]].concat()
    {
        let got = target.client.get_object().bucket(&target.bucket).key("key").range(range).send().await.unwrap();
        let shown = format!("bytes {}-{}/4000000", expected.start, expected.end - 1);
        assert_eq!(got.content_range(), Some(shown.as_str()));
        assert!(got.body.collect().await.unwrap().to_vec() == body[expected], "{range}");
    }
}

pub(super) async fn a_range_beyond_the_end_is_refused(target: &Target) {
    target.put("key", "hello").await;
    let got = target.client.get_object().bucket(&target.bucket).key("key").range("bytes=5-").send().await;
    assert_eq!(failure(got), ("InvalidRange".into(), 416));
}

pub(super) async fn keys_of_every_kind_are_kept(target: &Target) {
    let keys = [
        " lead and trail ",
        "%2F%00",
        "+plus&and=?#",
        "../../etc/passwd",
        "..",
        "a//b///c",
        "a/../b",
        "a\\b",
        "d\u{308}ir/日本語/🚀",
        "ends/",
        "new\nline",
        "~tilde!'()*",
    ];
    for key in keys {
        target.put(key, key).await;
    }
    for key in keys {
        assert_eq!(target.get(key).await, key.as_bytes(), "{key:?}");
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(target.keys().await, sorted);
}

pub(super) async fn a_key_of_1024_bytes_is_kept(target: &Target) {
    let key = "ü".repeat(512);
    target.put(&key, "x").await;
    assert_eq!(target.get(&key).await, b"x");
    assert_eq!(target.keys().await, [key]);
}

pub(super) async fn a_longer_key_is_refused(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("k".repeat(1025)).body(b"x".to_vec().into());
    assert_eq!(failure(put.send().await), ("KeyTooLongError".into(), 400));
}

pub(super) async fn a_missing_key_is_told(target: &Target) {
    let got = target.client.get_object().bucket(&target.bucket).key("missing").send().await;
    assert_eq!(failure(got), ("NoSuchKey".into(), 404));
    let head = target.client.head_object().bucket(&target.bucket).key("missing").send().await;
    assert_eq!(failure(head).1, 404);
}

pub(super) async fn a_storage_class_is_kept(target: &Target) {
    for class in [StorageClass::StandardIa, StorageClass::Glacier, StorageClass::DeepArchive] {
        let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"x".to_vec().into());
        put.storage_class(class.clone()).send().await.unwrap();
        let head = target.client.head_object().bucket(&target.bucket).key("key").send().await.unwrap();
        assert_eq!(head.storage_class(), Some(&class));
        let listed = target.client.list_objects_v2().bucket(&target.bucket).send().await.unwrap();
        assert_eq!(listed.contents()[0].storage_class().unwrap().as_str(), class.as_str());
    }
}

pub(super) async fn an_unknown_storage_class_is_refused(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"x".to_vec().into());
    let put = put.storage_class("COLD".into()).send().await;
    assert_eq!(failure(put), ("InvalidStorageClass".into(), 400));
}

pub(super) async fn deleting_is_repeatable(target: &Target) {
    target.put("key", "x").await;
    for _ in 0..2 {
        target.client.delete_object().bucket(&target.bucket).key("key").send().await.unwrap();
    }
    assert!(target.keys().await.is_empty());
}

pub(super) async fn many_are_deleted_at_once(target: &Target) {
    for number in 0..4 {
        target.put(&format!("k{number}"), "x").await;
    }
    let delete = |keys: &[&str], quiet: bool| {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build().unwrap()).collect();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(quiet).build().unwrap();
        target.client.delete_objects().bucket(&target.bucket).delete(delete).send()
    };
    let loud = delete(&["k0", "never was"], false).await.unwrap();
    let told: Vec<&str> = loud.deleted().iter().filter_map(|it| it.key()).collect();
    assert_eq!(told, ["k0", "never was"]);
    assert!(loud.errors().is_empty());
    let quiet = delete(&["k1", "k2"], true).await.unwrap();
    assert!(quiet.deleted().is_empty() && quiet.errors().is_empty());
    assert_eq!(target.keys().await, ["k3"]);
}

pub(super) async fn too_much_metadata_is_refused(target: &Target) {
    let put = target.client.put_object().bucket(&target.bucket).key("key").body(b"x".to_vec().into());
    let put = put.metadata("long", "m".repeat(2049)).send().await;
    assert_eq!(failure(put), ("MetadataTooLarge".into(), 400));
    assert!(target.keys().await.is_empty());
}
