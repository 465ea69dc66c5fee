//! A program that does nothing but live: it beats, and ends when it is told to. The integration tests run it in place of a
//! service; its limits are short so that they need not wait.

use std::process::ExitCode;
use std::time::Duration;

use buckets::Preservation;
use model::Topic;
use worker::settings::{IngestTempDir, Redis, Registry};
use worker::{Context, Limits, Program, QueuePlan, QueueWorker, Stage};

type Settings = (Registry, Redis, Preservation, IngestTempDir);

const PROGRAM: Program<QueueWorker, Settings> = Program {
    name: "idle",
    about: "Lives and does nothing.",
    kind: QueueWorker::new(Topic::FixityCheck),
    stage: Stage::Run(|context| Box::pin(idle(context))),
};

fn main() -> ExitCode {
    let limits =
        Limits { drain: Duration::from_secs(20), stale_after: Duration::from_millis(1500), ..Limits::STANDARD };
    PROGRAM.main_within(limits)
}

async fn idle(context: Context<QueuePlan, Settings>) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        context.heartbeat.beat();
        let pause = Duration::from_millis(20);
        tokio::select! {
            () = context.shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}
