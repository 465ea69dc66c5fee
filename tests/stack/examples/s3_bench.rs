//! How fast an S3 server is: small puts and gets at several concurrencies, a large object there and back. Against any
//! endpoint, or against ours started here. Signatures are made as the services make them; bodies are not signed.
#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::cast_precision_loss, reason = "rates for people")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use clap::Parser;
use sha2::{Digest as _, Sha256};
use stack::s3::{Options, S3};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Measures an S3 server.
#[derive(Parser)]
struct Args {
    /// Host and port of the server; ours is started if there is none
    #[arg(long)]
    endpoint: Option<String>,
    /// Access key and secret
    #[arg(long, default_value = "minioadmin")]
    key: String,
    /// Seconds for each measurement of small objects
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Size of the large object in MiB
    #[arg(long, default_value_t = 1024)]
    large: u64,
    /// Only fill the bucket with so many small objects, and show what memory ours takes
    #[arg(long)]
    fill: Option<u64>,
}

const SMALL: usize = 4096;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let server = match &args.endpoint {
        Some(_) => None,
        None => Some(S3::start(Options::default()).await?),
    };
    let host = args.endpoint.clone().or_else(|| server.as_ref().map(|it| it.address().to_string()));
    let target = Target { host: host.unwrap_or_default(), key: args.key.clone() };
    let bucket = format!("/bench-{}", fastrand::u32(..));
    Client::connect(target.clone()).await?.send("PUT", &bucket, 0, &[]).await?;
    if let Some(count) = args.fill {
        let before = resident();
        run(&target, &bucket, "PUT", 16, Until::Count(count)).await?;
        println!("{count} objects of {SMALL} bytes: {} MiB before, {} MiB after", before, resident());
        return Ok(());
    }
    for flight in [1, 4, 16, 64] {
        let time = Duration::from_secs(args.seconds);
        let puts = run(&target, &bucket, "PUT", flight, Until::Time(time)).await?;
        let gets = run(&target, &bucket, "GET", flight, Until::Time(time)).await?;
        let heads = run(&target, &bucket, "HEAD", flight, Until::Time(time)).await?;
        println!("{flight:>3} in flight: PUT {puts:>7.0}/s  GET {gets:>7.0}/s  HEAD {heads:>7.0}/s");
    }
    let mut client = Client::connect(target).await?;
    // Neither zeros, which we do not write, nor anything that could be compressed.
    let block: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
    let path = format!("{bucket}/large");
    for (method, blocks) in [("PUT", args.large), ("GET", 0)] {
        let start = Instant::now();
        client.send(method, &path, blocks, &block).await?;
        let speed = args.large as f64 / 1024.0 / start.elapsed().as_secs_f64();
        println!("{method} of {} MiB: {speed:.2} GiB/s", args.large);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Until {
    Time(Duration),
    Count(u64),
}

/// Requests a second, with so many connections that each wait for their answers.
async fn run(target: &Target, bucket: &str, method: &'static str, flight: u64, until: Until) -> anyhow::Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for worker in 0..flight {
        let (target, bucket, done) = (target.clone(), bucket.to_owned(), done.clone());
        tasks.spawn(async move {
            let body = vec![b'x'; SMALL];
            let mut client = Client::connect(target).await?;
            loop {
                let number = done.fetch_add(1, Ordering::Relaxed);
                let path = match until {
                    Until::Time(time) if start.elapsed() >= time => break,
                    Until::Count(count) if number >= count => break,
                    // Gets find what the puts before them left: every worker has keys of its own.
                    Until::Time(_) => format!("{bucket}/{worker}/{}", number % 1000 / flight),
                    Until::Count(_) => format!("{bucket}/{number:08}"),
                };
                let status = client.send(method, &path, u64::from(method == "PUT"), &body).await?;
                if status != 200 && (method == "PUT" || status != 404) {
                    bail!("{method} {path} is answered with {status}");
                }
            }
            done.fetch_sub(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

#[derive(Clone)]
struct Target {
    host: String,
    key: String,
}

/// One connection that is kept.
struct Client {
    target: Target,
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(target: Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.host).await.with_context(|| format!("no server at {}", target.host))?;
        stream.set_nodelay(true)?;
        Ok(Self { target, stream: BufReader::with_capacity(256 << 10, stream), buffer: vec![0; 256 << 10] })
    }

    /// Sends `block` so many times as the body, and reads the answer to its end.
    async fn send(&mut self, method: &str, path: &str, blocks: u64, block: &[u8]) -> anyhow::Result<u16> {
        let mut head = sign(&self.target, method, path);
        write!(head, "content-length: {}\r\n\r\n", blocks * block.len() as u64)?;
        let mut first = head.into_bytes();
        if blocks == 1 {
            first.extend_from_slice(block);
        }
        self.stream.write_all(&first).await?;
        for _ in 0..if blocks > 1 { blocks } else { 0 } {
            self.stream.write_all(block).await?;
        }
        let (mut line, mut status, mut length) = (String::new(), 0, 0_u64);
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                bail!("the server closed the connection");
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().unwrap_or_default().parse()?;
            } else if let Some(value) = text.strip_prefix("content-length: ") {
                length = value.parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        while length > 0 && method != "HEAD" {
            let most = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            if read == 0 {
                bail!("the answer is cut short");
            }
            length -= read as u64;
        }
        Ok(status)
    }
}

/// The head of a request with its signature (SigV4), without the length and the empty line.
fn sign(target: &Target, method: &str, path: &str) -> String {
    let now = time::OffsetDateTime::from(SystemTime::now());
    let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
    let date = format!("{day}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
    let host = &target.host;
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{date}\n\n{names}\n\
         UNSIGNED-PAYLOAD"
    );
    let scope = format!("{day}/us-east-1/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{}", target.key).as_bytes(), day.as_bytes());
    for part in ["us-east-1", "s3", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    let signature = hex::encode(hmac(&key, text.as_bytes()));
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-date: {date}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}\r\n",
        target.key
    )
}

/// RFC 2104 over SHA-256, for keys of up to 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// MiB of memory that this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}
