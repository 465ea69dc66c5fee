//! Reads: WorkItems with the action `Delete` and the files or object that they name in Registry.
//!
//! Deletes: every copy in preservation storage; marks files and objects deleted in Registry.

use std::process::ExitCode;

use buckets::Preservation;
use worker::settings::{EndToEnd, Retention};
use worker::{ItemWorker, Program, Rules, Stage};

const PROGRAM: Program<ItemWorker, (Preservation, Retention, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Deletes a file or an object from preservation storage and marks it deleted in Registry.",
    kind: ItemWorker::new(Rules::deletion()),
    stage: Stage::Run(|context| Box::pin(deletion::Deleter::serve(context))),
};

fn main() -> ExitCode {
    PROGRAM.main()
}
