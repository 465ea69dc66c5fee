//! Lists of objects.

use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};

use super::super::raw::Request;
use super::super::target::{Target, failure};

const KEYS: [&str; 9] = ["a", "b/1", "b/2", "b/c/3", "b0", "c/4", "d/5/6", "d/5/7", "e"];

async fn fill(target: &Target) {
    for key in KEYS {
        target.put(key, key).await;
    }
}

/// All pages of the second version: keys, and prefixes.
async fn all(target: &Target, prefix: &str, delimiter: Option<&str>, size: i32) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes, mut token) = (Vec::new(), Vec::new(), None);
    loop {
        let list = target.client.list_objects_v2().bucket(&target.bucket).prefix(prefix).max_keys(size);
        let page = list.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(token).send().await.unwrap();
        let count = page.contents().len() + page.common_prefixes().len();
        assert_eq!(page.key_count(), i32::try_from(count).ok());
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        prefixes.extend(page.common_prefixes().iter().map(|it| it.prefix().unwrap().to_owned()));
        if page.is_truncated() != Some(true) {
            return (keys, prefixes);
        }
        assert_eq!(page.key_count(), Some(size), "a page that is not the last is full");
        token = page.next_continuation_token;
    }
}

pub(super) async fn pages_add_up(target: &Target) {
    fill(target).await;
    for size in [1, 2, 4, 9, 1000] {
        assert_eq!(all(target, "", None, size).await.0, KEYS, "{size} a page");
    }
    assert_eq!(all(target, "b/", None, 2).await.0, ["b/1", "b/2", "b/c/3"]);
    assert!(all(target, "nothing", None, 2).await.0.is_empty());
}

pub(super) async fn pages_of_the_first_version_add_up(target: &Target) {
    fill(target).await;
    let (mut shown, mut marker) = (Vec::new(), None);
    loop {
        let list = target.client.list_objects().bucket(&target.bucket).delimiter("/").max_keys(2);
        let page = list.set_marker(marker).send().await.unwrap();
        shown.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        shown.extend(page.common_prefixes().iter().map(|it| it.prefix().unwrap().to_owned()));
        if page.is_truncated() != Some(true) {
            break;
        }
        marker = page.next_marker;
        assert!(marker.is_some());
    }
    shown.sort();
    assert_eq!(shown, ["a", "b/", "b0", "c/", "d/", "e"]);
}

pub(super) async fn common_prefixes_count_as_entries(target: &Target) {
    fill(target).await;
    for size in [1, 2, 3, 1000] {
        let (keys, prefixes) = all(target, "", Some("/"), size).await;
        assert_eq!((keys, prefixes), (strings(&["a", "b0", "e"]), strings(&["b/", "c/", "d/"])), "{size} a page");
    }
    assert_eq!(all(target, "b/", Some("/"), 1).await, (strings(&["b/1", "b/2"]), strings(&["b/c/"])));
    assert_eq!(all(target, "d", Some("/5"), 10).await, (vec![], strings(&["d/5"])));
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub(super) async fn a_list_begins_after_a_key(target: &Target) {
    fill(target).await;
    let list = |after: &str| target.client.list_objects_v2().bucket(&target.bucket).start_after(after).send();
    let keys = |page: aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| -> Vec<String> {
        page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(list("d/5/6").await.unwrap()), ["d/5/7", "e"]);
    assert_eq!(keys(list("d/5/61").await.unwrap()), ["d/5/7", "e"]);
    assert!(keys(list("e").await.unwrap()).is_empty());
}

/// Key, size, ETag and time of each object, without a request for each.
pub(super) async fn lists_show_what_the_bucket_reader_needs(target: &Target) {
    let etag = target.put("test.edu.bag.tar", "hello").await;
    let listed = target.client.list_objects_v2().bucket(&target.bucket).send().await.unwrap();
    let object = &listed.contents()[0];
    assert_eq!(object.e_tag(), Some(etag.as_str()));
    assert_eq!((object.key(), object.size()), (Some("test.edu.bag.tar"), Some(5)));
    let head = target.client.head_object().bucket(&target.bucket).key("test.edu.bag.tar").send().await.unwrap();
    assert_eq!(object.last_modified().unwrap().secs(), head.last_modified().unwrap().secs());
}

pub(super) async fn keys_are_encoded_on_request(target: &Target) {
    target.put("a ü+/b\u{1}", "x").await;
    let list = target.client.list_objects_v2().bucket(&target.bucket).encoding_type(EncodingType::Url);
    let listed = list.send().await.unwrap();
    let key = listed.contents()[0].key().unwrap();
    let decoded = percent_encoding::percent_decode_str(&key.replace('+', " ")).decode_utf8().unwrap().into_owned();
    assert_eq!(decoded, "a ü+/b\u{1}");
}

/// Clients that ask for the encoding behind their user's back decode this field in the second version only.
pub(super) async fn a_prefix_comes_back_as_it_was_given(target: &Target) {
    target.put("a ü+/b", "x").await;
    let list = |query: &'static str| {
        let list = Request::new("GET", format!("/{}", target.bucket)).query(query);
        async move { String::from_utf8(list.send(&target.endpoint).await.body).unwrap() }
    };
    for query in ["prefix=a%20%C3%BC%2B%2F", "encoding-type=url&prefix=a%20%C3%BC%2B%2F"] {
        let shown = list(query).await;
        assert!(shown.contains("<Prefix>a ü+/</Prefix>"), "{query}: {shown}");
    }
    let second = list("list-type=2&prefix=a%20%C3%BC%2B%2F").await;
    assert!(second.contains("<Prefix>a ü+/</Prefix>"), "{second}");
}

