//! From a bag in a receiving bucket to a preserved object: what the ten services of ingest have in common, and do.
//!
//! Built so far: which items are taken up ([`Versions`]). The stages come beside it, a module each.

mod institutions;
mod versions;

pub use institutions::Institutions;
pub use versions::Versions;
