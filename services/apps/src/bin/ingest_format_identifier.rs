//! Reads: WorkItems at stage `Format Identification`, the beginnings and ends of their files in staging.
//!
//! Writes: file formats to the file records in Redis; ids to `ingest06_storage`.

use std::process::ExitCode;

use worker::settings::{Redis, Registry, S3, Staging};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Staging)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Identifies the format of each file by its PRONOM signature.",
    kind: QueueWorker::new("ingest05_format_identification"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
