//! Reads: WorkItems at stage `Format Identification`, the beginnings and ends of their files in staging.
//!
//! Writes: file formats to the file records in Redis; ids to `ingest06_storage`.

use std::process::ExitCode;

use buckets::{S3, Staging};
use ingest::FormatIdentifier;
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (S3, Staging)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Identifies the format of each file by its PRONOM signature.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestFormatIdentification, "Finished file format identification")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(context, |(s3, _)| s3, |ground, (_, staging)| FormatIdentifier::new(ground, staging)))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
