//! The embedded servers as their clients see them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and says why it was skipped"
)]

mod inbox;
mod nsq;
mod redis;
mod registry;
mod s3;
mod support;
