//! What the workers share in Redis: the documents of an ingest, claims on items, leases and locks. What they mean is the
//! workers' business; their JSON is `model`'s.
//!
//! Two databases (07 A.1). The first has one hash for each WorkItem, named by its id, and nothing else, since the Registry
//! takes every key for an id; Go's workers use the same hashes. The second has our leases and locks, which Go knows
//! nothing of.
//!
//! | Field of an item's hash | Value |
//! |---|---|
//! | `object:<identifier>` | [`model::IngestObject`] |
//! | `file:<identifier>` | [`model::IngestFile`] |
//! | `workresult:<topic>` | [`model::WorkResult`] |
//! | `claim:<topic>` | who works on it, ours alone: [`Store::take_claim`] |
//! | `trouble:<topic>` | [`Trouble`], ours alone |
//! | `wake:<topic>` | when an item that waits is woken, ours alone: [`Store::save_wake`] |
//! | `thawed:<id of a file>` | until when its copy out of Glacier is surely there, ours alone: [`Store::save_thawed`] |
//! | `ways_back` | how often it was staged again, ours alone: [`Store::save_ways_back`] |
//!
//! What is not there is `None`; an [`Error`] never means that (07 A.11).
//!
//! **Order at the end of an item** (07 A.10): release the claim, which ends its heartbeat, then [`Store::delete_item`].
//! A heartbeat never brings a deleted hash back, but saving a document does.

mod claim;
mod connection;
mod documents;
mod error;
mod held;
mod lease;
mod scan;
mod store;
mod thawed;
mod transaction;
mod trouble;
mod verdict;
mod wake;
mod ways_back;

pub use claim::{ClaimScan, ClaimTaken, Claimant, Claimed};
pub use error::Error;
pub use held::{Held, Loss};
pub use lease::{LeaseName, LeaseTaken, Owner};
pub use scan::{FilePage, FileScan};
pub use store::{Options, Store};
pub use trouble::Trouble;
