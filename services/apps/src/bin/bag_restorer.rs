//! Reads: WorkItems with the action `Restore Object`, the object's files in preservation storage.
//!
//! Writes: one tar file to the depositor's restoration bucket.

use std::process::ExitCode;

use buckets::Preservation;
use model::Topic;
use restoration::BagRestorer;
use worker::settings::{EndToEnd, RestoreDir};
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (Preservation, RestoreDir, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Packs an object's files into a bag in the depositor's restoration bucket.",
    kind: ItemWorker::new(Rules::restoration(Topic::RestoreObject)),
    stage: Stage::Run(|context| {
        Box::pin(restoration::run(
            context,
            |(preservation, ..)| preservation,
            |ground, (_, folder, end_to_end)| BagRestorer::new(ground, folder, *end_to_end),
        ))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
