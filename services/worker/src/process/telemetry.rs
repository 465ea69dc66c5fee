//! Where log lines go and what they look like: one readable line on a terminal, JSON everywhere else. What is worth a
//! line is decided where it happens.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow};
use tracing::level_filters::LevelFilter;

use crate::process::settings::{LogLevel, LogTarget, Logging};

/// Starts logging for the process, panics included.
pub(crate) fn start(name: &str, logging: &Logging) -> Result<()> {
    let lines = tracing_subscriber::fmt().with_target(false).with_max_level(filter(logging.level));
    let started = match &logging.target {
        LogTarget::Stdout if io::stdout().is_terminal() => lines.try_init(),
        LogTarget::Stdout => lines.json().flatten_event(true).try_init(),
        LogTarget::Directory(directory) => {
            let path = directory.join(format!("{name}.log"));
            let file = File::options().append(true).create(true).mode(0o644).open(&path);
            let file = file.with_context(|| format!("opening the log file {}", path.display()))?;
            lines.json().flatten_event(true).with_writer(Mutex::new(file)).try_init()
        }
    };
    started.map_err(|error| anyhow!("starting the log: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("no text");
        tracing::error!(place, "panicked: {text}");
    }));
    Ok(())
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
