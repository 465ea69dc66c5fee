//! Where log lines go and what they look like: one readable line on a terminal, JSON everywhere else. What is worth a
//! line is decided where it happens. Nobody who logs waits for whoever reads the log.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context as _, Result};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::process::lines::Lines;
use crate::process::metrics::{Metric, Metrics};
use crate::process::output::PATIENCE;
use crate::process::settings::{LogLevel, LogTarget, Logging};
use crate::process::stdout::Stdout;

/// The log of the process, until it ends.
#[derive(Debug, Clone)]
#[must_use]
pub(crate) struct Telemetry {
    log: Arc<Lines>,
    /// The same, unless the log goes to a file. Metrics are written here.
    stdout: Stdout,
    metrics: Arc<OnceLock<Metrics>>,
}

impl Telemetry {
    /// Starts logging for the process, panics included.
    pub(crate) fn start(name: &str, logging: &Logging) -> Result<Self> {
        let metrics = Arc::new(OnceLock::new());
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("opening stdout")?;
        let stdout = queue("stdout", File::from(stdout), &metrics)?;
        let log = match &logging.target {
            LogTarget::Stdout => Arc::clone(&stdout),
            LogTarget::Directory(directory) => {
                let path = directory.join(format!("{name}.log"));
                let file = File::options().append(true).create(true).mode(0o644).open(&path);
                queue("log", file.with_context(|| format!("opening the log file {}", path.display()))?, &metrics)?
            }
        };
        let lines = layer().with_target(false).with_writer(Arc::clone(&log));
        let lines = match &logging.target {
            LogTarget::Stdout if io::stdout().is_terminal() => lines.boxed(),
            _ => lines.json().flatten_event(true).boxed(),
        };
        let telemetry = Self { log, stdout: Stdout(stdout), metrics };
        let subscriber =
            tracing_subscriber::registry().with(lines).with(filter(logging.level)).with(telemetry.stdout.clone());
        subscriber.try_init().context("starting the log")?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let text = panic.payload_as_str().unwrap_or("no text");
            tracing::error!(place, "panicked: {text}");
        }));
        Ok(telemetry)
    }

    /// From now on the lines that are dropped are counted by a metric, too.
    pub(crate) fn count_with(&self, metrics: Metrics) {
        // It is known once.
        let _ = self.metrics.set(metrics);
    }

    /// Waits for the last lines to be taken, two seconds at most.
    pub(crate) fn end(self) {
        let deadline = Instant::now() + PATIENCE;
        for lines in [self.log, self.stdout.0] {
            lines.end(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

fn queue(name: &str, to: impl Write + Send + 'static, metrics: &Arc<OnceLock<Metrics>>) -> Result<Arc<Lines>> {
    let metrics = Arc::clone(metrics);
    let tell = move |lines| {
        tracing::warn!(
            lines,
            "log lines were dropped, since what reads the log did not keep up or could not be written to"
        );
        if let Some(metrics) = metrics.get() {
            metrics.write(Metric::DroppedLogLines(lines));
        }
    };
    Lines::start(name, to, tell).context("starting the thread that writes the log")
}

/// Tracing has three of the six levels that `LOG_LEVEL` can name.
fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Critical | LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Notice | LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}
