//! The client against servers: our embedded one, one that we did not write, and ones that misbehave.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]
#![expect(clippy::print_stderr, reason = "a test says that it was skipped")]

mod downloads;
mod embedded;
mod futures;
mod lost;
mod oddities;
mod suite;
mod support;
mod uploads;
