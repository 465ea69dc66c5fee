//! The client against servers: the embedded ones and, where they are on PATH, the real ones; and against servers that
//! misbehave.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod cuts;
mod faults;
mod suite;
mod support;
