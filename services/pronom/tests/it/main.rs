//! The engine from outside: what it says of files that are known, damaged or made to do harm. Which of these files stand in
//! no repository is made by code.

#![expect(clippy::unwrap_used, reason = "a test fails where its ground is not as it says")]
#![expect(clippy::print_stderr, reason = "a test says that it was skipped")]

mod answers;
mod fuzz;
mod hostile;
mod matching;
mod support;
mod update;
