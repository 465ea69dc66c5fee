//! One service as a process: started where the settings file lies, watched through `/proc`, ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use stack::settings;
use tokio::process::{Child, Command};

/// How long one may take to end.
const DRAIN: Duration = Duration::from_secs(20);
/// Of a second, in `/proc`: what Linux tells programs, whatever its own are.
const TICKS: f64 = 100.0;
/// Of its log, in an error.
const LINES: usize = 20;

/// A running service.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Seconds on all cores together.
    pub(crate) cpu: f64,
    /// The most memory that it had at once, in bytes (`VmHWM`).
    pub(crate) peak: u64,
}

impl Worker {
    pub(crate) fn start(executable: &Path, folder: &Path) -> Result<Self> {
        let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let starting = || format!("starting the service {name}, {}", executable.display());
        // A folder of its own: there lies the file that tells its health.
        let scratch = folder.join("tmp").join(&name);
        fs::create_dir_all(&scratch).with_context(starting)?;
        let log = folder.join("logs").join(format!("{name}.out"));
        let said = File::create(&log).with_context(starting)?;
        let child = Command::new(executable)
            .current_dir(folder)
            .env("APT_ENV", settings::ENVIRONMENT)
            .env("TMPDIR", scratch)
            .stdin(Stdio::null())
            .stdout(said.try_clone().with_context(starting)?)
            .stderr(said)
            // Ctrl-C at the terminal is for the benchmark.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(starting)?;
        Ok(Self { child, log })
    }

    /// Fails, with the last lines of its log, if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait().context("looking after the service")? {
            None => Ok(()),
            Some(status) => bail!("it ended: {status}{}", self.said()),
        }
    }

    /// The last lines of its log, each on a line of its own.
    pub(crate) fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].iter().flat_map(|line| ["\n  ", line]).collect()
    }

    pub(crate) fn used(&self) -> Result<Used> {
        let Some(pid) = self.child.id() else { bail!("the service has ended") };
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let (status, stat) = (read("status")?, read("stat")?);
        let used = || Some(Used { cpu: cpu(&stat)?, peak: peak(&status)? });
        used().with_context(|| format!("/proc/{pid} does not say what the process has used"))
    }

    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(DRAIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The name, in parentheses, may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    // User and system time, the 14th and 15th field of all.
    Some(f64::from(ticks(11)? + ticks(12)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_understood() {
        assert_eq!(peak("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t1 kB\n"), Some(2 << 20));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 0 0 0";
        assert_eq!(cpu(stat), Some(2.0));
    }
}