pub(super) async fn versions_are_listed_in_pages(target: &Target) {
    fill(target).await;
    for (delimiter, size) in [(None, 2), (None, 1000), (Some("/"), 1), (Some("/"), 2)] {
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        let (mut key, mut version) = (None, None);
        loop {
            let list = target.client.list_object_versions().bucket(&target.bucket).max_keys(size);
            let list = list.set_delimiter(delimiter.map(str::to_owned));
            let page = list.set_key_marker(key).set_version_id_marker(version).send().await.unwrap();
            for version in page.versions() {
                assert_eq!((version.version_id(), version.is_latest()), (Some("null"), Some(true)));
                assert_eq!(version.size(), version.key().map(|key| i64::try_from(key.len()).unwrap()));
                assert!(version.e_tag().is_some() && version.last_modified().is_some());
                keys.push(version.key().unwrap().to_owned());
            }
            assert!(page.delete_markers().is_empty());
            prefixes.extend(page.common_prefixes().iter().map(|it| it.prefix().unwrap().to_owned()));
            if page.is_truncated() != Some(true) {
                break;
            }
            (key, version) = (page.next_key_marker, page.next_version_id_marker);
            assert!(key.is_some());
        }
        let expected = if delimiter.is_some() { strings(&["a", "b0", "e"]) } else { strings(&KEYS) };
        assert_eq!(keys, expected, "{delimiter:?}, {size} a page");
        let expected = if delimiter.is_some() { strings(&["b/", "c/", "d/"]) } else { Vec::new() };
        assert_eq!(prefixes, expected, "{delimiter:?}, {size} a page");
    }
}

/// As tools empty a bucket.
pub(super) async fn what_was_listed_with_versions_can_be_deleted(target: &Target) {
    fill(target).await;
    let listed = target.client.list_object_versions().bucket(&target.bucket).prefix("b/").send().await.unwrap();
    let identify = |version: &aws_sdk_s3::types::ObjectVersion| {
        let object = ObjectIdentifier::builder().set_version_id(version.version_id().map(str::to_owned));
        object.key(version.key().unwrap()).build().unwrap()
    };
    let delete = Delete::builder().set_objects(Some(listed.versions().iter().map(identify).collect())).build().unwrap();
    let told = target.client.delete_objects().bucket(&target.bucket).delete(delete).send().await.unwrap();
    let told: Vec<_> = told.deleted().iter().map(|it| (it.key().unwrap(), it.version_id())).collect();
    assert_eq!(told, [("b/1", Some("null")), ("b/2", Some("null")), ("b/c/3", Some("null"))]);
    target.client.delete_object().bucket(&target.bucket).key("a").version_id("null").send().await.unwrap();
    assert_eq!(target.keys().await, ["b0", "c/4", "d/5/6", "d/5/7", "e"]);
}

pub(super) async fn a_version_marker_needs_a_key(target: &Target) {
    let list = target.client.list_object_versions().bucket(&target.bucket).version_id_marker("null");
    assert_eq!(failure(list.send().await), ("InvalidArgument".into(), 400));
    let missing = target.client.list_object_versions().bucket("there-is-no-such-bucket").send().await;
    assert_eq!(failure(missing), ("NoSuchBucket".into(), 404));
}

pub(super) async fn a_list_of_a_missing_bucket_is_refused(target: &Target) {
    let listed = target.client.list_objects_v2().bucket("there-is-no-such-bucket").send().await;
    assert_eq!(failure(listed), ("NoSuchBucket".into(), 404));
}
