//! From a bag in a receiving bucket to a preserved object: what the ten services of ingest have in common, and do.
//!
//! Built so far: which items are taken up ([`Versions`]), and how a stage goes through the files of an item ([`files`]). The stages
//! come beside them, a module each.

mod cleanup;
pub mod files;
mod ground;
mod institutions;
mod reingest;
mod storable;
mod validator;
mod versions;

pub use cleanup::Cleanup;
pub use ground::{Ground, failed, run};
pub use institutions::Institutions;
pub use reingest::ReingestManager;
pub use validator::Validator;
pub use versions::Versions;
