//! The rules of APTrust's services, each broken by itself, with the message that the depositor gets (02 §4–5, 07 J).

use bagit::aptrust::StorageOption;
use bagit::{Bag, Facts, Options, Profile, Verdict, check_bag};

use crate::support::service::{Outcome, ingest};
use crate::support::{Sample, errors, fill};

const BTR: &str = "Bagging-Date: 2020-09-13\nPayload-Oxum: 22.2\nSource-Organization: Example University\n\
    BagIt-Profile-Identifier: https://github.com/dpscollaborative/btr_bagit_profile/releases/download/1.0/btr-bagit-profile.json\n";

fn outcome(sample: &Sample) -> Outcome {
    judged_by(sample, None)
}

fn judged_by(sample: &Sample, profile: Option<Profile>) -> Outcome {
    let files = sample.files.iter().map(|(path, content)| (&path[..], &content[..]));
    ingest("example.edu/bag", files, profile).unwrap()
}

/// The messages for a good bag after an edit; its manifests are made anew if the edit does not say otherwise.
fn messages(edit: impl FnOnce(&mut Sample)) -> Vec<String> {
    let mut sample = Sample::good();
    edit(&mut sample);
    let mut messages = outcome(&sample).messages;
    messages.sort();
    messages
}

fn sealed(edit: impl FnOnce(&mut Sample)) -> Vec<String> {
    messages(|sample| {
        edit(sample);
        sample.seal(&["md5", "sha256"]);
    })
}

fn own(json: &str) -> Profile {
    Profile::from_json(json.as_bytes()).unwrap()
}

fn by_own(json: &str) -> Vec<String> {
    judged_by(&Sample::good(), Some(own(json))).messages
}

#[test]
fn a_good_bag_is_valid() {
    assert_eq!(outcome(&Sample::good()).messages, [""; 0]);
    assert_eq!(by_own("{}"), [""; 0], "by a profile that demands nothing");
}

