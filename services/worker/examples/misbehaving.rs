//! A program that fails in the way it is told to; the integration tests see what becomes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use worker::settings::{EndToEnd, FixityBatch, names};
use worker::{Context, Limits, Operand, Program, ScanPlan, Scanner, Stage};

type Settings = (FixityBatch, EndToEnd);

const HOW: Operand = Operand { name: "HOW", help: HELP };

const HELP: &str = "panic, fail, late: keep running when told to stop, block: block its thread for ever, flood: log 10 MB, or \
                    troubled: fail to reach Redis";

const PROGRAM: Program<Scanner, Settings> = Program {
    name: "misbehaving",
    about: "Fails in the way it is told to.",
    kind: Scanner::every(names::QUEUE_FIXITY_INTERVAL).or_only(HOW),
    stage: Stage::Run(|context| Box::pin(misbehave(context))),
};

fn main() -> ExitCode {
    let how = std::env::args().nth(1);
    // Told to be late, it is given no time; otherwise more than any test takes.
    let drain = match how.as_deref() {
        Some("late" | "block") => Duration::from_millis(50),
        _ => Duration::from_mins(10),
    };
    PROGRAM.main_within(Limits { drain, troubled_after: Duration::ZERO, ..Limits::STANDARD })
}

async fn misbehave(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    match context.plan.operand.as_deref() {
        Some("panic") => panic!("on purpose"),
        Some("fail") => anyhow::bail!("on purpose"),
        Some("block") => loop {
            std::thread::park();
        },
        Some("flood") => {
            let text = "x".repeat(1000);
            for line in 0..10_000 {
                tracing::info!(line, "{text}");
            }
            live(context).await
        }
        Some("troubled") => {
            context.heartbeat.troubled("Redis", Some(Instant::now()));
            live(context).await
        }
        _ => std::future::pending().await,
    }
}

async fn live(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        context.heartbeat.beat();
        // Whichever comes first.
        let _ = tokio::time::timeout(Duration::from_millis(10), context.shutdown.cancelled()).await;
    }
    Ok(())
}
