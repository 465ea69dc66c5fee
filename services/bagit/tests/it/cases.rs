//! Cases from the field, where their maker is at hand: bags, manifests and tag files, and what must come of them. Those that
//! are about the tar or about storage are left to who reads and stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bagit::aptrust::{StorageOption, TAG_FILES};
use bagit::{Entry, ManifestParser, Syntax, TagItem, TagParser, Tags as _};
use serde_json::Value;

use crate::bags::read;
use crate::support::shared;

/// Bags whose point is in manifests, tags, roles and names.
const KINDS: [&str; 6] = ["m_", "tm_", "f_", "c_", "n_", "t_"];
/// Of them, those that the reader of the tar refuses.
const REFUSED_BY_THE_READER: [&str; 2] = ["c_appledouble_root", "n_latin1"];
/// Of the bags whose point is in the tar, those that an ordinary reader reads rightly.
const TARS: [&str; 5] = ["x_two_tops", "x_top_differs", "x_top_dot", "x_no_folders", "x_empty"];

/// The cases that are judged here, and the folder with their files; `None` says that the test is skipped.
fn cases() -> Option<(tempfile::TempDir, Vec<Value>)> {
    let folder = shared("bag-cases")?;
    let made = tempfile::tempdir().unwrap();
    let Ok(status) = Command::new("python3").arg(folder.join("make_cases.py")).arg(made.path()).status() else {
        eprintln!("skipped: there is no python3, which makes the cases");
        return None;
    };
    assert!(status.success(), "make_cases.py: {status}");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    Some((made, cases))
}

fn file(made: &Path, case: &Value) -> PathBuf {
    made.join(text(case, "file"))
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_default()
}

#[test]
fn bags_are_judged_as_the_cases_say() {
    let Some((made, cases)) = cases() else { return };
    let is_judged = |name: &str| {
        let of_a_kind = KINDS.iter().any(|kind| name.starts_with(kind)) && !REFUSED_BY_THE_READER.contains(&name);
        of_a_kind || TARS.contains(&name)
    };
    let mut judged = 0;
    for case in cases.iter().filter(|case| case["kind"] == "tar" && is_judged(text(case, "name"))) {
        judged += 1;
        let name = text(case, "name");
        let outcome = read(&file(made.path(), case), &format!("example.edu/example.edu.{name}"));
        let messages = match &outcome {
            Ok(outcome) => outcome.messages.clone(),
            Err(error) => vec![error.to_string()],
        };
        let verdict = match &outcome {
            Ok(outcome) if outcome.messages.is_empty() => "valid",
            Ok(_) => "invalid",
            Err(_) => "refused",
        };
        assert_eq!(verdict, text(case, "expected"), "{name}: {messages:#?}");
        for member in ["reason_contains", "reason_also_contains"] {
            let reason = text(case, member);
            assert!(
                verdict == "valid" || messages.iter().any(|message| message.contains(reason)),
                "{name}: {messages:#?}"
            );
        }
        let Ok(outcome) = outcome else { continue };
        if let Value::String(option) = &case["storage_option"] {
            assert!(
                matches!(outcome.option, StorageOption::Known(known) if known == option),
                "{name}: {:?}",
                outcome.option
            );
        }
        if let tag @ Value::Object(_) = &case["tag"] {
            let value = outcome.tags.value(text(tag, "file"), text(tag, "label"));
            assert_eq!(value, tag["value"].as_str(), "{name}");
        }
    }
    assert_eq!(judged, 65, "as many as there are");
}

#[test]
fn manifests_and_tag_files_are_read_as_the_cases_say() {
    let Some((made, cases)) = cases() else { return };
    let mut read = 0;
    for case in &cases {
        let (member, pairs) = match text(case, "kind") {
            "manifest" => ("entries", entries(&file(made.path(), case))),
            "tags" => ("tags", tags(&file(made.path(), case))),
            _ => continue,
        };
        read += 1;
        let expected: Vec<[String; 2]> = serde_json::from_value(case["result"][member].clone()).unwrap();
        assert_eq!(pairs, expected, "{}", text(case, "name"));
    }
    assert_eq!(read, 5, "as many as there are");
}

fn entries(manifest: &Path) -> Vec<[String; 2]> {
    let mut found = Vec::new();
    let mut parser = ManifestParser::new("manifest-md5.txt", &Syntax::APTRUST);
    let mut each = |entry: Entry<'_>| found.push([entry.digest_text(), entry.path_text()]);
    parser.push(&fs::read(manifest).unwrap(), &mut each).unwrap();
    parser.finish(each).unwrap();
    found
}

fn tags(file: &Path) -> Vec<[String; 2]> {
    let mut found = Vec::new();
    let mut parser = TagParser::new(TAG_FILES[1], &Syntax::APTRUST);
    let mut each = |item| {
        found.extend(if let TagItem::Tag(tag) = item { Some([tag.label, tag.value]) } else { None });
    };
    parser.push(&fs::read(file).unwrap(), &mut each).unwrap();
    parser.finish(each).unwrap();
    found
}
