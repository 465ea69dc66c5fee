//! The RFC by default: a bag for each kind of the Library of Congress suite, made by code, and each rule of the RFC broken
//! by itself, with the place that is named.

use bagit::{Problem, Profile, Verdict};

use crate::support::{Sample, errors, warnings};

fn old() -> Sample {
    let mut sample = Sample::bare("0.97");
    sample.seal(&["md5"]);
    sample
}

fn new() -> Sample {
    let mut sample = Sample::bare("1.0");
    sample.seal(&["md5"]);
    sample
}

fn edited(mut sample: Sample, edit: impl FnOnce(&mut Sample)) -> Sample {
    edit(&mut sample);
    sample
}

/// After an edit of the payload or the tags, with manifests made anew.
fn sealed(sample: Sample, edit: impl FnOnce(&mut Sample)) -> Sample {
    edited(sample, |sample| {
        edit(sample);
        sample.seal(&["md5"]);
    })
}

/// After an edit of the manifest, with the tag manifest made anew.
fn listed(sample: Sample, edit: impl FnOnce(String) -> String) -> Sample {
    edited(sample, |sample| {
        sample.edit("manifest-md5.txt", edit);
        sample.seal_tags(&["md5"]);
    })
}

fn judge(sample: &Sample) -> (Verdict, Vec<String>, Vec<String>) {
    let (verdict, findings) = sample.findings(Profile::default());
    (verdict, errors(&findings), warnings(&findings))
}

#[test]
fn bags_of_the_kinds_in_the_suite_that_are_valid() {
    let utf16 = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let bags = [
        ("basic-bag", old()),
        ("RFC 8493", new()),
        ("minimal-bag", sealed(old(), |bag| bag.remove("bag-info.txt"))),
        (
            "bag-in-a-bag",
            sealed(old(), |bag| {
                bag.put("data/bag/bagit.txt", "x");
                bag.put("data/bag/manifest-md5.txt", "not a manifest");
                bag.remove("bag-info.txt");
            }),
        ),
        (
            "bag-with-space",
            sealed(old(), |bag| {
                bag.put("data/a b ", "");
                bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
            }),
        ),
        (
            "bag-with-encoded-names",
            sealed(old(), |bag| {
                bag.put("data/%7Edir/%test", "");
                bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
            }),
        ),
        ("duplicate-metadata-entries", sealed(old(), |bag| bag.put("bag-info.txt", "A: 1\na: 2\nA: 3"))),
        (
            "uncommon-metadata-separators",
            edited(old(), |bag| {
                bag.put("bag-info.txt", "A : 1\nB\t:  2\nC:3\n");
                bag.seal(&["sha224"]);
            }),
        ),
        ("holey-bag, filled", sealed(old(), |bag| bag.put("fetch.txt", "http://x/y - data/hello.txt\r\n"))),
        ("lines that end in CR", listed(new(), |text| text.replace('\n', "\r"))),
        (
            "ISO-8859-1-encoded-tag-files",
            sealed(old(), |bag| {
                bag.edit("bagit.txt", |text| text.replace("UTF-8", "ISO-8859-1"));
                bag.put("bag-info.txt", b"Contact-Name: Andr\xe9\n");
            }),
        ),
        ("no tag manifest", edited(new(), |bag| bag.remove("tagmanifest-md5.txt"))),
    ];
    for (name, bag) in bags {
        assert_eq!(judge(&bag), (Verdict::Valid, vec![], vec![]), "{name}");
    }
    let utf16_bag = edited(old(), |bag| {
        bag.edit("bagit.txt", |text| text.replace("UTF-8", "UTF-16"));
        for path in ["bag-info.txt", "manifest-md5.txt"] {
            bag.put(path, utf16(&bag.text(path)));
        }
        bag.seal_tags(&["md5"]);
        bag.put("tagmanifest-md5.txt", utf16(&bag.text("tagmanifest-md5.txt")));
    });
    assert_eq!(judge(&utf16_bag).0, Verdict::Valid, "UTF-16-encoded-tag-files: {:?}", judge(&utf16_bag));
}

