//! Transfers and small requests of this client against an S3 server: `storage_bench ADDRESS KEY SECRET BUCKET [MIB] [COUNT]`.
//! One line per measure, to put beside those of another client on the same server.

#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::env::args;
use std::error::Error;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::Provider::Local;
use storage::{Attributes, Bucket, Budget, Config, Length, Limits, Provider, Put, Scheme, Storage};

const SMALL: usize = 4096;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [host, key, secret, bucket] = [1, 2, 3, 4].map(|n| args().nth(n));
    let provider = Provider {
        name: Local,
        host: host.ok_or("usage: storage_bench ADDRESS KEY SECRET BUCKET [MIB] [COUNT]")?,
        scheme: Scheme::Http,
        key,
        secret,
    };
    let mib: u64 = args().nth(5).map_or(Ok(1024), |text| text.parse())?;
    let count: u32 = args().nth(6).map_or(Ok(4000), |text| text.parse())?;
    let config = Config { providers: vec![provider], regions: vec![], limits: Limits::default() };
    let budget = Budget::new(128 << 20);
    let storage = Storage::new(&config, &budget).await?;
    let bucket = storage.bucket(&Local, &bucket.ok_or("which bucket?")?)?;

    let block = Bytes::from(vec![0; 1 << 20]);
    for (name, length) in [("put-big", Length::Known(mib << 20)), ("put-unknown", Length::Estimated(0))] {
        let blocks = stream::iter((0..mib).map(|_| Ok::<_, std::io::Error>(block.clone())));
        let put = Put { attributes: Attributes::default(), length, digest: None };
        let began = Instant::now();
        bucket.put("storage/big", blocks, &put).await?;
        println!("storage {name} {:.0} MiB/s", per_second(mib, began));
    }
    let began = Instant::now();
    let mut download = bucket.get("storage/big").await?;
    while download.chunk().await?.is_some() {}
    println!("storage get-big {:.0} MiB/s", per_second(mib, began));

    for at_once in [1, 16, 64] {
        each(&bucket, ("put", at_once, count), |bucket: Bucket, key: String| async move {
            bucket.put_bytes(&key, Bytes::from(vec![7; SMALL]), Attributes::default()).await.map(drop)
        })
        .await?;
        each(&bucket, ("get", at_once, count), |bucket: Bucket, key: String| async move {
            let mut download = bucket.get(&key).await?;
            while download.chunk().await?.is_some() {}
            Ok(())
        })
        .await?;
        each(&bucket, ("head", at_once, count), |bucket: Bucket, key: String| async move {
            bucket.stat(&key).await.map(drop)
        })
        .await?;
    }
    println!("storage buffers at most {} MiB", budget.peak() >> 20);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("storage {line}");
    }
    Ok(())
}

/// Runs one kind of request so often, so many at once, over the runtime's threads.
async fn each<F>(
    bucket: &Bucket,
    (name, at_once, count): (&str, usize, u32),
    request: impl Fn(Bucket, String) -> F,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<(), storage::Error>> + Send + 'static,
{
    let began = Instant::now();
    let requests = (0..count).map(|n| tokio::spawn(request(bucket.clone(), format!("storage/{n}"))));
    stream::iter(requests)
        .buffer_unordered(at_once)
        .map(|joined| joined?.map_err(Box::<dyn Error>::from))
        .try_collect::<()>()
        .await?;
    println!("storage {name}-{at_once} {:.0} req/s", per_second(count.into(), began));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per_second(count: u64, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}
