//! Reads: WorkItems at stage `Reingest Check`, what Registry knows of the object, whether the tar is still in
//! receiving.
//!
//! Writes: which files are new or changed to Redis; ids to `ingest04_staging`.

use std::process::ExitCode;

use worker::settings::{Redis, Registry, S3};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Finds out which files of a bag are already stored.",
    kind: QueueWorker::new("ingest03_reingest_check"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
