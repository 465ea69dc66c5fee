//! A program whose stage is not built yet; the integration tests see that it says so and does nothing.

use std::process::ExitCode;

use model::Topic;
use worker::settings::{IngestTempDir, Registry};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, IngestTempDir)> = Program {
    name: "unfinished",
    about: "Does nothing yet.",
    kind: QueueWorker::new(Topic::FixityCheck),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
