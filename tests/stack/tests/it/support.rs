//! What the tests of all servers share: how a test says that it was skipped, and waiting for a state.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Says that a test was skipped, and why. `test-all` lists it.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

/// The program, if it is on PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Asks until the answer is there. After the deadline it fails with the last state.
#[track_caller]
pub(crate) fn wait_for<T, F>(what: &str, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Result<T, String>>,
{
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(state) => assert!(Instant::now() < deadline, "{place}: waiting for {what}: {state}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// An HTTP client that gives up after a while. It needs a provider of TLS even where it speaks none.
pub(crate) fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}
