//! The record of a deployment: `deploy-<env>-<run>.json`, from the commit to the digest of the running tasks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use xtask::exit::Exit;
use xtask::files::write_atomic;

use crate::changes::{Change, Roll};
use crate::events::Event;
use crate::gate::Tests;
use crate::parameters::Choice;
use crate::release::Origin;
use crate::session::Session;
use crate::verdict::{SeenTask, Verdict};

/// Raised when a field changes its meaning or goes.
pub(crate) const SCHEMA: &str = "preserv-deployment/2";

/// Who did what, when, with what outcome. It holds roles, no credentials, and no values of settings.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    pub(crate) schema: &'static str,
    pub(crate) command: &'static str,
    pub(crate) environment: String,
    pub(crate) run_id: String,
    pub(crate) started: String,
    pub(crate) finished: String,
    pub(crate) caller: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stack: String,
    pub(crate) note: Option<String>,
    pub(crate) origin: Origin,
    /// Why images were deployed that are not those of one complete release.
    pub(crate) other_images: Option<String>,
    pub(crate) tests: Option<Tests>,
    pub(crate) not_in_demo: Option<String>,
    pub(crate) template: TemplateRecord,
    pub(crate) parameters: BTreeMap<String, Choice>,
    pub(crate) change_set: Option<ChangeSetRecord>,
    pub(crate) rolls: Vec<Roll>,
    pub(crate) changes: Vec<Change>,
    pub(crate) events: Vec<Event>,
    pub(crate) chain: Vec<Link>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct TemplateRecord {
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
    pub(crate) source: String,
    /// Where it lies in the bucket.
    pub(crate) key: Option<String>,
    /// Of the template that the stack had before.
    pub(crate) previous_sha256: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct ChangeSetRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As its maker wrote it, with who made it.
    pub(crate) description: String,
    pub(crate) executed_by: Option<String>,
}

/// The chain of one executable, from the commit to what runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Link {
    pub(crate) executable: String,
    pub(crate) commit: Option<String>,
    pub(crate) image: String,
    pub(crate) template_line: Option<usize>,
    pub(crate) change_set: Option<String>,
    pub(crate) task_definition: String,
    pub(crate) tasks: Vec<SeenTask>,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// The stack's last status that was seen.
    pub(crate) stack_status: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) exit_code: u8,
    pub(crate) reason: Option<String>,
    /// Why it failed, in one line.
    pub(crate) cause: Option<String>,
    pub(crate) root_cause: Option<Event>,
}

/// What rollback reads of a record in the archive.
#[derive(Debug, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) origin: Option<Origin>,
    pub(crate) tests: Option<Tests>,
}

impl Record {
    /// Notes the outcome and writes the file.
    pub(crate) fn finish(&mut self, session: &Session<'_>, outcome: &Result<Exit>) -> Result<PathBuf> {
        let exit = match outcome {
            Ok(exit) => *exit,
            Err(error) => {
                self.outcome.reason = Some(format!("{error:#}"));
                Exit::of(error)
            }
        };
        self.outcome.status = exit.status();
        self.outcome.exit_code = exit as u8;
        self.finished = now();
        let name = format!("deploy-{}-{}.json", self.environment, self.run_id);
        let folder = session.catalog.target.join("xtask/deploy");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        write_atomic(&path, &serde_json::to_vec_pretty(self)?)?;
        session.ui.result("record", path.display().to_string().into());
        Ok(path)
    }
}

/// RFC 3339, now.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}
