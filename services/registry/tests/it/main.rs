//! The client against servers that misbehave, and against the embedded Registry.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod faults;
mod live;
mod once;
mod pages;
mod requests;
mod server;
