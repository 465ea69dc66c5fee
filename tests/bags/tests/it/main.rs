//! The bags are what they say: judged by the validator that judges deposits.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bagit::{Options, Profile};
use bags::{APTRUST_INFO, Algorithm, BAG_INFO, Bag, Bagged, Parts, Tags, bag_folder};
use bytes::Bytes;
use digests::{Algorithms, Digests};
use tarball::{Limits, Parser, Step};

/// The files of a tar, with the name of the folder that they are in.
fn files(tar: Vec<u8>) -> (String, Vec<(String, Vec<u8>)>) {
    let (mut parser, mut input) = (Parser::new(Limits::default()), Bytes::from(tar));
    let (mut top, mut files) = (String::new(), Vec::<(String, Vec<u8>)>::new());
    loop {
        match parser.step(&mut input).unwrap() {
            Step::Entry(entry) => {
                let name = String::from_utf8(entry.name).unwrap();
                let (folder, path) = name.split_once('/').unwrap();
                folder.clone_into(&mut top);
                files.push((path.to_owned(), Vec::new()));
            }
            Step::Data(data) => files.last_mut().unwrap().1.extend_from_slice(&data),
            Step::More => panic!("the tar is cut"),
            Step::End => return (top, files),
        }
    }
}

/// What a validator by APTrust's rules finds.
fn found(tar: Vec<u8>) -> Vec<String> {
    let (name, files) = files(tar);
    let mut bag = bagit::Bag::new(Options::aptrust(&name), Profile::aptrust());
    bag.serialized_as("application/tar");
    for (path, contents) in files {
        bag.file(&path, contents.len() as u64);
        bag.content(&contents);
        for (algorithm, digest) in Digests::of(Algorithms::ALL, &contents).iter() {
            bag.digest(algorithm.as_str(), &hex::decode(digest).unwrap());
        }
    }
    bag.findings().1.iter().map(ToString::to_string).collect()
}

/// What is made wrong.
type Change = fn(&mut Parts);

fn bag() -> Bag {
    Bag::aptrust("test.edu.bag").file("a.txt", "hello").file("deep/100% b.txt", "")
}

#[test]
fn a_bag_is_good_until_something_is_made_wrong() {
    assert_eq!(found(bag().tar()), [""; 0]);
    assert_eq!(found(bag().manifests(&[Algorithm::Md5]).tag_manifests(&[Algorithm::Sha512]).tar()), [""; 0]);
    let cases: [(Change, &str); 5] = [
        (|parts| parts.remove("data/a.txt"), "data/a.txt in manifest-md5.txt is missing from bag"),
        (|parts| parts.put("data/a.txt", "hallo"), "doesn't match manifest checksum"),
        (|parts| parts.put("data/c.txt", "more"), "data/c.txt is not in manifest"),
        (|parts| parts.remove("bagit.txt"), "bagit.txt"),
        (
            |parts| parts.edit("aptrust-info.txt", |text| text.replace("Institution", "Nobody")),
            "tag Access has illegal value 'Nobody'",
        ),
    ];
    for (change, expected) in cases {
        let found = found(bag().but(change));
        assert!(found.iter().any(|finding| finding.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn one_thing_is_wrong_at_a_time() {
    let title = found(bag().without_tag(APTRUST_INFO, "Title").tar());
    assert_eq!(title, ["Required tag Title in file aptrust-info.txt is missing"]);
    let access = found(bag().tag(APTRUST_INFO, "Access", "Nobody").tar());
    assert_eq!(access, ["In file aptrust-info.txt, tag Access has illegal value 'Nobody'"]);
    let sealed = found(bag().manifests(&[Algorithm::Md5]).but(|parts| {
        parts.edit("manifest-md5.txt", |text| format!("{text}{:032}  data/none\n", 0));
        parts.list_tags();
    }));
    assert_eq!(sealed, ["File test.edu.bag/data/none in manifest-md5.txt is missing from bag"]);
}

#[tokio::test]
async fn a_folder_is_bagged_with_all_that_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    let (folder, target) = (place.path().join("photos"), place.path().join("photos.tar"));
    fs::create_dir_all(folder.join("2024/empty")).unwrap();
    fs::write(folder.join("2024/large"), vec![7; (3 << 20) + 1]).unwrap();
    fs::write(folder.join("none"), "").unwrap();
    fs::write(folder.join("50% off"), "!").unwrap();
    let bagged = bag_folder(&folder, "test.edu.photos", Tags::aptrust("Photos"), &target).await.unwrap();
    assert_eq!(bagged, Bagged { files: 3, bytes: (3 << 20) + 2 });
    let tar = fs::read(&target).unwrap();
    assert_eq!(found(tar.clone()), [""; 0]);
    let (name, files) = files(tar);
    let file = |path: &str| files.iter().find(|(name, _)| name == path).map(|(_, contents)| contents).unwrap();
    assert_eq!((name.as_str(), file("data/2024/large").len()), ("test.edu.photos", (3 << 20) + 1));
    let info = String::from_utf8(file(BAG_INFO).clone()).unwrap();
    assert!(info.contains("Payload-Oxum: 3145730.3\n"), "{info}");
}

#[tokio::test]
async fn what_a_bag_cannot_hold_is_named() {
    let place = tempfile::tempdir().unwrap();
    let bagged = async |folder: &Path| {
        let bagged = bag_folder(folder, "x", Tags::aptrust("x"), &place.path().join("x.tar")).await;
        format!("{:#}", bagged.unwrap_err())
    };
    let folder = place.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let empty = bagged(&folder).await;
    assert!(empty.contains("there is no file in"), "{empty}");
    symlink("/etc/hosts", folder.join("link")).unwrap();
    let link = bagged(&folder).await;
    assert!(link.contains("folder/link is neither file nor folder"), "{link}");
}
