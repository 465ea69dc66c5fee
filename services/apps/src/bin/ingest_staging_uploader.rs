//! Reads: WorkItems at stage `Copy To Staging`, the tar in receiving.
//!
//! Writes: every file of it to staging; ids to `ingest05_format_identification`.

use std::process::ExitCode;

use buckets::{S3, Staging};
use ingest::StagingUploader;
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (S3, Staging)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Unpacks a bag's tar into the staging bucket.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestStaging, "Finished copying files to staging area")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(context, |(s3, _)| s3, |ground, (_, staging)| StagingUploader::new(ground, staging)))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
