//! Reads: WorkItems in Registry that wait though nothing will wake them; claims in Redis; queue depths of every
//! nsqd.
//!
//! Writes: their ids to the topics they belong to; `queued_at` in Registry.

use std::process::ExitCode;

use worker::settings::{EndToEnd, Nsq, Redis, Registry, names};
use worker::{Context, Program, ScanPlan, Scanner, Scans, Stage, Sweep, Sweeper};

type Settings = (Nsq, Registry, Redis, EndToEnd);

const PROGRAM: Program<Scanner, Settings> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Finds WorkItems that were never queued or were stranded by a killed worker, and queues them.",
    kind: Scanner::every(names::APT_QUEUE_INTERVAL),
    stage: Stage::Run(|context| Box::pin(run(context))),
};

async fn run(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    let Context { service, plan, settings: (nsq, registry, redis, end_to_end), shutdown, heartbeat } = context;
    let store = redis.store()?;
    let sweeper = Sweeper {
        registry: registry.client()?,
        store: store.clone(),
        publisher: nsq.publisher.publisher()?,
        lookup: nsq.lookup()?,
        mode: if end_to_end == EndToEnd::On { Sweep::Unqueued } else { Sweep::Stranded },
    };
    Scans { plan, store, heartbeat, shutdown, service }.run(sweeper).await
}

fn main() -> ExitCode {
    PROGRAM.main()
}
