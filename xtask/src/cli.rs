//! The whole command line. What is shown without one, `help` has.

pub mod demo;
pub mod deploy;
pub mod identify;
mod update_template;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use update_template::{Pin, UpdateTemplate};

/// Release, test and look after the preservation services.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    override_usage = "cargo xtask [OPTIONS] <COMMAND>"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags of every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Flags of every command")]
pub struct Global {
    /// human: text. json: JSON Lines on stdout (the last record is the result), text on stderr.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, hide_possible_values = true, value_name = "human|json")]
    pub format: Format,
    /// Say what would be done; nothing is built, sent or changed.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Only the answer on stdout, and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show what the called programs say.
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Colours on stderr; auto: when it is a terminal and NO_COLOR is not set.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, hide_possible_values = true, value_name = "auto|always|never")]
    pub color: Color,
    /// End the command after this time, such as 45m (exit code 7).
    #[arg(long, global = true, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

impl Global {
    /// What counts when the command line could not be read but asked for records.
    pub(crate) fn for_records() -> Self {
        Self { format: Format::Json, dry_run: false, quiet: false, verbose: false, color: Color::Never, timeout: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build all service images, check them, and push them under one tag.
    #[command(after_help = RELEASE_EXAMPLES)]
    Release(Release),
    /// Point the template at the images of one release, and change nothing else in it.
    #[command(after_help = update_template::UPDATE_TEMPLATE_HELP)]
    UpdateTemplate(UpdateTemplate),
    /// Run every test stage: lint, unit, integration, e2e.
    #[command(after_help = TEST_ALL_EXAMPLES)]
    TestAll(TestAll),
    /// Bring the template's release to an environment, watched and verified.
    #[command(
        after_help = deploy::DEPLOY_HELP,
        after_long_help = deploy::DEPLOY_HELP_ALL,
        disable_help_flag = true,
        mut_args(deploy::hidden_unless_usual)
    )]
    Deploy(deploy::Deploy),
    /// Go back to an earlier release.
    #[command(after_help = deploy::ROLLBACK_HELP)]
    Rollback(deploy::Rollback),
    /// Show what runs in an environment.
    #[command(after_help = deploy::STATUS_HELP)]
    Status(deploy::Status),
    /// Show the services' log lines.
    #[command(after_help = deploy::LOGS_HELP)]
    Logs(deploy::Logs),
    /// Start the system on this machine: NSQ, Redis, S3, the Registry, and the services if you like.
    #[command(after_help = UP_NOTES)]
    Up(Up),
    /// See bags preserved: made ones, your own, or a folder of yours; then a report of what is stored where.
    #[command(after_help = demo::DEMO_NOTES)]
    Demo(demo::Demo),
    /// Measure how fast ingest is, beside work that goes file by file.
    #[command(after_help = BENCH_NOTES)]
    Bench(Bench),
    /// See a release, a deployment and a rollback happen, with a simulated AWS and no account.
    #[command(after_help = REHEARSE_NOTES)]
    Rehearse,
    /// Name the formats of files, by PRONOM's signatures.
    #[command(after_help = identify::IDENTIFY_HELP)]
    Identify(identify::Identify),
    /// Show the release of PRONOM's signatures in use, or take in another.
    #[command(after_help = identify::SIGNATURES_HELP)]
    Signatures(identify::Signatures),
    /// Check that this machine has what the commands need, and say how to get what it lacks.
    Doctor,
    /// Print the completion script of a shell for `cargo xtask <TAB>`.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}

impl Command {
    pub fn name(&self) -> &'static str {
        match self {
            Command::Release(_) => "release",
            Command::UpdateTemplate(_) => "update-template",
            Command::TestAll(_) => "test-all",
            Command::Deploy(_) => "deploy",
            Command::Rollback(_) => "rollback",
            Command::Status(_) => "status",
            Command::Logs(_) => "logs",
            Command::Up(_) => "up",
            Command::Demo(_) => "demo",
            Command::Bench(_) => "bench",
            Command::Rehearse => "rehearse",
            Command::Identify(_) => "identify",
            Command::Signatures(_) => "signatures",
            Command::Doctor => "doctor",
            Command::Completions { .. } => "completions",
        }
    }
}

