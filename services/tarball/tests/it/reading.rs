//! What is read, and how (07-rulings J 69 to 71).

use tarball::{Error, Fault, Kind, Limits, Parser, Step};
use time::macros::datetime;

use crate::make::{
    END, GNU, Head, MTIME, Sum, USTAR, V7, binary, extension, file, files, long_name, octal, pax, read, read_in,
    sample, sized, tar,
};

#[test]
fn names_come_from_where_they_should() {
    let long = "n".repeat(200);
    let cases = [
        (file("bag/data/a", b""), "bag/data/a"),
        (Head { name: &[b'n'; 100], ..Head::default() }.block(), &"n".repeat(100)),
        (Head { name: b"a\0rubbish", prefix: b"bag/x", ..Head::default() }.block(), "bag/x/a"),
        (Head { prefix: b"not a name", magic: GNU, ..Head::default() }.block(), "bag/data/a"),
        (Head { prefix: b"not a name", magic: V7, ..Head::default() }.block(), "bag/data/a"),
        ([long_name(&long), Head { magic: GNU, ..Head::default() }.block()].concat(), &long),
        ([pax(&[("path", &long)]), file("short", b"")].concat(), &long),
        ([pax(&[("path", "one"), ("path", "two")]), file("short", b"")].concat(), "two"),
        ([pax(&[("path", "")]), file("short", b"")].concat(), "short"),
        ([pax(&[("path", "pax")]), long_name(&long), file("short", b"")].concat(), &long),
        ([long_name(&long), pax(&[("path", "pax")]), file("short", b"")].concat(), &long),
        ([pax(&[("path", "first")]), pax(&[("path", "second")]), file("short", b"")].concat(), "second"),
        ([extension(b'K', b"target\0"), file("after", b"")].concat(), "after"),
        ([extension(b'g', b"13 path=wide\n"), file("own", b"")].concat(), "own"),
    ];
    for (entry, name) in cases {
        assert_eq!(files(&tar(&[entry])), [(name.to_owned(), Vec::new())]);
    }
    let (entries, _) = read(&tar(&[Head { name: b"bag/caf\xe9", ..Head::default() }.block()]));
    assert_eq!(entries[0].0.name, b"bag/caf\xe9");
}

#[test]
fn sizes_come_from_where_they_should() {
    let next = file("next", b"next");
    let cases = [
        Head { size: binary(3), magic: GNU, ..Head::default() }.with(b"abc"),
        Head { size: b"         3 \0".to_vec(), ..Head::default() }.with(b"abc"),
        [pax(&[("size", "3")]), Head { size: sized(512), ..Head::default() }.with(b"abc")].concat(),
        [pax(&[("size", "3")]), long_name("bag/data/a"), Head { magic: GNU, ..Head::default() }.with(b"abc")].concat(),
        [pax(&[("size", "")]), file("bag/data/a", b"abc")].concat(),
        [extension(b'g', b"9 size=7\n"), file("bag/data/a", b"abc")].concat(),
        Head { size: sized(3), sum: Sum::Signed, prefix: b"", name: b"bag/data/a", ..Head::default() }.with(b"abc"),
    ];
    for entry in cases {
        let expected = [("bag/data/a".to_owned(), b"abc".to_vec()), ("next".to_owned(), b"next".to_vec())];
        assert_eq!(files(&tar(&[entry, next.clone()])), expected);
    }
    // Signed bytes matter where there are any.
    let signed = Head { name: b"bag/\xff\xfe", sum: Sum::Signed, ..Head::default() }.block();
    assert_eq!(read(&tar(&[signed])).0.len(), 1);
}

#[test]
fn types_are_what_they_are() {
    let kind = |type_flag, name: &[u8]| read(&tar(&[Head { name, type_flag, ..Head::default() }.block()])).0[0].0.kind;
    let cases = [
        (0, Kind::File),
        (b'0', Kind::File),
        (b'1', Kind::HardLink),
        (b'2', Kind::SymbolicLink),
        (b'3', Kind::CharacterDevice),
        (b'4', Kind::BlockDevice),
        (b'5', Kind::Folder),
        (b'6', Kind::Fifo),
        (b'7', Kind::Contiguous),
        (b'S', Kind::OldSparse),
        (b'Z', Kind::Unknown(b'Z')),
        (b'V', Kind::Unknown(b'V')),
    ];
    for (type_flag, expected) in cases {
        assert_eq!(kind(type_flag, b"bag/x"), expected);
    }
    assert_eq!(kind(0, b"bag/x/"), Kind::Folder);
    assert_eq!(kind(b'0', b"bag/x/"), Kind::File);
    assert_eq!(kind(b'5', b"bag/x"), Kind::Folder);
}

