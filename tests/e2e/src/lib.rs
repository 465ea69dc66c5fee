//! The whole system under test: NSQ, Redis, S3 and the Registry, embedded or real, and every service that is built as a process of its
//! own, with intervals and leases that a test can wait for. Services can be killed, stopped and started again, servers taken away for a
//! while; what came of it is looked at from outside, past all that.
//!
//! What is tested with it, and what must come out, is `tests/e2e`'s. Nothing is left behind: [`System::end`] ends all in order, and
//! dropping a [`System`] kills what still runs.

mod look;
mod process;
mod real;
mod servers;
mod system;

pub use servers::{Kind, Server};
pub use system::System;
