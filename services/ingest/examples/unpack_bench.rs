//! How fast the ground of the stages is: files a second out of a tar and into S3, one at a time and many, with so much latency per
//! request. `cargo run --release -p ingest --example unpack_bench [files]`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, which ends where something is wrong")]

#[path = "../tests/it/unpack/stage.rs"]
mod stage;

use std::time::{Duration, Instant};

use ingest::files::Limits;
use model::{Stage, Topic};
use stack::s3::{Fault, FaultKind};
use world::{RECORD, World};

use stage::{Place, Unpack};

const SIZE: usize = 4096;

#[tokio::main]
async fn main() {
    let files: u32 = std::env::args().nth(1).map_or(2000, |count| count.parse().unwrap());
    println!("{files} files of {SIZE} bytes, a GET and a PUT each");
    println!("{:>10} {:>10} {:>10}", "latency", "in flight", "files/s");
    for milliseconds in [0, 5, 20] {
        for in_flight in [1, 64] {
            // One at a time with latency takes long enough with fewer.
            let count = if in_flight == 1 && milliseconds > 0 { files / 10 } else { files };
            let rate = f64::from(count) / measure(count, milliseconds, in_flight).await;
            println!("{milliseconds:>7} ms {in_flight:>10} {rate:>10.0}");
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{peak} (servers and worker in one process)");
}

/// From the message to the saved end, in seconds.
async fn measure(files: u32, milliseconds: u64, in_flight: usize) -> f64 {
    let world = World::new().await;
    let item = world.ingest().await;
    let place = Place::with_tar(&item.name, usize::try_from(files).unwrap(), SIZE).await;
    if milliseconds > 0 {
        let kind = FaultKind::Latency { milliseconds };
        let fault = Fault { bucket: None, method: None, operation: None, after: 0, times: None, kind };
        place.s3.faults().add(fault).unwrap();
    }
    let limits = Limits { in_flight, errors: 30, tries: 3, pause: Duration::from_secs(1) };
    let (storage, unpack) = Unpack::new(&place, limits).await;
    let running = world.start(RECORD, &unpack.script());
    let begun = Instant::now();
    world.publish(Topic::IngestRecord, item.id).await;
    world.until(item.id, |item| item.stage == Stage::Cleanup).await;
    let seconds = begun.elapsed().as_secs_f64();
    running.stop().await;
    storage.close().await;
    seconds
}
