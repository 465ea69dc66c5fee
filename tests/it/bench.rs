//! `cargo xtask bench`: each stage of ingest is measured, its requests are counted, and nothing is left behind. How fast the stages are
//! is no test's business.

use std::process::Command;

use serde_json::Value;

use crate::support::{program, root, xtask};

#[test]
fn each_stage_is_measured_and_its_requests_are_counted() {
    const FILES: u64 = 30;
    program("ingest_cleanup");
    let folder = program("preserv-bench").parent().unwrap().to_owned();
    let mut command = xtask();
    command.args(["bench", "--format", "json", "--files", "30", "--size", "200", "--latency", "1"]);
    // The test need not wait for programs that are built as they ship.
    let output = command.env("XTASK_PROGRAMS", folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let records = String::from_utf8(output.stdout).unwrap();
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours: Vec<&Value> = records.iter().filter(|record| record["system"] == "ours").collect();
    assert_eq!(ours.len(), 10, "{records:#?}");
    for stage in &ours {
        assert!(stage["peak_bytes"].as_u64().unwrap() > 1 << 20 && stage["seconds"].is_number(), "{stage}");
    }
    let requests = |service: &str, operation: &str| {
        let stage = ours.iter().find(|stage| stage["service"] == service).unwrap();
        stage["s3_requests"][operation].as_u64().unwrap_or_default()
    };
    // Beside the payload: bagit.txt stays behind, four files of the root are preserved or not as their kind says.
    let staged = requests("ingest_staging_uploader", "PutObject");
    assert!((FILES..FILES + 5).contains(&staged), "{staged} files staged");
    assert_eq!(requests("ingest_preservation_uploader", "CopyObject"), 2 * staged);
    assert_eq!(requests("ingest_preservation_uploader", "PutObject"), 0, "S3 copies by itself");
    assert_eq!(requests("ingest_preservation_verifier", "HeadObject"), 2 * staged + 1);
    assert_eq!(requests("ingest_cleanup", "DeleteObjects"), 1, "staging is emptied in batches");
    let by_file = records.iter().filter(|record| record["system"] == "file by file").count();
    assert_eq!(by_file, 5, "stages with requests for single files");
    assert_eq!(records.last().unwrap()["type"], "result");
    let left = std::fs::read_dir(root().join("target/xtask/bench")).unwrap().count();
    assert_eq!(left, 0, "folders are left behind");
}

#[test]
fn an_unknown_service_is_a_usage_error() {
    let output = Command::new(program("preserv-bench"))
        .args([
            "--programs",
            ".",
            "--below",
            ".",
            "--files",
            "1",
            "--size",
            "1",
            "--latency",
            "0",
            "--until",
            "preservation",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ingest_preservation_verifier"));
}
