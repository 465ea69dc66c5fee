//! Whatever the bytes and however they are cut: no panic, the same result, every fault found.

use std::collections::BTreeSet;

use bagit::{
    Entry, FetchEntry, FetchParser, ManifestParser, Options, Profile, Role, Syntax, TagItem, TagParser, TooLong,
    Verdict,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::support::{Sample, errors, judge};

/// Limits so small that tests meet them.
fn syntaxes() -> impl Strategy<Value = Syntax> {
    let small = |syntax: Syntax| Syntax { manifest_line: 12, tag_line: 12, tag_value: 20, ..syntax };
    select(vec![Syntax::RFC, Syntax::APTRUST, small(Syntax::RFC), small(Syntax::APTRUST)])
}

/// Bytes of the kind that parsers stumble over, and others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b"%0A",
        b"%25",
        b"%",
        b"*",
        b"./",
        b"..",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xfe\xff",
        b"\xff\xfe",
        b"\xe9",
        b"\xc2\xa0",
        b"\xe2\x82\xac",
        b"data/a",
        b"Label",
        b"0123456789abcdef",
        b"\xd8\x3d",
        b"\x0c",
    ];
    vec(prop_oneof![8 => select(pieces).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)], 0..40)
        .prop_map(|pieces| pieces.concat())
}

/// Cuts a text at the given places.
fn cut<'a>(text: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let places: BTreeSet<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([text.len()]).collect();
    let starts = std::iter::once(0).chain(places.iter().copied());
    starts.zip(places.iter().copied()).map(|(start, end)| &text[start..end]).collect()
}

type Read<T> = (Vec<T>, Result<(), TooLong>);

fn manifest(syntax: &Syntax, chunks: &[&[u8]]) -> Read<(u64, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut parser = ManifestParser::new("manifest-md5.txt", syntax);
    let mut each = |entry: Entry<'_>| found.push((entry.line, entry.digest.to_vec(), entry.path.to_vec()));
    let pushed = chunks.iter().try_for_each(|chunk| parser.push(chunk, &mut each));
    let finished = parser.finish(&mut each);
    (found, pushed.and(finished))
}

fn tags(syntax: &Syntax, chunks: &[&[u8]]) -> Read<TagItem> {
    let mut found = Vec::new();
    let mut parser = TagParser::new("bag-info.txt", syntax);
    let pushed = chunks.iter().try_for_each(|chunk| parser.push(chunk, |item| found.push(item)));
    let finished = parser.finish(|item| found.push(item));
    (found, pushed.and(finished))
}

fn fetch(syntax: &Syntax, chunks: &[&[u8]]) -> Read<(u64, Option<u64>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut parser = FetchParser::new("fetch.txt", syntax);
    let mut each = |entry: FetchEntry<'_>| found.push((entry.line, entry.length, entry.path.to_vec()));
    let pushed = chunks.iter().try_for_each(|chunk| parser.push(chunk, &mut each));
    let finished = parser.finish(&mut each);
    (found, pushed.and(finished))
}

type Spoil = fn(&mut Sample);

/// A fault of the good sample, and the message that must tell of it.
const FAULTS: [(Spoil, &str); 8] = [
    (|bag| bag.remove("data/1"), "manifest-md5.txt:2: File data/1 in manifest-md5.txt is missing from bag"),
    (|bag| bag.put("data/2", "x"), "manifest-md5.txt:3: File data/2: ingest md5 checksum"),
    (|bag| bag.put("data/new", ""), "manifest-md5.txt: File data/new is not in manifest manifest-md5.txt"),
    (|bag| bag.remove("notes.txt"), "tagmanifest-md5.txt:4: File notes.txt in tagmanifest-md5.txt is missing from bag"),
    (|bag| bag.put("bag-info.txt", "Payload-Oxum: 1.1\n"), "bag-info.txt:1: Payload-Oxum is 1.1, and the payload has"),
    (
        |bag| bag.put("bagit.txt", "BagIt-Version: x\nTag-File-Character-Encoding: UTF-8\n"),
        "bagit.txt:1: BagIt-Version 'x' is not of the form M.N",
    ),
    (|bag| bag.put("fetch.txt", "http://x - /etc/passwd\n"), "fetch.txt:1: path '/etc/passwd' leads out of the bag"),
    (|bag| bag.edit("manifest-md5.txt", |text| text + "00 data/0\n"), "manifest-md5.txt:5: '00' is no md5 digest"),
];

