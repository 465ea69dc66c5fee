//! The bags of the Library of Congress BagIt conformance suite, v0.97, where they are at hand, judged by the RFC's rules on a
//! system that tells case. `rfc` has bags of the same kinds made by code.

use std::fs;
use std::path::Path;

use bagit::{Options, Profile, Verdict};

use crate::support::{errors, judge, shared, warnings};

/// What a bag is judged to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Valid,
    /// Valid, with a warning.
    Warned,
    Invalid,
}
use Is::{Invalid, Valid, Warned};

/// Folder, bag, our verdict, and why it is another than the folder says.
const TABLE: [(&str, &str, Is, Option<&str>); 41] = [
    ("valid", "ISO-8859-1-encoded-tag-files", Valid, None),
    ("valid", "UTF-16-encoded-tag-files", Warned, Some(MARK)),
    ("valid", "bag-in-a-bag", Valid, None),
    ("valid", "bag-with-encoded-names", Valid, None),
    ("valid", "bag-with-escapable-characters", Valid, None),
    ("valid", "bag-with-leading-dot-slash-in-manifest", Warned, Some("warning/relative-path is the same kind")),
    ("valid", "bag-with-space", Valid, None),
    ("valid", "basic-bag", Valid, None),
    ("valid", "duplicate-metadata-entries", Valid, None),
    ("valid", "holey-bag", Valid, None),
    ("valid", "minimal-bag", Valid, None),
    ("valid", "uncommon-metadata-separators", Valid, None),
    ("warning", "duplicate-file-with-different-case", Invalid, Some(ONE_FILE)),
    ("warning", "made-with-md5sum-tools", Warned, None),
    ("warning", "relative-path", Warned, None),
    ("warning", "same-filename-listed-twice-with-different-normalization", Invalid, Some(ONE_FILE)),
    ("warning", "same-filename-listed-twice-with-the-same-hash", Warned, None),
    ("warning", "special-system-files", Warned, None),
    ("invalid", "baginfo-missing-encoding", Invalid, None),
    ("invalid", "bom-in-bagit.txt", Invalid, None),
    ("invalid", "corrupt-data-file", Invalid, None),
    ("invalid", "corrupt-tag-file", Invalid, None),
    ("invalid", "extra-file-in-bag", Invalid, None),
    ("invalid", "invalid-version-number", Invalid, None),
    ("invalid", "missing-baginfo", Invalid, None),
    ("invalid", "missing-bagit.txt", Invalid, None),
    ("invalid", "out-of-scope-file-paths-using-dot-notation", Invalid, None),
    ("invalid", "out-of-scope-file-paths-using-dot-notation-for-fetch", Invalid, None),
    ("invalid", "same-filename-listed-twice-with-different-hashes", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-absolute-path", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-absolute-path-for-fetch", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-shortcut", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-shortcut-for-fetch", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-shortcut-username", Invalid, None),
    ("linux-only", "out-of-scope-file-paths-using-shortcut-username-for-fetch", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-absolute-path", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-absolute-path-for-fetch", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-shortcut", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-shortcut-for-fetch", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-unc", Invalid, None),
    ("windows-only", "out-of-scope-file-paths-using-unc-for-fetch", Invalid, None),
];

const MARK: &str = "a byte order mark is warned of";
const ONE_FILE: &str = "the manifest lists two files; where the system takes the names for one, both are there";

#[test]
fn the_table_agrees_with_the_suite_but_where_it_says_why() {
    for (folder, name, is, why) in TABLE {
        let expected = match folder {
            "valid" => Valid,
            "warning" => Warned,
            // What leads out on one system is refused on all.
            _ => Invalid,
        };
        assert_eq!(is == expected, why.is_none(), "{folder}/{name}");
    }
}

#[test]
fn the_suites_bags_are_judged_as_the_table_says() {
    let Some(suite) = shared("bagit-conformance/v0.97") else { return };
    let mut bags = Vec::new();
    for folder in fs::read_dir(&suite).unwrap() {
        let folder = folder.unwrap();
        for bag in fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|bag| bag.path().is_dir()) {
            let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
            bags.push((name(&folder), name(&bag), bag.path()));
        }
    }
    assert_eq!(bags.len(), TABLE.len(), "the table lists each bag once");
    for (folder, name, path) in bags {
        let row = TABLE.iter().find(|(in_folder, bag, ..)| *in_folder == folder && *bag == name);
        let (_, _, expected, _) = row.unwrap_or_else(|| panic!("the table has no {folder}/{name}"));
        let mut files = Vec::new();
        walk(&path, "", &mut files);
        // Copies are apt to lose it. It is empty.
        let lost = "data/.DS_Store";
        if name == "special-system-files" && !files.iter().any(|(path, _)| path == lost) {
            files.push((lost.to_owned(), Vec::new()));
        }
        let files = files.iter().map(|(path, content)| (path.as_bytes(), &content[..]));
        let (verdict, findings) = judge(files, 64, Options::default(), Profile::default());
        let is = match verdict {
            Verdict::Invalid => Invalid,
            Verdict::Valid if warnings(&findings).is_empty() => Valid,
            Verdict::Valid => Warned,
        };
        assert_eq!(is, *expected, "{folder}/{name}: {:#?} {:#?}", errors(&findings), warnings(&findings));
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{name}/"), files);
        } else {
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
}
