//! Reads: WorkItems at stage `Cleanup`.
//!
//! Deletes: their files in staging, their tar in receiving and their hash in Redis.

use std::process::ExitCode;

use worker::settings::{EndToEnd, Redis, Registry, S3, Staging};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Staging, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Removes what an ingest leaves behind and completes the WorkItem.",
    kind: QueueWorker::new("ingest09_cleanup"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
