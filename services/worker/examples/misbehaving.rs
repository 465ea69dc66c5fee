//! A program that fails in the way it is told to; the integration tests see what becomes of it.

use std::process::ExitCode;
use std::time::Duration;

use worker::settings::{EndToEnd, FixityBatch, names};
use worker::{Context, Limits, Operand, Program, ScanPlan, Scanner, Stage};

type Settings = (FixityBatch, EndToEnd);

const HOW: Operand = Operand { name: "HOW", help: "panic, fail, or late: keep running when told to stop" };

const PROGRAM: Program<Scanner, Settings> = Program {
    name: "misbehaving",
    about: "Fails in the way it is told to.",
    kind: Scanner::every(names::QUEUE_FIXITY_INTERVAL).or_only(HOW),
    stage: Stage::Run(|context| Box::pin(misbehave(context))),
};

fn main() -> ExitCode {
    // Told to be late, it is given no time; otherwise more than any test takes.
    let late = std::env::args().any(|argument| argument == "late");
    let drain = if late { Duration::from_millis(50) } else { Duration::from_mins(10) };
    PROGRAM.main_within(Limits { drain, ..Limits::STANDARD })
}

async fn misbehave(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    match context.plan.operand.as_deref() {
        Some("panic") => panic!("on purpose"),
        Some("fail") => anyhow::bail!("on purpose"),
        _ => std::future::pending().await,
    }
}