fn good() -> Sample {
    let mut sample = Sample::bare("1.0");
    sample.files.retain(|path, _| Role::of(path) != Role::Payload);
    for number in 0..4 {
        sample.put(format!("data/{number}"), number.to_string());
    }
    sample.put("bag-info.txt", "Payload-Oxum: 4.4\n");
    sample.put("notes.txt", "");
    sample.seal(&["md5"]);
    sample
}

proptest! {
    #[test]
    fn parsers_give_the_same_however_the_bytes_are_cut(
        text in text(), syntax in syntaxes(), cuts in vec(any::<Index>(), 0..8),
    ) {
        let chunks = cut(&text, &cuts);
        prop_assert_eq!(manifest(&syntax, &chunks), manifest(&syntax, &[&text]));
        prop_assert_eq!(tags(&syntax, &chunks), tags(&syntax, &[&text]));
        prop_assert_eq!(fetch(&syntax, &chunks), fetch(&syntax, &[&text]));
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(manifest(&syntax, &bytes), manifest(&syntax, &[&text]));
        prop_assert_eq!(tags(&syntax, &bytes), tags(&syntax, &[&text]));
    }

    #[test]
    fn what_a_parser_gives_is_within_the_limits(text in text(), syntax in syntaxes()) {
        for (_, digest, path) in manifest(&syntax, &[&text]).0 {
            prop_assert!(digest.len() + path.len() <= syntax.manifest_line);
        }
        for item in tags(&syntax, &[&text]).0 {
            // A byte may become a character of three bytes.
            prop_assert!(!matches!(item, TagItem::Tag(tag) if tag.value.len() > 3 * syntax.tag_line + syntax.tag_value));
        }
    }

    #[test]
    fn any_bytes_as_a_path_or_a_file_are_judged(
        files in vec((text(), text()), 0..6), manifest in text(), aptrust in any::<bool>(), chunk in 1_usize..9,
    ) {
        let (options, profile) =
            if aptrust { (Options::aptrust("x/y"), Profile::aptrust()) } else { (Options::default(), Profile::default()) };
        let manifest = (b"manifest-md5.txt".to_vec(), manifest);
        let files = files.iter().chain([&manifest]).map(|(path, content)| (&path[..], &content[..]));
        let (verdict, findings) = judge(files, chunk, options, profile);
        prop_assert_eq!(verdict, Verdict::Invalid, "{:?}", findings);
        prop_assert!(!errors(&findings).is_empty());
    }

    #[test]
    fn every_fault_is_found_whatever_the_order_of_files_and_the_cuts(
        faults in subsequence(FAULTS.to_vec(), 0..=FAULTS.len()), chunk in 1_usize..60,
        order in Just((0..20).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let mut sample = good();
        for (spoil, _) in &faults {
            spoil(&mut sample);
        }
        let files: Vec<(&[u8], &[u8])> = sample.files.iter().map(|(path, content)| (&path[..], &content[..])).collect();
        let shuffled = order.iter().filter_map(|index| files.get(*index).copied());
        let (verdict, findings) = judge(shuffled, chunk, Options::default(), Profile::default());
        let found = errors(&findings);
        for (_, message) in &faults {
            prop_assert!(found.iter().any(|error| error.starts_with(message)), "{}: {:#?}", message, found);
        }
        prop_assert_eq!(verdict == Verdict::Valid, faults.is_empty(), "{:#?}", found);
        let (_, in_order) = judge(files.iter().copied(), usize::MAX, Options::default(), Profile::default());
        let all = |findings: Vec<bagit::Finding>| findings.iter().map(|finding| format!("{finding:#}")).collect::<BTreeSet<_>>();
        prop_assert_eq!(all(findings), all(in_order));
    }

    #[test]
    fn a_role_is_found_for_any_path(path in text()) {
        let role = Role::of(&path);
        prop_assert_eq!(role == Role::Payload, path.starts_with(b"data/"));
    }
}
