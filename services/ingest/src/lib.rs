//! From a bag in a receiving bucket to a preserved object: what the ten services of ingest have in common, and do.
//!
//! Built so far: which items are taken up ([`Versions`]), and how a stage goes through the files of an item ([`files`]). The stages
//! come beside them, a module each.

pub mod files;
mod ground;
mod institutions;
mod preservation;
mod records;
mod staged;
mod staging;
mod verifier;
mod versions;

pub use ground::{Ground, failed, run};
pub use institutions::Institutions;
pub use preservation::PreservationUploader;
pub use staging::StagingUploader;
pub use verifier::PreservationVerifier;
pub use versions::Versions;
