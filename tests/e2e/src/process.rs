//! A program beside the test: what it says goes to a file, it can be killed and asked to end, and it does not outlive its value.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long a program may take to put its work away: longer than services wait for their last saves.
const DRAIN: Duration = Duration::from_mins(1);

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Box<Child>,
}

impl Process {
    /// Starts it; what it says is appended to `log`. It stays in this process's group, so that whoever ends a test run ends it too.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let starting = || format!("starting {name}");
        let said = File::options().append(true).create(true).open(log).with_context(starting)?;
        let command = command.stdin(Stdio::null()).stdout(said.try_clone().with_context(starting)?).stderr(said);
        let child = command.kill_on_drop(true).spawn().with_context(starting)?;
        Ok(Self { name: name.to_owned(), child: Box::new(child) })
    }

    /// As the machine does that runs out of memory.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("killing {}", self.name))
    }

    /// As ECS does when it stops a task.
    pub(crate) async fn stop(mut self) -> Result<ExitStatus> {
        let name = &self.name;
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).with_context(|| format!("asking {name} to end"))?;
        }
        match tokio::time::timeout(DRAIN, self.child.wait()).await {
            Ok(ended) => ended.with_context(|| format!("waiting for the end of {name}")),
            Err(_) => bail!("{name} did not end within {} s of SIGTERM", DRAIN.as_secs()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking whether {} still runs", self.name))
    }
}
