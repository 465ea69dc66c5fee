//! Reads: files in Registry whose last fixity check is too old; a lease in Redis.
//!
//! Writes: their ids to the topic `fixity_check`.

use std::process::ExitCode;

use worker::settings::{FixityAge, FixityBatch, NsqPublisher, Redis, Registry, names};
use worker::{Operand, Program, Scanner, Stage};

const FILE: Operand =
    Operand { name: "IDENTIFIER", help: "queue the file with this identifier, once, and nothing else" };

const PROGRAM: Program<Scanner, (NsqPublisher, Registry, Redis, FixityAge, FixityBatch)> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Queues files that are due for a fixity check.",
    kind: Scanner::every(names::QUEUE_FIXITY_INTERVAL).or_only(FILE),
    stage: Stage::Unfinished,
};

fn main() -> ExitCode {
    PROGRAM.main()
}
