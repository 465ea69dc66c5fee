//! What other programs make of the tars that we write: GNU tar and Python.

use std::process::Command;

use tarball::{Header, Writer};
use time::macros::datetime;

/// Says that a test lacks a program; `test-all` lists it.
pub(crate) fn skip_without(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|answer| answer.status.success());
    if !there {
        skip(test, &format!("{program} is not on PATH"));
    }
    !there
}

pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

/// Folders and files of all sorts of names.
pub(crate) fn restored() -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let long = format!("bag/{}", "folder/".repeat(30));
    let entries = [
        ("bag/", &b""[..]),
        ("bag/bagit.txt", b"BagIt-Version: 1.0\n"),
        (&format!("bag/{}/", "c".repeat(90)), b""),
        (&format!("bag/{}/{}", "c".repeat(90), "d".repeat(90)), &[b'd'; 1025]),
        (&format!("bag/{}", "e".repeat(101)), b"e"),
        (&long, b""),
        (&format!("{long}{}", "n".repeat(200)), b"long"),
        ("bag/data/r\u{e9}sum\u{e9} \u{65e5}\u{672c}.txt", &[7; 512]),
        ("bag/data/empty", b""),
    ];
    let (mut tar, mut writer) = (Vec::new(), Writer::default());
    let mtime = datetime!(2020-09-13 12:26:40.5 UTC);
    for (name, contents) in entries {
        let header = if name.ends_with('/') {
            Header::folder(name, mtime)
        } else {
            Header::file(name, contents.len() as u64, mtime)
        };
        let (header, before) = (header.unwrap(), tar.len());
        tar.extend_from_slice(&writer.entry(&header).unwrap());
        writer.data(contents).unwrap();
        tar.extend_from_slice(contents);
        assert_eq!(
            (before as u64).next_multiple_of(512) + header.entry_size(),
            (tar.len() as u64).next_multiple_of(512)
        );
    }
    tar.extend_from_slice(&writer.finish().unwrap());
    (tar, entries.map(|(name, contents)| (name.to_owned(), contents.to_vec())).to_vec())
}

#[test]
fn gnu_tar_unpacks_what_we_write() {
    if skip_without("gnu_tar_unpacks_what_we_write", "tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (tar, entries) = restored();
    std::fs::write(folder.path().join("x.tar"), tar).unwrap();
    let unpacked = Command::new("tar").args(["-xf", "x.tar"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&unpacked.stderr);
    assert!(unpacked.status.success() && said.is_empty(), "{said}");
    for (name, contents) in entries {
        let path = folder.path().join(&name);
        if name.ends_with('/') {
            assert!(path.is_dir(), "{name}");
        } else {
            assert_eq!(std::fs::read(path).unwrap(), contents, "{name}");
        }
    }
}

#[test]
fn python_lists_what_we_write() {
    if skip_without("python_lists_what_we_write", "python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (tar, entries) = restored();
    std::fs::write(folder.path().join("x.tar"), tar).unwrap();
    let program = "import json, tarfile\n\
        print(json.dumps([[m.name, m.isdir(), m.size, m.mode, m.mtime] for m in tarfile.open('x.tar')]))";
    let listed = Command::new("python3").args(["-c", program]).current_dir(folder.path()).output().unwrap();
    let listed: Vec<(String, bool, usize, u32, f64)> = serde_json::from_slice(&listed.stdout).unwrap();
    let expected = entries.iter().map(|(name, contents)| {
        let folder = name.ends_with('/');
        // Ours rounds the time of a folder to the second.
        let mtime = if folder { 1_600_000_001.0 } else { 1_600_000_000.5 };
        (name.trim_end_matches('/').to_owned(), folder, contents.len(), 0o755, mtime)
    });
    assert_eq!(listed, expected.collect::<Vec<_>>());
}
