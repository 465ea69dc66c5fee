//! From a bag in a receiving bucket to a preserved object: the ten services of ingest, a module each that reads as the algorithm from
//! top to bottom, and what they have in common: which items are taken up ([`Versions`]), what a stage stands on ([`Ground`]), how it
//! goes through the files of an item ([`files`]).

mod bucket_reader;
mod cleanup;
pub mod files;
mod format;
mod formats;
mod ground;
mod institutions;
mod lost;
mod pre_fetch;
mod preservation;
mod recorder;
mod records;
mod reingest;
mod staged;
mod staging;
mod storable;
mod validator;
mod verifier;
mod versions;

pub use bucket_reader::BucketReader;
pub use cleanup::Cleanup;
pub use format::FormatIdentifier;
pub use ground::{Ground, failed, run};
pub use institutions::Institutions;
pub use pre_fetch::PreFetch;
pub use preservation::PreservationUploader;
pub use recorder::{Recorder, record};
pub use reingest::ReingestManager;
pub use staging::StagingUploader;
pub use validator::Validator;
pub use verifier::PreservationVerifier;
pub use versions::Versions;
