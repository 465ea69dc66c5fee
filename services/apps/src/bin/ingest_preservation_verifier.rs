//! Reads: WorkItems at stage `Storage Validation`, their files in preservation storage.
//!
//! Writes: when each copy was verified to Redis; ids to `ingest08_record`.

use std::process::ExitCode;

use worker::settings::{AwsBuckets, Redis, Registry, S3, Wasabi};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, AwsBuckets, Wasabi)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Verifies that every copy arrived in preservation storage.",
    kind: QueueWorker::new("ingest07_storage_validation"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
