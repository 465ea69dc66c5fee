//! Services as processes beside the stack: started from executables that are there, ended with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::settings::ENVIRONMENT;

/// How long services have to put away their work when the stack ends.
const DRAIN: Duration = Duration::from_secs(20);

/// A service to be started.
#[derive(Debug, Clone)]
pub struct Service {
    pub executable: PathBuf,
    /// What its command line says.
    pub arguments: Vec<String>,
    /// Settings that count before those of the file.
    pub settings: Vec<(String, String)>,
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    children: Vec<(String, Child)>,
    /// Executables that say of themselves that their work is not built yet.
    pub unfinished: Vec<String>,
}

impl From<PathBuf> for Service {
    /// As the settings file has it.
    fn from(executable: PathBuf) -> Self {
        Self { executable, arguments: Vec::new(), settings: Vec::new() }
    }
}

impl Services {
    /// Starts each in `folder`, where the settings file is. What it says goes to `logs/<name>.out` there.
    pub async fn start(wanted: impl IntoIterator<Item = Service>, folder: &Path) -> Result<Self> {
        let mut services = Self { children: Vec::new(), unfinished: Vec::new() };
        for Service { executable, arguments, settings } in wanted {
            let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let starting = || format!("starting the service {name}, {}", executable.display());
            let version = Command::new(&executable).arg("--version").output().await.with_context(starting)?;
            if String::from_utf8_lossy(&version.stdout).lines().any(|line| line == "unfinished") {
                services.unfinished.push(name);
                continue;
            }
            // A folder of its own: there lies the file that tells its health.
            let scratch = folder.join("tmp").join(&name);
            let logs = folder.join("logs");
            fs::create_dir_all(&scratch).and_then(|()| fs::create_dir_all(&logs)).with_context(starting)?;
            let said = File::options().append(true).create(true).open(logs.join(format!("{name}.out")));
            let said = said.with_context(starting)?;
            let child = Command::new(&executable)
                .args(arguments)
                .current_dir(folder)
                .env("APT_ENV", ENVIRONMENT)
                .env("TMPDIR", scratch)
                .envs(settings)
                .stdin(Stdio::null())
                .stdout(said.try_clone().with_context(starting)?)
                .stderr(said)
                // Ctrl-C at the terminal is for the stack, which ends its services in order.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .with_context(starting)?;
            services.children.push((name, child));
        }
        Ok(services)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.children.iter().map(|(name, _)| name.as_str())
    }

    /// Those that have ended since this was last asked, and how.
    pub fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        self.children.retain_mut(|(name, child)| match child.try_wait() {
            Ok(Some(status)) => {
                ended.push(format!("{name} ended: {status}"));
                false
            }
            _ => true,
        });
        ended
    }

    /// Asks all to end, waits, and ends those that do not.
    pub async fn stop(mut self) {
        for (_, child) in &self.children {
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let all = async {
            for (_, child) in &mut self.children {
                let _ = child.wait().await;
            }
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("some services did not end within {} s and are killed", DRAIN.as_secs());
        }
        for (_, child) in &mut self.children {
            let _ = child.kill().await;
        }
    }
}
