//! MB/s of all four digests in one pass, beside the limit of the machine: `digests_bench [MiB] [threads] [rounds]`.
//!
//! The limit is what the threads do with the same libraries when nothing is handed over: each algorithm alone on all threads
//! at once gives its cost, and the sum of the costs over the threads is the shortest possible time. The fixed partition
//! (md5 and sha1 beside sha256 and sha512, the whole in memory) is what a simpler design could do at best. All are measured in
//! turns, since machines are noisy; look at the ratios.

#![expect(clippy::print_stdout, reason = "what it measured")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use digests::{Algorithm, Algorithms, Digests, Lanes};

const CHUNK: usize = 256 << 10;
const FILE: usize = 256 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().unwrap_or(0));
    let mut argument = |default: usize| arguments.next().filter(|value| *value > 0).unwrap_or(default);
    let (mebibytes, threads, rounds) = (argument(128), argument(2), argument(5));
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    let lanes = Lanes::new(threads, 8 << 20)?;
    let chunk: Bytes = (0..=250).cycle().take(CHUNK).collect();
    let count = (mebibytes << 20) / CHUNK;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let megabytes = (count * CHUNK) as f64 / 1e6;
    println!("MB/s, {megabytes:.0} MB a time, {threads} threads");
    println!("  limit  partition  one stream  of limit  small files  of limit  one thread");
    for _ in 0..rounds {
        let cost: f64 = Algorithm::ALL.iter().map(|algorithm| on_all(threads, &chunk, count, *algorithm)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few threads")]
        let limit = megabytes / cost * threads.get() as f64;
        let partition = megabytes / partition(&chunk, count);
        let begun = Instant::now();
        let mut hashing = lanes.start(Algorithms::ALL);
        for _ in 0..count {
            hashing.update(chunk.clone()).await;
        }
        black_box(hashing.finish().await);
        let one = megabytes / begun.elapsed().as_secs_f64();
        let many = megabytes / many_files(&lanes, &chunk, count * CHUNK / FILE).await;
        let begun = Instant::now();
        for _ in 0..count {
            black_box(Digests::of(Algorithms::ALL, black_box(&chunk)));
        }
        let inline = megabytes / begun.elapsed().as_secs_f64();
        let share = |rate: f64| rate / limit * 100.0;
        println!(
            "{limit:7.0} {partition:10.0} {one:11.0} {:8.1}% {many:12.0} {:8.1}% {inline:11.0}",
            share(one),
            share(many)
        );
    }
    Ok(())
}

/// Seconds of one algorithm over all of it, while all threads do the same.
fn on_all(threads: NonZeroUsize, chunk: &Bytes, count: usize, algorithm: Algorithm) -> f64 {
    let alone = || {
        let begun = Instant::now();
        for _ in 0..count {
            black_box(Digests::of(algorithm, black_box(chunk)));
        }
        begun.elapsed().as_secs_f64()
    };
    #[expect(clippy::cast_precision_loss, reason = "a few threads")]
    let mean = thread::scope(|scope| {
        let all: Vec<_> = (0..threads.get()).map(|_| scope.spawn(alone)).collect();
        all.into_iter().filter_map(|thread| thread.join().ok()).sum::<f64>()
    }) / threads.get() as f64;
    mean
}

fn partition(chunk: &Bytes, count: usize) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for half in [[Algorithm::Md5, Algorithm::Sha1], [Algorithm::Sha256, Algorithm::Sha512]] {
            scope.spawn(move || {
                for _ in 0..count {
                    black_box(Digests::of(half.into_iter().collect::<Algorithms>(), black_box(chunk)));
                }
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

/// Seconds for so many files, sixteen at a time.
async fn many_files(lanes: &Lanes, chunk: &Bytes, files: usize) -> f64 {
    let begun = Instant::now();
    let work = async || {
        for _ in 0..files / 16 {
            let mut hashing = lanes.start(Algorithms::ALL);
            hashing.update(chunk.slice(..FILE)).await;
            black_box(hashing.finish().await);
        }
    };
    futures_util::future::join_all((0..16).map(|_| work())).await;
    begun.elapsed().as_secs_f64()
}
