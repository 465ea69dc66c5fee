//! What every command needs: the environment, its facts, the connection, and who we are.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use xtask::catalog::Catalog;
use xtask::cli::Global;
use xtask::cli::deploy::{Access, Environment};
use xtask::environments::{self, Facts};
use xtask::exit::Exit;
use xtask::files::Lock;
use xtask::ui::Ui;

use crate::aws::{Aws, Reach};
use crate::pace::Timing;

/// How long an operation is watched without `--timeout`.
const LIMIT: Duration = Duration::from_mins(45);

#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) aws: Aws<'a>,
    pub(crate) environment: Environment,
    pub(crate) access: Access,
    pub(crate) facts: Facts,
    pub(crate) catalog: Catalog,
    pub(crate) dry_run: bool,
    pub(crate) limit: Duration,
}

/// Who AWS says that we are.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
}

impl<'a> Session<'a> {
    pub(crate) async fn open(environment: Environment, access: &Access, global: &Global, ui: &'a Ui) -> Result<Self> {
        let facts = environments::read(access.config.as_deref(), environment)?;
        if let Some(region) = access.region.as_ref().filter(|region| **region != facts.region) {
            return Err(Exit::Refused.stop(
                format!("{environment} is in {}, as the configuration file says, and not in {region}", facts.region),
                "leave --region out, or correct the file",
            ));
        }
        let catalog = Catalog::load()?;
        let limit = global.timeout.unwrap_or(LIMIT);
        let reach = Reach {
            profile: access.profile.clone().or_else(|| facts.profile.clone()),
            region: Some(facts.region.clone()),
            timing: Timing { poll: access.poll },
            limit,
        };
        let aws = Aws::connect(reach, ui).await?;
        Ok(Self { ui, aws, environment, access: access.clone(), facts, catalog, dry_run: global.dry_run, limit })
    }

    pub(crate) fn stack_name(&self) -> String {
        stack_name(self.environment)
    }

    /// Asks STS who we are, and refuses any account but the environment's.
    pub(crate) async fn identify(&self) -> Result<Caller> {
        let answer =
            self.aws.call("asking AWS who we are", async || self.aws.sts.get_caller_identity().send().await).await?;
        let caller = Caller {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        };
        if caller.account != self.facts.account {
            return Err(Exit::Refused.stop(
                format!(
                    "these credentials are of account {}, and {} is account {}",
                    caller.account, self.environment, self.facts.account
                ),
                "use the environment's profile (--profile), or correct the configuration file",
            ));
        }
        let left = self.aws.credentials_end.and_then(|end| end.duration_since(SystemTime::now()).ok());
        if let Some(left) = left.filter(|left| *left < self.limit) {
            self.ui.warn(&format!(
                "the credentials end in {} minutes; if they end while the update is watched, it goes on unwatched",
                left.as_secs() / 60
            ));
        }
        Ok(caller)
    }

    /// The environment's lock on this machine.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.catalog.target.join(format!("xtask/deploy/lock-{}", self.environment));
        Lock::take(&path, &format!("deploy {}", self.environment))
    }

    /// How one follows what is going on.
    pub(crate) fn attach_command(&self) -> String {
        let config = self.access.config.as_ref().map(|path| format!(" --config {}", path.display()));
        let profile = self.access.profile.as_ref().map(|name| format!(" --profile {name}"));
        format!(
            "cargo xtask deploy {} --attach{}{}",
            self.environment,
            config.unwrap_or_default(),
            profile.unwrap_or_default()
        )
    }
}

pub(crate) fn stack_name(environment: Environment) -> String {
    format!("preserv-services-{environment}")
}
