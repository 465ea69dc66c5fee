//! How fast the embedded Registry is: requests a second of what the workers ask most, with as many connections as given,
//! and the memory that it takes after 100,000 files. `cargo run --release -p stack --example registry_bench [connections]`
//!
//! Server and clients share the machine's processors: read the numbers beside each other, not as the server's limit.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on stops, and prints what it saw"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use stack::registry::{Fixtures, Options, Registry};

const FILES: usize = 100_000;
const BATCH: usize = 100;

#[tokio::main]
async fn main() {
    let connections = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(16);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    for (place, database) in [("in memory", None), ("in a file", Some(folder.path().join("registry.db")))] {
        let registry =
            Registry::start(Options { database: database.clone(), fixtures: Fixtures::Upstream, ..Options::default() });
        let registry = registry.unwrap();
        let bench = Arc::new(Bench { client: Client::new(), url: registry.url(), next: AtomicUsize::new(0) });
        bench.send("GET", "items/show/1", None).await;
        println!("{place}, {connections} connections, resident {} MB", resident());
        let object = bench.send("POST", "objects/create/4", Some(object())).await["id"].as_i64().unwrap();
        bench.run("items/show", 20_000, connections, |_| ("GET", "items/show/21".into(), None)).await;
        let list = "items?action=Ingest&institution_id=2&name=photos.tar&page=1&per_page=10&sort=date_processed__desc";
        bench.run("items by name", 20_000, connections, move |_| ("GET", list.into(), None)).await;
        bench.run("items, 20 of them", 5_000, connections, |_| ("GET", "items?per_page=20".into(), None)).await;
        bench.run("events/create", 20_000, connections, |_| ("POST", "events/create".into(), Some(event()))).await;
        let batch = move |nth: usize| {
            let files = (0..BATCH).map(|file| self::file(object, nth * BATCH + file)).collect();
            ("POST", "files/create_batch/4".to_owned(), Some(Value::Array(files)))
        };
        bench.run("files/create_batch of 100", FILES / BATCH, connections, batch).await;
        println!("  with {FILES} files, their checksums, events and records: resident {} MB", resident());
        if let Some(database) = &database {
            println!("  the file has {} MB", std::fs::metadata(database).unwrap().len() >> 20);
        }
        let page = format!("files?intellectual_object_id={object}&page=1&per_page=100&sort=identifier&state=A");
        bench.run("files, 100 of them, nested", 500, connections, move |_| ("GET", page.clone(), None)).await;
        bench
            .run("files/show", 10_000, connections, |nth| ("GET", format!("files/show/{}", 63 + nth % FILES), None))
            .await;
        bench
            .run("objects/show of all those files", 20, connections, move |_| {
                ("GET", format!("objects/show/{object}"), None)
            })
            .await;
    }
}

struct Bench {
    client: Client,
    url: String,
    next: AtomicUsize,
}

type Request = (&'static str, String, Option<Value>);

impl Bench {
    /// Sends so many requests over so many connections and prints how it went.
    async fn run(
        self: &Arc<Self>,
        name: &str,
        count: usize,
        connections: usize,
        request: impl Fn(usize) -> Request + Clone + Send + 'static,
    ) {
        self.next.store(0, Ordering::Relaxed);
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (bench, request) = (Arc::clone(self), request.clone());
            tasks.spawn(async move {
                loop {
                    let nth = bench.next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        return;
                    }
                    let (method, path, body) = request(nth);
                    bench.send(method, &path, body).await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = count as f64 / started.elapsed().as_secs_f64();
        println!("  {name}: {rate:.0}/s");
    }

    async fn send(&self, method: &'static str, path: &str, body: Option<Value>) -> Value {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}/admin-api/v3/{path}", self.url));
        request = request.header("X-Pharos-API-User", "system@aptrust.org").header("X-Pharos-API-Key", "password");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        response.json().await.unwrap()
    }
}

fn object() -> Value {
    json!({
        "title": "Measured", "identifier": "test.edu/measured", "state": "A", "access": "institution", "institution_id": 4,
        "storage_option": "Standard", "bag_name": "measured", "etag": "0".repeat(32),
    })
}

/// As the recorder sends them: four checksums, two storage records, eight events.
fn file(object: i64, nth: usize) -> Value {
    let checksum = |algorithm: &str, length| json!({ "algorithm": algorithm, "digest": "d".repeat(length), "datetime": "2024-05-06T07:08:09Z" });
    json!({
        "file_format": "text/plain", "identifier": format!("test.edu/measured/data/{nth:08}.txt"), "state": "A", "size": 12_345,
        "institution_id": 4, "intellectual_object_id": object, "storage_option": "Standard",
        "uuid": uuid::Uuid::new_v4().to_string(), "last_fixity_check": "2024-05-06T07:08:09Z",
        "checksums": [checksum("md5", 32), checksum("sha1", 40), checksum("sha256", 64), checksum("sha512", 128)],
        "storage_records": [{ "url": "https://s3.example.com/preservation-va/a" }, { "url": "https://s3.example.com/preservation-or/a" }],
        "premis_events": (0..8).map(|_| event()).collect::<Vec<_>>(),
    })
}

fn event() -> Value {
    json!({
        "agent": "https://github.com/APTrust/preservation-services", "date_time": "2024-05-06T07:08:09Z",
        "detail": "Calculated a digest", "event_type": "message digest calculation",
        "identifier": uuid::Uuid::new_v4().to_string(), "institution_id": 4, "object": "a library", "outcome": "Success",
        "outcome_detail": "md5:0123456789abcdef0123456789abcdef", "outcome_information": "Calculated digest",
    })
}

/// Megabytes of memory of this process, clients included.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}
