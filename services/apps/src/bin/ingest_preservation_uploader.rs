//! Reads: WorkItems at stage `Store`, their files in staging.
//!
//! Writes: those files to preservation storage, where they are to Redis; ids to `ingest07_storage_validation`.

use std::process::ExitCode;

use buckets::{Preservation, Staging};
use ingest::PreservationUploader;
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (Staging, Preservation)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Copies files from staging to every bucket that their storage option names.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestStorage, "Finished copying files to preservation storage")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(
            context,
            |(_, preservation)| &preservation.s3,
            |ground, (staging, preservation)| PreservationUploader::new(ground, staging, preservation.buckets.clone()),
        ))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