#[test]
fn check_1_serialization() {
    assert_eq!(
        by_own(r#"{"serialization": "forbidden"}"#),
        ["BagIt profile forbids serialization but bag is serialized in application/tar format"]
    );
    assert_eq!(
        by_own(r#"{"acceptSerialization": ["application/zip"]}"#),
        ["BagIt profile does not allow serialization format application/tar"]
    );
    let profile = r#"{"serialization": "required", "acceptSerialization": ["application/tar", "application/zip"]}"#;
    let mut messages = Vec::new();
    let verdict = check_bag(&Facts::default(), &own(profile), &Options::aptrust("x"), |finding| {
        messages.push(finding.to_string());
    });
    assert_eq!(verdict, Verdict::Invalid);
    assert_eq!(
        messages,
        [
            "Bag is not serialized, but profile requires serialization in one of the following formats: application/tar, application/zip"
        ]
    );
}

#[test]
fn check_2_version() {
    let missing = ["Missing required tag bagit.txt/BagIt-Version."];
    assert_eq!(messages(|sample| sample.remove("bagit.txt")), missing);
    assert_eq!(sealed(|sample| sample.put("bagit.txt", "BagIt-Version:\nBagIt-Version: 1.0\n")), missing);
    assert_eq!(sealed(|sample| sample.put("bagit.txt", "BagIt-Version : 1.0\n")), missing);
    assert_eq!(sealed(|sample| sample.edit("bagit.txt", |text| format!("\u{feff}{text}"))), missing);
    assert_eq!(
        sealed(|sample| sample.edit("bagit.txt", |text| text.replace("1.0", "0.96"))),
        ["BagIt-Version 0.96 is not permitted in BagIt profile \
          https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json."]
    );
    assert_eq!(sealed(|sample| sample.edit("bagit.txt", |text| text.replace("1.0", "0.97"))), [""; 0]);
    assert_eq!(messages(|sample| sample.files.clear()), missing, "an empty tar");
}

#[test]
fn check_3_fetch() {
    let messages = sealed(|sample| sample.put("fetch.txt", ""));
    assert_eq!(messages, ["Bag has fetch.txt file which profile does not allow"]);
}

#[test]
fn check_4_manifests_allowed() {
    let allowed = messages(|sample| sample.put("manifest-sha384.txt", "00  data/hello.txt\n"));
    assert_eq!(allowed, ["Bag contains illegal manifest 'sha384'"]);
    let case = messages(|sample| sample.put("manifest-SHA256.txt", ""));
    assert_eq!(case, ["Bag contains illegal manifest 'SHA256'"]);
}

#[test]
fn check_5_manifests_required() {
    let missing = messages(|sample| sample.seal(&["sha512"]));
    assert_eq!(missing, ["Bag is missing required manifest 'md5'"]);
    let neither = messages(|sample| sample.seal(&[]));
    assert_eq!(neither, ["Bag is missing required manifest 'md5'"], "that one is enough");
    let none = messages(|sample| {
        sample.put("bag-info.txt", BTR);
        sample.seal(&[]);
    });
    assert_eq!(none, ["Bag must have at least one payload manifest"], "BTR names none, but one must be there");
}

#[test]
fn check_6_tag_files_allowed() {
    let mut sample = Sample::good();
    sample.put("notes/a.txt", "");
    sample.seal(&["md5"]);
    let profile = r#"{"tagFilesAllowed": ["aptrust-info.txt"]}"#;
    assert_eq!(judged_by(&sample, Some(own(profile))).messages, ["Bag contains illegal tag file 'notes/a.txt'"]);
    let any = r#"{"tagFilesAllowed": ["*", ""]}"#;
    assert_eq!(judged_by(&sample, Some(own(any))).messages, [""; 0]);
}

#[test]
fn check_7_tag_manifests_allowed() {
    let illegal = messages(|sample| sample.put("tagmanifest-sha384.txt", ""));
    assert_eq!(illegal, ["Bag contains illegal tag manifest 'sha384'"]);
}

#[test]
fn check_8_tag_manifests_required() {
    assert_eq!(
        by_own(r#"{"tagManifestsRequired": ["md5", "sha512"]}"#),
        ["Bag is missing required tag manifest 'sha512'"]
    );
    assert_eq!(by_own(r#"{"tagManifestsRequired": ["*", "sha512"], "manifestsRequired": ["*"]}"#), [""; 0]);
}

#[test]
fn check_9_tags_required() {
    assert_eq!(
        messages(|sample| sample.remove("aptrust-info.txt")),
        [
            "Required tag Access in file aptrust-info.txt is missing",
            "Required tag Title in file aptrust-info.txt is missing"
        ],
        "not Storage-Option, which the service adds"
    );
    assert_eq!(
        sealed(|sample| sample.edit("bagit.txt", |text| text.replace("Tag-File-Character-Encoding", "Encoding"))),
        ["Required tag Tag-File-Character-Encoding in file bagit.txt is missing"]
    );
    assert_eq!(
        sealed(|sample| sample.edit("bag-info.txt", |text| BTR.replace("Payload-Oxum", "X") + &text)),
        [""; 0],
        "the bag's own Payload-Oxum serves"
    );
    assert_eq!(
        sealed(|sample| sample.put("bag-info.txt", BTR.replace("Payload-Oxum", "X"))),
        ["Required tag Payload-Oxum in file bag-info.txt is missing"]
    );
    assert_eq!(sealed(|sample| sample.remove("bag-info.txt")), [""; 0], "APTrust requires none of its tags");
}

#[test]
fn check_10_tag_values() {
    let info = |text: &'static str| sealed(move |sample| sample.put("aptrust-info.txt", text));
    assert_eq!(info("title:  \nAccess: restricted\n"), ["In file aptrust-info.txt, required tag title has no value"]);
    assert_eq!(
        info("Title: x\nAccess: Hands Off!\n"),
        ["In file aptrust-info.txt, tag Access has illegal value 'Hands Off!'"]
    );
    assert_eq!(
        info("Title: x\nAccess: Institution\nAccess: Everybody\n"),
        ["In file aptrust-info.txt, tag Access has illegal value 'Everybody'"],
        "every occurrence counts"
    );
    assert_eq!(
        info("Title:\nAccess: acksess\nStorage-Option: Cardboard-Box\n"),
        [
            "In file aptrust-info.txt, required tag Title has no value",
            "In file aptrust-info.txt, tag Access has illegal value 'acksess'",
            "In file aptrust-info.txt, tag Storage-Option has illegal value 'Cardboard-Box'"
        ]
    );
    assert_eq!(
        info("Title: x\nAccess: Institution\nStorage-Option:\n"),
        ["In file aptrust-info.txt, required tag Storage-Option has no value"]
    );
    assert_eq!(info("Title: x\nACCESS: conSORtia\nstorage-option: WASABI-tx\nOther: y\n"), [""; 0]);
    assert_eq!(
        sealed(|sample| sample.edit("bagit.txt", |text| text.replace("UTF-8", "ISO-8859-1"))),
        ["In file bagit.txt, tag Tag-File-Character-Encoding has illegal value 'ISO-8859-1'"]
    );
    assert_eq!(
        sealed(|sample| sample.put("bag-info.txt", "Contact-Name: A\0B\n")),
        [r"In file bag-info.txt, tag Contact-Name has illegal value 'A\0B'"]
    );
}

#[test]
fn check_11_names() {
    for name in ["data/a\u{7f}b", r"data/datastream\u007f.txt", "notes\u{a0}.txt", "data/tab\t"] {
        let messages = sealed(|sample| sample.put(name, ""));
        assert_eq!(
            messages,
            [format!("File name '{name}' contains one or more illegal control characters")],
            "{name:?}"
        );
    }
    assert_eq!(sealed(|sample| sample.put("data/ a\u{202f}\u{2028}é.. ", "")), [""; 0]);
    let long = format!("data/{}", "x".repeat(3000));
    assert_eq!(sealed(|sample| sample.put(&long, "")), [format!("File name '{long}' is too long to store")]);
}

#[test]
fn check_11_digests() {
    let wrong = messages(|sample| {
        sample.put("data/hello.txt", "Hello, world.\n");
    });
    assert_eq!(
        wrong,
        [
            "File example.edu/bag/data/hello.txt: ingest md5 checksum 54098b367d2e87b078671fad4afb9dbb doesn't match manifest checksum ec0e2b2a4ea7ff0fc6f9dc41850698b3",
            "File example.edu/bag/data/hello.txt: ingest sha256 checksum 1ab1a2bb8502820a83881a5b66910b819121bafe336d76374637aa4ea7ba2616 doesn't match manifest checksum 568c2a79c58ffc5dff3eae46d070f039f748b0f08c856ea086a505eafc454c4e"
        ]
    );
    let missing = messages(|sample| sample.remove("data/hello.txt"));
    assert_eq!(
        missing,
        [
            "File example.edu/bag/data/hello.txt in manifest-md5.txt is missing from bag",
            "File example.edu/bag/data/hello.txt in manifest-sha256.txt is missing from bag"
        ]
    );
    let unlisted = messages(|sample| sample.put("data/._hello.txt", ""));
    assert_eq!(
        unlisted,
        [
            "File example.edu/bag/data/._hello.txt is not in manifest manifest-md5.txt",
            "File example.edu/bag/data/._hello.txt is not in manifest manifest-sha256.txt"
        ]
    );
    assert_eq!(messages(|sample| sample.put("notes.txt", "")), [""; 0], "tag files need no entry");
}

#[test]
fn a_file_that_one_of_two_manifests_lists_and_the_bag_lacks_gives_one_message_of_each() {
    let messages = messages(|sample| {
        sample.remove("data/hello.txt");
        sample.keep_lines("manifest-sha256.txt", |index, _| index > 0);
        sample.seal_tags(&["md5"]);
    });
    assert_eq!(
        messages,
        [
            "File example.edu/bag/data/hello.txt in manifest-md5.txt is missing from bag",
            "File example.edu/bag/data/hello.txt is not in manifest manifest-sha256.txt"
        ]
    );
}

#[test]
fn a_missing_file_that_one_manifest_lists_twice_gives_one_message() {
    let messages = messages(|sample| {
        sample.seal(&["md5"]);
        sample.remove("data/hello.txt");
        sample.edit("manifest-md5.txt", |text| text.clone() + &text);
        sample.seal_tags(&["md5"]);
    });
    assert_eq!(messages, ["File example.edu/bag/data/hello.txt in manifest-md5.txt is missing from bag"]);
}

#[test]
fn a_bag_in_memory_is_judged_in_the_same_order() {
    let mut sample = Sample::good();
    sample.put("data/hello.txt", "changed");
    let judged = |sample: &Sample| {
        let files = sample.files.iter().map(|(path, content)| (&path[..], &content[..]));
        let mut bag = Bag::new(Options::aptrust("example.edu/bag"), Profile::aptrust());
        bag.serialized_as("application/tar");
        errors(&fill(bag, files, 7).findings().1)
    };
    assert_eq!(judged(&sample).len(), 2, "one for each manifest");
    sample.put("fetch.txt", "");
    assert_eq!(judged(&sample), ["fetch.txt: Bag has fetch.txt file which profile does not allow"], "files come last");
}

#[test]
fn tag_manifests_are_compared_whatever_the_payload_manifests_algorithms() {
    let messages = messages(|sample| {
        sample.seal(&["md5"]);
        sample.seal_tags(&["sha256"]);
        sample.put("aptrust-info.txt", "Title: changed\nAccess: Institution\n");
    });
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("File example.edu/bag/aptrust-info.txt: ingest sha256 checksum "), "{messages:?}");
}

#[test]
fn payload_manifests_must_be_in_each_tag_manifest() {
    let messages = messages(|sample| {
        sample.keep_lines("tagmanifest-md5.txt", |_, line| !line.contains("  manifest-md5"));
    });
    assert_eq!(messages, ["File example.edu/bag/manifest-md5.txt is not in manifest tagmanifest-md5.txt"]);
}

#[test]
fn a_tag_file_in_a_payload_manifest_is_compared_and_not_objected_to() {
    let listed = |digest: &str| {
        let line = format!("{digest}  notes.txt\n");
        messages(|sample| {
            sample.put("notes.txt", "");
            sample.edit("manifest-md5.txt", |text| text + &line);
            sample.seal_tags(&["md5"]);
        })
    };
    assert_eq!(listed("d41d8cd98f00b204e9800998ecf8427e"), [""; 0]);
    assert_eq!(listed("00").len(), 1);
}

#[test]
fn digests_in_upper_case_are_good() {
    let upper = |text: String| {
        let line = |line: &str| [&line[..32].to_uppercase(), &line[32..]].concat();
        text.split_inclusive('\n').map(line).collect::<String>()
    };
    assert_eq!(
        messages(|sample| {
            sample.seal(&["md5"]);
            sample.edit("manifest-md5.txt", upper);
            sample.seal_tags(&["md5"]);
            sample.edit("tagmanifest-md5.txt", upper);
        }),
        [""; 0]
    );
}

#[test]
fn a_path_listed_twice_must_match_twice_whichever_comes_first() {
    let twice = |edit: fn(String) -> String| {
        messages(|sample| {
            sample.edit("manifest-md5.txt", edit);
            sample.seal_tags(&["md5", "sha256"]);
        })
    };
    assert_eq!(twice(|text| text.clone() + &text), [""; 0]);
    for edit in [
        |text: String| format!("{text}{}  data/hello.txt\n", "0".repeat(32)),
        |text: String| format!("{}  data/hello.txt\n{text}", "0".repeat(32)),
    ] {
        let messages = twice(edit);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(
            messages[0].ends_with("doesn't match manifest checksum 00000000000000000000000000000000"),
            "{messages:?}"
        );
    }
}

#[test]
fn a_path_is_read_in_other_ways_only_where_the_literal_one_is_no_file() {
    let listed_as = |file: &'static str, written: &'static str| {
        messages(move |sample| {
            sample.put(file, "");
            sample.seal(&["md5"]);
            sample.edit("manifest-md5.txt", |text| text.replace(file, written));
            sample.seal_tags(&["md5"]);
        })
    };
    assert_eq!(listed_as("data/100% sure", "data/100%25 sure"), [""; 0]);
    assert_eq!(listed_as("data/a%0Ab%25", "data/a%0Ab%25"), [""; 0], "a name that looks encoded");
    assert_eq!(listed_as("data/a", "*data/a"), [""; 0]);
    assert_eq!(listed_as("data/a", "./data/a"), [""; 0]);
    assert_eq!(listed_as("data/a", "data/a  ").len(), 2, "blanks at the end belong to the path");
    let both = messages(|sample| {
        sample.put("data/a%25", "one");
        sample.put("data/a%", "two");
        sample.seal(&["md5", "sha256"]);
    });
    assert_eq!(both, [""; 0], "the literal file wins, and the other is itself");
}

#[test]
fn many_faults_give_thirty_messages_and_one() {
    let messages = messages(|sample| {
        for number in 0..40 {
            sample.put(format!("data/{number}"), "");
        }
    });
    assert_eq!(messages.len(), 31);
    assert!(messages.contains(&"Too many errors".to_owned()));
}

#[test]
fn a_long_line_in_a_tag_file_ends_the_ingest() {
    let mut sample = Sample::good();
    sample.put("bag-info.txt", format!("A: 1\nB: {}\n", "x".repeat(70_000)));
    let files = sample.files.iter().map(|(path, content)| (&path[..], &content[..]));
    let error = ingest("example.edu/bag", files, None).unwrap_err();
    assert_eq!(error.to_string(), "Error reading tag file 'bag-info.txt': line 2 is too long");
}

#[test]
fn what_the_tags_say_goes_into_the_record() {
    let mut sample = Sample::good();
    sample.put("aptrust-info.txt", "title: Letters: a family\naccess: CONSORTIA\nstorage-option: glacier-deep-oh\n");
    sample.seal(&["md5"]);
    let outcome = outcome(&sample);
    assert_eq!(outcome.messages, [""; 0]);
    assert_eq!(outcome.option, StorageOption::Known("Glacier-Deep-OH"));
    assert_eq!(
        (outcome.attributes.access.as_str(), outcome.attributes.title.as_str()),
        ("consortia", "Letters: a family")
    );
}
