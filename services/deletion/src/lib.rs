//! Removing files and objects from preservation storage: only when every approval, the retention period and the state of the records
//! allow it, and only what is proven gone is reported. Knows nothing of processes; `apps` declares the executable.

mod copies;
mod deleter;
mod permission;

pub use deleter::Deleter;
