//! `cargo xtask demo`: bags go in, live their whole life or are refused, and the report says what a newcomer wants to know.

use std::fs;
use std::path::Path;

use quick_xml::events::Event;
use serde_json::Value;

use crate::release::{Ran, run};
use crate::support::{Scratch, program, root, xtask};

/// The name of a tag, and its attributes.
type Tag = (String, Vec<(String, String)>);

/// The records of a run of this type.
fn records(ran: &Ran, kind: &str) -> Vec<Value> {
    let records = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["type"] == kind).collect()
}

fn bag<'b>(bags: &'b [Value], name: &str) -> &'b Value {
    bags.iter().find(|bag| bag["bag"] == name).unwrap_or_else(|| panic!("no {name} in {bags:#?}"))
}

/// What was done with a bag after its ingest.
fn steps(bag: &Value) -> Vec<&str> {
    bag["steps"].as_array().unwrap().iter().map(|step| step["phase"].as_str().unwrap()).collect()
}

/// What came of a step.
fn facts<'b>(bag: &'b Value, phase: &str) -> &'b Value {
    let steps = bag["steps"].as_array().unwrap();
    &steps.iter().find(|step| step["phase"] == phase).unwrap_or_else(|| panic!("not {phase}: {bag:#}"))["facts"]
}

/// The tags and attributes of a page that is well-formed XML, and its text.
fn parsed(page: &str) -> (Vec<Tag>, String) {
    let mut reader = quick_xml::Reader::from_str(page);
    let (mut tags, mut texts) = (Vec::new(), String::new());
    let (mut open, name) = (Vec::new(), |name: &[u8]| String::from_utf8(name.to_vec()).unwrap());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::End(tag) => assert_eq!(open.pop(), Some(name(tag.name().as_ref()))),
            Event::Text(text) => texts.push_str(&text.decode().unwrap()),
            ref event @ (Event::Start(ref tag) | Event::Empty(ref tag)) => {
                if matches!(event, Event::Start(_)) {
                    open.push(name(tag.name().as_ref()));
                }
                let attributes = tag.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    (name(attribute.key.as_ref()), String::from_utf8(attribute.value.to_vec()).unwrap())
                });
                tags.push((name(tag.name().as_ref()), attributes.collect()));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "these are not closed: {open:?}");
    (tags, texts)
}

#[test]
fn made_bags_live_their_whole_life_or_are_refused() {
    let scratch = Scratch::new("demo-page");
    let page = scratch.path().join("report.html");
    let ran = run(xtask().args(["demo", "--once", "--format", "json", "--html"]).arg(&page)).succeeds();
    let bags = records(&ran, "bag");
    assert_eq!(bags.len(), 6, "{bags:#?}");
    assert!(bags.iter().all(|bag| bag["as_expected"] == true && bag["wrong"] == Value::Array(Vec::new())), "{bags:#?}");

    let first = bag(&bags, "first-steps");
    let [one, two] = [0, 1].map(|version: usize| &first["versions"][version]["stored"]);
    assert_eq!(one["copies"]["preservation-va"], one["files"]);
    assert_eq!(one["copies"]["preservation-or"], one["files"]);
    assert_eq!(two["new"]["payload"][0], "data/answer.txt");
    assert_eq!(two["changed"]["payload"][0], "data/letter.txt");
    assert_eq!(two["same"]["payload"].as_array().unwrap().len(), 2, "{two:#}");
    assert!(one["events"]["ingestion"].as_i64() > Some(0), "{first:#}");
    assert_eq!(steps(first), ["checked", "file back", "bag back", "deleted"]);
    let checked = facts(first, "checked");
    assert_eq!((&checked["files"], &checked["copies"], &checked["intact"]), (&6.into(), &12.into(), &12.into()));
    let back = facts(first, "bag back");
    assert_eq!((&back["same_files"], &back["rewritten"][0]), (&5.into(), &"bag-info.txt".into()));
    let deleted = facts(first, "deleted");
    assert_eq!((&deleted["copies"], &deleted["gone"], &deleted["events"]), (&12.into(), &12.into(), &7.into()));
    assert_ne!(deleted["requested_by"], deleted["approved_by"]);

    let many = bag(&bags, "many-files");
    assert_eq!(many["versions"][0]["stored"]["verified"], many["versions"][0]["stored"]["files"], "{many:#}");
    assert_eq!(
        (steps(many), &facts(many, "bag back")["same_files"]),
        (vec!["checked", "file back", "bag back"], &201.into())
    );
    let cold = bag(&bags, "cold-storage");
    assert_eq!(cold["versions"][0]["stored"]["archived"], cold["versions"][0]["stored"]["files"], "{cold:#}");
    assert_eq!((steps(cold), &facts(cold, "bag back")["same_files"]), (vec!["thawed", "bag back"], &3.into()));
    for (name, reason) in [
        ("altered-file", "doesn't match manifest checksum"),
        ("missing-file", "data/dot.gif in manifest-md5.txt is missing from bag"),
        ("no-title", "Required tag Title in file aptrust-info.txt is missing"),
    ] {
        let note = bag(&bags, name)["versions"][0]["note"].as_str().unwrap();
        assert!(note.contains(reason), "{name}: {note}");
    }
    // Each change of each bag, and each file with its copies.
    assert!(records(&ran, "moved").iter().any(|moved| moved["bag"] == "many-files" && moved["stage"] == "Store"));
    let letters =
        records(&ran, "file").into_iter().filter(|file| file["file"] == "test.edu/first-steps/data/letter.txt");
    assert_eq!(letters.filter(|letter| letter["copies"][1]["state"] == "verified").count(), 2);
    assert_eq!(records(&ran, "result")[0]["as_expected"], 6);
    text_is_for_a_terminal(&ran.stderr);
    page_stands_by_itself(&page);
}

