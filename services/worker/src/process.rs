//! The process around a program's work: command line, settings, telemetry, signals, health, and the `main` that puts them in
//! order. It knows nothing of messages and items.

pub(crate) mod clients;
pub(crate) mod command_line;
pub(crate) mod ecs;
mod exit;
pub(crate) mod health;
mod help;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod limits;
mod lines;
pub(crate) mod memory;
pub(crate) mod metrics;
mod output;
pub(crate) mod program;
pub mod settings;
mod signals;
mod start;
mod stdout;
mod telemetry;
pub(crate) mod tls;
