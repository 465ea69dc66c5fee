//! Reads: WorkItems at stage `Record`, their object and file records in Redis.
//!
//! Writes: objects, files, checksums and PREMIS events to Registry; ids to `ingest09_cleanup`.

use std::process::ExitCode;

use worker::settings::{Redis, Registry};
use worker::{Program, QueueWorker, Stage};

const PROGRAM: Program<QueueWorker, (Registry, Redis)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Records an ingested object, its files and their events in Registry.",
    kind: QueueWorker::new("ingest08_record"),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
