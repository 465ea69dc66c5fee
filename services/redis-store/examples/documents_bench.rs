//! Documents a second, saved and read one by one and many at a time: `documents_bench <host:port> [files]`. It uses item 1 and deletes
//! it afterwards.

#![expect(clippy::print_stdout, reason = "what it measured")]

use std::time::Instant;

use model::{Algorithm, ChecksumSource, IngestChecksum, IngestFile, Time};
use redis_store::{Error, Options, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let count: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let store = Store::new(&Options { address, password: None, database: 0, lease_database: 1 })?;
    store.delete_item(1).await?;
    let files: Vec<IngestFile> = (0..count).map(file).collect();
    let size = model::to_json(&files[0]).map_or(0, |json| json.len());

    let begun = Instant::now();
    for file in &files {
        store.save_file(1, file).await?;
    }
    let one_by_one = report("saved one by one", count, begun);
    let begun = Instant::now();
    store.save_files(1, &files).await?;
    let batched = report("saved in batches", count, begun);
    let begun = Instant::now();
    for file in &files {
        store.file(1, &file.identifier()).await?;
    }
    let read = report("read one by one", count, begun);
    let identifiers: Vec<String> = files.iter().map(IngestFile::identifier).collect();
    let begun = Instant::now();
    store.files_by_identifier(1, &identifiers).await?;
    let named = report("read by their identifiers", count, begun);
    let begun = Instant::now();
    let mut scan = store.files(1, 200);
    while scan.next().await?.is_some() {}
    let walked = report("walked through", count, begun);
    println!(
        "{size} bytes each; batches: {:.1}, by identifiers: {:.1}, walk: {:.1} times as fast",
        batched / one_by_one,
        named / read,
        walked / read
    );
    store.delete_item(1).await?;
    Ok(())
}

fn report(what: &str, count: u32, begun: Instant) -> f64 {
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} documents/s");
    rate
}

/// As large as one of a usual bag after pre-fetch.
fn file(number: u32) -> IngestFile {
    let mut file = IngestFile::new("example.edu/bag", &format!("data/folder/file-{number}.txt"));
    for (algorithm, length) in
        [(Algorithm::Md5, 32), (Algorithm::Sha1, 40), (Algorithm::Sha256, 64), (Algorithm::Sha512, 128)]
    {
        file.set_checksum(IngestChecksum::new(ChecksumSource::Ingest, algorithm, &"a".repeat(length), Time::now()));
    }
    file
}
