//! Scenario files: what is there from the start, and what goes wrong. README.md explains each field.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// A scenario. Every field may be left out.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Of identifiers and dice.
    pub seed: u64,
    pub limits: Limits,
    /// Simulated seconds that resources of a type take, by type.
    pub seconds: BTreeMap<String, u64>,
    /// Divides every duration of resources and tasks.
    pub haste: Option<u32>,
    pub exports: BTreeMap<String, String>,
    /// Names of the SSM parameters; left out, every name exists.
    pub parameters: Option<Vec<String>>,
    /// Left out, every image but one tagged `unreleased` exists.
    pub images: Option<Vec<Image>>,
    pub buckets: Vec<Bucket>,
    /// Log groups that no stack owns, for instance because one was retained.
    pub log_groups: Vec<String>,
    pub stacks: Vec<PreloadedStack>,
    pub change_set: ChangeSetSettings,
    /// What befalls resources of stacks, by logical id.
    pub resources: BTreeMap<String, Vec<ResourceFault>>,
    /// What befalls the tasks of services, by service name.
    pub services: BTreeMap<String, TaskFault>,
    /// What befalls tasks that are run on their own, by family.
    pub run_task: BTreeMap<String, TaskFault>,
    /// Services whose tasks are protected, and for how many seconds from now.
    pub protected: BTreeMap<String, u64>,
    pub faults: Faults,
}

/// Page sizes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub change_set_page: usize,
    pub event_page: usize,
    pub resource_page: usize,
    pub export_page: usize,
    pub log_page: usize,
    pub parameter_page: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            change_set_page: 100,
            event_page: 100,
            resource_page: 100,
            export_page: 100,
            log_page: 100,
            parameter_page: 10,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// As in ECR: `docker-hub/aptrust/apt_delete`.
    pub repository: String,
    pub digest: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// If `digest` is that of an index: the digest of the image for the tasks' platform.
    pub platform_digest: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub name: String,
    pub owner: Option<String>,
    pub region: Option<String>,
    #[serde(default = "yes")]
    pub versioning: bool,
    /// `AES256` or `aws:kms`; null for none.
    #[serde(default = "aes")]
    pub encryption: Option<String>,
    #[serde(default = "yes")]
    pub public_access_blocked: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an Option field")]
fn aes() -> Option<String> {
    Some("AES256".to_owned())
}

fn yes() -> bool {
    true
}

/// A stack that is there from the start.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PreloadedStack {
    pub name: String,
    /// The template itself, or the file that it is in.
    pub template: Option<String>,
    pub template_file: Option<PathBuf>,
    pub parameters: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// How long ago it was created; at least 1.
    pub age_days: u32,
    /// Desired counts, by service name: as autoscaling left them.
    pub desired: BTreeMap<String, u64>,
    /// Instead of `CREATE_COMPLETE`.
    pub status: Option<String>,
    pub status_reason: Option<String>,
    /// Statuses of resources, by logical id, for instance what failed in a rollback.
    pub resource_status: BTreeMap<String, String>,
    pub termination_protection: bool,
    /// Drift statuses, by logical id.
    pub drift: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSetSettings {
    /// How long working one out takes.
    pub seconds: u64,
    /// How long its deletion takes.
    pub deletion_seconds: u64,
    /// Makes it fail for this reason.
    pub fail: Option<String>,
    pub no_changes_wording: NoChanges,
    /// What early validation finds; a finding of mode FAIL fails the change set.
    pub early_validation: Vec<EarlyValidation>,
    /// How often a new change set is reported as not found first.
    pub not_found_calls: u32,
    /// A NextToken while the change set is still being worked out.
    pub token_while_creating: bool,
}

impl Default for ChangeSetSettings {
    fn default() -> Self {
        Self {
            seconds: 4,
            deletion_seconds: 0,
            fail: None,
            no_changes_wording: NoChanges::default(),
            early_validation: Vec::new(),
            not_found_calls: 0,
            token_while_creating: false,
        }
    }
}

/// CloudFormation has two ways to say that nothing changes.
#[derive(Debug, Clone, Copy, Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NoChanges {
    #[default]
    DidNotContain,
    NoUpdates,
}

impl NoChanges {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::DidNotContain => {
                "The submitted information didn't contain changes. Submit different information to create a change set."
            }
            Self::NoUpdates => "No updates are to be performed.",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyValidation {
    pub logical_id: String,
    #[serde(default)]
    pub resource_type: String,
    /// `PROPERTY_VALIDATION`, `NAME_CONFLICT_VALIDATION`, …
    pub name: String,
    pub reason: String,
    #[serde(default)]
    pub path: String,
    /// `FAIL` or `WARN`.
    #[serde(default = "fail")]
    pub mode: String,
}

fn fail() -> String {
    "FAIL".to_owned()
}

/// What a resource was doing when a fault befalls it.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ResourceVerb {
    Create,
    Update,
    /// The way back of a failed update.
    Rollback,
    Delete,
}

