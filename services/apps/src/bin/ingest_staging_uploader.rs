//! Reads: WorkItems at stage `Copy To Staging`, the tar in receiving.
//!
//! Writes: every file of it to staging; ids to `ingest05_format_identification`.

use std::process::ExitCode;

use worker::settings::{Redis, Registry, S3, Staging};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Staging)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Unpacks a bag's tar into the staging bucket.",
    kind: QueueWorker::new("ingest04_staging"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
