//! Reads: WorkItems at stage `Store`, their files in staging.
//!
//! Writes: those files to preservation storage, where they are to Redis; ids to `ingest07_storage_validation`.

use std::process::ExitCode;

use buckets::{Preservation, Staging};
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (Staging, Preservation)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Copies files from staging to every bucket that their storage option names.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestStorage, "Finished copying files to preservation storage")),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
