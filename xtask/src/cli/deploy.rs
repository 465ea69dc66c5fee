//! The command lines of deploy, status, rollback and logs. `cargo xtask` answers their `--help` from here without compiling
//! the AWS SDK, and `xtask-deploy`, which does the work, reads its arguments with the same definitions.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, ValueEnum};

/// Where the stack `preserv-services-<env>` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Environment {
    Staging,
    Demo,
    Prod,
}

impl Environment {
    /// As in stack names, exports and the template's `DNS` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Environment::Staging => "staging",
            Environment::Demo => "demo",
            Environment::Prod => "prod",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which account, with whose credentials, and how patiently.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access")]
pub struct Access {
    /// Your file with account, region and bucket of each environment [default: $XTASK_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Profile of your AWS configuration; SSO and assumed roles work. AWS_ENDPOINT_URL leads elsewhere.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Region, if the configuration file does not say it.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Answer yes to y/N questions. Never enough for prod.
    #[arg(long, short)]
    pub yes: bool,
    /// Never ask; what needs an answer is refused. So it is without a terminal.
    #[arg(long)]
    pub no_input: bool,
    /// Time between two looks at AWS; every other wait grows and shrinks with it.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = humantime::parse_duration)]
    pub poll: Duration,
}

/// What `deploy` and `rollback` check, and the approvals that one gives by name.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Approvals and limits")]
pub struct Checks {
    /// Change a parameter on purpose; all others keep their value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Approve that this resource is replaced. Repeatable.
    #[arg(long, value_name = "LOGICAL_ID", value_parser = logical_id)]
    pub allow_replacement: Vec<String>,
    /// Approve that this resource is removed. Repeatable.
    #[arg(long, value_name = "LOGICAL_ID", value_parser = logical_id)]
    pub allow_removal: Vec<String>,
    /// Approve the removals that a preview listed in this file. Take out the lines of what must stay.
    #[arg(long, value_name = "FILE")]
    pub approve_removals: Option<PathBuf>,
    /// Approve a capability that the stack does not have yet, such as CAPABILITY_IAM.
    #[arg(long, value_name = "NAME")]
    pub capability: Vec<String>,
    /// Confirm without a terminal: the full name of the stack.
    #[arg(long, value_name = "STACK")]
    pub confirm: Option<String>,
    /// Deploy what no report of test-all covers. Recorded; for prod only with --confirm.
    #[arg(long, value_name = "REASON")]
    pub skip_test_gate: Option<String>,
    /// Deploy images that are not those of one complete release: of several, or of another family. Recorded; the stack's name
    /// confirms it.
    #[arg(long, value_name = "REASON")]
    pub other_images: Option<String>,
    /// Deploy to prod what does not run in demo. Recorded.
    #[arg(long, value_name = "REASON")]
    pub not_in_demo: Option<String>,
    /// CI's test-report.json [default: target/xtask/test-all/test-report.json]. Repeatable, for images of several releases.
    #[arg(long, value_name = "FILE")]
    pub report: Vec<PathBuf>,
    /// Observe the services for this long after CloudFormation is done.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    pub bake: Duration,
    /// Ask CloudFormation to roll back when this many tasks of one service failed; 0: never.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub abort_after: u32,
    /// Bucket for templates, if the configuration file does not say it.
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Service role that CloudFormation works with.
    #[arg(long, value_name = "ARN")]
    pub role_arn: Option<String>,
    /// Wait for an operation that is going on instead of refusing with 8.
    #[arg(long)]
    pub wait: bool,
}

#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that excludes the others")]
pub struct Deploy {
    #[arg(value_enum, hide_possible_values = true, value_name = "staging|demo|prod")]
    pub environment: Environment,
    /// The template.
    #[arg(long, value_name = "FILE", default_value = "cloudformation/cfn-preserv-master.yml")]
    pub template: PathBuf,
    /// The release manifest that the template's images come from [default: found by their digests]. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub from: Vec<PathBuf>,
    /// Note for the change set and the record.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,

    /// Show the change set and delete it.
    #[arg(long, group = "action", help_heading = "Instead of the whole")]
    pub preview: bool,
    /// Make and show the change set and keep it for a colleague's --execute.
    #[arg(long, group = "action", help_heading = "Instead of the whole")]
    pub prepare: bool,
    /// Check, show and execute the change set that a colleague prepared, at most 24 hours old.
    #[arg(long, value_name = "CHANGE_SET", group = "action", help_heading = "Instead of the whole")]
    pub execute: Option<String>,
    /// Follow the operation that is going on, to its verdict.
    #[arg(long, group = "action", help_heading = "Instead of the whole")]
    pub attach: bool,
    /// Ask CloudFormation to cancel the update that is going on, and follow its rollback.
    #[arg(long, group = "action", help_heading = "Instead of the whole")]
    pub cancel: bool,
    /// Continue a rollback that failed.
    #[arg(long, group = "action", help_heading = "Instead of the whole")]
    pub continue_rollback: bool,
    /// With --continue-rollback: leave this resource as it is. State and template then differ. Repeatable.
    #[arg(long, value_name = "LOGICAL_ID", requires = "continue_rollback", value_parser = logical_id, help_heading = "Instead of the whole")]
    pub skip: Vec<String>,
    /// Create the stack; with --parameters.
    #[arg(long, requires = "parameters", help_heading = "Instead of the whole", conflicts_with_all = ["execute", "attach", "cancel", "continue_rollback"])]
    pub create: bool,
    /// With --create: the file of ParameterKey and ParameterValue.
    #[arg(long, value_name = "FILE", requires = "create", help_heading = "Instead of the whole")]
    pub parameters: Option<PathBuf>,

