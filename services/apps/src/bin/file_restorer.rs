//! Reads: WorkItems with the action `Restore File`, the file in preservation storage.
//!
//! Writes: that file to the depositor's restoration bucket.

use std::process::ExitCode;

use buckets::Preservation;
use model::Topic;
use restoration::FileRestorer;
use worker::settings::EndToEnd;
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (Preservation, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Copies a single file to the depositor's restoration bucket.",
    kind: ItemWorker::new(Rules::restoration(Topic::RestoreFile)),
    stage: Stage::Run(|context| {
        Box::pin(restoration::run(
            context,
            |(preservation, _)| preservation,
            |ground, (_, end_to_end)| FileRestorer::new(ground, *end_to_end),
        ))
    }),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
