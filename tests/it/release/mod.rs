//! `cargo xtask release`: on a miniature workspace, since what is tested is the train and not the freight; and once on the
//! real services.

mod fake_docker;
mod no_docker;
mod real_docker;
pub(crate) mod real_services;
mod tree;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::workspace::Workspace;
use crate::support::{is_alive, skip};

/// What a run printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Ran {
    command.stdin(std::process::Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Ran {
    /// Asserts the exit code and that the error says `text`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, text: &str) -> Self {
        let shown = format!("stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{shown}");
        assert!(self.stderr.contains(text), "`{text}` is not in\n{shown}");
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The registry, or none after saying that the test was skipped.
pub(crate) fn registry(test: &str) -> Option<Registry> {
    Registry::start().map_err(|reason| skip(test, &reason)).ok()
}

/// Releases to a registry, and takes the images out of the engine again.
pub(crate) fn release(workspace: &Workspace, registry: &str, more: &[&str]) -> Ran {
    let ran = run(workspace.xtask(&["release", "--registry", registry]).args(more));
    let listed = run(Command::new("docker")
        .args(["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter"])
        .arg(format!("reference={registry}/*")));
    let references: Vec<&str> = listed.stdout.lines().collect();
    if !references.is_empty() {
        run(Command::new("docker").args(["image", "rm", "--force"]).args(&references));
    }
    ran
}

pub(crate) fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The configuration digests of a release manifest, in the order of its images.
pub(crate) fn config_digests(manifest: &Value) -> Vec<String> {
    let images = manifest["images"].as_array().unwrap();
    images.iter().map(|image| image["platforms"][0]["config_digest"].as_str().unwrap().to_owned()).collect()
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// What a stand-in wrote to tell its process id.
pub(crate) fn whole_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.ends_with('\n') { Ok(text) } else { Err(text) }
}

/// The process is no more.
pub(crate) fn gone(pid: &str) -> Result<(), String> {
    if is_alive(pid.trim()) { Err(format!("process {} runs", pid.trim())) } else { Ok(()) }
}
