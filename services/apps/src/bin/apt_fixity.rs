//! Reads: ids of files, and the best stored copy of each, or all of them, which it hashes.
//!
//! Writes: a fixity check event per copy to Registry.

use std::process::ExitCode;
use std::time::Duration;

use buckets::Preservation;
use model::Topic;
use worker::settings::{EndToEnd, FixityAge, FixityCopies, Registry};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Preservation, FixityAge, FixityCopies, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Reads a file from preservation storage, compares its SHA-256 with Registry's, and records the outcome.",
    kind: QueueWorker::new(Topic::FixityCheck).requeue_delay(Duration::from_secs(20)).allowed_under_audit(),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
