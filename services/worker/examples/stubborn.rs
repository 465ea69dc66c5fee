//! A program that does not stop when it is told to: the integration tests see what then becomes of it.

use std::process::ExitCode;
use std::time::Duration;

use worker::settings::{EndToEnd, FixityBatch};
use worker::{Limits, Program, Scanner, Stage, settings::names};

const PROGRAM: Program<Scanner, (FixityBatch, EndToEnd)> = Program {
    name: "stubborn",
    about: "Runs until it is stopped by force.",
    kind: Scanner::every(names::QUEUE_FIXITY_INTERVAL),
    stage: Stage::Run(|_| Box::pin(std::future::pending())),
};

fn main() -> ExitCode {
    PROGRAM.main_within(Limits { drain: Duration::from_secs(1), stale_after: Duration::from_secs(90) })
}
