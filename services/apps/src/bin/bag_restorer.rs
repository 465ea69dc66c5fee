//! Reads: WorkItems with the action `Restore Object`, the object's files in preservation storage.
//!
//! Writes: one tar file to the depositor's restoration bucket.

use std::process::ExitCode;

use worker::settings::{AwsBuckets, EndToEnd, Redis, Registry, RestoreDir, S3, Wasabi};
use worker::{Program, QueueWorker, Stage};

type Settings = (Registry, Redis, S3, AwsBuckets, Wasabi, RestoreDir, EndToEnd);

const PROGRAM: Program<QueueWorker, Settings> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Packs an object's files into a bag in the depositor's restoration bucket.",
    kind: QueueWorker::new("restore_object"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
