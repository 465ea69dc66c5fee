//! Bags made by code, as depositors send them to APTrust. [`Bag`] makes small ones in memory, [`Parts`] is one taken apart so that
//! a single thing can be made wrong, [`bag_folder`] bags a folder of any size while it is read.
//!
//! ```text
//! let good = Bag::aptrust("test.edu.photos").file("a.txt", "hello").tag(APTRUST_INFO, "Access", "Consortia").tar();
//! let broken = Bag::aptrust("test.edu.photos").file("a.txt", "hello").but(|parts| parts.remove("data/a.txt"));
//! ```

mod bag;
mod folder;
mod tags;

pub use bag::{Bag, Parts};
pub use digests::Algorithm;
pub use folder::{Bagged, bag_folder};
pub use tags::{APTRUST_INFO, BAG_INFO, Tags};
