//! The buckets that services work with: the settings that name them, and the clients made of these. Which storage option is kept
//! where is `model`'s; how S3 is spoken to, `storage`'s.
//!
//! It stands between `worker` and `storage`, so that the loop over items links no S3, and four crates need not agree on settings.

mod clients;
pub mod names;
mod settings;

pub use settings::{AwsBuckets, Credentials, S3, Scheme, Staging, Wasabi, WasabiRegion};
