//! Whole bags (03 §2): what comes out, and that nothing does where something is wrong.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use digests::{Algorithm, Algorithms, Digests};
use futures_util::stream;
use model::{Action, GenericFile, IntellectualObject, Status, StorageOption, Topic, WorkItem};
use stack::s3::{FaultKind, Operation};
use tarball::{Files, Kind, Reader};
use world::until;

use crate::place::{MTIME, OR, Place, TARGET, VA};

const KEY: &str = "test.edu/bag.tar";
const BAG_INFO: &str = "Source-Organization: Test\nPayload-Oxum: 1.1\nBagging-Date: 2020-01-01\n";
const APTRUST_INFO: &str = "Title: A bag\nAccess: Institution\nStorage-Option: Standard\n";
/// More than is held in memory as a whole, and more than one part of an upload.
const LARGE: usize = 20 << 20;

/// A tar as it was read: names in their order, and contents by path in the bag.
struct Restored {
    names: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
    times: BTreeMap<String, String>,
}

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

fn usual() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("aptrust-info.txt", APTRUST_INFO.into()),
        ("bag-info.txt", BAG_INFO.into()),
        ("data/a", b"a".to_vec()),
        ("data/b/c", b"c".to_vec()),
    ]
}

async fn object(place: &Place, files: &[(&str, Vec<u8>)]) -> IntellectualObject {
    place.object("bag", &StorageOption::Standard, files, |_| ()).await
}

async fn restored(place: &Place, item: &WorkItem, status: Status) -> WorkItem {
    let item = place.restored(place.start_bag(), Topic::RestoreObject, item, status).await;
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0, "no manifest stays");
    item
}

async fn read(place: &Place) -> Restored {
    let tar = Bytes::from(place.fetched(KEY).await.unwrap());
    let chunks: Vec<_> = tar.chunks(64 << 10).map(|chunk| Ok::<_, std::io::Error>(tar.slice_ref(chunk))).collect();
    let mut reader = Reader::new(stream::iter(chunks), tarball::Limits::default());
    let mut restored = Restored { names: Vec::new(), files: BTreeMap::new(), times: BTreeMap::new() };
    let mut admitted = Files::default();
    while let Some(entry) = reader.entry().await.unwrap() {
        let name = String::from_utf8(entry.name.clone()).unwrap();
        restored.names.push(name);
        let Some(path) = admitted.admit(&entry).unwrap() else {
            assert_eq!(entry.kind, Kind::Folder);
            continue;
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.data().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        let mtime = model::Time::from(entry.mtime.unwrap()).to_string();
        restored.times.insert(path.clone(), mtime);
        restored.files.insert(path, bytes);
    }
    restored
}

/// By the validator of ingest.
fn assert_valid(restored: &Restored) {
    let mut bag = bagit::Bag::new(bagit::Options::default(), bagit::Profile::default());
    for (path, bytes) in &restored.files {
        bag.file(path, bytes.len() as u64);
        bag.content(bytes);
        for (algorithm, digest) in Digests::of(Algorithms::ALL, bytes).iter() {
            let digest: Vec<u8> =
                (0..digest.len()).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap()).collect();
            bag.digest(algorithm.as_str(), &digest);
        }
    }
    let (verdict, findings) = bag.findings();
    assert_eq!(verdict, bagit::Verdict::Valid, "{findings:?}");
}

