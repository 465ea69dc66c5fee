//! The Redis server alone, to try clients on: runs until Ctrl-C. It leaves the rest of the stack to `cargo xtask up`.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::path::PathBuf;

use clap::Parser;
use stack::redis::{Options, Redis};

/// A Redis for tests, on loopback.
#[derive(Parser)]
struct Args {
    /// Port to listen at; a free one by default
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Password that clients must give
    #[arg(long)]
    password: Option<String>,
    /// Bytes that keys and values may take
    #[arg(long, default_value_t = Options::default().max_memory)]
    max_memory: usize,
    /// Folder to keep the data in; nothing is kept by default
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Args { port, password, max_memory, folder } = Args::parse();
    let server = Redis::start(Options { port, password, max_memory, folder })?;
    println!("{}", server.address());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
