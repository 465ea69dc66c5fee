//! The endpoints. How a request travels is `transport.rs`; lists are in `pages.rs`.

use std::fmt;

use model::{
    Checksum, FailedFixitySummary, GenericFile, Institution, IntellectualObject, Page, PremisEvent, StorageRecord,
    WorkItem,
};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::transport::{Effect, Transport};
use crate::{Error, Key, Kind, Limits};

/// Which half of the API is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Api {
    /// What the services use. The user must be an administrator of APTrust.
    #[default]
    Admin,
    /// Reading only, and only one's own institution.
    Member,
}

/// Where the Registry is, and who asks.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Its address, as `https://repo.aptrust.org`. Everything is sent to its origin and nowhere else.
    pub url: &'a str,
    /// `v3`
    pub version: &'a str,
    /// An email address.
    pub user: &'a str,
    /// The user's API key. It is never printed.
    pub key: &'a str,
    pub api: Api,
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, version, user, key: _, api } = self;
        write!(out, "Settings {{ url: {url:?}, version: {version:?}, user: {user:?}, key: <secret>, api: {api:?} }}")
    }
}

/// A client cannot be made of these settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub(crate) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

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

    /// A checksum, by its id.
    pub async fn checksum(&self, id: i64) -> Result<Checksum, Error> {
        self.show("checksums", Key::Id(id)).await
    }

    /// An event, by its UUID or id.
    pub async fn event(&self, key: impl Into<Key<'_>>) -> Result<PremisEvent, Error> {
        self.show("events", key.into()).await
    }

    /// A WorkItem, with the identifiers of what it is about.
    pub async fn work_item(&self, id: i64) -> Result<WorkItem, Error> {
        self.show("items", Key::Id(id)).await
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
        self.create("events/create", event.id, event).await
    }

    /// Adds a checksum to a file.
    pub async fn create_checksum(&self, institution: i64, checksum: &Checksum) -> Result<Checksum, Error> {
        self.create(&format!("checksums/create/{institution}"), checksum.id, checksum).await
    }

    /// Adds a copy to a file.
    pub async fn create_storage_record(
        &self,
        institution: i64,
        record: &StorageRecord,
    ) -> Result<StorageRecord, Error> {
        self.create(&format!("storage_records/create/{institution}"), record.id, record).await
    }

    /// Marks an object as deleted, once all its files are.
    pub async fn delete_object(&self, id: i64) -> Result<(), Error> {
        self.transport.ignoring(&Method::DELETE, &self.transport.url(&format!("objects/delete/{id}"))).await
    }

    /// Marks a file as deleted and forgets its copies.
    pub async fn delete_file(&self, id: i64) -> Result<(), Error> {
        self.transport.ignoring(&Method::DELETE, &self.transport.url(&format!("files/delete/{id}"))).await
    }

    /// Tells institutions of failed fixity checks, at most once a day: a second time is rejected with 409.
    pub async fn generate_failed_fixity_alerts(&self) -> Result<Vec<FailedFixitySummary>, Error> {
        let url = self.transport.url("alerts/generate_failed_fixity_alerts");
        let summaries: Option<Vec<FailedFixitySummary>> =
            self.transport.json(&Method::POST, &url, None, Effect::Once).await?;
        Ok(summaries.unwrap_or_default())
    }

    /// Makes the item that deletes a file, without anybody's consent. Only a Registry made for tests does that.
    pub async fn prepare_file_delete(&self, id: i64) -> Result<WorkItem, Error> {
        self.record(&Method::POST, &format!("prepare_file_delete/{id}"), None, Effect::Once).await
    }

    /// Makes the item that deletes an object, without anybody's consent. Only a Registry made for tests does that.
    pub async fn prepare_object_delete(&self, id: i64) -> Result<WorkItem, Error> {
        self.record(&Method::POST, &format!("prepare_object_delete/{id}"), None, Effect::Once).await
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

    async fn create<T: Record>(&self, path: &str, id: i64, record: &T) -> Result<T, Error> {
        if id != 0 {
            let cause = format!("it has id {id}, and the Registry does not change such a record");
            return Err(Error::new(&Method::POST, self.transport.url(path), Kind::NotSent { cause }));
        }
        let body = to_json(record, &self.transport.url(path))?;
        self.record(&Method::POST, path, Some(&body), Effect::Once).await
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

trait Record: Serialize + DeserializeOwned {
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
records!(Institution, IntellectualObject, GenericFile, Checksum, PremisEvent, StorageRecord, WorkItem);

fn to_json<T: Serialize + ?Sized>(record: &T, url: &str) -> Result<String, Error> {
    model::to_json(record).map_err(|error| Error::new(&Method::POST, url, Kind::NotSent { cause: error.to_string() }))
}
