//! Ingest against embedded servers.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod files;
mod place;
mod preservation;
mod staging;
mod unpack;
mod versions;
