//! The crate from outside: the rules one by one, the properties, and the suites that others have made.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]
#![expect(clippy::print_stderr, reason = "a test says that it was skipped")]

mod aptrust;
mod bags;
mod cases;
mod conformance;
mod properties;
mod readme;
mod rfc;
mod support;
