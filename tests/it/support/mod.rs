//! What the tests share: the programs under test, scratch folders, and how a test says that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of this workspace, built when the first test asks for it.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "xtask", "--package", "apps"])
            .current_dir(root())
            .status();
        assert!(status.unwrap().success(), "the programs under test do not build");
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

/// Says that a test was skipped, and why. `test-all` lists it; a plain `cargo test` shows it with `--nocapture`.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    println!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("XTASK_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
