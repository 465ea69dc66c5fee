//! From a bag in a receiving bucket to a preserved object: what the ten services of ingest have in common, and do.
//!
//! Built so far: which items are taken up ([`Versions`]), how a stage goes through the files of an item ([`files`]), and the stages
//! [`BucketReader`] and [`PreFetch`]. The others come beside them, a module each.

mod bucket_reader;
pub mod files;
mod formats;
mod ground;
mod institutions;
mod pre_fetch;
mod versions;

pub use bucket_reader::BucketReader;
pub use ground::{Ground, failed, run};
pub use institutions::Institutions;
pub use pre_fetch::PreFetch;
pub use versions::Versions;
