//! Reads: WorkItems at stage `Receive`, the tar in receiving.
//!
//! Writes: a record per object and file to Redis, manifests and tag files to staging; ids to
//! `ingest02_bag_validation`.

use std::process::ExitCode;

use buckets::{S3, Staging};
use ingest::PreFetch;
use model::Topic;
use worker::settings::IngestTempDir;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (S3, Staging, IngestTempDir)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Reads a bag's tar once, and records and hashes every file in it.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestPrefetch, "Finished pre-fetch metadata gathering")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(context, |(s3, ..)| s3, |ground, (_, staging, _)| PreFetch::new(ground, staging)))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
