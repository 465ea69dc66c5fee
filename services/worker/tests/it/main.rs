//! Runs the programs in `examples/` as an operator and ECS would, with arguments, an environment and signals, and the loops in
//! this process, against embedded servers. Nothing in here knows how they work inside.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]
#![expect(clippy::print_stderr, reason = "a test says what it saw")]

mod chaos;
mod health;
mod items;
mod life;
mod questions;
mod readme;
mod scans;
mod settings;
mod support;
mod sweeper;
