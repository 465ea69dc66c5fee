//! Reads: WorkItems at stage `Cleanup`.
//!
//! Deletes: their files in staging, their tar in receiving and their hash in Redis.

use std::process::ExitCode;

use buckets::{S3, Staging};
use ingest::Cleanup;
use model::Topic;
use worker::settings::EndToEnd;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (S3, Staging, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Removes what an ingest leaves behind and completes the WorkItem.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestCleanup, "Finished cleanup. Ingest complete.")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(
            context,
            |(s3, ..)| s3,
            |ground, (_, staging, end_to_end)| Cleanup::new(ground, staging, *end_to_end),
        ))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
