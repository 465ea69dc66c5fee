//! Fixity: is what is stored still what was stored: which files are due, and the checks. Knows nothing of processes; `apps` declares
//! the executables.

mod checker;
mod queue;

pub use checker::{Checker, Terms};
pub use queue::Queue;
