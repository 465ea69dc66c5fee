//! ECS while CloudFormation works: what the services say, which tasks fail and why. It informs and may ask for the end of a
//! hopeless update; it has no part in the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::json;
use xtask::ui::Paint;

use crate::aws::{Kind, Trouble};
use crate::live::{self, LiveService, StoppedTask};
use crate::session::Session;
use crate::template::facts::{Facts, Runner};

/// Log lines that are shown when a task fails, and that are kept for the end.
const LINES_AT_ONCE: usize = 10;
const LINES_KEPT: i32 = 50;
/// Reasons of stopped tasks that are kept for each service.
const REASONS_KEPT: usize = 5;

/// One service that is watched.
#[derive(Debug)]
struct Watched {
    executable: String,
    container: String,
    /// The task definition that it ran before; what fails of this one is not ours.
    before: Option<String>,
    failures: u32,
    reasons: Vec<String>,
    lines: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Observer {
    cluster: Option<String>,
    /// By service name.
    services: BTreeMap<String, Watched>,
    seen_events: BTreeSet<String>,
    seen_tasks: BTreeSet<String>,
    seen_protected: BTreeSet<String>,
    last: Option<Instant>,
    told_trouble: bool,
    stable: usize,
}

impl Observer {
    /// Prepares to watch the services of a template.
    pub(crate) fn new(facts: &Facts) -> Self {
        let services = facts.workloads.iter().filter_map(|workload| {
            let Runner::Service { name: Some(name), .. } = &workload.runner else { return None };
            let watched = Watched {
                executable: workload.executable.clone(),
                container: workload.container.clone(),
                before: None,
                failures: 0,
                reasons: Vec::new(),
                lines: Vec::new(),
            };
            Some((name.clone(), watched))
        });
        Self {
            cluster: facts.cluster.clone(),
            services: services.collect(),
            seen_events: BTreeSet::new(),
            seen_tasks: BTreeSet::new(),
            seen_protected: BTreeSet::new(),
            last: None,
            told_trouble: false,
            stable: 0,
        }
    }

    /// The services as they are before anything is done, so that what comes can be told from what was.
    pub(crate) async fn baseline(&mut self, session: &Session<'_>) -> Result<BTreeMap<String, LiveService>, Trouble> {
        let Some(cluster) = self.cluster.clone() else { return Ok(BTreeMap::new()) };
        let names: Vec<String> = self.services.keys().cloned().collect();
        let found = live::services(&session.aws, &cluster, &names).await?;
        for (name, service) in &found {
            self.seen_events.extend(service.events.iter().map(|(id, ..)| id.clone()));
            if let Some(watched) = self.services.get_mut(name) {
                watched.before = service.seen.deployments.first().map(|deployment| deployment.task_definition.clone());
            }
        }
        Ok(found)
    }

    /// Services whose rollout is over, of all.
    pub(crate) fn stable(&self) -> (usize, usize) {
        (self.stable, self.services.len())
    }

    /// Looks, if it is time to. What goes wrong here is told once and changes nothing.
    pub(crate) async fn look(&mut self, session: &Session<'_>) {
        if self.cluster.is_none() || self.last.is_some_and(|last| last.elapsed() < session.aws.timing.ecs()) {
            return;
        }
        self.last = Some(Instant::now());
        if let Err(trouble) = self.observe(session).await
            && !std::mem::replace(&mut self.told_trouble, true)
            && trouble.kind != Kind::TimedOut
        {
            session.ui.warn(&format!("ECS cannot be watched: {trouble}; the stack still is"));
        }
    }

    async fn observe(&mut self, session: &Session<'_>) -> Result<(), Trouble> {
        let cluster = self.cluster.clone().unwrap_or_default();
        let names: Vec<String> = self.services.keys().cloned().collect();
        let found = live::services(&session.aws, &cluster, &names).await?;
        self.stable = found.values().filter(|service| is_stable(service)).count();
        for (name, service) in found {
            self.tell_events(session, &service);
            let Some(primary) = service.seen.deployments.first() else { continue };
            let before = self.services.get(&name).and_then(|watched| watched.before.clone());
            let is_rolling = service.seen.deployments.len() > 1 || primary.rollout != "COMPLETED";
            if before.as_ref() == Some(&primary.task_definition) || (before.is_none() && !is_rolling) {
                continue;
            }
            if primary.failed_tasks > 0 || service.seen.running < service.seen.desired {
                let task_definition = primary.task_definition.clone();
                self.tell_failures(session, &cluster, &name, &task_definition).await?;
            }
            if is_rolling {
                self.tell_protected(session, &cluster, &name).await;
            }
        }
        Ok(())
    }

