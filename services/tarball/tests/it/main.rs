//! Tars as a whole, read and written, from outside: what is accepted, what is refused and where, and what other programs say.

#![expect(clippy::print_stderr, reason = "what is skipped is said")]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod cases;
mod hostile;
mod make;
mod others;
mod reading;
mod sparse;
mod streams;
mod writing;
