//! Ingest against embedded servers.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod cleanup;
mod files;
mod known;
mod reingest;
mod unpack;
mod validator;
mod versions;
