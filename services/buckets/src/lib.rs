//! The buckets that services work with: the settings that name them, and the clients made of these. Which storage option is kept
//! where, and how its settings are called, is the table of `model::bucket`; how S3 is spoken to, `storage`'s.
//!
//! It stands between `worker` and `storage`, so that the loop over items links no S3, and four crates need not agree on settings.

mod settings;

pub use settings::{Glacier, Preservation, Retrieval, S3, Staging};

use storage::Budget;
use worker::Memory;

/// The memory for what is on its way to and from S3: made once per process, and given to every client.
pub fn budget() -> Budget {
    Budget::new(Memory::of_this_task().for_buffers())
}
