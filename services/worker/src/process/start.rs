//! The `main` of every program: command line → settings → telemetry → signals → one startup line → the stage → drain with
//! a deadline → exit code. What a stage does is its own.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle};

use crate::process::command_line::{self, Arguments, Request};
use crate::process::exit::Exit;
use crate::process::health::Heartbeat;
use crate::process::identity::Identity;
use crate::process::limits::Limits;
use crate::process::metrics::Metrics;
use crate::process::program::{Context, Kind, Plan as _, Program, Stage, StageFuture};
use crate::process::settings::{Environment, Logging, Reader, Report, Section, Sources, Text, names};
use crate::process::signals::Signals;
use crate::process::telemetry::Telemetry;
use crate::process::{health, help, output, tls};
use tokio_util::sync::CancellationToken;

/// What a program's settings amount to.
struct Configuration<P, S> {
    logging: Logging,
    plan: P,
    settings: S,
}

impl<K: Kind, S: Section> Program<K, S> {
    /// Does what the command line asks for.
    pub fn main(&self) -> ExitCode {
        self.main_within(Limits::STANDARD)
    }

    /// The same with other limits, for programs that exist for tests.
    pub fn main_within(&self, limits: Limits) -> ExitCode {
        let exit = self.respond(std::env::args_os().skip(1), limits).unwrap_or_else(|error| {
            output::complain(self.name, &format!("{error:#}"));
            Exit::Failed
        });
        exit.into()
    }

    fn respond(&self, arguments: impl Iterator<Item = OsString>, limits: Limits) -> Result<Exit> {
        match command_line::parse(K::FLAGS, self.kind.operand(), arguments) {
            Ok(Request::Help) => output::answer(&help::text(self)),
            Ok(Request::Version) => output::answer(&self.version()?),
            Ok(Request::Health) => return Ok(self.health(limits)),
            Ok(Request::CheckSettings(arguments)) => return Ok(self.check_settings(&arguments)),
            Ok(Request::Work(arguments)) => return self.work(&arguments, limits),
            Err(problem) => {
                output::complain(self.name, &format!("{problem}; --help lists what there is"));
                return Ok(Exit::Usage);
            }
        }
        Ok(Exit::Done)
    }

    /// The lines are read by release tooling.
    fn version(&self) -> Result<String> {
        let Identity { name, version, sha256 } = Identity::of(self.name)?;
        let unfinished = if matches!(self.stage, Stage::Unfinished) { "\nunfinished" } else { "" };
        Ok(format!("{name} {version}\nsha256:{sha256}{unfinished}"))
    }

    fn health(&self, limits: Limits) -> Exit {
        match health::check(&self.heartbeat_file(), limits) {
            Ok(healthy) => {
                output::answer(&healthy.to_string());
                Exit::Done
            }
            Err(unhealthy) => {
                output::complain(self.name, &format!("unhealthy: {unhealthy}"));
                Exit::Failed
            }
        }
    }

    /// Where the process and the one that asks for its health meet. One process of a program per folder of temporary
    /// files: in a container, that is the task's own volume.
    fn heartbeat_file(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{}.health", self.name))
    }

    fn check_settings(&self, arguments: &Arguments) -> Exit {
        let (_, report) = self.configure(arguments);
        output::answer(&report.table());
        self.judge(&report)
    }

    fn work(&self, arguments: &Arguments, limits: Limits) -> Result<Exit> {
        let (configuration, report) = self.configure(arguments);
        let Some(configuration) = configuration else {
            return Ok(self.judge(&report));
        };
        create(&report.directories)?;
        let telemetry = Telemetry::start(self.name, &configuration.logging)?;
        let exit = match self.stage {
            Stage::Unfinished => self.decline(&configuration.plan),
            Stage::Run(stage) => self.run(configuration, stage, limits, telemetry.clone()),
        };
        let exit = exit.unwrap_or_else(|error| {
            tracing::error!("cannot start: {error:#}");
            Exit::Failed
        });
        telemetry.end();
        Ok(exit)
    }

    /// Starts like a finished program, up to the point where there would be work.
    fn decline(&self, plan: &K::Plan) -> Result<Exit> {
        plan.announce(&Identity::of(self.name)?);
        output::complain(self.name, UNFINISHED);
        Ok(Exit::Unfinished)
    }

    /// What the program's work is given, for those who run it inside another process: tests. `directory` is its working directory,
    /// and holds its heartbeat file. The error lists what is wrong with the settings.
    pub fn context(
        &self,
        environment: Environment,
        directory: &Path,
        shutdown: CancellationToken,
    ) -> Result<Context<K::Plan, S>> {
        let (configuration, report) = self.read(&Arguments::default(), environment, directory);
        let Some(Configuration { plan, settings, .. }) = configuration else {
            bail!("{}", report.problems.join("\n"));
        };
        tls::install();
        let file = directory.join(format!("{}.health", self.name));
        let heartbeat = Heartbeat::start(&file, Limits::STANDARD.stale_after)?;
        Ok(Context { service: self.name, plan, settings, shutdown, heartbeat })
    }

