//! `cargo xtask demo`: bags go in, the services preserve or refuse them, and the report says what a newcomer wants to know.

use std::fs;

use serde_json::Value;

use crate::release::{Ran, run};
use crate::support::{Scratch, xtask};

/// The records of a run of this type.
fn records(ran: &Ran, kind: &str) -> Vec<Value> {
    let records = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["type"] == kind).collect()
}

#[test]
fn made_bags_are_preserved_refused_and_preserved_anew() {
    let ran = run(xtask().args(["demo", "--once", "--format", "json"])).succeeds();
    let bags = records(&ran, "bag");
    let of = |name: &str| bags.iter().filter(|bag| bag["bag"] == name).collect::<Vec<_>>();
    assert_eq!(bags.len(), 6, "{bags:#?}");
    assert!(bags.iter().all(|bag| bag["as_expected"] == true), "{bags:#?}");

    let [first, second] = of("first-steps")[..] else { panic!("{bags:#?}") };
    assert_eq!(first["stored"]["copies"]["preservation-va"], first["stored"]["files"]);
    assert_eq!(first["stored"]["copies"]["preservation-or"], first["stored"]["files"]);
    assert_eq!(second["stored"]["new"]["payload"][0], "data/answer.txt");
    assert_eq!(second["stored"]["changed"]["payload"][0], "data/letter.txt");
    assert_eq!(second["stored"]["same"]["payload"].as_array().unwrap().len(), 2, "{second:#}");
    assert!(first["stored"]["events"]["ingestion"].as_i64() > Some(0), "{first:#}");
    let many = &of("many-files")[0]["stored"];
    assert_eq!(many["verified"], many["files"], "{many:#}");
    for (name, reason) in [
        ("altered-file", "doesn't match manifest checksum"),
        ("missing-file", "data/dot.gif in manifest-md5.txt is missing from bag"),
        ("no-title", "Required tag Title in file aptrust-info.txt is missing"),
    ] {
        let note = of(name)[0]["note"].as_str().unwrap();
        assert!(note.contains(reason), "{name}: {note}");
    }
    // Each change of each bag, and each file with its copies.
    assert!(records(&ran, "moved").iter().any(|moved| moved["bag"] == "many-files" && moved["stage"] == "Store"));
    let letters =
        records(&ran, "file").into_iter().filter(|file| file["file"] == "test.edu/first-steps/data/letter.txt");
    assert_eq!(letters.filter(|letter| letter["copies"][1]["state"] == "verified").count(), 2);
    assert_eq!(records(&ran, "result")[0]["as_expected"], 6);
    assert!(ran.stderr.contains("6 of 6 bags came out as expected"), "{}", ran.stderr);
}

#[test]
fn a_folder_is_bagged_and_preserved_and_a_tar_that_is_no_bag_fails() {
    let scratch = Scratch::new("demo");
    let (folder, tar) = (scratch.path().join("My letters"), scratch.path().join("broken.tar"));
    fs::create_dir_all(folder.join("1901")).unwrap();
    fs::write(folder.join("1901/first.txt"), "Dear reader,\n").unwrap();
    let options = ["--title", "Letters", "--storage-option", "glacier-oh", "--access", "Restricted"];
    let ran = run(xtask().args(["demo", "--once", "--format", "json"]).args(options).arg(&folder)).succeeds();
    let stored = &records(&ran, "bag")[0]["stored"];
    assert_eq!((&stored["object"], &stored["title"]), (&"test.edu/My_letters".into(), &"Letters".into()));
    assert_eq!(stored["copies"]["glacier-oh"], stored["files"], "{stored:#}");

    fs::write(&tar, "not a bag").unwrap();
    let ran = run(xtask().args(["demo", "--once"]).arg(&tar));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("broken: refused after"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_preserved_is_told_before_anything_is_started() {
    let scratch = Scratch::new("demo-wrong");
    let file = scratch.path().join("letter.txt");
    fs::write(&file, "").unwrap();
    let ran = run(xtask().args(["demo", "--once"]).arg(&file));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("neither a folder nor named .tar"), "{}", ran.stderr);
    let ran = run(xtask().args(["demo", "--dry-run"]).arg(scratch.path())).succeeds();
    assert!(ran.stdout.contains("would start NSQ") && ran.stdout.contains("bagged"), "{}", ran.stdout);
}
