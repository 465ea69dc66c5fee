//! Fixity: is what is stored still what was stored. Knows nothing of processes; `apps` declares the executables.

mod queue;

pub use queue::Queue;
