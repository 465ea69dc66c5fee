//! What ECS keeps.

use serde_json::Value;

use crate::clock::Time;
use crate::scenario::TaskFault;

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) arn: String,
    pub(crate) name: String,
    /// As CloudFormation gave it.
    pub(crate) properties: Value,
    pub(crate) active: bool,
}

#[derive(Debug)]
pub(crate) struct TaskDefinition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: u64,
    /// Counts all registrations.
    pub(crate) number: u64,
    pub(crate) properties: Value,
    pub(crate) registered: Time,
    pub(crate) deregistered: Option<Time>,
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) properties: Value,
    pub(crate) status: &'static str,
    pub(crate) desired: u64,
    pub(crate) created: Time,
    /// The primary one is first.
    pub(crate) deployments: Vec<Deployment>,
    /// Newest first.
    pub(crate) events: Vec<(String, Time, String)>,
    /// The task definition of the last deployment that was completed.
    pub(crate) last_good: Option<String>,
    pub(crate) steady: bool,
    /// A look at the service is on the agenda already.
    pub(crate) expected: bool,
}

#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) definition: String,
    pub(crate) failed: u64,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    /// No task is started before, after a failure.
    pub(crate) not_before: Time,
    /// CloudFormation waits for it.
    pub(crate) awaited: bool,
    /// It is ECS's own way back from one that failed.
    pub(crate) rolls_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl Rollout {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// How a task is going to fare.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    Runs,
    CannotPull(String),
    MissingParameters(Vec<String>),
    Fails(TaskFault),
    /// A task that is run on its own ends by itself.
    Exits(TaskFault),
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) definition: String,
    /// The service's ARN, if a service started it.
    pub(crate) service: Option<String>,
    pub(crate) started_by: String,
    pub(crate) group: String,
    pub(crate) overrides: Value,
    pub(crate) launch_type: Option<String>,
    pub(crate) capacity_provider: Option<String>,
    pub(crate) platform_version: String,
    pub(crate) status: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) health: &'static str,
    pub(crate) created: Time,
    pub(crate) started: Option<Time>,
    pub(crate) stopping: Option<Time>,
    pub(crate) stopped: Option<Time>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) containers: Vec<Container>,
    pub(crate) protected_until: Option<Time>,
    pub(crate) fate: Fate,
}

impl Task {
    pub(crate) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Neither stopped nor about to be.
    pub(crate) fn lives(&self) -> bool {
        self.wanted == "RUNNING"
    }

    pub(crate) fn ready(&self) -> bool {
        self.lives() && self.status == "RUNNING" && self.health != "UNKNOWN"
    }
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) digest: Option<String>,
    pub(crate) essential: bool,
    pub(crate) checked: bool,
    pub(crate) status: &'static str,
    pub(crate) exit_code: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) runtime_id: String,
    /// Log group and stream.
    pub(crate) log: Option<(String, String)>,
}
