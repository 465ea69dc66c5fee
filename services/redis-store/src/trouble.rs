//! What has been going wrong with an item at a topic, beyond what a WorkResult can say. A field of its own, since a Go worker
//! drops what it does not know from a document (07 C.17).

use model::{Time, Topic};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::store::Store;

/// The field `trouble:<topic>`; absent when there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when the system, and not the item, has made each attempt fail.
    pub failing_since: Time,
    /// Workers that died over the item, one after the other.
    pub deaths: u32,
}

impl Store {
    /// What went wrong at this topic so far.
    pub async fn trouble(&self, item: i64, topic: Topic) -> Result<Trouble, Error> {
        Ok(self.document(item, field(topic)).await?.unwrap_or_default())
    }

    /// Replaces it. No trouble is no field.
    pub async fn save_trouble(&self, item: i64, topic: Topic, trouble: Trouble) -> Result<(), Error> {
        if trouble == Trouble::default() {
            self.delete(item, field(topic)).await
        } else {
            self.save(item, field(topic), &trouble).await
        }
    }
}

fn field(topic: Topic) -> String {
    format!("trouble:{topic}")
}
