//! Reads: WorkItems at stage `Validate`, their object and file records in Redis, whether the tar is still in
//! receiving.
//!
//! Writes: the verdict to Registry; ids of valid bags to `ingest03_reingest_check`.

use std::process::ExitCode;

use buckets::S3;
use ingest::Validator;
use model::Topic;
use worker::settings::Profiles;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (S3, Profiles)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Checks a bag against BagIt and its profile.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestBagValidation, "Bag is valid")),
    stage: Stage::Run(|context| {
        Box::pin(ingest::run(context, |(s3, _)| s3, |ground, (_, profiles)| Validator::new(ground, profiles)))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
