//! What all records have: an id, 0 before the Registry has made it.

use model::{DeletionRequest, GenericFile, Institution, IntellectualObject, PremisEvent, StorageRecord, WorkItem};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Public, since lists are of such; nobody else can name it.
pub trait Record: Serialize + DeserializeOwned {
    fn id(&self) -> i64;
}

macro_rules! records {
    ($($record:ty),+) => {
        $( impl Record for $record {
            fn id(&self) -> i64 {
                self.id
            }
        } )+
    };
}
records!(DeletionRequest, Institution, IntellectualObject, GenericFile, PremisEvent, StorageRecord, WorkItem);
