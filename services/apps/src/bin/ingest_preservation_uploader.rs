//! Reads: WorkItems at stage `Store`, their files in staging.
//!
//! Writes: those files to preservation storage, where they are to Redis; ids to `ingest07_storage_validation`.

use std::process::ExitCode;

use worker::settings::{AwsBuckets, Redis, Registry, S3, Staging, Wasabi};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Staging, AwsBuckets, Wasabi)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Copies files from staging to every bucket that their storage option names.",
    kind: QueueWorker::new("ingest06_storage"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
