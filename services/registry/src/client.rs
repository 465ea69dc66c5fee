//! The endpoints. How a request travels is `transport.rs`; lists are in `pages.rs`; what is created although answers get
//! lost, `once.rs`.

use std::time::Duration;

use model::{DeletionRequest, GenericFile, Institution, IntellectualObject, Page, PremisEvent, WorkItem};
use reqwest::Method;
use serde::Serialize;

use crate::error::{Error, Kind};
use crate::query::Key;
use crate::record::Record;
use crate::settings::{Settings, SettingsError};
use crate::transport::{Effect, Limits, Transport};

/// A client of one Registry. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) transport: Transport,
}

impl Client {
    /// Opens no connection.
    pub fn new(settings: Settings<'_>, limits: Limits) -> Result<Self, SettingsError> {
        Ok(Self { transport: Transport::new(settings, limits)? })
    }

    /// For how long the Registry has not been reached, or has not been at work: from the first failure to the latest. `None`
    /// when it last answered, and before it was asked. It does not grow while nothing is asked.
    pub fn failing_for(&self) -> Option<Duration> {
        self.transport.failing_for()
    }

    /// An institution, by its domain or id.
    pub async fn institution(&self, key: impl Into<Key<'_>>) -> Result<Institution, Error> {
        self.show("institutions", key.into()).await
    }

    /// An object, deleted or not.
    pub async fn object(&self, key: impl Into<Key<'_>>) -> Result<IntellectualObject, Error> {
        self.show("objects", key.into()).await
    }

    /// A file, deleted or not, with its checksums, events and copies.
    pub async fn file(&self, key: impl Into<Key<'_>>) -> Result<GenericFile, Error> {
        self.show("files", key.into()).await
    }

    /// An event, by its UUID or id.
    pub async fn event(&self, key: impl Into<Key<'_>>) -> Result<PremisEvent, Error> {
        self.show("events", key.into()).await
    }

    /// A WorkItem, with the identifiers of what it is about.
    pub async fn work_item(&self, id: i64) -> Result<WorkItem, Error> {
        self.show("items", Key::Id(id)).await
    }

    /// Who asked for a deletion, and who agreed.
    pub async fn deletion_request(&self, id: i64) -> Result<DeletionRequest, Error> {
        self.show("deletions", Key::Id(id)).await
    }

    /// Creates an object, if it has no id, or updates it. The answer lacks what only show and list have.
    pub async fn save_object(&self, object: &IntellectualObject) -> Result<IntellectualObject, Error> {
        self.save("objects", object.id, object.institution_id, Effect::Repeatable, object).await
    }

    /// Creates a WorkItem, if it has no id, or replaces it. The answer lacks the identifiers, so keep the item that was
    /// read.
    pub async fn save_work_item(&self, item: &WorkItem) -> Result<WorkItem, Error> {
        self.save("items", item.id, item.institution_id, Effect::Repeatable, item).await
    }

    /// Creates a file, if it has no id, or updates it. Records inside it that have no id are added, each time it is sent.
    pub async fn save_file(&self, file: &GenericFile) -> Result<GenericFile, Error> {
        self.save("files", file.id, file.institution_id, Effect::Once, file).await
    }

    /// Creates files of one institution with all that is in them, in one transaction: all or none. They come back in the
    /// same order, with their ids.
    pub async fn create_files(&self, institution: i64, files: &[GenericFile]) -> Result<Vec<GenericFile>, Error> {
        let url = self.transport.url(&format!("files/create_batch/{institution}"));
        let refused = |cause: String| Err(Error::new(&Method::POST, &url, Kind::NotSent { cause }));
        if files.is_empty() {
            return refused("there are no files in this batch".into());
        }
        if let Some(file) = files.iter().find(|file| file.id != 0) {
            return refused(format!("file {} has id {} and cannot be created", file.identifier, file.id));
        }
        let page: Page<GenericFile> =
            self.transport.json(&Method::POST, &url, Some(&to_json(files, &url)?), Effect::Once).await?;
        if page.results.len() != files.len() || page.results.iter().any(|file| file.id == 0) {
            let cause = format!("{} files were sent, and {} are in the answer", files.len(), page.results.len());
            return Err(Error::new(&Method::POST, &url, Kind::BadAnswer { cause }));
        }
        Ok(page.results.into_iter().collect())
    }

    /// Records an event. One that has an id is there already and cannot be changed.
    pub async fn create_event(&self, event: &PremisEvent) -> Result<PremisEvent, Error> {
        let path = "events/create";
        if event.id != 0 {
            let cause = format!("it has id {}, and the Registry does not change such a record", event.id);
            return Err(Error::new(&Method::POST, self.transport.url(path), Kind::NotSent { cause }));
        }
        let body = to_json(event, &self.transport.url(path))?;
        self.record(&Method::POST, path, Some(&body), Effect::Once).await
    }

    /// Marks an object as deleted, once all its files are.
    pub async fn delete_object(&self, id: i64) -> Result<(), Error> {
        self.transport.ignoring(&Method::DELETE, &self.transport.url(&format!("objects/delete/{id}"))).await
    }

    /// Marks a file as deleted and forgets its copies.
    pub async fn delete_file(&self, id: i64) -> Result<(), Error> {
        self.transport.ignoring(&Method::DELETE, &self.transport.url(&format!("files/delete/{id}"))).await
    }

    async fn show<T: Record>(&self, path: &str, key: Key<'_>) -> Result<T, Error> {
        self.record(&Method::GET, &format!("{path}/show/{key}"), None, Effect::Repeatable).await
    }

    async fn save<T: Record>(
        &self,
        path: &str,
        id: i64,
        institution: i64,
        update: Effect,
        record: &T,
    ) -> Result<T, Error> {
        let (method, path, effect) = if id == 0 {
            (Method::POST, format!("{path}/create/{institution}"), Effect::Once)
        } else {
            (Method::PUT, format!("{path}/update/{id}"), update)
        };
        let body = to_json(record, &self.transport.url(&path))?;
        self.record(&method, &path, Some(&body), effect).await
    }

    /// An answer that is a record. One without an id is something else that happens to be JSON.
    async fn record<T: Record>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
        effect: Effect,
    ) -> Result<T, Error> {
        let url = self.transport.url(path);
        let record: T = self.transport.json(method, &url, body, effect).await?;
        if record.id() == 0 {
            let cause = "the answer is no record: it has no id".to_owned();
            return Err(Error::new(method, url, Kind::BadAnswer { cause }));
        }
        Ok(record)
    }
}

fn to_json<T: Serialize + ?Sized>(record: &T, url: &str) -> Result<String, Error> {
    model::to_json(record).map_err(|error| Error::new(&Method::POST, url, Kind::NotSent { cause: error.to_string() }))
}
