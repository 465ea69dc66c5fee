//! Reads: WorkItems with the action `Glacier Restore`; which of their files S3 has brought back.
//!
//! Writes: restore requests to S3; once all files are there, a new WorkItem for `restore_file` or `restore_object`.

use std::process::ExitCode;
use std::time::Duration;

use buckets::Glacier;
use model::Topic;
use restoration::GlacierRestorer;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, Glacier> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Has S3 bring files back from Glacier, waits until they are there, and hands over to a restorer.",
    kind: ItemWorker::new(Rules::restoration(Topic::RestoreGlacier))
        .requeue_delay(Duration::from_hours(4))
        .least_attempts(4),
    stage: Stage::Run(|context| Box::pin(GlacierRestorer::life(context))),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
