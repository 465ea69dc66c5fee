//! Bags that others have made, where they are at hand: upstream's own, with the messages of its tests (06 §2), and small ones after
//! reports from the field, whose list says what must come out.

use std::path::{Path, PathBuf};
use std::process::Command;

use digests::{Algorithms, Digests};
use e2e::System;
use model::{Status, WorkItem, identifier};
use serde_json::Value;
use stack::settings::receiving_bucket;
use stack::testing::skip;

use crate::expect::{self, Road};
use crate::story::{PATIENCE, deposit_at, settled};

/// Upstream's bags that must be refused, and why; the order of messages about files is free.
const REFUSED: [(&str, &[&str]); 18] = [
    ("example.edu.fetchtxt", &["Bag has fetch.txt file which profile does not allow"]),
    ("example.edu.sample_bad_access", &["In file aptrust-info.txt, tag Access has illegal value 'Hands Off!'"]),
    ("example.edu.sample_bad_checksums", &["Required tag Access in file aptrust-info.txt is missing"]),
    (
        "example.edu.sample_missing_data_file",
        &[
            "File example.edu/example.edu.sample_missing_data_file/data/datastream-DC in manifest-md5.txt is missing from bag",
        ],
    ),
    (
        "example.edu.sample_no_aptrust_info",
        &[
            "Required tag Title in file aptrust-info.txt is missing",
            "Required tag Access in file aptrust-info.txt is missing",
        ],
    ),
    ("example.edu.sample_no_bag_info", &["Required tag Access in file aptrust-info.txt is missing"]),
    ("example.edu.sample_no_bagit", &["Missing required tag bagit.txt/BagIt-Version."]),
    (
        "example.edu.sample_no_data_dir",
        &[
            "File example.edu/example.edu.sample_no_data_dir/data/datastream-DC in manifest-md5.txt is missing from bag",
            "File example.edu/example.edu.sample_no_data_dir/data/datastream-MARC in manifest-md5.txt is missing from bag",
            "File example.edu/example.edu.sample_no_data_dir/data/datastream-RELS-EXT in manifest-md5.txt is missing from bag",
            "File example.edu/example.edu.sample_no_data_dir/data/datastream-descMetadata in manifest-md5.txt is missing from bag",
        ],
    ),
    ("example.edu.sample_no_md5_manifest", &["Bag is missing required manifest 'md5'"]),
    ("example.edu.sample_no_title", &["In file aptrust-info.txt, required tag Title has no value"]),
    (
        "example.edu.tagsample_bad",
        &[
            "In file aptrust-info.txt, required tag Title has no value",
            "In file aptrust-info.txt, tag Access has illegal value 'acksess'",
            "In file aptrust-info.txt, tag Storage-Option has illegal value 'Cardboard-Box'",
        ],
    ),
    (
        "example.edu.sample_illegal_control",
        &[r"File name 'data/datastream\u007f.txt' contains one or more illegal control characters"],
    ),
    (
        "test.edu.sample_illegal_control",
        &[r"File name 'data/datastream\u007f.txt' contains one or more illegal control characters"],
    ),
    (
        "test.edu.btr_bad_checksums",
        &[
            "File test.edu/test.edu.btr_bad_checksums/manifest-sha512.txt: ingest sha512 checksum fc9a6f7dfac6ab9edf60858391d90131",
            "File test.edu/test.edu.btr_bad_checksums/data/netutil/listen.go: ingest sha512 checksum b598afc318e6d06f54a162e8e43bb",
        ],
    ),
    (
        "test.edu.btr_bad_extraneous_file",
        &["File test.edu/test.edu.btr_bad_extraneous_file/data/nsqd.dat is not in manifest manifest-sha512.txt"],
    ),
    (
        "test.edu.btr_bad_missing_payload_file",
        &[
            "File test.edu/test.edu.btr_bad_missing_payload_file/data/netutil/listen.go in manifest-sha512.txt is missing from bag",
        ],
    ),
    (
        "test.edu.btr_bad_missing_required_tags",
        &[
            "Required tag Bagging-Date in file bag-info.txt is missing",
            "Required tag Payload-Oxum in file bag-info.txt is missing",
            "Required tag Source-Organization in file bag-info.txt is missing",
        ],
    ),
    ("virginia.edu.uva-lib_2278801", &["Required tag Access in file aptrust-info.txt is missing"]),
];
/// No bag at all.
const NONE: &str = "example.edu.nnbs_character";

/// A tar, and what must come of it.
struct Case {
    name: String,
    institution: &'static str,
    tar: Vec<u8>,
    /// `None` where it must be preserved; otherwise texts that the note holds.
    refused: Option<Vec<String>>,
    /// Where the list names it.
    option: Option<String>,
}

