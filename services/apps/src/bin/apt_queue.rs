//! Reads: WorkItems in Registry that wait though nothing will wake them; claims in Redis; queue depths of every
//! nsqd.
//!
//! Writes: their ids to the topics they belong to; `queued_at` in Registry.

use std::process::ExitCode;

use worker::settings::{EndToEnd, Nsq, Registry, names};
use worker::{Context, Program, ScanPlan, Scanner, Stage, Sweep, Sweeper};

type Settings = (Nsq, Registry, EndToEnd);

const PROGRAM: Program<Scanner, Settings> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Finds WorkItems that were never queued or were stranded by a killed worker, and queues them.",
    kind: Scanner::every(names::APT_QUEUE_INTERVAL),
    stage: Stage::Run(|context| Box::pin(run(context))),
};

async fn run(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    let (nsq, registry, end_to_end) = &context.settings;
    let sweeper = Sweeper {
        registry: registry.client()?,
        store: context.plan.store()?,
        publisher: nsq.publisher.publisher()?,
        lookup: nsq.lookup()?,
        mode: if *end_to_end == EndToEnd::On { Sweep::Unqueued } else { Sweep::Stranded },
    };
    context.run(sweeper).await
}

fn main() -> ExitCode {
    PROGRAM.main()
}
