//! Reads: WorkItems with the action `Restore File`, the file in preservation storage.
//!
//! Writes: that file to the depositor's restoration bucket.

use std::process::ExitCode;

use worker::settings::{AwsBuckets, EndToEnd, Redis, Registry, S3, Wasabi};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, AwsBuckets, Wasabi, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Copies a single file to the depositor's restoration bucket.",
    kind: QueueWorker::new("restore_file"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
