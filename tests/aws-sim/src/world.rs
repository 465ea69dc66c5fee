//! Everything that the simulator knows, and the agenda of what is to happen when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cfn::engine::End;
use crate::cfn::{self, CloudFormation};
use crate::chance::Chance;
use crate::clock::{Clock, Pace, Time};
use crate::ecr::Ecr;
use crate::ecs::{self, Ecs};
use crate::logs::Logs;
use crate::record::Record;
use crate::s3::S3;
use crate::scenario::{Scenario, Waits};
use crate::ssm::Ssm;

/// Something that happens later.
#[derive(Debug)]
pub(crate) enum Due {
    Stage { stack: String, operation: String, visit: u64 },
    NextStage { stack: String, operation: String, visit: u64 },
    Job { stack: String, operation: String, key: String, ticket: u64, end: End },
    ChangeSet { stack: String, arn: String },
    ChangeSetGone { stack: String, arn: String },
    ExtraEvents { stack: String, operation: String, left: u32 },
    Interference { stack: String },
    Task { arn: String, step: ecs::task::Step },
    Reconcile { service: String },
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    /// The time of what is happening: while the agenda is played, that of the entry.
    pub(crate) now: Time,
    pub(crate) agenda: BTreeMap<(Time, u64), Due>,
    tickets: u64,
    pub(crate) chance: Chance,
    /// Dice of their own, so that the throttling of calls changes no identifier.
    pub(crate) dice: Chance,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) scenario: Scenario,
    /// A stack is being made in the past: scenarios do not apply to it.
    pub(crate) preloading: bool,
    /// When the faults of the scenario were set, and when a change set was last executed.
    pub(crate) faults_since: Time,
    pub(crate) executed_at: Option<(Time, u64)>,
    /// Names that only one resource may have, with the type.
    pub(crate) names: BTreeSet<(String, String)>,
    pub(crate) cfn: CloudFormation,
    pub(crate) ecs: Ecs,
    pub(crate) s3: S3,
    pub(crate) ssm: Ssm,
    pub(crate) ecr: Ecr,
    pub(crate) logs: Logs,
    pub(crate) record: Record,
}

impl World {
    pub(crate) fn new(pace: Pace, account: String, region: String, scenario: Scenario) -> Result<Self, String> {
        let clock = Clock::start(pace);
        let now = clock.now();
        let mut world = Self {
            clock,
            now,
            agenda: BTreeMap::new(),
            tickets: 0,
            chance: Chance::new(scenario.seed),
            dice: Chance::new(!scenario.seed),
            account,
            region,
            scenario: Scenario::default(),
            preloading: false,
            faults_since: now,
            executed_at: None,
            names: BTreeSet::new(),
            cfn: CloudFormation::default(),
            ecs: Ecs::default(),
            s3: S3::default(),
            ssm: Ssm::default(),
            ecr: Ecr::default(),
            logs: Logs::default(),
            record: Record::default(),
        };
        world.load(scenario)?;
        Ok(world)
    }

    /// Takes a scenario up: what it preloads is added, its faults replace those of before.
    pub(crate) fn load(&mut self, mut scenario: Scenario) -> Result<(), String> {
        scenario.check()?;
        self.dice = Chance::new(!scenario.seed);
        if let Some(parameters) = &scenario.parameters {
            self.ssm.only(parameters);
        }
        if let Some(images) = &scenario.images {
            self.ecr.only(images);
        }
        for bucket in &scenario.buckets {
            self.s3.create(bucket, &self.account, &self.region);
        }
        for group in &scenario.log_groups {
            self.logs.create(group, None, self.now);
            self.names.insert(("AWS::Logs::LogGroup".to_owned(), group.clone()));
        }
        let mut exports = std::mem::take(&mut self.scenario.exports);
        exports.append(&mut scenario.exports);
        scenario.exports = exports;
        let stacks = std::mem::take(&mut scenario.stacks);
        self.scenario = scenario;
        self.faults_since = self.now;
        self.executed_at = None;
        for stack in &stacks {
            cfn::preload::stack(self, stack)?;
        }
        self.ecs.forget_rollouts();
        self.ecs.mark_revisions();
        let protected = self.scenario.protected.clone();
        for (service, seconds) in &protected {
            ecs::provision::protect(self, service, Duration::from_secs(*seconds))?;
        }
        Ok(())
    }

