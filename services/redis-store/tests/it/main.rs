//! The store against servers: the embedded Redis and, where it is on PATH, the real one.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod claims;
mod documents;
mod faults;
mod leases;
mod support;