/// The shells that `completions` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args, Debug)]
pub struct Release {
    /// Where the images go: HOST[:PORT]/PREFIX. Plain HTTP is spoken to this machine only.
    #[arg(long, value_name = "REGISTRY", default_value = "docker.io/aptrust")]
    pub registry: String,
    /// Comma-separated list of linux/amd64 and linux/arm64; with both, each tag is a manifest list.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "linux/amd64")]
    pub platform: Vec<String>,
    /// Write OCI layouts, SBOMs and the manifest only; needs no docker.
    #[arg(long)]
    pub no_push: bool,
    /// The branch of the tag; needed on a detached HEAD, where CI's own variables do not tell.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Release uncommitted work; the tag ends in -dirty.
    #[arg(long)]
    pub allow_dirty: bool,
    /// Release executables whose work is not built yet; the tag ends in -unfinished.
    #[arg(long)]
    pub allow_unfinished: bool,
    /// How many images are handled at a time.
    #[arg(long, short, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: u8,
    /// Link for this target instead of the platform's glibc one, such as x86_64-unknown-linux-musl (one platform only).
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,
}

#[derive(Args, Debug)]
pub struct TestAll {
    /// Only these stages, comma-separated: lint, unit, integration, e2e. The report says that it is not the whole.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum)]
    pub stage: Vec<Stage>,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Only the tests that failed in the last run.
    #[arg(long, conflicts_with = "filter")]
    pub failed: bool,
    /// Run e2e on real servers from PATH (redis-server, weed, nsqd, nsqlookupd) and the Registry that REGISTRY_URL names, else ours.
    #[arg(long)]
    pub real: bool,
    /// Go on with the next stage after one failed.
    #[arg(long)]
    pub keep_going: bool,
    /// Give everything N times as long as its limit says: for a slow or busy machine.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = patience)]
    pub patience: f64,
    /// Write a JUnit report as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// A number that a time can be multiplied by.
fn patience(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    // A thousand times 45 minutes is a month.
    if number > 0.0 && number <= 1000.0 { Ok(number) } else { Err("give a number above 0 and up to 1000".to_owned()) }
}

/// The stages of `test-all`, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    Lint,
    Unit,
    Integration,
    E2e,
}

#[derive(Args, Debug)]
pub struct Up {
    /// Start the services too, as far as they are built.
    #[arg(long)]
    pub services: bool,
    /// Keep what is stored in this folder, and go on with what is there; otherwise all is gone at the end.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Listen where upstream's test settings expect the servers (8080, 4150, 4151, 4160, 4161, 6379, 9899), not on free ports.
    #[arg(long)]
    pub fixed_ports: bool,
}

#[derive(Args, Debug)]
pub struct Bench {
    /// Files of the bag that is made.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub files: u64,
    /// Their size: a number of bytes, or one with K, M or G. All but the first 4 KiB are zeros.
    #[arg(long, value_name = "SIZE", default_value = "1K", value_parser = bytes)]
    pub size: u64,
    /// Comma-separated list of milliseconds that S3 takes more for each request.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,5,20")]
    pub latency: Vec<u64>,
    /// Stop after this service; a part of its name will do, such as staging.
    #[arg(long, value_name = "SERVICE")]
    pub until: Option<String>,
    /// Measure executables of the same names in this folder too. Lines of a file settings.env there are added to their settings.
    #[arg(long, value_name = "FOLDER")]
    pub beside: Option<PathBuf>,
}

/// A number of bytes, such as `4K`.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(number) if text.ends_with('K') => (number, 1 << 10),
        Some(number) if text.ends_with('M') => (number, 1 << 20),
        Some(number) => (number, 1 << 30),
        None => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| "give a number of bytes, such as 512, 4K, 20M or 1G".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "no file is that large".to_owned())
}

