//! The S3 server alone, to try clients on: runs until Ctrl-C. It leaves the rest of the stack to `cargo xtask up`.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use stack::s3::{Options, S3, StorageClass};

/// An S3 server for tests, on loopback.
#[derive(Parser)]
struct Args {
    /// Port to listen at; a free one by default
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Folder to keep the data in; a temporary one by default
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Bucket to create
    #[arg(long)]
    bucket: Vec<String>,
    /// Bucket whose objects go to Glacier at once
    #[arg(long)]
    glacier: Vec<String>,
    /// Open the admin path, for the clock and for faults
    #[arg(long)]
    admin: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut options = Options { folder: args.folder, admin: args.admin, buckets: args.bucket, ..Options::default() };
    options.address.set_port(args.port);
    options.archived = args.glacier.iter().map(|bucket| (bucket.clone(), StorageClass::Glacier)).collect();
    options.buckets.extend(args.glacier);
    let (access, secret) = (options.access_key.clone(), options.secret_key.clone());
    let server = S3::start(options).await?;
    println!("endpoint {}", server.endpoint());
    println!("keys {access} {secret}");
    if let Some(admin) = server.admin() {
        println!("admin {} token {}", admin.url(), admin.token());
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    server.stop().await;
    Ok(())
}
