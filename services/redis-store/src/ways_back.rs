//! How often an item went back to be staged again, because staging had lost files of it (07 C.19).

use crate::error::Error;
use crate::store::Store;

/// Absent when it never did.
const FIELD: &str = "ways_back";

impl Store {
    pub async fn ways_back(&self, item: i64) -> Result<u32, Error> {
        Ok(self.document(item, FIELD.to_owned()).await?.unwrap_or_default())
    }

    /// Only who holds the claim on the item says so.
    pub async fn save_ways_back(&self, item: i64, count: u32) -> Result<(), Error> {
        if count == 0 {
            self.delete(item, FIELD.to_owned()).await
        } else {
            self.save(item, FIELD.to_owned(), &count).await
        }
    }
}