#[test]
fn bags_of_the_kinds_in_the_suite_that_are_valid_with_a_warning() {
    let bags = [
        ("made-with-md5sum-tools", listed(old(), |text| text.replace(" data/", "*data/"))),
        ("relative-path", listed(old(), |text| text.replace(" data/", " ./data/"))),
        ("same-filename-listed-twice-with-the-same-hash", listed(old(), |text| text.clone() + &text)),
        (
            "special-system-files",
            sealed(old(), |bag| {
                bag.put("data/.DS_Store", "");
                bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
            }),
        ),
        (
            "duplicate-file-with-different-case",
            sealed(old(), |bag| {
                bag.put("data/HELLO.txt", "");
                bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
            }),
        ),
        ("version 0.96", sealed(old(), |bag| bag.edit("bagit.txt", |text| text.replace("0.97", "0.96")))),
        ("byte order mark", listed(new(), |text| format!("\u{feff}{text}"))),
        (
            "percent encoding in 0.97",
            edited(
                sealed(old(), |bag| {
                    bag.put("data/100%", "");
                    bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
                }),
                |bag| {
                    bag.edit("manifest-md5.txt", |text| text.replace("100%", "100%25"));
                    bag.seal_tags(&["md5"]);
                },
            ),
        ),
        ("Latin-1 where UTF-8 is declared", sealed(new(), |bag| bag.put("bag-info.txt", b"Contact-Name: Andr\xe9\n"))),
        ("a line of bag-info.txt that is no tag", sealed(new(), |bag| bag.put("bag-info.txt", "no colon\n"))),
    ];
    for (name, bag) in bags {
        let (verdict, errors, warnings) = judge(&bag);
        assert_eq!((verdict, errors), (Verdict::Valid, vec![]), "{name}");
        assert!(!warnings.is_empty(), "{name}");
    }
}

