//! What changes records and tells the workers about it: requeueing, restoring, agreeing to a deletion. The HTTP API and
//! the pages for people both go through here.

use std::net::SocketAddr;

use super::queue;
use super::store::{DeletionRequest, Error, Result, Store, Subject, User, WorkItem};
use super::time::Time;
use super::vocabulary::topic;

/// The store, with the queue and the Redis beside it.
#[derive(Debug, Clone)]
pub struct Actions {
    pub(super) store: Store,
    pub(super) nsqd: Option<SocketAddr>,
    pub(super) redis: Option<(SocketAddr, u32)>,
}

impl Actions {
    /// Sends an item to a stage as if it had just come there, and publishes it.
    pub async fn requeue(&self, id: i64, stage: &str) -> Result<WorkItem> {
        let stage = stage.to_owned();
        let item = self
            .blocking(move |store| {
                let mut item: WorkItem = store.find(id)?.ok_or(Error::NoRows)?;
                // Asked for first, so that an item is not changed to a stage from which it goes nowhere.
                topic_of(&item.action, &stage)?;
                item.note = format!("Requeued for {stage}");
                item.stage = stage;
                "Pending".clone_into(&mut item.status);
                (item.retry, item.needs_admin_review) = (true, false);
                (item.node, item.pid, item.outcome) = (String::new(), 0, String::new());
                store.save_item(item)
            })
            .await?;
        self.publish(&item).await?;
        Ok(item)
    }

    /// Ends an item on which nobody has to work any more. A worker that has it in hand finds out at its next message.
    pub async fn cancel(&self, id: i64, user: User) -> Result<WorkItem> {
        self.blocking(move |store| store.cancel_item(id, &user)).await
    }

    /// Asks for an object to be restored.
    pub async fn request_object_restore(&self, object: i64, requester: User) -> Result<WorkItem> {
        let item = self.blocking(move |store| store.create_object_restoration(object, &requester)).await?;
        self.enqueue(item).await
    }

    /// Asks for a file to be restored.
    pub async fn request_file_restore(&self, file: i64, requester: User) -> Result<WorkItem> {
        let item = self.blocking(move |store| store.create_file_restoration(file, &requester)).await?;
        self.enqueue(item).await
    }

    /// Asks for something to be deleted. `url` is where the Registry's pages are.
    pub async fn request_deletion(&self, subject: Subject, requester: User, url: String) -> Result<DeletionRequest> {
        self.blocking(move |store| store.request_deletion(&subject, &requester, &url)).await
    }

    /// Agrees to a deletion and publishes its items, without setting `queued_at`, as the real server does.
    pub async fn approve_deletion(
        &self,
        id: i64,
        approver: User,
        token: String,
    ) -> Result<(DeletionRequest, Vec<WorkItem>)> {
        let (request, items) = self.blocking(move |store| store.approve_deletion(id, &approver, &token)).await?;
        for item in &items {
            self.publish(item).await?;
        }
        Ok((request, items))
    }

    /// Turns a deletion down.
    pub async fn cancel_deletion(&self, id: i64, canceller: User, token: String) -> Result<DeletionRequest> {
        self.blocking(move |store| store.cancel_deletion(id, &canceller, &token)).await
    }

    /// Deletes what the workers keep in Redis for an item.
    pub async fn forget_in_redis(&self, id: i64) -> Result<()> {
        let (address, database) =
            self.redis.ok_or_else(|| Error::other("this Registry was not told where Redis is"))?;
        queue::forget(address, database, id).await
    }

    /// Runs what blocks where it may.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| Err(Error::other(error.to_string())))
    }

    async fn enqueue(&self, item: WorkItem) -> Result<WorkItem> {
        self.publish(&item).await?;
        let queued = WorkItem { queued_at: Time::now(), ..item };
        self.blocking(move |store| store.save_item(queued)).await
    }

    async fn publish(&self, item: &WorkItem) -> Result<()> {
        let topic = topic_of(&item.action, &item.stage)?;
        let nsqd = self.nsqd.ok_or_else(|| {
            Error::other("Nsqd returned an error when queuing data: this Registry was not told where nsqd is")
        })?;
        queue::publish(nsqd, topic, item.id).await
    }
}

fn topic_of(action: &str, stage: &str) -> Result<&'static str> {
    topic(action, stage).ok_or_else(|| Error::other("item cannot be requeued to the specified stage"))
}
