//! A simulator of the AWS services that the deployer talks to. It speaks their real protocols on one loopback port, so that
//! an unmodified SDK whose `AWS_ENDPOINT_URL` points to it cannot tell, and it has a clock of its own, so that no test waits.
//!
//! ```text
//! server ─▶ dispatch ─▶ cfn (CloudFormation) ─▶ ecs, logs      what it is asked, and what it does to other services
//!    │          └─────▶ ecs, s3, ssm, ecr, logs, scaling (and schedules)
//!    └────▶ control                                            what tests do to it: `/_sim/…`
//!
//! wire       the four protocols: request to Call, Answer to response
//! template   CloudFormation templates: parsed, evaluated, their parameters
//! world      all state, and the agenda of what happens when     clock, chance: time and dice
//! scenario   what is there from the start, and what goes wrong  record: what was called
//! ```
//!
//! Everything happens under one lock and in simulated time: a call first plays what is due by now, then reads or writes.
//! README.md says what is imitated, what is not, and how scenarios are written.

mod cfn;
mod chance;
mod clock;
mod control;
mod dispatch;
mod ecr;
mod ecs;
mod input;
mod logs;
mod record;
mod s3;
mod scaling;
mod scenario;
mod server;
mod ssm;
mod template;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub use clock::Pace;
pub use scenario::{
    Bucket, ChangeSetSettings, EarlyValidation, Failure, Faults, Image, Limits, NoChanges, PreloadedStack,
    ResourceFault, ResourceVerb, Revisions, Scenario, SecondDeployer, TaskFault, Throttle, Waits,
};
use server::Server;
use world::World;

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// 0 for any that is free.
    pub port: u16,
    pub pace: Pace,
    pub account: String,
    pub region: String,
    pub scenario: Scenario,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            pace: Pace::Manual,
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            scenario: Scenario::default(),
        }
    }
}

/// A running simulator. It ends with the value.
#[derive(Debug)]
pub struct Simulator {
    server: Server,
    world: Arc<Mutex<World>>,
}

impl Simulator {
    pub fn start(options: Options) -> io::Result<Self> {
        let Options { port, pace, account, region, scenario } = options;
        let world = World::new(pace, account, region, scenario)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(port, Arc::clone(&world))?;
        Ok(Self { server, world })
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// What the environment of a client must hold, and nothing of the machine's own configuration may override.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let region = self.world().region.clone();
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "AKIASIMULATOR0000000".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "not-verified".to_owned()),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Adds what the scenario preloads; its faults replace those of before.
    pub fn load(&self, scenario: Scenario) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        world.load(scenario)
    }

    /// Lets simulated time pass.
    pub fn advance(&self, by: Duration) {
        self.world().advance(by);
    }

    /// Lets time pass until no stack is in the middle of an operation and no change set is being worked out. False if the
    /// limit came first.
    pub fn settle(&self, limit: Duration) -> bool {
        self.world().settle(limit)
    }

    /// Adds a stack that was there before.
    pub fn preload(&self, stack: &PreloadedStack) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        cfn::preload::stack(&mut world, stack).map(|_| ())
    }

    /// Puts a stack into a status; what was going on with it never comes to its end.
    pub fn set_status(&self, stack: &str, status: &str, reason: Option<&str>) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        control::set_status(&mut world, stack, status, reason, &BTreeMap::new()).map(|_| ())
    }

    /// Somebody else updates the stack.
    pub fn interfere(&self, stack: &str) -> Result<(), String> {
        control::interfere(&mut self.world(), stack).map(|_| ())
    }

    /// Sets the desired count of a service, as autoscaling does.
    pub fn scale(&self, service: &str, desired: u64) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        ecs::provision::scale(&mut world, service, desired)
    }

    /// The tasks of a service have work in hand for so long.
    pub fn protect(&self, service: &str, time: Duration) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        ecs::provision::protect(&mut world, service, time)
    }

    /// So many running tasks of a service lose their Spot capacity.
    pub fn interrupt(&self, service: &str, count: usize) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        ecs::provision::interrupt(&mut world, service, count)
    }

    pub fn set_pace(&self, pace: Pace) {
        self.world().clock.set_pace(pace);
    }

    /// Every call so far: service, operation, input, time and outcome.
    pub fn calls(&self) -> Value {
        self.world().record.calls()
    }

    /// How often each operation was called and how it ended, and what was called that never should be.
    pub fn counters(&self) -> Value {
        self.world().record.counters()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