#[test]
fn bags_of_the_kinds_in_the_suite_that_are_invalid() {
    let outside = |path: &'static str| move |text: String| format!("{text}d41d8cd98f00b204e9800998ecf8427e  {path}\n");
    let fetched = |path: &'static str| sealed(old(), move |bag| bag.put("fetch.txt", format!("http://x/y - {path}\n")));
    let bags = [
        (
            "baginfo-missing-encoding",
            sealed(old(), |bag| bag.put("bagit.txt", "BagIt-Version: 0.97\n")),
            "bagit.txt: Missing required tag bagit.txt/Tag-File-Character-Encoding.",
        ),
        (
            "bom-in-bagit.txt",
            sealed(old(), |bag| bag.edit("bagit.txt", |text| format!("\u{feff}{text}"))),
            "bagit.txt:1: bagit.txt begins with a byte order mark, which it must not have",
        ),
        (
            "invalid-version-number",
            sealed(old(), |bag| bag.edit("bagit.txt", |text| text.replace("0.97", ".97"))),
            "bagit.txt:1: BagIt-Version '.97' is not of the form M.N",
        ),
        (
            "a version of the future",
            sealed(old(), |bag| bag.edit("bagit.txt", |text| text.replace("0.97", "2.0"))),
            "bagit.txt:1: BagIt-Version 2.0 is not known here; 0.97 and 1.0 are",
        ),
        (
            "missing-bagit.txt",
            edited(sealed(old(), |bag| bag.remove("bagit.txt")), |_| ()),
            "bagit.txt: Missing required tag bagit.txt/BagIt-Version.",
        ),
        (
            "missing-baginfo",
            edited(old(), |bag| bag.remove("bag-info.txt")),
            "tagmanifest-md5.txt:1: File bag-info.txt in tagmanifest-md5.txt is missing from bag",
        ),
        (
            "corrupt-data-file",
            edited(old(), |bag| bag.put("data/hello.txt", "Hello, Archive.\n")),
            "manifest-md5.txt:1: File data/hello.txt: ingest md5 checksum 929a71290155438a45cd262e5bfdb527 doesn't match manifest checksum ec0e2b2a4ea7ff0fc6f9dc41850698b3",
        ),
        (
            "extra-file-in-bag",
            edited(old(), |bag| {
                bag.put("data/extra", "");
                bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
                bag.seal_tags(&["md5"]);
            }),
            "manifest-md5.txt: File data/extra is not in manifest manifest-md5.txt",
        ),
        (
            "out-of-scope-file-paths-using-dot-notation",
            listed(old(), outside("../../../README.md")),
            "manifest-md5.txt:3: path '../../../README.md' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-absolute-path",
            listed(old(), outside("/tmp/foo")),
            "manifest-md5.txt:3: path '/tmp/foo' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-shortcut",
            listed(old(), outside("~/foo")),
            "manifest-md5.txt:3: path '~/foo' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-shortcut-username",
            listed(old(), outside("~root/foo")),
            "manifest-md5.txt:3: path '~root/foo' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-unc",
            listed(old(), outside(r"\\?\UNC\server\x")),
            r"manifest-md5.txt:3: path '\\?\UNC\server\x' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-dot-notation-for-fetch",
            fetched("../../../README.md"),
            "fetch.txt:1: path '../../../README.md' leads out of the bag",
        ),
        (
            "out-of-scope-file-paths-using-shortcut-for-fetch",
            fetched("~/test.txt"),
            "fetch.txt:1: path '~/test.txt' leads out of the bag",
        ),
        (
            "a tag file to be fetched",
            fetched("notes.txt"),
            "fetch.txt:1: fetch.txt lists notes.txt, which is no file of the kind that it is for",
        ),
        (
            "a file to be fetched that no manifest lists",
            fetched("data/z"),
            "manifest-md5.txt: File data/z is not in manifest manifest-md5.txt",
        ),
        (
            "a tag file in a manifest",
            listed(old(), outside("bag-info.txt")),
            "manifest-md5.txt:3: manifest-md5.txt lists bag-info.txt, which is no file of the kind that it is for",
        ),
        (
            "a payload file in a tag manifest",
            edited(old(), |bag| {
                bag.edit("tagmanifest-md5.txt", |text| text + "ec0e2b2a4ea7ff0fc6f9dc41850698b3 data/hello.txt");
            }),
            "tagmanifest-md5.txt:4: tagmanifest-md5.txt lists data/hello.txt, which is no file of the kind that it is for",
        ),
        (
            "a tag manifest in a tag manifest",
            edited(old(), |bag| bag.edit("tagmanifest-md5.txt", |text| text + "00 tagmanifest-md5.txt")),
            "tagmanifest-md5.txt:4: tagmanifest-md5.txt lists tagmanifest-md5.txt, which is no file of the kind that it is for",
        ),
        (
            "same-filename-listed-twice-with-different-hashes",
            listed(old(), outside("data/hello.txt")),
            "manifest-md5.txt:3: File data/hello.txt: ingest md5 checksum ec0e2b2a4ea7ff0fc6f9dc41850698b3 doesn't match manifest checksum d41d8cd98f00b204e9800998ecf8427e",
        ),
        (
            "a digest that is none",
            listed(old(), |text| format!("{text}abc  data/hello.txt\n")),
            "manifest-md5.txt:3: 'abc' is no md5 digest",
        ),
        (
            "a line without a path",
            listed(old(), |text| format!("{text}abc\n")),
            "manifest-md5.txt:3: a line without a path",
        ),
        (
            "a digest that nobody computed",
            edited(old(), |bag| bag.put("manifest-sha3.txt", "00 data/hello.txt")),
            "manifest-sha3.txt:1: no sha3 digest of data/hello.txt was computed, so manifest-sha3.txt cannot be compared",
        ),
        ("no manifest", edited(old(), |bag| bag.seal(&[])), "Bag must have at least one payload manifest"),
        (
            "a wrong Payload-Oxum",
            sealed(old(), |bag| bag.put("bag-info.txt", "A: 1\nPayload-Oxum: 1.999\n")),
            "bag-info.txt:2: Payload-Oxum is 1.999, and the payload has 22.2",
        ),
        (
            "a Payload-Oxum that is none",
            sealed(old(), |bag| bag.put("bag-info.txt", "Payload-Oxum: 22\n")),
            "bag-info.txt:1: Payload-Oxum '22' is not of the form octets.files",
        ),
        (
            "a line that is too long",
            listed(old(), |text| format!("{text}{}", "x".repeat(1024 * 1024 + 1))),
            "manifest-md5.txt:3: Error reading manifest 'manifest-md5.txt': line 3 is too long",
        ),
    ];
    for (name, bag, expected) in bags {
        let (verdict, errors, _) = judge(&bag);
        assert_eq!(verdict, Verdict::Invalid, "{name}");
        assert!(errors.iter().any(|error| error == expected), "{name}: {errors:#?}");
    }
}

#[test]
fn by_0_97_the_manifests_together_list_the_payload_and_by_1_0_each_of_them() {
    for (version, expected) in [("0.97", Verdict::Valid), ("1.0", Verdict::Invalid)] {
        let mut bag = Sample::bare(version);
        bag.seal(&["md5", "sha256"]);
        bag.keep_lines("manifest-md5.txt", |index, _| index < 1);
        bag.keep_lines("manifest-sha256.txt", |index, _| index > 0);
        bag.seal_tags(&["md5"]);
        assert_eq!(judge(&bag).0, expected, "{version}: {:?}", judge(&bag));
    }
}

