//! Reads: depositors' receiving buckets; institutions in Registry; a lease per bucket in Redis.
//!
//! Writes: a WorkItem per new bag to Registry, its id to `ingest01_prefetch`.

use std::process::ExitCode;

use buckets::S3;
use ingest::BucketReader;
use worker::settings::{NsqPublisher, Registry, names};
use worker::{Context, Program, ScanPlan, Scanner, Stage};

type Settings = (NsqPublisher, Registry, S3);

const PROGRAM: Program<Scanner, Settings> = Program {
    name: env!("CARGO_BIN_NAME"),
    about: "Looks for new bags in the receiving buckets and starts their ingest.",
    kind: Scanner::every(names::INGEST_BUCKET_READER_INTERVAL),
    stage: Stage::Run(|context| Box::pin(run(context))),
};

async fn run(context: Context<ScanPlan, Settings>) -> anyhow::Result<()> {
    let (nsq, registry, s3) = &context.settings;
    let storage = s3.storage(&buckets::budget()).await?;
    let reader = BucketReader::new(registry.client()?, nsq.publisher()?, storage.clone())?;
    let ended = context.run(reader).await;
    storage.close().await;
    ended
}

fn main() -> ExitCode {
    PROGRAM.main()
}