async fn asked(place: &Place, object: &IntellectualObject) -> WorkItem {
    place.request(Action::RestoreObject, object, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_03_k1_k2_k5_k7_a_bag_comes_back_with_its_order_headers_and_manifests() {
    let place = Place::new().await;
    let object = object(&place, &usual()).await;
    let item = restored(&place, &asked(&place, &object).await, Status::Success).await;
    let note = format!("Object test.edu/bag restored to https://s3.amazonaws.com/{TARGET}/{KEY}.");
    assert_eq!((item.note.as_str(), item.outcome.as_str()), (note.as_str(), "Bag restoration complete"));
    let restored = read(&place).await;
    let expected = [
        "bag/",
        "bag/bagit.txt",
        "bag/aptrust-info.txt",
        "bag/bag-info.txt",
        "bag/data/",
        "bag/data/a",
        "bag/data/b/",
        "bag/data/b/c",
        "bag/manifest-md5.txt",
        "bag/manifest-sha256.txt",
        "bag/tagmanifest-md5.txt",
        "bag/tagmanifest-sha256.txt",
    ];
    assert_eq!(restored.names, expected);
    assert_eq!(restored.times["data/a"], MTIME);
    let file = |path: &str| String::from_utf8_lossy(&restored.files[path]).into_owned();
    assert_eq!(file("bagit.txt"), "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
    assert_eq!(file("aptrust-info.txt"), APTRUST_INFO);
    let info = file("bag-info.txt");
    assert!(info.starts_with("Source-Organization: Test\nPayload-Oxum: 2.2\nBagging-Date: 2"), "{info}");
    assert!(info.ends_with("\nOriginal-Payload-Oxum: 1.1\nOriginal-Bagging-Date: 2020-01-01"), "{info}");
    let md5 = |bytes: &[u8]| Digests::of(Algorithm::Md5, bytes).get(Algorithm::Md5).unwrap().to_owned();
    assert_eq!(file("manifest-md5.txt"), format!("{}  data/a\n{}  data/b/c\n", md5(b"a"), md5(b"c")));
    assert_valid(&restored);
    let tar = place.fetched(KEY).await.unwrap();
    assert!(tar.ends_with(&[0; 1024]) && tar.len() % 512 == 0);
    let stat = place.bucket(TARGET).stat(KEY).await.unwrap();
    assert_eq!((stat.content_type.as_deref(), stat.metadata.len()), (Some("application/octet-stream"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bags_with_odd_names_sizes_and_no_payload_come_back_byte_for_byte() {
    let place = Place::new().await;
    let long = format!("data/{}/{}", "d".repeat(154), "f".repeat(100));
    let longer = format!("data/{}/{}", "d".repeat(156), "f".repeat(101));
    let many: Vec<String> = (0..300).map(|number| format!("data/many/{}/{number}", number % 7)).collect();
    let mut files = vec![
        ("data/ä ö/日本.txt", contents(1000)),
        ("data/%0A *?\"'<>|&;$`", contents(1)),
        ("data/ leading", contents(0)),
        ("data/\u{1F600}", contents(511)),
        ("data/large", contents(LARGE)),
        ("data/medium", contents((1 << 20) + 1)),
        (&long, contents(512)),
        (&longer, contents(513)),
        ("tags/extra/notes.txt", contents(99)),
    ];
    files.extend(many.iter().map(|path| (path.as_str(), path.clone().into_bytes())));
    let object = object(&place, &files).await;
    restored(&place, &asked(&place, &object).await, Status::Success).await;
    let restored_bag = read(&place).await;
    for (path, bytes) in &files {
        assert!(restored_bag.files[*path] == *bytes, "{path}");
    }
    assert_eq!(restored_bag.files.len(), files.len() + 5);
    let names: HashSet<&String> = restored_bag.names.iter().collect();
    assert_eq!(names.len(), restored_bag.names.len(), "every entry stands once");
    assert_valid(&restored_bag);

    let place = Place::new().await;
    let object = place.object("bag", &StorageOption::Standard, &[("bag-info.txt", BAG_INFO.into())], |_| ()).await;
    restored(&place, &asked(&place, &object).await, Status::Success).await;
    let without_payload = read(&place).await;
    assert_eq!(without_payload.files["manifest-md5.txt"], b"");
    assert!(without_payload.files.contains_key("bag-info.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d1_an_upload_that_fails_is_no_success() {
    let place = Place::new().await;
    let object = object(&place, &usual()).await;
    let kind = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
    place.s3.faults().add(Place::fault(TARGET, Operation::PutObject, kind)).unwrap();
    let item = restored(&place, &asked(&place, &object).await, Status::Started).await;
    assert!(item.note.contains("access denied") && item.needs_admin_review, "{}", item.note);
    assert_eq!(place.fetched(KEY).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d1_d2_parts_and_completion_that_fail_leave_nothing() {
    for operation in [Operation::UploadPart, Operation::CompleteMultipartUpload] {
        let place = Place::new().await;
        let object = object(&place, &[("data/large", contents(LARGE))]).await;
        let kind = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
        place.s3.faults().add(Place::fault(TARGET, operation, kind)).unwrap();
        mark_abortion(&place);
        restored(&place, &asked(&place, &object).await, Status::Started).await;
        assert_eq!(place.fetched(KEY).await, None);
        assert!(is_aborted(&place), "{operation:?}");
    }
}

/// Struck by the next abortion of an upload, and by nothing else.
fn mark_abortion(place: &Place) {
    let mark = Place::fault(TARGET, Operation::AbortMultipartUpload, FaultKind::Latency { milliseconds: 0 });
    place.s3.faults().add(mark.times(1)).unwrap();
}

fn is_aborted(place: &Place) -> bool {
    let left = place.s3.faults().list();
    !left.iter().any(|fault| fault.operation == Some(Operation::AbortMultipartUpload))
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d2_a_mismatch_leaves_neither_object_nor_upload() {
    let place = Place::new().await;
    let object =
        object(&place, &[("data/a", b"a".to_vec()), ("data/large", contents(LARGE)), ("data/z", b"z".to_vec())]).await;
    let file = place.file(&object, "data/z").await;
    for bucket in [VA, OR] {
        place.damage(bucket, &file, b"y".to_vec()).await;
    }
    mark_abortion(&place);
    let item = restored(&place, &asked(&place, &object).await, Status::Failed).await;
    assert!(item.note.contains("digest mismatch for test.edu/bag/data/z. Registry says "), "{}", item.note);
    assert_eq!(place.fetched(KEY).await, None);
    assert!(is_aborted(&place));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_best_copy_is_read_also_where_a_large_file_proves_wrong_at_its_end() {
    let place = Place::new().await;
    let files = [("data/a", b"a".to_vec()), ("data/gone", b"gone".to_vec()), ("data/large", contents(LARGE))];
    let object = object(&place, &files).await;
    place.damage(VA, &place.file(&object, "data/a").await, b"b".to_vec()).await;
    place.bucket(VA).delete(&place.file(&object, "data/gone").await.uuid).await.unwrap();
    let mut other = contents(LARGE);
    *other.last_mut().unwrap() ^= 1;
    place.damage(VA, &place.file(&object, "data/large").await, other).await;
    let item = restored(&place, &asked(&place, &object).await, Status::Success).await;
    assert!(item.note.contains(" copies could not be used and others were"), "{}", item.note);
    assert!(item.note.contains(&format!(". Object test.edu/bag restored to https://s3.amazonaws.com/{TARGET}/{KEY}.")));
    let bag = read(&place).await;
    for (path, bytes) in &files {
        assert!(bag.files[*path] == *bytes, "{path}");
    }
    assert_valid(&bag);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d13_only_the_folder_data_is_payload() {
    let place = Place::new().await;
    let object = object(&place, &[("data/a", b"a".to_vec()), ("database.txt", b"tag".to_vec())]).await;
    restored(&place, &asked(&place, &object).await, Status::Success).await;
    let bag = read(&place).await;
    let has = |manifest: &str| String::from_utf8_lossy(&bag.files[manifest]).contains("  database.txt\n");
    assert!(!has("manifest-sha256.txt") && has("tagmanifest-sha256.txt"));
    assert_valid(&bag);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d15_a_broken_connection_goes_on_where_it_was() {
    let place = Place::new().await;
    let object = object(&place, &[("data/large", contents(LARGE))]).await;
    for _ in 0..3 {
        let cut = Place::fault(VA, Operation::GetObject, FaultKind::Cut { after_bytes: 3 << 20 }).times(1);
        place.s3.faults().add(cut).unwrap();
    }
    let item = restored(&place, &asked(&place, &object).await, Status::Success).await;
    assert!(!item.note.contains("could not be used"), "{}", item.note);
    assert!(read(&place).await.files["data/large"] == contents(LARGE));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d18_what_registry_has_no_digest_of_is_not_verified() {
    let place = Place::new().await;
    let files = [("data/a", b"a".to_vec())];
    let keep =
        |file: &mut GenericFile, kept: &str| file.checksums.as_vec().retain(|sum| sum.algorithm.as_str() == kept);
    let object = place.object("bag", &StorageOption::Standard, &files, |file| keep(file, "sha1")).await;
    place.damage(VA, &place.file(&object, "data/a").await, b"b".to_vec()).await;
    place.damage(OR, &place.file(&object, "data/a").await, b"b".to_vec()).await;
    let item = restored(&place, &asked(&place, &object).await, Status::Failed).await;
    assert!(item.note.contains("sha1 digest mismatch"), "a digest that is in no manifest counts: {}", item.note);
    let other = place.object("other", &StorageOption::Standard, &files, |file| keep(file, "none")).await;
    let item = restored(&place, &asked(&place, &other).await, Status::Failed).await;
    assert!(item.note.contains("no checksum"), "{}", item.note);
    assert_eq!(place.fetched("test.edu/other.tar").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_leaves_no_object_and_the_next_one_ends_it() {
    let place = Place::new().await;
    let object = object(&place, &[("data/large", contents(LARGE))]).await;
    let item = asked(&place, &object).await;
    let stall = Place::fault(TARGET, Operation::UploadPart, FaultKind::Stall).after(1);
    place.s3.faults().add(stall).unwrap();
    let running = place.start_bag();
    place.world.publish(Topic::RestoreObject, item.id).await;
    let folder = place.folder.path().to_owned();
    until("the bag is being written", || std::fs::read_dir(&folder).unwrap().count() > 0).await;
    running.kill();
    assert_eq!(place.fetched(KEY).await, None);
    place.s3.faults().reset();
    let running = place.start_bag();
    place.world.publish(Topic::RestoreObject, item.id).await;
    let item = place.world.until(item.id, |item| !item.retry).await;
    running.stop().await;
    assert_eq!(item.status, Status::Success, "{}", item.note);
    assert_valid(&read(&place).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_deleted_or_has_no_files_is_refused() {
    let place = Place::new().await;
    let object = place.object("bag", &StorageOption::Standard, &[], |_| ()).await;
    let item = restored(&place, &asked(&place, &object).await, Status::Failed).await;
    assert!(item.note.contains("has no files"), "{}", item.note);
    assert_eq!(place.fetched(KEY).await, None);
}
