//! Files whose format is known.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use pronom::{Engine, Trouble};

use super::support::{ask, identify, shared, skip};

/// Specimens whose format is not what is reported, as `number puid answer`: siegfried answers the same.
const SPECIMENS: &str = include_str!("specimens.txt");

/// Skeletons that do not come out as their names say, with siegfried's answer, which is ours.
const SKELETONS: [(&str, &str); 21] = [
    ("fmt-126-signature-id-172.ppt", "fmt/111"),
    ("fmt-1358-signature-id-1741.bse", "UNKNOWN"),
    ("fmt-138-signature-id-205.odp", "fmt/135"),
    ("fmt-139-signature-id-206.odg", "fmt/135"),
    ("fmt-1741-signature-id-2080.toast", "UNKNOWN"),
    ("fmt-202-signature-id-1293.nef", "fmt/353"),
    ("fmt-202-signature-id-1296.nef", "fmt/353"),
    ("fmt-2090-signature-id-3453.tif", "fmt/353"),
    ("fmt-290-signature-id-306.odt", "x-fmt/3"),
    ("fmt-292-signature-id-309.odp", "UNKNOWN"),
    ("fmt-294-signature-id-312.ods", "UNKNOWN"),
    ("fmt-296-signature-id-315.odg", "UNKNOWN"),
    ("fmt-39-signature-id-128.doc", "fmt/111"),
    ("fmt-430-signature-id-644.cdr", "UNKNOWN"),
    ("fmt-483-signature-id-905.epub", "UNKNOWN"),
    ("fmt-840-signature-id-1196.adx", "UNKNOWN"),
    ("fmt-840-signature-id-1199.adx", "UNKNOWN"),
    ("fmt-900-signature-id-1251.exe", "x-fmt/411"),
    ("x-fmt-386-signature-id-655.mpeg", "x-fmt/385"),
    ("x-fmt-412-signature-id-199.jar", "UNKNOWN"),
    ("x-fmt-88-signature-id-181.ppt", "fmt/111"),
];

#[test]
fn droids_skeletons_are_what_their_names_say() {
    let Some(folder) = shared("PRONOM_SKELETONS", "skeletons") else {
        return skip("droids_skeletons_are_what_their_names_say", "no skeletons; PRONOM_SKELETONS names their folder");
    };
    let mut wrong = BTreeMap::new();
    let mut count = 0;
    for path in ["fmt", "x-fmt"].iter().flat_map(|part| fs::read_dir(folder.join(part)).unwrap()) {
        let path = path.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (before, _) = name.split_once("-signature").unwrap();
        let (kind, number) = before.rsplit_once('-').unwrap();
        let found = identify(&name, &fs::read(&path).unwrap());
        count += 1;
        if found.puid != format!("{kind}/{number}") {
            wrong.insert(name, found.puid);
        }
    }
    let known: BTreeMap<String, &str> = SKELETONS.iter().map(|(name, puid)| ((*name).to_owned(), *puid)).collect();
    assert!(count > 0, "{} is empty", folder.display());
    assert_eq!(wrong, known, "left: what does not come out as its name says; right: what is known not to");
}

#[test]
fn each_signature_finds_the_file_that_was_made_for_it() {
    let mut wrong = String::new();
    for specimen in Engine::builtin().specimens() {
        let found = identify(&format!("a.{}", specimen.extension), &specimen.content);
        if found.puid != specimen.puid {
            writeln!(wrong, "{} {} {}", specimen.number, specimen.puid, found.puid).unwrap();
        }
    }
    assert_eq!(wrong, SPECIMENS, "left: specimens that come out as something else; right: those known to");
}

#[test]
fn the_words_are_siegfrieds() {
    let engine = Engine::builtin();
    let docx = engine.specimens().find(|specimen| specimen.puid == "fmt/412").unwrap().content;
    let doc = engine.specimens().find(|specimen| specimen.puid == "fmt/40").unwrap().content;
    let plain = b"PK\x05\x06".iter().chain(&[0; 18]).copied().collect::<Vec<u8>>();
    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend(&plain);
    let table: [(&str, &[u8], &str, &str, &str); 13] = [
        ("a.gif", b"GIF89a...\x3b", "fmt/4", "extension match gif; byte match at [[0 6] [9 1]]", ""),
        ("a.txt", b"GIF89a...\x3b", "fmt/4", "byte match at [[0 6] [9 1]]", "extension mismatch"),
        ("", b"GIF89a...\x3b", "fmt/4", "byte match at [[0 6] [9 1]]", ""),
        ("a.txt", b"words", "x-fmt/111", "extension match txt; text match ASCII", ""),
        ("words", b"words", "x-fmt/111", "text match ASCII", "match on text only; extension mismatch"),
        ("a.TXT", "wörter".as_bytes(), "x-fmt/111", "extension match txt; text match UTF-8 Unicode", ""),
        ("a.csv", b"a,b\n", "x-fmt/18", "extension match csv", "match on extension only"),
        ("a.txt", b"", "x-fmt/111", "extension match txt", "match on extension only"),
        ("a.gif", b"words", "UNKNOWN", "", "no match; possibilities based on extension are fmt/3, fmt/4"),
        ("a", b"\0\0\0", "UNKNOWN", "", "no match"),
        ("a.zip", &zip, "x-fmt/263", "extension match zip; container match with trigger and default extension", ""),
        (
            "a.docx",
            &docx,
            "fmt/412",
            "extension match docx; container name [Content_Types].xml with byte match at 0, 94 (signature 1/3)",
            "",
        ),
        (
            "a.doc",
            &doc,
            "fmt/40",
            "extension match doc; container name CompObj with byte match at 40, 20; name WordDocument with name only",
            "",
        ),
    ];
    for (name, file, puid, basis, warning) in table {
        let found = identify(name, file);
        assert_eq!((found.puid, found.basis_text().as_str(), found.warning_text().as_str()), (puid, basis, warning));
        assert_eq!(found.trouble, file.is_empty().then_some(Trouble::Empty), "{name}");
    }
}

#[test]
fn containers_are_told_by_ranges_as_by_the_whole() {
    for specimen in Engine::builtin().specimens() {
        let file = &specimen.content;
        if !file.starts_with(b"PK\x03\x04") && !file.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
            continue;
        }
        let name = format!("a.{}", specimen.extension);
        let whole = identify(&name, file);
        let by_ranges = ask(&name, file, 64, 0);
        if whole.basis_text().contains("container") {
            assert_eq!(by_ranges.found, whole, "specimen {}", specimen.number);
        }
        assert!(by_ranges.ranges.len() <= 8, "specimen {}: {:?}", specimen.number, by_ranges.ranges);
    }
}

/// As the documentation of the crate has it.
#[test]
fn the_example_holds() {
    let found = identify("report.doc", b"%PDF-1.4\n...\n%%EOF");
    assert_eq!(
        (found.puid, found.mime, found.warning_text().as_str()),
        ("fmt/18", "application/pdf", "extension mismatch")
    );
}
