//! Reads: WorkItems at stage `Storage Validation`, their files in preservation storage.
//!
//! Writes: when each copy was verified to Redis; ids to `ingest08_record`.

use std::process::ExitCode;

use buckets::Preservation;
use ingest::PreservationVerifier;
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, Preservation> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Verifies that every copy arrived in preservation storage.",
    kind: ItemWorker::new(Rules::ingest(
        Topic::IngestStorageValidation,
        "Finished verifying files in preservation storage",
    )),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(
            context,
            |preservation| &preservation.s3,
            |ground, preservation| Ok(PreservationVerifier::new(ground, preservation.buckets.clone())),
        ))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
