//! Documents in an item's hash: read, save, delete. What they mean is their users' business.

use model::{IngestFile, IngestObject, Topic, WorkResult, to_json};
use redis::{ErrorKind, Pipeline};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::store::Store;

const OBJECT: &str = "object:";
const FILE: &str = "file:";
const WORK_RESULT: &str = "workresult:";

/// What one command carries of many files, in bytes and in fields: Redis does nothing else meanwhile.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_FIELDS: usize = 500;

impl Store {
    /// The bag of this item.
    pub async fn object(&self, item: i64, identifier: &str) -> Result<Option<IngestObject>, Error> {
        self.document(item, format!("{OBJECT}{identifier}")).await
    }

    pub async fn save_object(&self, item: i64, object: &IngestObject) -> Result<(), Error> {
        self.save(item, format!("{OBJECT}{}", object.identifier()), object).await
    }

    /// A file of this item, by its whole identifier.
    pub async fn file(&self, item: i64, identifier: &str) -> Result<Option<IngestFile>, Error> {
        Ok(self.files_by_identifier(item, &[identifier]).await?.pop().flatten())
    }

    /// Files of this item by their whole identifiers, in this order; `None` for one that is not there.
    pub async fn files_by_identifier(
        &self,
        item: i64,
        identifiers: &[impl AsRef<str>],
    ) -> Result<Vec<Option<IngestFile>>, Error> {
        let mut files = Vec::with_capacity(identifiers.len());
        for identifiers in identifiers.chunks(BATCH_FIELDS) {
            let fields: Vec<String> = identifiers.iter().map(|one| format!("{FILE}{}", one.as_ref())).collect();
            let doing = || format!("read {} of `{item}`", several(&fields[0], fields.len()));
            let mut commands = Pipeline::with_capacity(1);
            commands.cmd("HMGET").arg(item).arg(&fields);
            let (values,): (Vec<Option<Vec<u8>>>,) = self.read(&commands, doing).await?;
            if values.len() != fields.len() {
                // What is missing in an answer is not absent.
                let strange = (ErrorKind::Parse, "it answered for another number of fields");
                return Err(Error::from_redis(doing(), strange.into()));
            }
            for (field, value) in fields.iter().zip(values) {
                files.push(value.map(|json| parse_file(item, field.as_bytes(), &json)).transpose()?);
            }
        }
        Ok(files)
    }

    pub async fn save_file(&self, item: i64, file: &IngestFile) -> Result<(), Error> {
        self.save(item, format!("{FILE}{}", file.identifier()), file).await
    }

    /// Saves many files in few commands. Not all or nothing: after an error, some may be saved.
    pub async fn save_files<'a>(
        &self,
        item: i64,
        files: impl IntoIterator<Item = &'a IngestFile>,
    ) -> Result<(), Error> {
        let mut batch = Batch::new(item);
        for file in files {
            batch.add(format!("{FILE}{}", file.identifier()), file)?;
            if batch.is_full() {
                batch.send(self).await?;
                batch = Batch::new(item);
            }
        }
        batch.send(self).await
    }

    /// What the worker of this topic last made of the item.
    pub async fn work_result(&self, item: i64, topic: Topic) -> Result<Option<WorkResult>, Error> {
        self.document(item, format!("{WORK_RESULT}{}", topic.as_str())).await
    }

    /// Saves it under its operation, which is the topic.
    pub async fn save_work_result(&self, item: i64, result: &WorkResult) -> Result<(), Error> {
        self.save(item, format!("{WORK_RESULT}{}", result.operation), result).await
    }

    /// Deletes all that is known of the item, and says whether there was anything. Redis frees the memory in the
    /// background, however many files there were.
    pub async fn delete_item(&self, item: i64) -> Result<bool, Error> {
        let mut commands = redis::pipe();
        commands.cmd("UNLINK").arg(item);
        let (count,): (u64,) = self.write(&commands, || format!("delete `{item}`")).await?;
        Ok(count > 0)
    }

    pub(crate) async fn document<T: DeserializeOwned>(&self, item: i64, field: String) -> Result<Option<T>, Error> {
        let mut commands = redis::pipe();
        commands.hget(item, &field);
        let (bytes,): (Option<Vec<u8>>,) = self.read(&commands, || format!("read `{field}` of `{item}`")).await?;
        bytes.map(|bytes| parse(item, &field, &bytes)).transpose()
    }

    pub(crate) async fn save<T: Serialize>(&self, item: i64, field: String, document: &T) -> Result<(), Error> {
        let mut batch = Batch::new(item);
        batch.add(field, document)?;
        batch.send(self).await
    }

    pub(crate) async fn delete(&self, item: i64, field: String) -> Result<(), Error> {
        let mut commands = redis::pipe();
        commands.hdel(item, &field).ignore();
        self.write(&commands, || format!("delete `{field}` of `{item}`")).await
    }
}

/// A document, or what is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(item: i64, field: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Corrupt {
        key: item.to_string(),
        field: field.to_owned(),
        reason: error.to_string(),
    })
}

/// The document of a file, which must be of the file that its field names.
pub(crate) fn parse_file(item: i64, field: &[u8], json: &[u8]) -> Result<IngestFile, Error> {
    let name = String::from_utf8_lossy(field);
    let file: IngestFile = parse(item, &name, json)?;
    // Saved, it would become a second record. Go makes this of names that are not UTF-8 (01 §5.2).
    if field.strip_prefix(FILE.as_bytes()) != Some(file.identifier().as_bytes()) {
        let reason = format!("it is of the file `{}`", file.identifier());
        return Err(Error::Corrupt { key: item.to_string(), field: name.into_owned(), reason });
    }
    Ok(file)
}

pub(crate) fn several(first: &str, count: usize) -> String {
    if count == 1 { format!("`{first}`") } else { format!("`{first}` and {} more", count - 1) }
}

/// Fields that are saved together.
pub(crate) struct Batch {
    item: i64,
    fields: Vec<(String, String)>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn new(item: i64) -> Self {
        Self { item, fields: Vec::new(), bytes: 0 }
    }

    pub(crate) fn add<T: Serialize>(&mut self, field: String, document: &T) -> Result<(), Error> {
        let json = match to_json(document) {
            Ok(json) => json,
            Err(error) => {
                return Err(Error::Unsavable { key: self.item.to_string(), field, reason: error.to_string() });
            }
        };
        self.bytes += field.len() + json.len();
        self.fields.push((field, json));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.fields.len() >= BATCH_FIELDS
    }

    pub(crate) async fn send(self, store: &Store) -> Result<(), Error> {
        let Some((first, _)) = self.fields.first() else { return Ok(()) };
        let doing = || format!("save {} in `{}`", several(first, self.fields.len()), self.item);
        let mut commands = Pipeline::with_capacity(1);
        commands.hset_multiple(self.item, &self.fields).ignore();
        store.write(&commands, doing).await
    }
}