    fn tell_events(&mut self, session: &Session<'_>, service: &LiveService) {
        for (id, time, message) in service.events.iter().rev() {
            if !self.seen_events.insert(id.clone()) {
                continue;
            }
            session.ui.record("service_event", &json!({ "service": service.name, "time": time, "message": message }));
            // Of the many things that ECS says, those that a person must see.
            let lower = message.to_lowercase();
            if ["unable", "failed", "circuit breaker", "unhealthy", "rolling back"]
                .iter()
                .any(|word| lower.contains(word))
            {
                session.ui.say(&format!("  ECS: {}", session.ui.paint(Paint::Yellow, message)));
            } else {
                session.ui.detail(&format!("  ECS: {message}"));
            }
        }
    }

    async fn tell_failures(
        &mut self,
        session: &Session<'_>,
        cluster: &str,
        name: &str,
        task_definition: &str,
    ) -> Result<(), Trouble> {
        for task in live::stopped(&session.aws, cluster, name).await? {
            if task.task_definition != task_definition || !task.is_bad || !self.seen_tasks.insert(task.arn.clone()) {
                continue;
            }
            self.tell_failure(session, name, &task).await;
        }
        Ok(())
    }

    async fn tell_failure(&mut self, session: &Session<'_>, name: &str, task: &StoppedTask) {
        let Some(watched) = self.services.get_mut(name) else { return };
        watched.failures += 1;
        if watched.reasons.len() == REASONS_KEPT {
            watched.reasons.remove(0);
        }
        watched.reasons.push(task.reason.clone());
        let ui = session.ui;
        let line = format!(
            "{} failed to run (task {}, failure {}): {}",
            watched.executable,
            live::short(&task.arn),
            watched.failures,
            task.reason
        );
        ui.say(&ui.paint(Paint::Red, &format!("  {line}")));
        let container = task.container.as_deref().unwrap_or(&watched.container);
        let lines = live::last_lines(&session.aws, task, container, LINES_KEPT).await;
        for line in &lines[lines.len().saturating_sub(LINES_AT_ONCE)..] {
            ui.say(&format!("    | {line}"));
        }
        ui.record("task_failed", &json!({
            "service": watched.executable, "task": task.arn, "task_definition": task.task_definition, "reason": task.reason,
            "failures": watched.failures, "log": lines,
        }));
        if !lines.is_empty() {
            watched.lines = lines;
        }
    }

    /// Names the tasks that may finish their work first; a roll waits for them.
    async fn tell_protected(&mut self, session: &Session<'_>, cluster: &str, name: &str) {
        let Ok(protected) = live::protected(&session.aws, cluster, name).await else { return };
        for task in protected {
            let id = task.split(' ').next().unwrap_or_default().to_owned();
            if self.seen_protected.insert(id) {
                session.ui.say(&format!("  waiting for work to be finished: {name}, task {task}"));
            }
        }
    }

    /// The executable with the most failures, if they are at least `limit` (0: never).
    pub(crate) fn hopeless(&self, limit: u32) -> Option<(&str, u32)> {
        let worst = self.services.values().max_by_key(|watched| watched.failures)?;
        (limit > 0 && worst.failures >= limit).then_some((worst.executable.as_str(), worst.failures))
    }

    /// The reason of the last failure of an executable's task.
    pub(crate) fn last_reason(&self, executable: &str) -> String {
        let watched = self.services.values().find(|watched| watched.executable == executable);
        watched.and_then(|watched| watched.reasons.last().cloned()).unwrap_or_default()
    }

    /// How often tasks of each executable failed since the beginning.
    pub(crate) fn failures(&self, executable: &str) -> u32 {
        self.services.values().find(|watched| watched.executable == executable).map_or(0, |watched| watched.failures)
    }

    /// At the end of a failure: the reasons and log lines that were kept, of `executable` or of all that failed.
    pub(crate) fn tell_all(&self, session: &Session<'_>, executable: Option<&str>) {
        let named = |watched: &&Watched| executable.is_none_or(|name| watched.executable == name);
        let failed = |watched: &&Watched| watched.failures > 0;
        let mut chosen: Vec<&Watched> = self.services.values().filter(named).filter(failed).collect();
        if chosen.is_empty() {
            chosen = self.services.values().filter(failed).collect();
        }
        for watched in chosen {
            session.ui.say(&format!("{}: {} tasks failed. Last reasons:", watched.executable, watched.failures));
            for reason in &watched.reasons {
                session.ui.say(&format!("  - {reason}"));
            }
            if !watched.lines.is_empty() {
                session.ui.say("  last log lines:");
            }
            for line in &watched.lines {
                session.ui.say(&format!("    | {line}"));
            }
        }
    }
}

fn is_stable(service: &LiveService) -> bool {
    matches!(&service.seen.deployments[..], [one] if one.rollout != "IN_PROGRESS")
        && service.seen.running == service.seen.desired
}