/// A fault of a resource. Without a reason and without `takes_seconds`, it never ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceFault {
    pub on: ResourceVerb,
    pub reason: Option<String>,
    /// Until the failure.
    #[serde(default)]
    pub after_seconds: u64,
    /// Succeeds, but only after so long.
    pub takes_seconds: Option<u64>,
    /// How often; left out, always.
    pub times: Option<u32>,
}

/// How tasks fare.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFault {
    pub fails: Failure,
    /// With which code the container exits, for `crash` and for tasks that are run on their own.
    pub exit_code: Option<i64>,
    /// How long a task runs before it crashes.
    #[serde(default = "five")]
    pub after_seconds: u64,
    /// Lines that the container logs before.
    #[serde(default)]
    pub log: Vec<String>,
    /// What `missing_parameter` lacks.
    pub parameter: Option<String>,
    /// Which task definitions are ill.
    #[serde(default)]
    pub revisions: Revisions,
    /// How many tasks fail; left out, all.
    pub times: Option<u32>,
}

impl TaskFault {
    /// No fault at all: the task does its work and exits.
    pub(crate) fn exit(code: i64) -> Self {
        Self {
            fails: Failure::Nothing,
            exit_code: Some(code),
            after_seconds: five(),
            log: Vec::new(),
            parameter: None,
            revisions: Revisions::All,
            times: None,
        }
    }
}

fn five() -> u64 {
    5
}

/// Which revisions of a task definition a fault befalls.
#[derive(Debug, Clone, Copy, Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Revisions {
    /// Those registered after the scenario was loaded: a rollback works.
    #[default]
    New,
    /// All: a rollback fails too.
    All,
}

/// The ways in which a task fails.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    CannotPull,
    MissingParameter,
    Crash,
    OutOfMemory,
    Unhealthy,
    /// Stays PENDING for ever.
    NeverStarts,
    /// Does not fail.
    Nothing,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    pub throttle: Option<Throttle>,
    pub expire_credentials: Option<Waits>,
    /// Connections are closed without an answer.
    pub drop_connections: Option<Waits>,
    pub access_denied: Vec<String>,
    pub describe_stacks_lag_seconds: u64,
    /// By how many events a page of DescribeStackEvents repeats the one before.
    pub events_overlap: usize,
    /// Events that change nothing, in the course of each operation.
    pub extra_events: u32,
    /// A rollout that ECS rolls back is reported to CloudFormation as a success.
    pub silent_rollback: bool,
    pub second_deployer: Option<SecondDeployer>,
    /// How far the service's clock is ahead of the client's; beyond five minutes, signatures are refused.
    pub clock_skew_seconds: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    pub percent: u64,
    /// `cloudformation` or `cloudformation.DescribeStacks`; empty means all.
    #[serde(default)]
    pub only: Vec<String>,
    #[serde(default)]
    pub when: Waits,
}

/// When a fault applies: all conditions together.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Waits {
    /// Count from the execution of a change set instead of from the loading of the scenario.
    pub after_execute: bool,
    pub after_calls: u64,
    pub after_seconds: u64,
    pub for_calls: Option<u64>,
    pub for_seconds: Option<u64>,
}

/// Somebody else updates the stack after a change set was prepared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondDeployer {
    #[serde(default)]
    pub after_seconds: u64,
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| format!("scenario: {error}"))?;
        scenario.check()?;
        Ok(scenario)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for fault in self.services.values().chain(self.run_task.values()) {
            if fault.fails == Failure::MissingParameter && fault.parameter.is_none() {
                return Err("scenario: missing_parameter needs `parameter`".to_owned());
            }
        }
        if self.limits.event_page == 0 || self.limits.change_set_page == 0 {
            return Err("scenario: a page holds at least one item".to_owned());
        }
        Ok(())
    }

    /// A duration, hastened.
    pub(crate) fn takes(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds) / self.haste.unwrap_or(1).max(1)
    }

    pub(crate) fn seconds_of(&self, kind: &str, usual: u64) -> Duration {
        self.seconds.get(kind).map_or_else(|| self.takes(usual), |seconds| Duration::from_secs(*seconds))
    }

    /// The fault that befalls a resource now, used up by one.
    pub(crate) fn resource_fault(&mut self, logical: &str, verb: ResourceVerb) -> Option<ResourceFault> {
        let faults = self.resources.get_mut(logical)?;
        let fault = faults.iter_mut().find(|fault| fault.on == verb && fault.times != Some(0))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused() {
        assert!(Scenario::parse(r#"{"sed": 1}"#).unwrap_err().contains("sed"));
        assert!(Scenario::parse(r#"{"services": {"a": {"fails": "missing_parameter"}}}"#).is_err());
    }

    #[test]
    fn a_fault_is_used_up() {
        let text = r#"{"resources": {"A": [{"on": "update", "reason": "no", "times": 1}]}}"#;
        let mut scenario = Scenario::parse(text).unwrap();
        assert!(scenario.resource_fault("A", ResourceVerb::Create).is_none());
        assert!(scenario.resource_fault("A", ResourceVerb::Update).is_some());
        assert!(scenario.resource_fault("A", ResourceVerb::Update).is_none());
    }
}