#[test]
fn by_1_0_escaped_paths_are_decoded_first() {
    let named = |file: &'static str| {
        let mut bag = sealed(new(), |bag| {
            bag.put(file, "");
            bag.put("bag-info.txt", "Payload-Oxum: 22.3\n");
        });
        bag.edit("manifest-md5.txt", |text| text.replace(file, "data/a%0Ab"));
        bag.seal_tags(&["md5"]);
        judge(&bag)
    };
    assert_eq!(named("data/a\nb"), (Verdict::Valid, vec![], vec![]));
    let (verdict, _, warnings) = named("data/a%0Ab");
    assert_eq!(verdict, Verdict::Valid);
    assert_eq!(
        warnings,
        [
            "manifest-md5.txt:1: 'data/a%0Ab' is the file data/a%0Ab, if the path is read another way than the version of BagIt has it"
        ]
    );
}

#[test]
fn a_file_that_comes_twice_is_an_error() {
    let mut bag = bagit::Bag::new(bagit::Options::default(), Profile::default());
    bag.file("data/a", 1);
    bag.file("data/a", 2);
    let (_, findings) = bag.findings();
    assert!(errors(&findings).contains(&"data/a: data/a comes twice in the bag".to_owned()), "{findings:?}");
}

#[test]
fn everything_is_told_at_once_by_the_rfc_and_the_profile() {
    let profile = Profile::from_json(
        br#"{"Bag-Info": {"Contact-Name": {"required": true}, "A": {"repeatable": false}}, "Manifests-Required": ["sha512"],
            "Tag-Files-Required": ["dc.xml"]}"#,
    )
    .unwrap();
    let bag = edited(old(), |bag| {
        bag.put("bag-info.txt", "A: 1\nA: 2\nPayload-Oxum: 0.0\n");
        bag.remove("data/hello.txt");
    });
    let (verdict, findings) = bag.findings(profile);
    assert_eq!(verdict, Verdict::Invalid);
    let errors = errors(&findings);
    for expected in [
        "bag-info.txt: Required tag Contact-Name in file bag-info.txt is missing",
        "bag-info.txt:2: In file bag-info.txt, tag A occurs more than once, and the profile allows one",
        "Bag is missing required manifest 'sha512'",
        "Bag is missing required tag file 'dc.xml'",
        "bag-info.txt:3: Payload-Oxum is 0.0, and the payload has 6.1",
        "manifest-md5.txt:1: File data/hello.txt in manifest-md5.txt is missing from bag",
    ] {
        assert!(errors.iter().any(|error| error == expected), "{expected}: {errors:#?}");
    }
    assert!(errors.iter().any(|error| error.starts_with("tagmanifest-md5.txt:1: File bag-info.txt: ")), "{errors:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_and_the_others_are_judged() {
    let bag = edited(new(), |bag| {
        bag.put("bag-info.txt", "x".repeat(64 * 1024 + 1));
        bag.remove("data/hello.txt");
    });
    let (_, errors, _) = judge(&bag);
    let unreadable = errors.iter().filter(|error| error.contains("is too long")).count();
    assert_eq!(unreadable, 1, "{errors:#?}");
    assert!(errors.iter().any(|error| error.contains("data/hello.txt in manifest-md5.txt is missing")), "{errors:#?}");
}

#[test]
fn more_manifests_than_there_are_algorithms_are_not_read() {
    let bag = edited(new(), |bag| {
        for number in 0..1_000 {
            bag.put(format!("manifest-x{number:03}.txt"), "");
        }
    });
    let (_, findings) = bag.findings(Profile::default());
    let last = "manifest-x999.txt was not read, because there are 64 of its kind already";
    assert!(findings.iter().any(|finding| finding.to_string() == last));
    let refused = findings.iter().filter(|finding| matches!(finding.problem, Problem::TooManyManifests { .. })).count();
    assert_eq!(refused, 1_000 + 1 - 64);
}

#[test]
fn sizes_may_be_anything() {
    let mut bag = bagit::Bag::new(bagit::Options::default(), Profile::default());
    bag.file("data/a", u64::MAX);
    bag.file("data/b", u64::MAX);
    bag.file("bag-info.txt", 0);
    bag.content(b"Payload-Oxum: 1.2");
    let (_, findings) = bag.findings();
    let expected = format!("bag-info.txt:1: Payload-Oxum is 1.2, and the payload has {}.2", u64::MAX);
    assert!(errors(&findings).contains(&expected), "{findings:#?}");
}
