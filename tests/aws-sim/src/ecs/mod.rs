//! ECS: clusters, services and their rollouts, task definitions, tasks.
//!
//! `provision` is what CloudFormation does here, `rollout` the service scheduler with its circuit breaker, `task` the life
//! of a task, `api` what clients ask.

mod api;
pub(crate) mod model;
pub(crate) mod provision;
pub(crate) mod rollout;
mod shape;
pub(crate) mod task;

use std::collections::BTreeMap;

use model::{Cluster, Service, Task, TaskDefinition};

use crate::cfn::engine::End;
pub(crate) use api::call;

#[derive(Debug, Default)]
pub(crate) struct Ecs {
    /// By name.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By ARN, as all that follow.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) definitions: BTreeMap<String, TaskDefinition>,
    pub(crate) tasks: BTreeMap<String, Task>,
    /// How many task definitions were registered, and how many when the scenario was loaded.
    registered: u64,
    marked: u64,
    ended: Vec<(String, End)>,
}

impl Ecs {
    /// The next rollout that has ended and that nobody was told of.
    pub(crate) fn take_ended(&mut self) -> Option<(String, End)> {
        if self.ended.is_empty() { None } else { Some(self.ended.remove(0)) }
    }

    pub(crate) fn end_rollout(&mut self, service: &str, end: End) {
        self.ended.push((service.to_owned(), end));
    }

    pub(crate) fn forget_rollouts(&mut self) {
        self.ended.clear();
    }

    /// Faults for new revisions are for those that are registered from now on.
    pub(crate) fn mark_revisions(&mut self) {
        self.marked = self.registered;
    }

    pub(crate) fn service_named(&self, name: &str) -> Option<&Service> {
        self.services.values().find(|service| service.name == name && service.status == "ACTIVE")
    }

    pub(crate) fn tasks_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(move |task| task.service.as_deref() == Some(service))
    }
}
