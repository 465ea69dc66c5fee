//! What the tests share: the programs under test, scratch folders, and how a test says that it was skipped.

pub(crate) mod registry;
pub(crate) mod workspace;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of this workspace: xtask, the benchmark, the demo or a service. `test-all` has compiled them all and says where; in a run by hand its package is
/// built when the first test asks for it.
pub(crate) fn program(name: &str) -> PathBuf {
    static XTASK: OnceLock<()> = OnceLock::new();
    static BENCH: OnceLock<()> = OnceLock::new();
    static DEMO: OnceLock<()> = OnceLock::new();
    static APPS: OnceLock<()> = OnceLock::new();
    if let Some(folder) = std::env::var_os("XTASK_PROGRAMS") {
        return PathBuf::from(folder).join(name);
    }
    let (built, packages): (_, &[&str]) = match name {
        "xtask" => (&XTASK, &["xtask"]),
        "preserv-bench" => (&BENCH, &["bench"]),
        "preserv-demo" => (&DEMO, &["demo", "apps"]),
        _ => (&APPS, &["apps"]),
    };
    built.get_or_init(|| {
        let packages = packages.iter().flat_map(|package| ["--package", package]);
        let mut command = Command::new(env!("CARGO"));
        let status = command.args(["build", "--quiet"]).args(packages).current_dir(root()).status();
        assert!(status.unwrap().success(), "the package of {name} does not build");
    });
    // This executable is target/debug/deps/it-…; the programs are two levels up.
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    folder.join(name)
}

/// `cargo xtask`, without whatever the caller's environment would change.
pub(crate) fn xtask() -> Command {
    let mut command = Command::new(program("xtask"));
    let ours = ["DOCKER_USER", "DOCKER_PWD", "CI", "TRAVIS", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "RUSTFLAGS"];
    for name in ours {
        command.env_remove(name);
    }
    command.current_dir(root()).env("CARGO", env!("CARGO"));
    command
}

/// Git in this folder, and in no repository that the caller's environment names: git sets such variables for its hooks.
pub(crate) fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// Says that a test was skipped, and why. `test-all` lists it; a plain `cargo test` shows it with `--nocapture`.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    println!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

/// A folder that goes away with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("preserv-{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `sha256:<64 hexadecimal digits>` of the bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A process runs; a zombie does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// Asks until the answer is there. After the deadline it fails with the last state.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(2);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) => assert!(std::time::Instant::now() < deadline, "waiting for {what}: {state}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
