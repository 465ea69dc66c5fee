//! Upstream's own bags and cases from the field, where they are at hand: how many files they have, which manifests in which order,
//! where they are to be stored, and which of them are refused. What is expected was counted by another program.

use std::path::PathBuf;
use std::process::Command;

use model::{Algorithm, ChecksumSource, Status};
use serde_json::Value;

use crate::receiving::Place;

/// The bag, its files in the tar, those that only manifests know, its manifests, its tag manifests, its storage option. One of the
/// 32 is left out: it is no bag.
const BAGS: [(&str, usize, usize, &str, &str, &str); 31] = [
    ("Wasabi-TX-Test", 52, 0, "md5", "md5", "Wasabi-TX"),
    ("btr-bad-profile-identifier", 13, 0, "sha512", "sha512", "Standard"),
    ("example.edu.fetchtxt", 17, 0, "md5 sha256", "md5 sha256", "Standard"),
    ("example.edu.multipart.b01.of02", 6, 0, "md5", "", "Standard"),
    ("example.edu.multipart.b02.of02", 6, 0, "md5", "", "Standard"),
    ("example.edu.sample_bad_access", 9, 0, "md5", "", "Standard"),
    ("example.edu.sample_bad_checksums", 8, 0, "md5", "", "Standard"),
    ("example.edu.sample_glacier_oh", 8, 0, "md5", "", "Glacier-OH"),
    ("example.edu.sample_glacier_or", 8, 0, "md5", "", "Glacier-OR"),
    ("example.edu.sample_glacier_va", 8, 0, "md5", "", "Glacier-VA"),
    ("example.edu.sample_good", 8, 0, "md5", "", "Standard"),
    ("example.edu.sample_illegal_control", 9, 0, "md5", "", "Standard"),
    ("example.edu.sample_missing_data_file", 7, 1, "md5", "", "Standard"),
    ("example.edu.sample_no_aptrust_info", 8, 0, "md5", "", "Standard"),
    ("example.edu.sample_no_bag_info", 7, 0, "md5", "", "Standard"),
    ("example.edu.sample_no_bagit", 7, 0, "md5", "", "Standard"),
    ("example.edu.sample_no_data_dir", 5, 4, "md5", "", "Standard"),
    ("example.edu.sample_no_md5_manifest", 8, 0, "", "", "Standard"),
    ("example.edu.sample_no_title", 9, 0, "md5", "", "Standard"),
    ("example.edu.tagsample_bad", 16, 2, "md5 sha256", "md5 sha256", "Cardboard-Box"),
    ("example.edu.tagsample_good", 16, 0, "md5 sha256", "md5 sha256", "Standard"),
    ("test.edu.btr-glacier-deep-oh", 8, 0, "sha256", "sha256", "Glacier-Deep-OH"),
    ("test.edu.btr-wasabi-or", 8, 0, "sha256", "sha256", "Wasabi-OR"),
    ("test.edu.btr_bad_checksums", 10, 0, "sha512", "sha512", "Standard"),
    ("test.edu.btr_bad_extraneous_file", 11, 0, "sha512", "sha512", "Standard"),
    ("test.edu.btr_bad_missing_payload_file", 9, 1, "sha512", "sha512", "Standard"),
    ("test.edu.btr_bad_missing_required_tags", 10, 0, "sha512", "sha512", "Standard"),
    ("test.edu.btr_good_sha256", 10, 0, "sha256", "sha256", "Standard"),
    ("test.edu.btr_good_sha512", 10, 0, "sha512", "sha512", "Standard"),
    ("test.edu.sample_illegal_control", 9, 0, "md5", "", "Standard"),
    ("virginia.edu.uva-lib_2278801", 8, 0, "md5", "", "Standard"),
];

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_bags_are_recorded_file_by_file() {
    let Some(folder) = shared("bags") else { return };
    let place = Place::new().await;
    let mut items = Vec::new();
    for (name, ..) in BAGS {
        let tar = std::fs::read(folder.join(format!("{name}.tar"))).unwrap();
        items.push(place.named(&format!("{name}.tar"), tar).await);
    }
    for (item, bag) in place.fetched(&items).await.iter().zip(BAGS) {
        let (name, count, absent, manifests, tag_manifests, option) = bag;
        let object = place.object_of(item).await.unwrap_or_else(|| panic!("{name}: {}", item.note));
        let files = place.files(item).await;
        let in_tar = |file: &&model::IngestFile| file.checksum(&ChecksumSource::Ingest, &Algorithm::Md5).is_some();
        let ours = files.values().filter(in_tar).count();
        let found = (name, ours, files.len() - ours, &*object.manifests.join(" "), &*object.tag_manifests.join(" "));
        assert_eq!(found, (name, count, absent, manifests, tag_manifests));
        assert_eq!(usize::try_from(object.file_count).unwrap(), count, "{name}");
        assert_eq!(object.storage_option.as_str(), option, "{name}");
        assert!(files.values().all(|file| file.storage_option == object.storage_option), "{name}");
    }
}

/// Whether a tar is refused here, and with which words; the validator has the last word on the others.
#[tokio::test(flavor = "multi_thread")]
async fn bags_from_the_field_are_refused_or_recorded_as_listed() {
    let Some(folder) = shared("bag-cases") else { return };
    let bags = tempfile::tempdir().unwrap();
    let run = Command::new("python3").arg(folder.join("make_cases.py")).arg(bags.path()).output();
    let Ok(made) = run else { return eprintln!("skipped: python3, which makes the cases, is not on PATH") };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let cases: Vec<&Value> = list.iter().filter(|case| case["kind"] == "tar" && case["on_demand"] != true).collect();
    let place = Place::new().await;
    let mut items = Vec::new();
    for case in &cases {
        let file = bags.path().join(case["file"].as_str().unwrap());
        let name = file.file_name().unwrap().to_str().unwrap();
        items.push(place.named(name, std::fs::read(&file).unwrap()).await);
    }
    let mut wrong = Vec::new();
    for (item, case) in place.fetched(&items).await.iter().zip(&cases) {
        let is_refused = item.status == Status::Failed;
        let texts = ["reason_contains", "reason_also_contains"].map(|key| case[key].as_str().unwrap_or_default());
        let as_listed = is_refused == (case["expected"] == "refused")
            && (!is_refused || texts.iter().all(|text| item.note.contains(text)));
        let option = case["storage_option"].as_str();
        let object = place.object_of(item).await;
        let stored = object.is_none_or(|object| option.is_none_or(|option| object.storage_option.as_str() == option));
        if !as_listed || !stored {
            wrong.push(format!("{}: {}", case["name"], item.note));
        }
    }
    assert!(wrong.is_empty() && cases.len() > 70, "of {}: {wrong:#?}", cases.len());
}

/// A folder of `shared` beside the workspace, or of where `PRESERV_SHARED` says.
fn shared(folder: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = std::env::var_os("PRESERV_SHARED").map_or_else(beside, PathBuf::from).join(folder);
    if found.is_dir() {
        return Some(found);
    }
    eprintln!("skipped: there is no {}; PRESERV_SHARED names the folder that holds {folder}", found.display());
    None
}
