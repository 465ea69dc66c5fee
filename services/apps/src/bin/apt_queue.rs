//! Reads: WorkItems in Registry that wait though nothing will wake them; claims in Redis; queue depths of every
//! nsqd.
//!
//! Writes: their ids to the topics they belong to; `queued_at` in Registry.

use std::process::ExitCode;

use worker::settings::{EndToEnd, Nsq, Redis, Registry, names};
use worker::{Program, Scanner, Stage};

const PROGRAM: Program<Scanner, (Nsq, Registry, Redis, EndToEnd)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Finds WorkItems that were never queued or were stranded by a killed worker, and queues them.",
    kind: Scanner::every(names::APT_QUEUE_INTERVAL),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
