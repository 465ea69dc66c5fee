//! Domain types and constants: what the services, the Registry, Redis and preservation storage agree on. Pure: it opens
//! no file and no connection, and leaves transport to the crates `registry`, `redis-store`, `storage` and `nsq`.
//!
//! Documents are read leniently (`null` and absent are the same as zero, order does not matter) and written exactly as
//! Go's `encoding/json` writes them, so that both implementations can share one WorkItem: see [`json`].

pub mod bucket;
mod deletion_request;
pub mod event;
pub mod identifier;
mod ingest_file;
mod ingest_object;
pub mod json;
pub mod metadata;
pub mod multipart;
pub mod note;
mod premis_event;
mod records;
mod restoration;
mod time;
mod to_registry;
pub mod topic;
mod words;
mod work_item;
mod work_result;

pub use deletion_request::{DeletionRequest, Named, Person};
pub use ingest_file::{ChecksumMismatch, IngestChecksum, IngestFile, Manifest, StoredCopy};
pub use ingest_object::{IngestObject, Tag};
pub use json::{List, Unknown, to_json};
pub use premis_event::PremisEvent;
pub use records::{Checksum, GenericFile, Institution, IntellectualObject, Page, StorageRecord};
pub use restoration::RestorationObject;
pub use time::{ParseTimeError, Time};
pub use topic::Topic;
pub use words::{
    Access, Action, Algorithm, ChecksumSource, EventType, FileType, FormatSource, ItemType, Outcome, Profile, Provider,
    RestorationSource, RestorationType, Stage, State, Status, StorageClass, StorageOption,
};
pub use work_item::WorkItem;
pub use work_result::{ProcessingError, WorkResult};

/// The user that items made by the bucket reader belong to.
pub const SYSTEM_USER: &str = "system@aptrust.org";

/// The largest object of S3, and the largest that is read with one request, in bytes.
pub const MAX_OBJECT_SIZE: i64 = 5_497_558_138_880;
