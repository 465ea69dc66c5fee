//! What tests of every kind need: to wait for a state, to find a program, to say that they were skipped.

use std::fmt::Debug;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest that anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the answer is `Ok`. After [`PATIENCE`] it fails with the last state.
///
/// # Panics
/// When the answer does not come.
pub async fn until<T, E: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < deadline, "waited for {what} in vain: {state:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The program, if it is on PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Says that a test was skipped, and why; `test-all` lists it.
#[expect(clippy::print_stderr, reason = "it is what a test says")]
pub fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let listed = std::fs::File::options().append(true).create(true).open(path);
        let written = listed.and_then(|mut file| writeln!(file, "{test}: {reason}"));
        written.expect("the list of skipped tests can be written to");
    }
}
