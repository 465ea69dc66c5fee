//! Reads: depositors' receiving buckets; institutions in Registry; a lease per bucket in Redis.
//!
//! Writes: a WorkItem per new bag to Registry, its id to `ingest01_prefetch`.

use std::process::ExitCode;

use buckets::S3;
use worker::settings::{NsqPublisher, Registry, names};
use worker::{Program, Scanner, Stage};

const PROGRAM: Program<Scanner, (NsqPublisher, Registry, S3)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Looks for new bags in the receiving buckets and starts their ingest.",
    kind: Scanner::every(names::INGEST_BUCKET_READER_INTERVAL),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