/// Every bag of upstream's unit tests ends as its tests say.
pub(crate) async fn upstreams_bags(test: &str, system: &System) {
    let Some(folder) = shared(test, "bags") else { return };
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".tar").filter(|stem| *stem != NONE) else { continue };
        let refused = REFUSED.iter().find(|(bag, _)| *bag == stem).map(|(_, texts)| texts);
        let refused = refused.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        let institution = if stem.starts_with("test.edu.") { "test.edu" } else { "example.edu" };
        cases.push(Case { name, institution, tar: std::fs::read(&path).unwrap(), refused, option: None });
    }
    assert!(cases.len() > 30, "only {} bags", cases.len());
    // Parts of a bag are versions of one object, and the second would wait for minutes until it is looked at again.
    let (second, others) = cases.into_iter().partition(|case| case.name.contains(".b02."));
    come_out(system, others).await;
    come_out(system, second).await;
}

/// Every case from the field ends as its list says.
pub(crate) async fn cases_from_the_field(test: &str, system: &System) {
    let Some(folder) = shared(test, "bag-cases") else { return };
    let bags = tempfile::tempdir().unwrap();
    let Ok(made) = Command::new("python3").arg(folder.join("make_cases.py")).arg(bags.path()).output() else {
        return skip(test, "python3, which makes the cases, is not on PATH");
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let of_tars = list.iter().filter(|case| case["kind"] == "tar" && case["on_demand"] != true);
    let cases: Vec<Case> = of_tars.map(|case| case_of(case, bags.path())).collect();
    assert!(cases.len() > 70, "only {} cases", cases.len());
    come_out(system, cases).await;
}

fn case_of(case: &Value, folder: &Path) -> Case {
    let file = folder.join(case["file"].as_str().unwrap());
    let texts = ["reason_contains", "reason_also_contains"].into_iter().filter_map(|key| case[key].as_str());
    let refused = (case["expected"] != "valid").then(|| texts.map(str::to_owned).collect());
    Case {
        name: file.file_name().unwrap().to_str().unwrap().to_owned(),
        institution: "example.edu",
        tar: std::fs::read(&file).unwrap(),
        refused,
        option: case["storage_option"].as_str().map(str::to_owned),
    }
}

/// All go in together; each is judged, and all that is wrong is told at once.
async fn come_out(system: &System, cases: Vec<Case>) {
    for case in &cases {
        deposit_at(system, case.institution, &case.name, case.tar.clone()).await;
    }
    let wanted: Vec<_> = cases.iter().map(|case| (case.name.clone(), 1)).collect();
    settled(system, &wanted, PATIENCE).await;
    let mut wrong = Vec::new();
    for case in &cases {
        let items = system.items(&case.name).await.unwrap();
        match &items[..] {
            [item] => wrong.extend(judge(system, case, item).await.map(|why| format!("{}: {why}", case.name))),
            items => wrong.push(format!("{}: {} work items", case.name, items.len())),
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
    for case in &cases {
        // Whoever looks at receiving afterwards knows only the suite's own.
        system.bucket(&receiving_bucket(case.institution)).delete(&case.name).await.unwrap();
    }
}

/// What is wrong, if something is.
async fn judge(system: &System, case: &Case, item: &WorkItem) -> Option<String> {
    let identifier = identifier::of_object(case.institution, &case.name);
    let in_receiving = system.bucket(&receiving_bucket(case.institution)).find(&case.name).await.unwrap().is_some();
    if let Some(texts) = &case.refused {
        let texts_there = texts.iter().all(|text| item.note.contains(text));
        let right = item.status == Status::Failed && texts_there && in_receiving;
        return (!right).then(|| format!("{} with {:?}, not refused with {texts:?}", item.status, item.note));
    }
    if item.status != Status::Success || in_receiving {
        return Some(format!("{} with {:?}, not preserved", item.status, item.note));
    }
    expect::ingested(item, Road::Smooth);
    let object = system.object(&identifier).await.unwrap()?;
    if case.option.as_ref().is_some_and(|option| object.storage_option.as_str() != option) {
        return Some(format!("stored as {}", object.storage_option));
    }
    for file in system.files(object.id).await.unwrap() {
        for (bucket, _) in expect::buckets(&file.storage_option) {
            let bytes = system.bytes(bucket, &file.uuid).await.unwrap();
            let digests = Digests::of(Algorithms::ALL, &bytes);
            let recorded = |algorithm: &str| file.latest_checksum(&model::Algorithm::from(algorithm));
            for (algorithm, digest) in digests.iter() {
                if recorded(algorithm.as_str()).is_none_or(|checksum| checksum.digest != digest) {
                    return Some(format!("{} in {bucket} is not what was recorded", file.identifier));
                }
            }
        }
    }
    None
}

/// A folder of `shared` beside the workspace, or of where `PRESERV_SHARED` says.
fn shared(test: &str, folder: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = std::env::var_os("PRESERV_SHARED").map_or_else(beside, PathBuf::from).join(folder);
    if !found.is_dir() {
        skip(test, &format!("there is no {folder} in PRESERV_SHARED, nor in ../shared"));
        return None;
    }
    Some(found)
}
