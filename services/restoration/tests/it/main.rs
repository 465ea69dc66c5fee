//! Restoration against embedded servers.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod bag;
mod file;
mod glacier;
mod place;
