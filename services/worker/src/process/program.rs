//! The declaration of a service. What happens to it is in `start.rs`; the kinds of program are in `queue/worker.rs`,
//! `items/worker.rs` and `scan/scanner.rs`.

use crate::process::command_line::{Arguments, Flag, Operand};
use crate::process::health::Heartbeat;
use crate::process::identity::Identity;
use crate::process::settings::{Reader, Reported, Section};
use std::pin::Pin;
use tokio_util::sync::CancellationToken;

/// A service: what it is called, what it waits for, which settings it reads, and what it does.
///
/// The settings are named by the type `S`: one [`Section`] or a tuple of them.
#[derive(Debug)]
pub struct Program<K: Kind, S: Section> {
    /// The executable's name: `env!("CARGO_BIN_NAME")`.
    pub name: &'static str,
    /// What the service does, in a sentence or two, for `--help`.
    pub about: &'static str,
    pub kind: K,
    pub stage: Stage<K::Plan, S>,
}

/// What a service does.
#[derive(Debug)]
pub enum Stage<P, S> {
    /// Nothing yet: the program answers questions, starts as it will one day, and then ends with code 69.
    Unfinished,
    /// Returns when the work is done or, soon after [`Context::shutdown`] is cancelled, when it has put away its work.
    Run(fn(Context<P, S>) -> StageFuture),
}

/// What [`Stage::Run`] starts.
pub type StageFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// What a stage is given.
#[derive(Debug)]
pub struct Context<P, S> {
    /// The executable's name.
    pub service: &'static str,
    pub plan: P,
    pub settings: S,
    pub shutdown: CancellationToken,
    /// The main loop calls [`Heartbeat::beat`] at least three times within [`Limits::stale_after`].
    pub heartbeat: Heartbeat,
}

/// A kind of program: the flags and settings that go with what it waits for.
pub trait Kind {
    /// What it was told to do, by flags and settings.
    type Plan: Plan;

    /// Beside the flags that every program takes.
    const FLAGS: &'static [Flag];

    fn operand(&self) -> Option<Operand>;

    /// For `--help`: what it waits for.
    fn describe(&self) -> String;

    /// Reads the settings of the kind; `name` is the program's.
    fn plan(&self, name: &str, arguments: &Arguments, reader: &mut Reader<'_>) -> Result<Self::Plan, Reported>;
}

/// What a program was told to do.
pub trait Plan: Send + 'static {
    /// Writes the one line that tells what started, with the numbers that count.
    fn announce(&self, identity: &Identity);
}
