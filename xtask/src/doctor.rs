//! `doctor`: what this machine has of what the commands and their tests need, and the command that gets what it lacks.
//!
//! It only asks: each program for its version, within a limit, all at the same time. The reports of `test-all` list the
//! same versions.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cargo;
use crate::catalog::Catalog;
use crate::docker;
use crate::exit::{Exit, Stop};
use crate::git;
use crate::process::{self, Process, last_lines};
use crate::ui::{Paint, Ui, columns, fold, megabytes, table};

/// A version takes milliseconds. Python programs on a busy machine take seconds.
const LIMIT: Duration = Duration::from_secs(10);
/// How many programs are asked at a time: they wait for the disk, not for the processor.
const JOBS: usize = 8;
/// A release, the tests and clippy keep about this much in cargo's target folder.
const DISK_BYTES: u64 = 5_000_000_000;
/// What releases link for.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// A program that xtask or a test calls.
struct Program {
    name: &'static str,
    ask: Ask,
    need: Need,
    used_for: &'static str,
    /// What to type, on Debian where it is a package.
    fix: &'static str,
}

/// How a program tells its version.
enum Ask {
    With(&'static [&'static str]),
    Git,
    Docker,
}

/// What goes without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Required,
    /// All but what it is used for.
    Optional,
}

use Need::{Optional, Required};

const VERSION: Ask = Ask::With(&["--version"]);

#[rustfmt::skip]
const PROGRAMS: &[Program] = &[
    Program { name: "git", ask: Ask::Git, need: Required, used_for: "everything: the commit names what was built and tested", fix: "apt-get install git" },
    Program { name: "cargo", ask: VERSION, need: Required, used_for: "everything", fix: "install rustup: https://rustup.rs" },
    Program { name: "rustc", ask: VERSION, need: Required, used_for: "everything", fix: "install rustup: https://rustup.rs" },
    Program { name: "cc", ask: VERSION, need: Required, used_for: "linking; up: the embedded database", fix: "apt-get install gcc libc6-dev" },
    Program { name: "cargo-fmt", ask: VERSION, need: Optional, used_for: "test-all: formatting", fix: "rustup component add rustfmt" },
    Program { name: "cargo-clippy", ask: VERSION, need: Optional, used_for: "test-all: clippy", fix: "rustup component add clippy" },
    Program { name: "cargo-deny", ask: VERSION, need: Optional, used_for: "test-all: dependency rules", fix: "cargo install --locked --debug cargo-deny" },
    Program { name: "cfn-lint", ask: VERSION, need: Optional, used_for: "test-all: template", fix: "pip install cfn-lint" },
    Program { name: "docker", ask: Ask::Docker, need: Optional, used_for: "release with a push (20.10 or later), and its tests", fix: "apt-get install docker.io" },
    Program { name: "aarch64-linux-gnu-gcc", ask: VERSION, need: Optional, used_for: "release --platform linux/arm64", fix: "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" },
    Program { name: "qemu-aarch64-static", ask: VERSION, need: Optional, used_for: "running what was built for linux/arm64", fix: "apt-get install qemu-user-static" },
    Program { name: "docker-registry", ask: VERSION, need: Optional, used_for: "tests of release", fix: "apt-get install docker-registry" },
    Program { name: "skopeo", ask: VERSION, need: Optional, used_for: "tests of release", fix: "apt-get install skopeo" },
    Program { name: "bash", ask: VERSION, need: Optional, used_for: "tests of completions", fix: "apt-get install bash" },
    Program { name: "zsh", ask: VERSION, need: Optional, used_for: "tests of completions", fix: "apt-get install zsh" },
    Program { name: "fish", ask: VERSION, need: Optional, used_for: "tests of completions", fix: "apt-get install fish" },
    Program { name: "redis-server", ask: VERSION, need: Optional, used_for: "tests of services with a real server", fix: "apt-get install redis-server" },
    Program { name: "nsqd", ask: VERSION, need: Optional, used_for: "tests of services with a real server", fix: "download NSQ 1.3: https://nsq.io/deployment/installing.html" },
    Program { name: "nsqlookupd", ask: VERSION, need: Optional, used_for: "tests of services with a real server", fix: "download NSQ 1.3: https://nsq.io/deployment/installing.html" },
    Program { name: "weed", ask: Ask::With(&["version"]), need: Optional, used_for: "tests of services with a real S3 server", fix: "download SeaweedFS: https://github.com/seaweedfs/seaweedfs/releases" },
];

/// One row of the answer.
struct Check {
    name: String,
    need: Need,
    used_for: &'static str,
    /// The version or another fact, or what is wrong and what to do.
    found: Result<String, Problem>,
}

struct Problem {
    what: String,
    fix: String,
    missing: bool,
}

impl Problem {
    fn missing(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), missing: true }
    }

    fn wrong(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), missing: false }
    }
}

pub(crate) fn run(ui: &Ui) -> Result<Exit> {
    let mut checks =
        process::in_parallel(JOBS, PROGRAMS, |program| Ok(program.check()))?.into_iter().collect::<Result<Vec<_>>>()?;
    checks.extend(targets());
    checks.push(aws_credentials());
    checks.push(disk());
    show(&checks, ui);
    let required = |check: &&Check| check.need == Required && check.found.is_err();
    let lacking: Vec<&str> = checks.iter().filter(required).map(|check| check.name.as_str()).collect();
    if lacking.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Exit::Unavailable.stop(format!("nothing works without {}", lacking.join(", ")), "type what stands above"))
}