const RELEASE_EXAMPLES: &str = "\
Examples:
  cargo xtask release                                  build, check, push docker.io/aptrust/<service>:<commit>-<branch>
  cargo xtask release --dry-run                        what would be built and pushed, and what is there already
  cargo xtask release --no-push                        17 OCI layouts below target/xtask/release, with cargo and git alone
  cargo xtask release --registry localhost:5000/try    to a registry of one's own
  cargo xtask release --platform linux/amd64,linux/arm64

DOCKER_USER and DOCKER_PWD log in, through stdin and for this run only; without them docker's own login counts.

Exit codes: 0 published, or already so; 1 a build, check or push failed; 2 usage; 3 refused (dirty tree, tag taken);
4 tool missing or login refused; 7 time limit; 8 another release is running; 130, 143 interrupted.";

const TEST_ALL_EXAMPLES: &str = "\
Examples:
  cargo xtask test-all                     everything; a test that lacks a program says so and is listed as skipped
  cargo xtask test-all --stage unit --filter tag
  cargo xtask test-all --failed            again what failed last
  cargo xtask test-all --real              as demo and prod want it: e2e on real servers
  E2E_KILLS=200 E2E_OUTAGES=20 cargo xtask test-all --stage e2e    the long form of the faults; E2E_SEED repeats one

With --real, REGISTRY_USER and REGISTRY_KEY let in to the Registry that REGISTRY_URL names. The report is target/xtask/test-all/test-report.json. Exit codes: 0 every stage ran and passed; 1 a test failed or a
stage ran none; 4 a tool is missing, with --real a server; 7 time limit; 8 another test run is going on; 130, 143 interrupted.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bash   cargo xtask completions bash > ~/.local/share/cargo-xtask.bash && echo '. ~/.local/share/cargo-xtask.bash' >> ~/.bashrc
  zsh    cargo xtask completions zsh > ~/.cargo-xtask.zsh && echo '. ~/.cargo-xtask.zsh' >> ~/.zshrc   (after compinit)
  fish   cargo xtask completions fish > ~/.config/fish/conf.d/cargo-xtask.fish";

const UP_NOTES: &str = "\
Examples:
  cargo xtask up                          the servers; their addresses, and the folder to drop bags in, are printed
  cargo xtask up --services               and the services, which take up what is dropped
  cargo xtask up --keep ~/preserv         go on next time with what is stored now

Everything listens on loopback only. A settings file for services that you start yourself, Go's or ours, lies beside the data:
cd there and set APT_ENV=dev. Ctrl-C ends it. The first use compiles the servers: about two minutes.

Exit codes: 0 ended by Ctrl-C, SIGTERM or the time limit; 1 a server could not start; 2 usage.";

const BENCH_NOTES: &str = "\
Examples:
  cargo xtask bench                                          2,000 files of 1 KiB, S3 with 0, 5 and 20 ms more a request
  cargo xtask bench --files 1 --size 1G --latency 0          one large file
  cargo xtask bench --files 100000 --size 64 --until staging a bag of many files, through the first stages
  cargo xtask bench --beside ~/go/bin                        and another system's services, in the same run

Each service runs alone, as it ships, on embedded servers. `1 by 1` and `times` tell how many times as long upstream's requests take
when they are made one after the other, and how many times as long the other system takes. Trust these, not the seconds.
The first use compiles the services as they ship: five minutes on two cores.

Exit codes: 0 measured; 1 a stage failed; 2 usage; 7 time limit; 130, 143 interrupted.";

const REHEARSE_NOTES: &str = "\
It releases HEAD into OCI layouts, pins a copy of the template, deploys it to the simulator tests/aws-sim, and then a
release that fails and is rolled back. Everything happens in a clone below target/xtask/rehearse. The first use compiles
the AWS SDK: a few minutes; afterwards it takes about one.

Exit codes: 0 both went as they must; 1 one did not; 3 no commit; 7 time limit; 8 another rehearsal runs; 130, 143 interrupted.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(["512", "4K", "20M", "1G"].map(bytes), [512, 4 << 10, 20 << 20, 1 << 30].map(Ok));
        assert!(["", "K", "1T", "-1", "99999999999G"].iter().all(|text| bytes(text).is_err()));
    }
}