/// Two screens, and no line that is longer than one of them is wide.
fn text_is_for_a_terminal(told: &str) {
    let from = told.find("first-steps: preserved").unwrap_or_else(|| panic!("no report in {told}"));
    let report: Vec<&str> = told[from..].split_inclusive("came out as expected").next().unwrap().lines().collect();
    assert!(report.len() <= 48, "{} lines:\n{}", report.len(), report.join("\n"));
    assert!(report.iter().all(|line| line.chars().count() <= 80 && !line.contains('\x1b')), "{report:#?}");
    assert_eq!(report.last(), Some(&"6 of 6 bags came out as expected"));
}

fn page_stands_by_itself(page: &Path) {
    let page = fs::read_to_string(page).unwrap();
    let (tags, text) = parsed(&page);
    let loads = ["src", "href", "srcset", "data", "action", "poster", "background"];
    let loading = |attributes: &[(String, String)]| attributes.iter().any(|(name, _)| loads.contains(&name.as_str()));
    let foreign: Vec<_> = tags.iter().filter(|(tag, attributes)| tag == "script" || loading(attributes)).collect();
    assert!(foreign.is_empty() && !page.contains("url(") && !page.contains("@import"), "{foreign:?}");
    assert!(text.contains("6 of 6 bags came out as expected") && text.contains("as deposited, byte by byte"));
    let bars = |name: &str| tags.iter().filter(|(tag, attributes)| tag == "rect" && attributes[0].1 == name).count();
    // One bag twice, two once; and one in the legend.
    assert_eq!((bars("Deleted"), bars("Thawed"), bars("BagBack"), bars("FileBack")), (2, 2, 4, 3));
}

#[test]
fn a_folder_is_bagged_and_given_back_and_a_tar_that_is_no_bag_fails() {
    let scratch = Scratch::new("demo");
    let (folder, tar, page) =
        (scratch.path().join("My letters"), scratch.path().join("broken.tar"), scratch.path().join("report.html"));
    fs::create_dir_all(folder.join("1901")).unwrap();
    fs::write(folder.join("1901/a <b> & \"c\".txt"), "Dear reader,\n").unwrap();
    let options = ["--title", "Letters <script>", "--access", "Restricted", "--delete", "--html"];
    let ran =
        run(xtask().args(["demo", "--once", "--format", "json"]).args(options).arg(&page).arg(&folder)).succeeds();
    let letters = &records(&ran, "bag")[0];
    let stored = &letters["versions"][0]["stored"];
    assert_eq!((&stored["object"], &stored["title"]), (&"test.edu/My_letters".into(), &"Letters <script>".into()));
    assert_eq!(stored["copies"]["preservation-va"], stored["files"], "{stored:#}");
    assert_eq!(steps(letters), ["checked", "file back", "bag back", "deleted"]);
    assert!(folder.join("1901/a <b> & \"c\".txt").exists(), "the user's own files stay");
    assert!(parsed(&fs::read_to_string(&page).unwrap()).0.iter().all(|(tag, _)| tag != "script" && tag != "b"));

    fs::write(&tar, "not a bag").unwrap();
    let ran = run(xtask().args(["demo", "--once"]).arg(&tar));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("broken: refused\n"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("broken did not come out as expected: it was refused: Got unexpected EOF while"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("next: correct the bag"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_preserved_is_told_before_anything_is_started() {
    let scratch = Scratch::new("demo-wrong");
    let file = scratch.path().join("letter.txt");
    fs::write(&file, "").unwrap();
    let ran = run(xtask().args(["demo", "--once"]).arg(&file));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("neither a folder nor named .tar"), "{}", ran.stderr);
    let ran = run(xtask().args(["demo", "--once", "--html"]).arg(scratch.path().join("absent/report.html")));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no page can be written to"), "{}", ran.stderr);
    let ran = run(xtask().args(["demo", "--dry-run"]).arg(scratch.path())).succeeds();
    assert!(ran.stdout.contains("would start NSQ") && ran.stdout.contains("bagged"), "{}", ran.stdout);
}

/// In a folder of programs that has all of them but one, and in one in which it cannot be started.
#[test]
fn a_service_that_is_missing_or_ends_is_named() {
    let scratch = Scratch::new("demo-missing");
    let demo = program("preserv-demo");
    for entry in fs::read_dir(root().join("services/apps/src/bin")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        if name != "bag_restorer" {
            linked(&program(&name), &scratch.path().join(name));
        }
    }
    linked(&demo, &scratch.path().join("preserv-demo"));
    let demo = || run(xtask().args(["demo", "--once"]).env("XTASK_PROGRAMS", scratch.path()));
    let ran = demo();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("needs all services, and bag_restorer is not in"), "{}", ran.stderr);

    // It says of itself what every service says, and then does nothing.
    let useless = scratch.path().join("bag_restorer");
    fs::write(&useless, "#!/bin/sh\necho it will not do\n[ \"$1\" = --version ]\n").unwrap();
    fs::set_permissions(&useless, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = demo();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("bag_restorer ended: exit status: 1; the last that it said: it will not do"),
        "{}",
        ran.stderr
    );
}

fn linked(program: &Path, as_: &Path) {
    fs::hard_link(program, as_).or_else(|_| fs::copy(program, as_).map(drop)).unwrap();
}
