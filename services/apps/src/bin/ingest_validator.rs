//! Reads: WorkItems at stage `Validate`, their object and file records in Redis, whether the tar is still in
//! receiving.
//!
//! Writes: the verdict to Registry; ids of valid bags to `ingest03_reingest_check`.

use std::process::ExitCode;

use worker::settings::{Profiles, Redis, Registry, S3};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, Profiles)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Checks a bag against BagIt and its profile.",
    kind: QueueWorker::new("ingest02_bag_validation"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
