//! Sparse files in the three PAX formats: by hand, by GNU tar, and with maps that contradict themselves.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use tarball::{Fault, Limits};

use crate::make::{END, Head, fault, file, files, padded, pax, read_in, sized, tar};
use crate::others::skip_without;

/// 100 bytes of `a`, a hole of 900, 50 bytes of `b`, a hole of 10.
fn expected() -> Vec<u8> {
    [&[b'a'; 100][..], &[0; 900], &[b'b'; 50], &[0; 10]].concat()
}

fn stored() -> Vec<u8> {
    [[b'a'; 100].as_slice(), &[b'b'; 50]].concat()
}

fn entry(records: &[(&str, &str)], contents: &[u8]) -> Vec<u8> {
    [
        pax(records),
        Head { name: b"bag/GNUSparseFile.0/s", size: sized(contents.len()), ..Head::default() }.with(contents),
    ]
    .concat()
}

fn version_1(map: &str, real_size: &str, contents: &[u8]) -> Vec<u8> {
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "bag/s"),
        ("GNU.sparse.realsize", real_size),
    ];
    entry(&records, &[&padded(map.as_bytes()), contents].concat())
}

#[test]
fn all_three_formats_are_expanded() {
    let name = ("GNU.sparse.name", "bag/s");
    let formats = [
        entry(
            &[
                name,
                ("GNU.sparse.size", "1060"),
                ("GNU.sparse.numblocks", "2"),
                ("GNU.sparse.offset", "0"),
                ("GNU.sparse.numbytes", "100"),
                ("GNU.sparse.offset", "1000"),
                ("GNU.sparse.numbytes", "50"),
            ],
            &stored(),
        ),
        entry(
            &[name, ("GNU.sparse.size", "1060"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.map", "0,100,1000,50")],
            &stored(),
        ),
        entry(
            &[
                name,
                ("GNU.sparse.major", "0"),
                ("GNU.sparse.minor", "1"),
                ("GNU.sparse.realsize", "1060"),
                ("GNU.sparse.numblocks", "3"),
                ("GNU.sparse.map", "0,100,1000,50,1060,0"),
            ],
            &stored(),
        ),
        version_1("2\n0\n100\n1000\n50\n", "1060", &stored()),
    ];
    for format in formats {
        let tar = tar(&[format, file("next", b"next")]);
        assert_eq!(files(&tar), [("bag/s".to_owned(), expected()), ("next".to_owned(), b"next".to_vec())]);
    }
    let map: String = (0..200).flat_map(|number| [(number * 10).to_string(), "\n1\n".to_owned()]).collect();
    let long = tar(&[version_1(&format!("200\n{map}"), "2000", &[b'x'; 200])]);
    assert_eq!(files(&long)[0].1, [&b"x"[..], &[0; 9]].concat().repeat(200));
    let hole = tar(&[version_1("0\n", "100000", b"")]);
    assert_eq!(files(&hole)[0].1, vec![0; 100_000]);
}

#[test]
fn maps_that_contradict_themselves_are_faults() {
    let good = "2\n0\n100\n1000\n50\n";
    let tooth: String = "1\n".repeat(600_000);
    let cases = [
        (version_1("2\n0\n100\n90\n50\n", "1060", &stored()), Fault::SparseMap),
        (version_1("2\n1000\n50\n0\n100\n", "1060", &stored()), Fault::SparseMap),
        (version_1("2\n0\n100\n1000\n51\n", "1060", &stored()), Fault::SparseMap),
        (version_1("2\n0\n100\n1000\n49\n", "1060", &stored()), Fault::SparseMap),
        (version_1(good, "1049", &stored()), Fault::SparseMap),
        (version_1("-1\n", "1060", b""), Fault::SparseMap),
        (version_1("9223372036854775807\n0\n", "1060", b""), Fault::SparseMap),
        (version_1("1\n0\n9223372036854775807\n", "9", b""), Fault::SparseMap),
        (version_1("x\n", "1060", b""), Fault::SparseMap),
        (version_1("2\n0\n100\n", "1060", &stored()), Fault::SparseMap),
        (version_1(&format!("400000\n{tooth}"), "1060", &stored()), Fault::ExtensionTooLong),
        (version_1(good, "x", &stored()), Fault::SparseMap),
        (version_1(good, "9223372036854775807", &stored()), Fault::SparseSize),
        (entry(&[("GNU.sparse.name", "bag/s")], &stored()), Fault::SparseMap),
        (entry(&[("GNU.sparse.offset", "1"), ("GNU.sparse.offset", "2")], b""), Fault::SparseMap),
        (entry(&[("GNU.sparse.map", "0,1,"), ("GNU.sparse.numblocks", "1")], b"x"), Fault::SparseMap),
        (
            entry(&[("GNU.sparse.map", "0,1"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.size", "1")], b"x"),
            Fault::SparseMap,
        ),
        (entry(&[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1")], b"x"), Fault::SparseMap),
        (entry(&[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0")], &stored()), Fault::SparseFormat),
        (
            [
                pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")]),
                Head { type_flag: b'5', ..Head::default() }.block(),
            ]
            .concat(),
            Fault::SparseFormat,
        ),
    ];
    for (bad, expected) in cases {
        let (found, _) = fault(&[&bad[..], &END].concat());
        assert_eq!(found, expected, "{}", bad[512..640].escape_ascii());
    }
    assert_eq!(fault(&tar(&[Head { type_flag: b'S', ..Head::default() }.block()])), (Fault::SparseFormat, 0));
}

#[test]
fn a_hole_may_not_last_for_ever() {
    let tar = tar(&[version_1("0\n", "1048577", b"")]);
    let limits = Limits { expanded: 1 << 20, ..Limits::default() };
    assert_eq!(read_in(&tar, &[512], limits).1.unwrap_err().fault, Fault::SparseSize);
}

#[test]
fn what_gnu_tar_writes_is_read() {
    if skip_without("what_gnu_tar_writes_is_read", "tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bag")).unwrap();
    let sparse = File::create(folder.path().join("bag/s")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    for at in 1..20 {
        sparse.write_all_at(&[b'x'; 5000], at * 131_072 + 77).unwrap();
    }
    let expected = std::fs::read(folder.path().join("bag/s")).unwrap();
    for version in ["0.0", "0.1", "1.0"] {
        let mut tar = Command::new("tar");
        tar.args([
            "--format=posix",
            "--sparse",
            "--hole-detection=raw",
            "-cf",
            "-",
            "bag/s",
            "--sparse-version",
            version,
        ]);
        let made = tar.current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(made.stdout.len() < 1 << 20, "version {version} is not sparse");
        let (name, contents) = files(&made.stdout).swap_remove(0);
        assert_eq!(name, "bag/s");
        assert!(contents == expected, "version {version}");
    }
}
