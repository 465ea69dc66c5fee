//! An operation on a stack: a graph of jobs, one stage after another.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Definition, Resource};

/// What an operation set out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Resources are created and updated.
    Apply,
    /// After success: what was replaced or left the template is deleted.
    Cleanup,
    /// After a failed update: resources get their old properties back.
    Restore,
    /// And what the update had created is deleted.
    RestoreCleanup,
    /// Everything is deleted: after a failed creation, or because that was asked.
    Unwind,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) logical: String,
    pub(crate) work: Work,
    pub(crate) needs: BTreeSet<String>,
    pub(crate) state: State,
}

#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Bring the resource to what the definition says.
    Apply,
    /// Give it back what it was before the operation.
    Restore,
    /// Delete this physical resource.
    Remove(Box<Resource>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    /// With the number that its end must bear, and the ECS service whose rollout it waits for.
    Running {
        ticket: u64,
        event: &'static str,
        service: Option<String>,
    },
    Done,
    Failed,
}

#[expect(clippy::struct_excessive_bools, reason = "independent settings of one operation")]
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) verb: Verb,
    pub(crate) token: Option<String>,
    pub(crate) stage: Stage,
    /// Counts the stages that were entered: what was to happen in one does not happen in another.
    pub(crate) visit: u64,
    pub(crate) jobs: BTreeMap<String, Job>,
    /// The stack as it was; None in a creation.
    pub(crate) before: Option<(Definition, BTreeMap<String, Resource>)>,
    /// Resources that were created, updated or tried.
    pub(crate) touched: BTreeSet<String>,
    /// Physical resources to delete in the next clean-up.
    pub(crate) leftovers: Vec<Resource>,
    pub(crate) failed: Vec<(String, &'static str)>,
    pub(crate) disable_rollback: bool,
    pub(crate) delete_on_failure: bool,
    pub(crate) skip: BTreeSet<String>,
    /// Set once a failure or a cancellation has stopped the stage.
    pub(crate) stopped: bool,
    /// Nothing is done with resources: a stand-in for somebody else's update.
    pub(crate) pretence: bool,
}

impl Operation {
    pub(crate) fn new(id: String, verb: Verb, token: Option<String>) -> Self {
        Self {
            id,
            verb,
            token,
            stage: if verb == Verb::Delete { Stage::Unwind } else { Stage::Apply },
            visit: 0,
            jobs: BTreeMap::new(),
            before: None,
            touched: BTreeSet::new(),
            leftovers: Vec::new(),
            failed: Vec::new(),
            disable_rollback: false,
            delete_on_failure: false,
            skip: BTreeSet::new(),
            stopped: false,
            pretence: false,
        }
    }

    /// Replaces the jobs; needs that no job bears are met already.
    pub(crate) fn plan(&mut self, jobs: Vec<(String, Job)>) {
        self.jobs = jobs.into_iter().collect();
        let keys: BTreeSet<String> = self.jobs.keys().cloned().collect();
        for (key, job) in &mut self.jobs {
            job.needs.retain(|need| need != key && keys.contains(need));
        }
        self.stopped = false;
        self.failed.clear();
    }

    /// The jobs that may begin now.
    pub(crate) fn ready(&self) -> Vec<String> {
        let done = |key: &String| matches!(self.jobs.get(key).map(|job| &job.state), Some(State::Done | State::Failed));
        let waiting = self.jobs.iter().filter(|(_, job)| job.state == State::Waiting);
        waiting.filter(|(_, job)| job.needs.iter().all(done)).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn running(&self) -> bool {
        self.jobs.values().any(|job| matches!(job.state, State::Running { .. }))
    }

    pub(crate) fn waiting(&self) -> bool {
        self.jobs.values().any(|job| job.state == State::Waiting)
    }

    /// The jobs of a clean-up: what depends on a resource goes before it.
    pub(crate) fn removals(resources: Vec<Resource>) -> Vec<(String, Job)> {
        let key = |resource: &Resource| format!("{}@{}", resource.logical, resource.physical);
        let all: Vec<(String, Vec<String>)> = resources.iter().map(|r| (key(r), r.needs.clone())).collect();
        resources
            .into_iter()
            .map(|resource| {
                let dependants = all.iter().filter(|(_, needs)| needs.contains(&resource.logical));
                let needs = dependants.map(|(key, _)| key.clone()).collect();
                let logical = resource.logical.clone();
                (key(&resource), Job { logical, work: Work::Remove(Box::new(resource)), needs, state: State::Waiting })
            })
            .collect()
    }
}