#[test]
fn only_files_have_contents() {
    for type_flag in *b"123456" {
        let odd = Head { type_flag, name: b"odd", size: sized(700), ..Head::default() }.block();
        let (entries, end) = read(&tar(&[odd, file("next", b"n")]));
        assert_eq!((entries[0].0.size, entries[1].1.as_slice(), end), (0, &b"n"[..], Ok(())));
    }
    for type_flag in *b"7Z" {
        let odd = Head { type_flag, name: b"odd", size: sized(3), ..Head::default() }.with(b"abc");
        assert_eq!(files(&tar(&[odd, file("next", b"n")]))[0].1, b"abc");
    }
}

#[test]
fn times_never_refuse_a_tar() {
    let time = |parts: &[Vec<u8>]| read(&tar(parts)).0[0].0.mtime;
    let head = |mtime: Vec<u8>| Head { mtime, magic: GNU, ..Head::default() }.block();
    assert_eq!(time(&[head(octal(MTIME))]), Some(datetime!(2020-09-13 12:26:40 UTC)));
    assert_eq!(time(&[head(binary(-150_000_000))]), Some(datetime!(1965-03-31 21:20:00 UTC)));
    assert_eq!(time(&[head(binary(1 << 90))]), Some(datetime!(9999-12-31 23:59:59.999_999_999 UTC)));
    assert_eq!(time(&[head(binary(-(1 << 90)))]), Some(datetime!(0001-01-01 0:00 UTC)));
    assert_eq!(time(&[head(b"yesterday\0\0\0".to_vec())]), None);
    let with = |text| time(&[pax(&[("mtime", text)]), file("a", b"")]);
    assert_eq!(with("-1.5"), Some(datetime!(1969-12-31 23:59:58.5 UTC)));
    assert_eq!(with("1600000000.123456789"), Some(datetime!(2020-09-13 12:26:40.123_456_789 UTC)));
    assert_eq!(with("316516204800"), Some(datetime!(9999-12-31 23:59:59.999_999_999 UTC)));
    assert_eq!(with("noon"), Some(datetime!(2020-09-13 12:26:40 UTC)));
}

#[test]
fn a_tar_may_end_in_many_ways() {
    let body = file("a", b"abc");
    let one = vec![("a".to_owned(), b"abc".to_vec())];
    for end in [&b""[..], &END[..512], &END, &[&END[..], b"anything"].concat(), &[&END[..], &body, &END].concat()] {
        assert_eq!(files(&[&body, end].concat()), one);
    }
    assert_eq!(files(&body[..512 + 3]), one);
    assert_eq!(files(&body[..1000]), one);
    assert_eq!(files(b""), []);
    assert_eq!(files(&END[..512]), []);
}

#[test]
fn contents_are_not_copied() {
    let input = bytes::Bytes::from(tar(&[file("a", &[1; 2000])]));
    let (mut parser, mut rest) = (Parser::new(Limits::default()), input.clone());
    assert!(matches!(parser.step(&mut rest), Ok(Step::Entry(_))));
    let Ok(Step::Data(data)) = parser.step(&mut rest) else { panic!("no data") };
    assert_eq!((data.as_ptr(), data.len()), (input[512..].as_ptr(), 2000));
}

#[test]
fn chunks_of_any_length_give_the_same() {
    let (tar, _) = sample();
    let whole = read(&tar);
    assert_eq!((whole.0.len(), whole.1), (7, Ok(())));
    for length in 1..1100 {
        assert_eq!(read_in(&tar, &[length], Limits::default()), whole, "chunks of {length}");
    }
}

#[test]
fn a_tar_cut_anywhere_gives_what_came_before() {
    let (tar, ends) = sample();
    let (whole, _) = read(&tar);
    for (cut, chunk) in (0..tar.len()).flat_map(|cut| [(cut, usize::MAX), (cut, 700)]) {
        let (entries, end) = read_in(&tar[..cut], &[chunk], Limits::default());
        assert_eq!(end.is_ok(), ends.contains(&cut), "cut at {cut}: {end:?}");
        // An extended header that is complete, but for its entry, is pointed at; otherwise the end is.
        let place = |error: Error| match error.fault {
            Fault::Truncated => error.offset == cut as u64,
            fault => fault == Fault::Orphan && error.offset < cut as u64,
        };
        assert!(end.is_ok() || end.is_err_and(place), "cut at {cut}: {end:?}");
        for ((entry, contents), (expected, all)) in entries.iter().zip(&whole) {
            assert_eq!(entry, expected);
            assert!(all.starts_with(contents));
        }
    }
}

#[test]
fn ustar_is_told_from_gnu_by_its_magic() {
    let star = |trailer: bool| {
        let mut block = Head { name: b"a", prefix: b"p", magic: USTAR, ..Head::default() }.block();
        block[480..484].copy_from_slice(b"date");
        if trailer {
            block[508..512].copy_from_slice(b"tar\0");
        }
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        files(&tar(&[block]))[0].0.clone()
    };
    assert_eq!((star(true), star(false)), ("p/a".to_owned(), "p/a".to_owned()));
}
