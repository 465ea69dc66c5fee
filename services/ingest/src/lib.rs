//! From a bag in a receiving bucket to a preserved object: what the ten services of ingest have in common, and do.
//!
//! Built so far: which items are taken up ([`Versions`]), and how a stage goes through the files of an item ([`files`]). The stages
//! come beside them, a module each.

pub mod files;
mod format;
mod ground;
mod institutions;
mod lost;
mod recorder;
mod versions;

pub use format::FormatIdentifier;
pub use ground::{Ground, failed, run};
pub use institutions::Institutions;
pub use recorder::{Recorder, record};
pub use versions::Versions;
