//! Reads: WorkItems at stage `Reingest Check`, what Registry knows of the object, whether the tar is still in
//! receiving.
//!
//! Writes: which files are new or changed to Redis; ids to `ingest04_staging`.

use std::process::ExitCode;

use buckets::S3;
use ingest::ReingestManager;
use model::Topic;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, S3> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Finds out which files of a bag are already stored.",
    kind: ItemWorker::new(Rules::ingest(Topic::IngestReingestCheck, "Finished reingest check")),
    stage: Stage::Run(|context| Box::pin(ingest::run(context, |s3| s3, |ground, _| Ok(ReingestManager::new(ground))))),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
