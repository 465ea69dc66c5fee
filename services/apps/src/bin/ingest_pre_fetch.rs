//! Reads: WorkItems at stage `Receive`, the tar in receiving.
//!
//! Writes: a record per object and file to Redis, manifests and tag files to staging; ids to
//! `ingest02_bag_validation`.

use std::process::ExitCode;

use worker::settings::{IngestTempDir, Redis, Registry, S3, Staging};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Staging, IngestTempDir)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Reads a bag's tar once, and records and hashes every file in it.",
    kind: QueueWorker::new("ingest01_prefetch"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
