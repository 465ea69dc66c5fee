//! What the tests share: servers, a client for them, and streams that cost nothing.

pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod stub;

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use storage::{Bucket, Budget, Config, Error, Limits, Provider, Scheme, Storage};

pub(crate) const KEY: &str = "preserv-test";
pub(crate) const SECRET: &str = "a-secret-that-no-error-shows";

/// Limits that let faults show soon.
pub(crate) fn hasty() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(20),
        stall: Duration::from_millis(700),
        attempts: 3,
        pause: Duration::from_millis(20),
        ..Limits::default()
    }
}

/// A client for the server at this address, `127.0.0.1:1234`.
pub(crate) async fn storage(address: &str, limits: Limits) -> Storage {
    storage_within(address, limits, &Budget::new(128 << 20)).await
}

pub(crate) async fn storage_within(address: &str, limits: Limits, budget: &Budget) -> Storage {
    let provider = Provider {
        name: model::Provider::Local,
        host: address.to_owned(),
        scheme: Scheme::Http,
        key: Some(KEY.to_owned()),
        secret: Some(SECRET.to_owned()),
    };
    Storage::new(&Config { providers: vec![provider], regions: vec![], limits }, budget).await.unwrap()
}

pub(crate) async fn bucket(address: &str, limits: Limits, name: &str) -> Bucket {
    storage(address, limits).await.bucket(&model::Provider::Local, name).unwrap()
}

/// A stream of so many zeros, in chunks that share one block of memory.
pub(crate) fn zeros(length: u64) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin + 'static {
    let block = Bytes::from(vec![0; 1 << 20]);
    let chunks = (0..length.div_ceil(1 << 20)).map(move |n| {
        let size = (length - (n << 20)).min(1 << 20);
        Ok(block.slice(..usize::try_from(size).unwrap()))
    });
    futures_util::stream::iter(chunks)
}

/// Bytes that differ everywhere, so that one that is missing or twice shows.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 13 & 0xff).unwrap()).collect::<Vec<u8>>().into()
}

pub(crate) async fn read(mut download: storage::Download) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// No error shows what must stay secret, in any form.
#[track_caller]
pub(crate) fn assert_discreet(error: &Error) {
    use std::error::Error as _;
    let chain = std::iter::successors(error.source(), |error: &&dyn std::error::Error| (*error).source());
    let causes: Vec<String> = chain.map(|cause| format!("{cause} {cause:?}")).collect();
    let text = format!("{error} {error:?} {}", causes.join(" "));
    for secret in [SECRET, "Signature=", "X-Amz-Signature", "Credential="] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Asks until the answer is there. After the deadline it fails with the last state.
pub(crate) async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(std::time::Instant::now() < deadline, "waiting for {what}: {state}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says that a test was skipped, and why.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
