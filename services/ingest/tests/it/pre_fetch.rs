//! Pre-fetch on embedded servers: what it records of good bags (02 §3 and 4), whatever befalls it, and of upstream's own bags.

mod faults;
mod formats;
mod refusals;
mod tags;
mod upstream;

use digests::{Algorithms, Digests};
use model::{Algorithm, ChecksumSource, IngestFile, Provider};
use stack::s3::Operation;

use crate::receiving::{Place, RECEIVING, STAGING, md5, tar};

/// What manifests say of a file.
fn declared(file: &IngestFile, source: &ChecksumSource) -> Vec<(String, String)> {
    let of_source = file.checksums.iter().filter(|sum| sum.source == *source);
    of_source.map(|sum| (sum.algorithm.to_string(), sum.digest.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bag_becomes_records_an_object_and_copies_in_staging() {
    let place = Place::new().await;
    let large: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    let manifest = format!("{}  data/large.JPG\n{}  data/a.txt\n", md5(&large), md5(b"a"));
    let of_tags = format!("{}  manifest-md5.txt\n{}  bag-info.txt\n", md5(manifest.as_bytes()), md5(b"Title: x\n"));
    let bag = tar(&[
        ("bag/manifest-md5.txt", manifest.as_bytes()),
        ("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("bag/data/a.txt", b"a"),
        ("bag/data/empty", b""),
        ("bag/data/large.JPG", &large),
        ("bag/bag-info.txt", b"Source-Organization: Test\nBag-Group-Identifier: g1\n"),
        ("bag/aptrust-info.txt", b"Title: A title\nAccess: Consortia\nTitle: again\n"),
        ("bag/custom/notes.md", b"n"),
        ("bag/tagmanifest-md5.txt", of_tags.as_bytes()),
        ("bag/fetch.txt", b""),
    ]);
    let counts = [
        place.count(RECEIVING, Operation::GetObject),
        place.count(STAGING, Operation::PutObject),
        place.count(STAGING, Operation::GetObject),
    ];
    let (item, object, files) = place.good(bag).await;
    let requests = counts.map(|count| count());
    assert_eq!(item.note, "Finished pre-fetch metadata gathering");
    assert_eq!(requests, [1, 5, 2], "one GET of the tar, a PUT per staged file, a GET per manifest; none per file");

    assert_eq!((object.file_count, object.has_fetch_txt, object.serialization.as_str()), (10, true, "application/tar"));
    assert_eq!((object.s3_key.as_str(), object.etag.as_str(), object.size), (&*item.name, &*item.etag, item.size));
    assert_eq!((&object.manifests[..], &object.tag_manifests[..]), (&["md5".into()][..], &["md5".into()][..]));
    assert_eq!(object.tag_files[..], ["bagit.txt", "bag-info.txt", "aptrust-info.txt", "custom/notes.md"]);
    assert_eq!(object.parsable_tag_files[..], ["bagit.txt", "bag-info.txt", "aptrust-info.txt"]);
    let tags: Vec<_> =
        object.tags.iter().map(|tag| format!("{}/{}={}", tag.tag_file, tag.tag_name, tag.value)).collect();
    let expected = [
        "bagit.txt/BagIt-Version=1.0",
        "bagit.txt/Tag-File-Character-Encoding=UTF-8",
        "bag-info.txt/Source-Organization=Test",
        "bag-info.txt/Bag-Group-Identifier=g1",
        "aptrust-info.txt/Title=A title",
        "aptrust-info.txt/Access=Consortia",
        "aptrust-info.txt/Title=again",
        "aptrust-info.txt/Storage-Option=Standard",
    ];
    assert_eq!(tags, expected);

    assert_eq!(files.len(), 10);
    for (path, contents) in [("data/large.JPG", &large[..]), ("data/a.txt", b"a"), ("data/empty", b"")] {
        let file = &files[path];
        let digests = Digests::of(Algorithms::ALL, contents);
        let expected = digests.iter().map(|(algorithm, digest)| (algorithm.to_string(), digest.to_owned()));
        assert_eq!(declared(file, &ChecksumSource::Ingest), expected.collect::<Vec<_>>(), "{path}");
        assert_eq!(usize::try_from(file.size).unwrap(), contents.len());
        assert_eq!(file.mtime.to_string(), "2020-09-13T12:26:40Z");
        assert_eq!((file.mtime, file.institution_id, file.needs_save), (file.file_modified, 4, true));
    }
    assert_eq!(declared(&files["data/a.txt"], &ChecksumSource::Manifest), [("md5".to_owned(), md5(b"a"))]);
    assert_eq!(declared(&files["data/empty"], &ChecksumSource::Manifest), []);
    let of_manifest = declared(&files["manifest-md5.txt"], &ChecksumSource::TagManifest);
    assert_eq!(of_manifest, [("md5".to_owned(), md5(manifest.as_bytes()))]);

    let staging = place.storage.bucket(&Provider::Aws, STAGING).unwrap();
    for name in ["manifest-md5.txt", "tagmanifest-md5.txt", "bagit.txt", "bag-info.txt", "aptrust-info.txt"] {
        let staged = staging.stat(&format!("{}/{name}", item.id)).await.unwrap();
        let sum = files[name].checksum(&ChecksumSource::Ingest, &Algorithm::Md5).unwrap();
        assert_eq!(staged.etag.md5(), Some(&*sum.digest), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_means_files_by_their_names_and_otherwise_as_md5sum_and_the_rfc_write_them() {
    let place = Place::new().await;
    let lines = [
        "01 *data/star",
        "02 ./data/dot",
        "03 data/100%25",
        "04 data/literal%25",
        "05 *data/both",
        "06 data/absent",
        "07 *data/absent-too",
        "08 data/trailing ",
        "AB data/upper",
    ];
    let bag = tar(&[
        ("bag/manifest-md5.txt", lines.join("\n").as_bytes()),
        ("bag/data/star", b""),
        ("bag/data/dot", b""),
        ("bag/data/100%", b""),
        ("bag/data/literal%25", b""),
        ("bag/data/literal%", b""),
        ("bag/*data/both", b""),
        ("bag/data/both", b""),
        ("bag/data/trailing", b""),
        ("bag/data/upper", b""),
    ]);
    let (_, _, files) = place.good(bag).await;
    let said = |path: &str| declared(&files[path], &ChecksumSource::Manifest).pop().map(|(_, digest)| digest);
    for (path, digest) in [
        ("data/star", Some("01")),
        ("data/dot", Some("02")),
        ("data/100%", Some("03")),
        ("data/literal%25", Some("04")),
        ("data/literal%", None),
        ("*data/both", Some("05")),
        ("data/both", None),
        ("data/absent", Some("06")),
        ("*data/absent-too", Some("07")),
        ("data/trailing", None),
        ("data/trailing ", Some("08")),
        // Defect 13: Go compares exactly.
        ("data/upper", Some("ab")),
    ] {
        assert_eq!(said(path).as_deref(), digest, "{path}");
    }
    let absent = &files["data/absent"];
    assert_eq!((absent.size, absent.checksums.len()), (0, 1), "what is listed and not there has no digest of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_listed_twice_keeps_both_digests_if_they_differ() {
    let place = Place::new().await;
    let bag = tar(&[
        ("bag/manifest-md5.txt", b"01 data/a\n02 data/a\n03 data/a\n01 data/b\n01 data/b\n"),
        ("bag/data/a", b""),
        ("bag/data/b", b""),
    ]);
    let (_, _, files) = place.good(bag).await;
    let digests = |path: &str| declared(&files[path], &ChecksumSource::Manifest).into_iter().map(|(_, digest)| digest);
    assert_eq!(digests("data/a").collect::<Vec<_>>(), ["01", "02"]);
    assert_eq!(digests("data/b").collect::<Vec<_>>(), ["01"]);
}

/// More lines than are taken at a time, of files that come in another order.
#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_many_lines_reach_every_file() {
    let place = Place::new().await;
    let paths: Vec<String> = (0..1300).map(|number| format!("bag/data/{number:05}")).collect();
    let mut lines: Vec<String> = paths.iter().map(|path| format!("{} {}", md5(path.as_bytes()), &path[4..])).collect();
    lines.reverse();
    let (manifest, sha1) = (lines.join("\n"), lines.join("\n"));
    let mut named: Vec<(&str, &[u8])> = vec![("bag/manifest-md5.txt", manifest.as_bytes())];
    named.extend(paths.iter().map(|path| (&**path, path.as_bytes())));
    named.push(("bag/manifest-sha1.txt", sha1.as_bytes()));
    let (_, object, files) = place.good(tar(&named)).await;
    assert_eq!((object.file_count, files.len()), (1302, 1302));
    for path in &paths {
        let sum = md5(path.as_bytes());
        let expected = [("md5".to_owned(), sum.clone()), ("sha1".to_owned(), sum)];
        assert_eq!(declared(&files[&path[4..]], &ChecksumSource::Manifest), expected);
    }
}

/// Upstream takes whatever begins with `manifest-` for a manifest, and loses it.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_16_only_a_whole_name_makes_a_manifest() {
    let place = Place::new().await;
    let names = ["manifest-notes.pdf", "manifest-x/bagit.txt", "manifest-.txt", "tagmanifest-sha.256.txt"];
    let in_tar: Vec<String> = names.iter().map(|name| format!("bag/{name}")).collect();
    let bag: Vec<(&str, &[u8])> = in_tar.iter().map(|name| (&**name, &b"x: y\n"[..])).collect();
    let (_, object, files) = place.good(tar(&bag)).await;
    assert_eq!(object.tag_files[..], names);
    assert!(object.manifests.is_empty() && object.tag_manifests.is_empty() && object.parsable_tag_files.is_empty());
    assert_eq!(object.tags.len(), 1, "only the storage option, which every bag gets");
    assert!(files.values().all(IngestFile::is_preservable));
}

/// Kept: the name of the top folder does not matter, and several are merged (02 §4.1).
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_top_folder_does_not_matter() {
    let place = Place::new().await;
    let (_, object, files) = place.good(tar(&[("one/bagit.txt", b"a: b"), ("./two/data/x", b"")])).await;
    assert_eq!(object.file_count, 2);
    assert_eq!(files.into_keys().collect::<Vec<_>>(), ["bagit.txt", "two/data/x"]);
}

/// Upstream keeps a multipart bag under a name that no later stage looks for.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_04_a_part_of_a_bag_is_kept_under_the_name_of_the_bag() {
    let place = Place::new().await;
    let item = place.named("photos.b01.of02.tar", tar(&[("bag/data/a", b"")])).await;
    place.fetched(std::slice::from_ref(&item)).await;
    let object = place.world.store.object(item.id, "test.edu/photos").await.unwrap().expect("an object");
    assert_eq!(object.s3_key, "photos.b01.of02.tar");
    assert_eq!(place.files(&item).await["data/a"].identifier(), "test.edu/photos/data/a");
}
