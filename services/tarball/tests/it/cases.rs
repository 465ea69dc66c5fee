//! Bags from the field: each case of `bag-cases` comes out as its list says, as far as the tar decides it. The cases are no part
//! of the repository; the other tests carry the same inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use digests::{Algorithm, Digests};
use serde_json::Value;
use tarball::{Files, Refusal};

use crate::make::read;
use crate::others::{skip, skip_without};

/// Big inputs that are worth their bytes here.
const ON_DEMAND: [&str; 1] = ["x_pax_huge"];

/// Where the shared material is: the folder in `PRESERV_SHARED`, or beside the workspace.
fn cases() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("PRESERV_SHARED").map_or_else(beside, PathBuf::from);
    Some(shared.join("bag-cases")).filter(|folder| folder.join("make_cases.py").is_file())
}

/// What ingest makes of a tar: the files of the bag, or the note.
fn judge(tar: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let (entries, end) = read(tar);
    let (mut files, mut bag) = (Files::default(), BTreeMap::new());
    for (entry, contents) in entries {
        if let Some(path) = files.admit(&entry)? {
            bag.insert(path, contents);
        }
    }
    end?;
    Ok(bag)
}

/// Files that have the digest of their line in some manifest. Paths that are written in odd ways are not looked up.
fn right_digests(bag: &BTreeMap<String, Vec<u8>>) -> usize {
    let mut right = 0;
    for algorithm in Algorithm::ALL {
        let Some(manifest) = bag.get(&format!("manifest-{algorithm}.txt")) else { continue };
        for line in String::from_utf8_lossy(manifest).lines() {
            let Some((digest, path)) = line.split_once([' ', '\t']) else { continue };
            let Some(contents) = bag.get(path.trim_start_matches([' ', '*'])) else { continue };
            let own = Digests::of(algorithm, contents);
            right += usize::from(own.get(algorithm).is_some_and(|own| own.eq_ignore_ascii_case(digest)));
        }
    }
    right
}

#[test]
fn bags_from_the_field_come_out_as_listed() {
    let test = "bags_from_the_field_come_out_as_listed";
    let Some(folder) = cases() else {
        return skip(test, "there is no bag-cases in PRESERV_SHARED, nor in ../shared");
    };
    if skip_without(test, "python3") {
        return;
    }
    let bags = tempfile::tempdir().unwrap();
    let make = |names: &[&str]| {
        let done =
            Command::new("python3").arg(folder.join("make_cases.py")).arg(bags.path()).args(names).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    make(&[]);
    make(&ON_DEMAND);
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for case in list.iter().filter(|case| case["kind"] == "tar") {
        let name = case["name"].as_str().unwrap();
        if case["on_demand"] == true && !ON_DEMAND.contains(&name) {
            continue;
        }
        let tar = std::fs::read(bags.path().join(case["file"].as_str().unwrap())).unwrap();
        let verdict = judge(&tar);
        let texts = ["reason_contains", "reason_also_contains"].map(|key| case[key].as_str().unwrap_or_default());
        // A tag file is looked at after the tar.
        let by_tar = case["expected"] == "refused" && !texts[0].contains("tag file");
        let as_listed = match &verdict {
            Err(refusal) => by_tar && texts.iter().all(|text| refusal.to_string().contains(text)),
            Ok(bag) if case["expected"] == "valid" => name == "m_empty_payload" || right_digests(bag) > 0,
            Ok(_) => !by_tar,
        };
        *seen.entry(if by_tar { "refused" } else { "read" }).or_default() += 1;
        if !as_listed {
            wrong.push(format!(
                "{name}: {}",
                verdict.map_or_else(|refusal| refusal.to_string(), |bag| format!("{:?}", bag.keys()))
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen.values().all(|count| *count > 10), "too few cases: {seen:?}");
}