    /// This page.
    #[arg(long, short, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// All options, the steps and the exit codes.
    #[arg(long, action = ArgAction::HelpLong)]
    help_all: Option<bool>,

    #[command(flatten)]
    pub checks: Checks,
    #[command(flatten)]
    pub access: Access,
}

/// What one uses most days; `--help-all` shows the rest.
const USUAL: [&str; 13] = [
    "environment",
    "preview",
    "prepare",
    "execute",
    "attach",
    "cancel",
    "set",
    "approve_removals",
    "confirm",
    "report",
    "yes",
    "help",
    "help_all",
];

pub(super) fn hidden_unless_usual(arg: Arg) -> Arg {
    let is_usual = USUAL.contains(&arg.get_id().as_str());
    arg.hide_short_help(!is_usual)
}

#[derive(Args, Clone, Debug)]
pub struct Status {
    #[arg(value_enum, hide_possible_values = true, value_name = "staging|demo|prod")]
    pub environment: Environment,
    /// Look again until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// Write it as a page that stands by itself, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Args, Clone, Debug)]
pub struct Rollback {
    #[arg(value_enum, hide_possible_values = true, value_name = "staging|demo|prod")]
    pub environment: Environment,
    /// The release to go back to [default: the one before the deployed one].
    #[arg(long, value_name = "TAG")]
    pub to: Option<String>,
    /// List what can be rolled back to.
    #[arg(long, conflicts_with = "to")]
    pub list: bool,
    /// Show the change set and delete it.
    #[arg(long, conflicts_with = "list")]
    pub preview: bool,
    #[command(flatten)]
    pub checks: Checks,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Args, Clone, Debug)]
pub struct Logs {
    #[arg(value_enum, hide_possible_values = true, value_name = "staging|demo|prod")]
    pub environment: Environment,
    /// Executables, such as ingest_validator; all without one.
    #[arg(value_name = "service")]
    pub services: Vec<String>,
    /// Go on with new lines until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,
    /// How far back.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub since: Duration,
    #[command(flatten)]
    pub access: Access,
}

pub(super) const DEPLOY_HELP: &str = "\
Examples:
  cargo xtask deploy staging --preview             what would change
  cargo xtask deploy staging                       check, preview, ask, execute, watch, verify, record
  cargo xtask deploy demo --attach                 watch again after Ctrl-C, which leaves the update running

--help-all shows all options, the steps and the exit codes.";

pub(super) const DEPLOY_HELP_ALL: &str = "\
What happens, in this order; nothing is changed before the last three:
  local     tree clean; the template's 17 images are those of one complete release; test-all passed for its commit
  account   caller, account and region are those of the environment; the stack is in a state that can be updated
  inputs    parameters kept, new ones known; capabilities approved; exports, SSM parameters and images are there
  preview   a change set: which services only change their image, what else, and in red what is replaced or removed
  confirm   y/N, or the stack's name for prod; removals and replacements need their own --allow-… flag
  execute   events and ECS are watched together: a task that fails is shown with its reason and last log lines
  verify    each service runs our task definition and our digests, both cron jobs pass --check-settings
  record    target/xtask/deploy/deploy-<env>-<run>.json: commit, image, template line, change set, revision, running digest

Examples:
  cargo xtask deploy staging --preview             what would change
  cargo xtask deploy staging                       all of the above
  cargo xtask deploy prod --prepare                one prepares, another runs  deploy prod --execute <name>
  cargo xtask deploy demo --attach                 watch again after Ctrl-C, which leaves the update running
  cargo xtask deploy demo --set MaxContainers=5 --no-input --confirm preserv-services-demo
  cargo xtask deploy staging --create --parameters cloudformation/staging.json

The first use compiles the AWS SDK: a few minutes. The configuration file is explained in xtask/deploy/config.example.toml.

Exit codes: 0 done, or no changes; 1 failed; 2 usage; 3 refused by a check; 4 no access; 5 failed and rolled back;
6 needs a person; 7 outcome unknown: time limit or contact lost; 8 busy; 9 CloudFormation says complete, but ECS does not
run what was shipped; 130, 143 interrupted (an update that was started goes on).";

pub(super) const STATUS_HELP: &str = "\
One row for each of the 17: running and desired tasks, image, whether it is the template's, last deployment, scaling limits.

Exit codes: 0 shown; 2 usage; 3 no such stack or no configuration; 4 no access; 7 contact lost; 130 interrupted.";

pub(super) const ROLLBACK_HELP: &str = "\
Deploys a template of the archive in the bucket, by the same path and with the same checks as deploy; only that its commit
was tested is read from the archive. Examples:
  cargo xtask rollback staging --list
  cargo xtask rollback staging                     the release before the one that is deployed
  cargo xtask rollback staging --to 1a2b3c4-main

Exit codes: as of deploy.";

pub(super) const LOGS_HELP: &str = "\
Lines of the log group that the stack names, interleaved by time. Examples:
  cargo xtask logs staging --since 1h
  cargo xtask logs prod ingest_validator ingest_recorder --follow

Exit codes: 0 shown; 2 usage; 3 no such stack, service or configuration; 4 no access; 7 contact lost; 130 interrupted.";

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((logical_id(name)?, value.to_owned()))
}

/// Names of resources and parameters are letters and digits; `*` is no approval.
fn logical_id(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not the name of one resource or parameter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvals_name_one_resource() {
        assert_eq!(logical_id("erService").as_deref(), Ok("erService"));
        for bad in ["", "*", "Apt*", "a,b"] {
            assert!(logical_id(bad).is_err(), "{bad}");
        }
        assert_eq!(assignment("LogDays=7"), Ok(("LogDays".to_owned(), "7".to_owned())));
        assert_eq!(assignment("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(assignment("LogDays").is_err());
    }
}