    pub(crate) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    pub(crate) fn schedule(&mut self, after: Duration, due: Due) {
        let ticket = self.ticket();
        self.agenda.insert((self.now + after, ticket), due);
    }

    /// Plays what is due by now.
    pub(crate) fn catch_up(&mut self) {
        let now = self.clock.now();
        self.play_until(now);
        self.now = self.now.max(now);
    }

    pub(crate) fn play_until(&mut self, end: Time) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), due) = entry.remove_entry();
            self.now = self.now.max(time);
            self.play(due);
        }
    }

    fn play(&mut self, due: Due) {
        match due {
            Due::Task { arn, step } => ecs::task::step(self, &arn, step),
            Due::Reconcile { service } => ecs::rollout::reconcile(self, &service),
            other => cfn::due(self, other),
        }
        while let Some((service, end)) = self.ecs.take_ended() {
            cfn::rollout_ended(self, &service, &end);
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.catch_up();
    }

    /// Advances to the next entry of the agenda after another, until no stack is in the middle of an operation and no
    /// change set is being worked out. False if the limit came first.
    pub(crate) fn settle(&mut self, limit: Duration) -> bool {
        self.catch_up();
        let end = self.now + limit;
        while self.unsettled() {
            let Some((time, _)) = self.agenda.keys().next().copied() else { return false };
            if time > end {
                return false;
            }
            self.advance(time.since(self.now));
        }
        true
    }

    fn unsettled(&self) -> bool {
        self.cfn.stacks.values().any(|stack| {
            stack.operation.is_some()
                || stack
                    .change_sets
                    .iter()
                    .any(|set| set.status.starts_with("CREATE_") && set.status != "CREATE_COMPLETE")
        })
    }

    /// Every export of the account and region: those of stacks here, and those of stacks that are only told of.
    pub(crate) fn exports(&self) -> BTreeMap<String, String> {
        let mut exports = self.scenario.exports.clone();
        for stack in self.cfn.stacks.values() {
            exports.extend(stack.exports.clone());
        }
        exports
    }

    pub(crate) fn stack_id(&mut self, name: &str) -> String {
        format!("arn:aws:cloudformation:{}:{}:stack/{name}/{}", self.region, self.account, self.chance.uuid())
    }

    /// The stack to which the exports of the scenario are ascribed.
    pub(crate) fn foreign_stack_id(&self) -> String {
        let (region, account) = (&self.region, &self.account);
        format!("arn:aws:cloudformation:{region}:{account}:stack/network/00000000-0000-4000-a000-000000000000")
    }

    pub(crate) fn executed(&mut self) {
        self.executed_at = Some((self.now, self.record.count()));
    }

    /// Whether a fault applies to this call: after so many calls, so long after the execution of a change set, and for so
    /// long.
    pub(crate) fn applies(&self, waits: &Waits) -> bool {
        let (mut since, mut first) = (self.faults_since, 0);
        if waits.after_execute {
            match self.executed_at {
                Some((time, call)) => (since, first) = (time, call),
                None => return false,
            }
        }
        let calls = self.record.count().saturating_sub(first);
        let elapsed = self.now.since(since).as_secs();
        let begun = calls > waits.after_calls && elapsed >= waits.after_seconds;
        let over = waits.for_calls.is_some_and(|limit| calls > waits.after_calls + limit)
            || waits.for_seconds.is_some_and(|limit| elapsed >= waits.after_seconds + limit);
        begun && !over
    }
}