    fn configure(&self, arguments: &Arguments) -> (Option<Configuration<K::Plan, S>>, Report) {
        let directory = std::env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
        self.read(arguments, Environment::of_process(), &directory)
    }

    /// Reads every setting of the program. The report tells which those are, and everything that is wrong with them.
    fn read(
        &self,
        arguments: &Arguments,
        environment: Environment,
        directory: &Path,
    ) -> (Option<Configuration<K::Plan, S>>, Report) {
        let sources = Sources::load(environment, directory);
        let mut reader = Reader::new(&sources);
        // It has chosen the file already; asked for like the rest, it is in the record too.
        let environment = reader.setting::<Text>(names::APT_ENV).in_environment_only().optional();
        let logging = Logging::read(&mut reader);
        let plan = self.kind.plan(self.name, arguments, &mut reader);
        let settings = S::read(&mut reader);
        let report = reader.finish();
        let configuration = match (environment, logging, plan, settings) {
            // A settings file that cannot be read is a problem of its own, even if nothing in it was missed.
            (Ok(_), Ok(logging), Ok(plan), Ok(settings)) if report.problems.is_empty() => {
                Some(Configuration { logging, plan, settings })
            }
            _ => None,
        };
        (configuration, report)
    }

    /// Every problem on a line of its own.
    fn judge(&self, report: &Report) -> Exit {
        for problem in &report.problems {
            output::complain(self.name, problem);
        }
        if report.problems.is_empty() { Exit::Done } else { Exit::Usage }
    }

    fn run(
        &self,
        configuration: Configuration<K::Plan, S>,
        stage: fn(Context<K::Plan, S>) -> StageFuture,
        limits: Limits,
        telemetry: Telemetry,
    ) -> Result<Exit> {
        let Configuration { plan, settings, .. } = configuration;
        let identity = Identity::of(self.name)?;
        tls::install();
        let runtime = Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
        // A stage that blocks every thread of its runtime holds up neither a signal nor the deadline of the drain.
        let watch = Builder::new_current_thread().enable_all().build().context("starting the runtime of signals")?;
        let exit = watch.block_on(async {
            let signals = Signals::install().context("installing the signal handlers")?;
            let heartbeat = Heartbeat::start(&self.heartbeat_file(), limits.stale_after)?;
            let shutdown = CancellationToken::new();
            plan.announce(&identity);
            let context = Context {
                service: self.name,
                plan,
                settings,
                shutdown: shutdown.clone(),
                heartbeat: heartbeat.clone(),
            };
            let service = self.name;
            runtime.spawn(async move {
                if let Some(metrics) = Metrics::of(service).await {
                    telemetry.count_with(metrics);
                }
            });
            let stage = {
                let _entered = runtime.enter();
                runtime.spawn(stage(context))
            };
            let exit = supervise(stage, signals, &shutdown, limits).await;
            heartbeat.end();
            anyhow::Ok(exit)
        });
        // Whatever still runs was given up; waiting for it here would never end.
        runtime.shutdown_background();
        exit
    }
}

const UNFINISHED: &str =
    "its stage is not built yet, so it opens no connection and does no work; see the table of services in the README";

/// Waits for the stage, and for the signal that ends its life.
async fn supervise(
    mut stage: JoinHandle<Result<()>>,
    mut signals: Signals,
    shutdown: &CancellationToken,
    limits: Limits,
) -> Exit {
    let signal = tokio::select! {
        ended = &mut stage => return conclude(ended),
        signal = signals.next() => signal,
    };
    let seconds = limits.drain.as_secs_f64();
    tracing::info!(deadline_seconds = seconds, "received {signal}: taking no new work, putting away what is in work");
    shutdown.cancel();
    tokio::select! {
        ended = &mut stage => conclude(ended),
        second = signals.next() => {
            tracing::error!("received {second} as well: ending at once, work may be left behind");
            Exit::Undrained
        }
        () = tokio::time::sleep(limits.drain) => {
            tracing::error!(deadline_seconds = seconds, "the drain missed its deadline, work is left behind");
            Exit::Undrained
        }
    }
}

fn conclude(ended: Result<Result<()>, JoinError>) -> Exit {
    match ended {
        Ok(Ok(())) => {
            tracing::info!("finished");
            Exit::Done
        }
        Ok(Err(error)) => {
            tracing::error!("failed: {error:#}");
            Exit::Failed
        }
        // The panic itself was logged where it happened.
        Err(_) => Exit::Failed,
    }
}

fn create(directories: &[PathBuf]) -> Result<()> {
    for directory in directories {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
        made.with_context(|| format!("creating the folder {}", directory.display()))?;
    }
    Ok(())
}
