//! Ingest against embedded servers.

#![expect(clippy::print_stderr, reason = "a test says that it was skipped")]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod bucket_reader;
mod cleanup;
mod files;
mod format;
mod known;
mod place;
mod pre_fetch;
mod preservation;
mod receiving;
mod recorder;
mod reingest;
mod staging;
mod unpack;
mod validator;
mod versions;
