//! What depositors get back (03-restore-delete-fixity §2 to §4): whole bags and single files, and both out of Glacier. A module each
//! that reads as the algorithm from top to bottom; what they stand on is [`Ground`], how a file is read from the best of its copies
//! `contents`.
//!
//! **Nothing stands under the key of a restoration that was not compared with the Registry's digests, to the last byte.**

mod bag;
mod contents;
mod file;
mod glacier;
mod ground;
mod pour;

pub use bag::BagRestorer;
pub use file::FileRestorer;
pub use glacier::GlacierRestorer;
pub use ground::{Ground, run};
