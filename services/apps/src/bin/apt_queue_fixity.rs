//! Reads: files in Registry whose last fixity check is too old; a lease in Redis.
//!
//! Writes: their ids to the topic `fixity_check`.

use std::process::ExitCode;

use fixity::Queue;
use worker::settings::{FixityAge, FixityBatch, NsqPublisher, Registry, names};
use worker::{Context, Operand, Program, ScanPlan, Scanner, Stage};

type Settings = (NsqPublisher, Registry, FixityAge, FixityBatch);

const FILE: Operand =
    Operand { name: "IDENTIFIER", help: "queue the file with this identifier, once, and nothing else" };

const PROGRAM: Program<Scanner, Settings> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Queues files that are due for a fixity check.",
    kind: Scanner::every(names::QUEUE_FIXITY_INTERVAL).or_only(FILE),
    stage: Stage::Run(|context| Box::pin(run(context))),
};

async fn run(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    let (nsq, registry, age, batch) = &context.settings;
    let queue =
        Queue::new(registry.client()?, nsq.publisher()?, age.days, batch.files)?.only(context.plan.operand.clone());
    context.run(queue).await
}

fn main() -> ExitCode {
    PROGRAM.main()
}
