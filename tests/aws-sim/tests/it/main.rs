//! The simulator as a client sees it: every service over the wire, each in its own protocol, and what scenarios do to them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says why it was skipped"
)]

mod client;
mod cloudformation;
mod control;
mod failures;
mod faults;
mod moto;
mod operations;
mod others;
mod services;
mod template;
