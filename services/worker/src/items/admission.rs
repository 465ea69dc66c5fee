//! Whether an item is taken up: the question that its claim allows to ask, beyond what the item itself says (`rules.rs`).

use std::time::Duration;

use anyhow::Result;
use model::{Topic, WorkItem};

/// What a kind of work asks of Registry, Redis or S3 before it takes an item up. It is asked under the claim, so that what it says
/// still holds when the stage runs.
pub trait Admission: Send + Sync + 'static {
    /// An error is no answer: what may pass is asked again, the rest is put before an administrator.
    fn admit(&self, item: &WorkItem) -> impl Future<Output = Result<Admit>> + Send;

    /// The identifier of the object that no other item may work on meanwhile, if there is one (rulings A.12).
    fn object(&self, item: &WorkItem) -> impl Future<Output = Result<Option<String>>> + Send;
}

/// Whether an item is taken up, and if not, what becomes of its message.
#[derive(Debug, Clone, PartialEq)]
pub enum Admit {
    Yes,
    /// Not now. The text is for the log.
    Later(Duration, String),
    /// Not here, and there is nothing to do about it.
    No(String),
    /// It is over, and only nobody has said so: it is saved as it is here.
    Close(Box<WorkItem>, String),
    /// It stands elsewhere, and the message that says so may have been lost.
    PublishTo(Topic),
}

/// Asks nothing. The object is the one that the item names: that of a restoration or a deletion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsItSays;

impl Admission for AsItSays {
    async fn admit(&self, _: &WorkItem) -> Result<Admit> {
        Ok(Admit::Yes)
    }

    async fn object(&self, item: &WorkItem) -> Result<Option<String>> {
        Ok(Some(item.object_identifier.clone()).filter(|identifier| !identifier.is_empty()))
    }
}
