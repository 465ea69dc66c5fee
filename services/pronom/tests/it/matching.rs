//! Each part of the notation and of a signature's geometry, on releases of one or a few formats that are made here.

use pronom::{Basis, Engine, Outcome, Seen, Windows, compile};

const CONTAINERS: &str = r#"<ContainerSignatureMapping signatureVersion="1"><ContainerSignatures/><FileFormatMappings/>
    </ContainerSignatureMapping>"#;

/// Formats fmt/1, fmt/2… with a signature each, and pairs of which the first wins over the second.
fn engine(signatures: &[&str], wins: &[(usize, usize)]) -> Engine {
    let numbered: Vec<(usize, &&str)> = (1..).zip(signatures).collect();
    let one = |(number, signature): &(usize, &&str)| {
        format!(r#"<InternalSignature ID="{number}">{signature}</InternalSignature>"#)
    };
    let signatures: String = numbered.iter().map(one).collect();
    let format = |(number, _): &(usize, &&str)| {
        let inferior = |(_, inferior): &(usize, usize)| {
            format!("<HasPriorityOverFileFormatID>{inferior}</HasPriorityOverFileFormatID>")
        };
        let inferiors: String = wins.iter().filter(|(superior, _)| superior == number).map(inferior).collect();
        format!(
            r#"<FileFormat ID="{number}" Name="" PUID="fmt/{number}"><InternalSignatureID>{number}</InternalSignatureID>
            {inferiors}<Extension>e{number}</Extension></FileFormat>"#
        )
    };
    let formats: String = numbered.iter().map(format).collect();
    let xml = format!(
        r#"<FFSignatureFile Version="1" DateCreated=""><InternalSignatureCollection>{signatures}</InternalSignatureCollection>
        <FileFormatCollection>{formats}</FileFormatCollection></FFSignatureFile>"#
    );
    Engine::from_bytes(&compile(&xml, CONTAINERS, "").unwrap()).unwrap()
}

/// One byte sequence: from where it is measured, the distance of its first part, and its parts.
fn sequence(reference: &str, min: u32, max: Option<u32>, parts: &[&str]) -> String {
    let one = |(position, part): (usize, &&str)| {
        let (min, max) = if position == 1 { (min, max) } else { (0, None) };
        let max = max.map(|max| format!(r#"SubSeqMaxOffset="{max}""#)).unwrap_or_default();
        let part = if part.starts_with('<') { (*part).to_owned() } else { format!("<Sequence>{part}</Sequence>") };
        format!(r#"<SubSequence Position="{position}" SubSeqMinOffset="{min}" {max}>{part}</SubSequence>"#)
    };
    let parts: String = (1..).zip(parts).map(one).collect();
    format!(r#"<ByteSequence Reference="{reference}">{parts}</ByteSequence>"#)
}

/// Where the one signature is found.
fn places(engine: &Engine, file: &[u8]) -> Option<Vec<(u64, u64)>> {
    let Outcome::Done(found) = engine.identify(Seen { name: "", size: file.len() as u64, head: file, tail: &[] })
    else {
        panic!("it is no container")
    };
    found.basis.into_iter().find_map(|basis| match basis {
        Basis::Bytes(places, _) => Some(places.0),
        _ => None,
    })
}

/// A signature, a file, and where the one is in the other.
type Row = (String, &'static [u8], &'static [(u64, u64)]);

#[test]
fn distances_are_kept_from_both_ends_and_between_parts() {
    let from_start = |min, max| sequence("BOFoffset", min, Some(max), &["4142"]);
    let from_end = |min, max| sequence("EOFoffset", min, Some(max), &["4142"]);
    let both = from_start(0, 0) + &from_end(0, 0);
    let fragments = |kind: &str, min: u32, max: u32| {
        let part = format!(
            r#"<Sequence>4142</Sequence><{kind}Fragment Position="1" MinOffset="{min}" MaxOffset="{max}">58</{kind}Fragment>"#
        );
        sequence("BOFoffset", 0, Some(9), &[&part])
    };
    let choice = r#"<Sequence>4142</Sequence><RightFragment Position="1" MinOffset="0" MaxOffset="0">58</RightFragment>
        <RightFragment Position="1" MinOffset="0" MaxOffset="0">5959</RightFragment>"#;
    let table: [Row; 28] = [
        (from_start(0, 0), b"AB\0", &[(0, 2)]),
        (from_start(0, 0), b"\0AB", &[]),
        (from_start(1, 3), b"\0\0\0AB", &[(3, 2)]),
        (from_start(1, 3), b"\0\0\0\0AB", &[]),
        (from_start(1, 3), b"AB\0AB", &[(3, 2)]),
        (from_end(0, 0), b"\0AB", &[(1, 2)]),
        (from_end(0, 0), b"AB\0", &[]),
        (from_end(1, 2), b"AB\0\0", &[(0, 2)]),
        (from_end(1, 2), b"AB\0\0\0", &[]),
        // A distance of its own, without a largest one, is that distance.
        (sequence("BOFoffset", 2, None, &["4142"]), b"\0\0AB", &[(2, 2)]),
        (sequence("BOFoffset", 2, None, &["4142"]), b"\0\0\0AB", &[]),
        (sequence("Variable", 0, None, &["4142"]), b"\0\0\0AB", &[(3, 2)]),
        (sequence("Variable", 4, None, &["4142"]), b"\0\0\0AB", &[]),
        (both.clone(), b"AB\0AB", &[(0, 2), (3, 2)]),
        // One file may be both ends at once.
        (both, b"AB", &[(0, 2), (0, 2)]),
        (sequence("BOFoffset", 0, Some(0), &["4142", "4344"]), b"AB...CD", &[(0, 2), (5, 2)]),
        (sequence("BOFoffset", 0, Some(0), &["4142", "4344"]), b"CDAB", &[]),
        // Parts must not overlap, and a later one may be the right one.
        (sequence("Variable", 0, None, &["414141", "414142"]), b"AAAAB", &[]),
        (sequence("Variable", 0, None, &["414141", "414142"]), b"AAAAAB", &[(0, 3), (3, 3)]),
        (sequence("EOFoffset", 0, Some(1), &["4142", "4344"]), b"CD..AB.", &[(0, 2), (4, 2)]),
        (fragments("Left", 1, 3), b"X..AB", &[(0, 5)]),
        (fragments("Left", 1, 3), b"X....AB", &[]),
        (fragments("Right", 1, 3), b"AB...X", &[(0, 6)]),
        (fragments("Right", 1, 3), b"ABX", &[]),
        // The nearest fragment counts.
        (fragments("Right", 1, 3), b"AB.XXX", &[(0, 4)]),
        (sequence("BOFoffset", 0, Some(0), &[choice]), b"ABX", &[(0, 3)]),
        (sequence("BOFoffset", 0, Some(0), &[choice]), b"ABYY", &[(0, 4)]),
        (sequence("BOFoffset", 0, Some(0), &[choice]), b"ABY", &[]),
    ];
    for (signature, file, wanted) in table {
        let found = places(&engine(&[&signature], &[]), file);
        assert_eq!(found.as_deref().unwrap_or_default(), wanted, "{signature} in {:?}", String::from_utf8_lossy(file));
    }
}

#[test]
fn each_form_of_the_notation_matches_what_it_says() {
    let table: [(&str, &[u8], &[u8]); 12] = [
        ("4142??44", b"AB\0D", b"ABD"),
        ("41{2}44", b"A..D", b"A.D"),
        ("41{1-3}44", b"A...D", b"A....D"),
        ("41[42:44]", b"AD", b"AE"),
        ("41[!42:44]", b"AE", b"AC"),
        ("41[!42]", b"AA", b"AB"),
        ("41[!4243]", b"ABB", b"ABC"),
        ("41[&amp;0F]", b"A\x0F", b"A\x0E"),
        ("41[~0C]", b"A\x04", b"A\x03"),
        ("(4142|43)44", b"CD", b"BD"),
        ("41*42", b"A.......B", b"B......A"),
        ("['a'-'c']'d'", b"bd", b"dd"),
    ];
    for (notation, fits, does_not) in table {
        let engine = engine(&[&sequence("BOFoffset", 0, Some(0), &[notation])], &[]);
        assert!(places(&engine, fits).is_some(), "{notation} in {fits:x?}");
        assert_eq!(places(&engine, does_not), None, "{notation} in {does_not:x?}");
    }
}

#[test]
fn windows_end_the_search_and_the_end_is_searched_for_what_is_open() {
    let open = sequence("BOFoffset", 0, Some(0), &["4142", "43444546"]);
    let file = |between: usize, behind: usize| [b"AB", &vec![0; between][..], b"CDEF", &vec![0; behind][..]].concat();
    let usual = engine(&[&open], &[]);
    let whole = engine(&[&open], &[]).with_windows(Windows::WHOLE);
    for (between, behind, found) in [
        (100, 0, true),
        (32_766, 0, true),
        (32_767, 9_000, false),
        (100_000, 0, true),
        (100_000, 8_096, true),
        (100_000, 9_000, false),
    ] {
        let file = file(between, behind);
        let wanted = Some(vec![(0, 2), (between as u64 + 2, 4)]);
        assert_eq!(places(&usual, &file), wanted.clone().filter(|_| found), "{between}, {behind}");
        assert_eq!(places(&whole, &file), wanted, "{between}, {behind}, all of it");
    }
}

#[test]
fn the_format_that_wins_is_the_one_that_priorities_or_the_name_choose() {
    let signatures = ["41", "4142", "414243"].map(|text| sequence("BOFoffset", 0, Some(0), &[text]));
    let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
    let found = |wins: &[(usize, usize)], name: &str| {
        let engine = engine(&signatures, wins);
        let Outcome::Done(found) = engine.identify(Seen { name, size: 3, head: b"ABC", tail: &[] }) else {
            panic!("it is no container")
        };
        found.puid.to_owned()
    };
    // Without a priority the first that a scan completes.
    assert_eq!(found(&[], ""), "fmt/1");
    assert_eq!(found(&[(2, 1)], ""), "fmt/2");
    // By way of the second.
    assert_eq!(found(&[(3, 2), (2, 1)], ""), "fmt/3");
    assert_eq!(found(&[], "a.e3"), "fmt/3");
    assert_eq!(found(&[(2, 1)], "a.e1"), "fmt/2");
    // Each wins over the other; the last that a scan completes stays.
    assert_eq!(found(&[(1, 2), (2, 1)], ""), "fmt/2");
}
