//! All integration tests, in one binary: cargo links it once. One module per thing tested.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says why it was skipped"
)]

mod bench;
mod ci;
mod cli;
mod completions;
mod demo;
mod deploy;
mod doctor;
mod rehearse;
mod release;
mod rules;
mod support;
mod template;
mod test_all;
mod up;
mod update_template;
