//! Reads: WorkItems with the action `Delete` and the files or object that they name in Registry.
//!
//! Deletes: every copy in preservation storage; marks files and objects deleted in Registry.

use std::process::ExitCode;

use worker::settings::{AwsBuckets, EndToEnd, Redis, Registry, S3, Wasabi};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis, S3, AwsBuckets, Wasabi, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Deletes a file or an object from preservation storage and marks it deleted in Registry.",
    kind: QueueWorker::new("delete_item"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
