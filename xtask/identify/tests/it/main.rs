//! The program as a person and as another program use it.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn run(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask-identify")).args(args).current_dir(folder).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A picture, a text in a folder, an empty file and a link.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("a \"1\".gif"), b"GIF89a...\x3b").unwrap();
    fs::write(folder.path().join("b/c.txt"), b"words").unwrap();
    fs::write(folder.path().join("d.gif"), b"").unwrap();
    std::os::unix::fs::symlink("b", folder.path().join("e")).unwrap();
    folder
}

#[test]
fn people_get_a_line_for_each_file() {
    let output = run(&["identify", "--whole", "."], folder().path());
    let wanted = "\
./a \"1\".gif: fmt/4 image/gif Graphics Interchange Format 89a [extension match gif; byte match at [[0 6] [9 1]]]
./b/c.txt: x-fmt/111 text/plain Plain Text File [extension match txt; text match ASCII]
./d.gif: UNKNOWN - - [no match; possibilities based on extension are fmt/3, fmt/4; empty source]
";
    assert_eq!(stdout(&output), wanted);
    assert!(output.status.success());
}

#[test]
fn programs_get_siegfrieds_fields() {
    let output = run(&["identify", "--json", "b", "d.gif"], folder().path());
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let files = document["files"].as_array().unwrap();
    assert_eq!((&files[0]["filename"], &files[0]["filesize"]), (&"b/c.txt".into(), &5.into()));
    let found = &files[0]["matches"][0];
    assert_eq!(
        (&found["id"], &found["mime"], &found["warning"]),
        (&"x-fmt/111".into(), &"text/plain".into(), &"".into())
    );
    assert_eq!(files[1]["errors"], "empty source");
    assert!(document["identifiers"][0]["details"].as_str().unwrap().starts_with("DROID_SignatureFile_V"));
}

#[test]
fn with_format_json_stdout_carries_records_only() {
    let text = stdout(&run(&["identify", "--format", "json", "b"], folder().path()));
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&records[0]["type"], &records[0]["matches"][0]["id"]), (&"file".into(), &"x-fmt/111".into()));
    assert_eq!((records.len(), &records[1]["type"]), (2, &"result".into()));
}

#[test]
fn the_time_limit_ends_it() {
    let output = run(&["identify", "--timeout", "0s", "."], folder().path());
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn droids_columns_are_quoted() {
    let output = run(&["identify", "--csv", "a \"1\".gif", "b"], folder().path());
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("\"ID\",\"PARENT_ID\"") && lines[0].ends_with("\"FORMAT_VERSION\""), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.split("\",\"").count() == 18), "{text}");
    assert!(lines[1].contains("\"a \"\"1\"\".gif\",\"Signature\",\"Done\",\"10\",\"File\",\"gif\""), "{}", lines[1]);
    assert!(lines[2].contains("\"x-fmt/111\",\"text/plain\",\"Plain Text File\",\"\""), "{}", lines[2]);
}

#[test]
fn what_cannot_be_read_is_told_and_keeps_nothing_else_away() {
    let output = run(&["identify", "missing", "b"], folder().path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("x-fmt/111"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing cannot be read"));
}

#[test]
fn the_release_in_use_is_shown_with_its_licence() {
    let text = stdout(&run(&["signatures", "show"], folder().path()));
    assert!(text.contains("DROID signature file V") && text.contains("Open Government Licence"), "{text}");
}

#[test]
fn an_update_needs_both_files_and_names_what_is_wrong_in_them() {
    let folder = folder();
    let missing = run(&["signatures", "update", "."], folder.path());
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("DROID_SignatureFile_V<number>.xml"));
    fs::write(folder.path().join("DROID_SignatureFile_V123.xml"), "<a/>").unwrap();
    fs::write(folder.path().join("container-signature-20300101.xml"), "<a/>").unwrap();
    let wrong = run(&["signatures", "update", "--dry-run", "."], folder.path());
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("FFSignatureFile"), "{wrong:?}");
}
