//! Tests of the documents as a whole, from outside.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod golden;