/// What is there, by name, for a report. Programs that are missing or do not answer are left out.
pub(crate) fn versions() -> Result<BTreeMap<String, String>> {
    let checks = process::in_parallel(JOBS, PROGRAMS, |program| Ok(program.check()))?;
    let found = |check: Check| Some((check.name, check.found.ok()?));
    Ok(checks.into_iter().flatten().filter_map(found).collect())
}

impl Program {
    fn check(&self) -> Check {
        let found = match which::which(self.name) {
            Ok(path) => self.version(&path),
            Err(_) => Err(Problem::missing("not on PATH", self.fix)),
        };
        Check { name: self.name.to_owned(), need: self.need, used_for: self.used_for, found }
    }

    fn version(&self, path: &Path) -> Result<String, Problem> {
        let wrong = |error: anyhow::Error| Problem::wrong(format!("{error:#}"), Stop::next(&error).unwrap_or(self.fix));
        match self.ask {
            Ask::Git => git::version(LIMIT).map_err(wrong),
            Ask::Docker => docker::version(LIMIT).map_err(wrong),
            Ask::With(args) => {
                let finished = Process::new(path).args(args).limit(LIMIT).run().map_err(wrong)?;
                if finished.over_limit {
                    let what = format!("does not answer within {} s", LIMIT.as_secs());
                    return Err(Problem::wrong(what, format!("see what {} is, or: {}", path.display(), self.fix)));
                }
                // Some print their version on stderr, and some exit with an error after it.
                let said = if finished.stdout.trim().is_empty() { &finished.stderr } else { &finished.stdout };
                let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
                if finished.success() {
                    return Ok(first.to_owned());
                }
                Err(Problem::wrong(format!("does not run: {}", last_lines(said, 1)), self.fix))
            }
        }
    }
}

/// The standard libraries that releases link with, in the toolchain that this checkout pins.
fn targets() -> Vec<Check> {
    let sysroot = cargo::sysroot(LIMIT);
    let check = |triple: &str| {
        let fix = format!("rustup target add {triple}");
        let found = match &sysroot {
            Err(error) => Err(Problem::wrong(format!("{error:#}"), "install rustup: https://rustup.rs")),
            Ok(sysroot) if cargo::has_target(sysroot, triple) => Ok("installed".to_owned()),
            Ok(_) => Err(Problem::missing("not installed in the pinned toolchain", fix)),
        };
        Check { name: format!("target {triple}"), need: Optional, used_for: "release", found }
    };
    TARGETS.into_iter().map(check).collect()
}

/// Whether the AWS SDK would find something to sign with. What it is stays where it is.
fn aws_credentials() -> Check {
    let set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let home = |name: &str| env::home_dir().map(|home| home.join(".aws").join(name));
    let file = |variable: &str, name: &str| env::var_os(variable).map(PathBuf::from).or_else(|| home(name));
    let files = [file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), file("AWS_CONFIG_FILE", "config")];
    let found = if let Some(name) = variables.iter().find(|name| set(name)) {
        Ok(format!("{name} is set"))
    } else if files.iter().flatten().any(|path| path.is_file()) {
        Ok("in the AWS configuration files".to_owned())
    } else {
        Err(Problem::missing("not configured", "aws configure sso, or set AWS_PROFILE"))
    };
    Check { name: "AWS credentials".to_owned(), need: Optional, used_for: "deploying", found }
}

fn disk() -> Check {
    // Without a cargo that works, what counts is where the target folder would be.
    let target = Catalog::load().map(|catalog| catalog.target).or_else(|_| env::current_dir()).unwrap_or_default();
    let there = target.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let found = match rustix::fs::statvfs(there) {
        Err(error) => Err(Problem::wrong(format!("asking the file system of {}: {error}", there.display()), "df -h")),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let shown = format!("{} free at {}", megabytes(free), there.display());
            let fix = "make room, or: cargo clean";
            if free < DISK_BYTES { Err(Problem::wrong(format!("only {shown}"), fix)) } else { Ok(shown) }
        }
    };
    Check { name: "disk".to_owned(), need: Optional, used_for: "builds, images and reports", found }
}

fn show(checks: &[Check], ui: &Ui) {
    let mut rows = vec![["CHECK", "STATE", "NEEDED FOR", "FOUND"].map(str::to_owned).to_vec()];
    let mut problems = String::new();
    for check in checks {
        let status = match &check.found {
            Ok(_) => "ok",
            Err(problem) if problem.missing => "missing",
            Err(_) => "problem",
        };
        let state = if check.found.is_err() && check.need == Required { "REQUIRED" } else { status };
        let (found, fix) = match &check.found {
            Ok(found) => (found.as_str(), None),
            Err(problem) => (problem.what.as_str(), Some(problem.fix.as_str())),
        };
        let first = found.lines().next().unwrap_or_default().to_owned();
        rows.push(vec![check.name.clone(), state.to_owned(), check.used_for.to_owned(), first]);
        if let Some(fix) = fix {
            let _ = write!(problems, "\n  {:<32} {fix}", check.name);
        }
        ui.record(
            "check",
            &json!({
                "name": check.name,
                "status": status,
                "required": check.need == Required,
                "needed_for": check.used_for,
                "found": found,
                "fix": fix,
            }),
        );
    }
    let room = columns(io::stdout());
    ui.answer(&fold(&table(&rows), room));
    if problems.is_empty() {
        ui.answer(&format!("\n{}", ui.paint(Paint::Green, "Everything is there.")));
    } else {
        ui.answer(&fold(&format!("\nWhat is not ok, and what to type (Debian):{problems}"), room));
    }
    ui.result("problems", Value::from(checks.iter().filter(|check| check.found.is_err()).count()));
}
