//! Reads: WorkItems at stage `Record`, their object and file records in Redis.
//!
//! Writes: objects, files, checksums and PREMIS events to Registry; ids to `ingest09_cleanup`.

use std::process::ExitCode;

use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, ()> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Records an ingested object, its files and their events in Registry.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestRecord, "Finished recording ingest data in Registry")),
    stage: Stage::Run(|context| Box::pin(ingest::record(context))),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
