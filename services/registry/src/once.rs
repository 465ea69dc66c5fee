//! Creating what must be there once, although an answer can be lost (07 C.20): after a failure that leaves open what stands,
//! it is looked up before it is sent again. The database keeps two of one name apart, so that a request which is carried out
//! late is found out too.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use model::{GenericFile, IntellectualObject, PremisEvent};

use crate::client::Client;
use crate::error::Error;

/// A record that stands in the Registry, after it was to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing<T> {
    /// By this call, or by an earlier one whose answer was lost.
    Ours(T),
    /// Under the same identifier, but made of something else. Nothing was written.
    Theirs(T),
}

/// How many files are looked up side by side.
const LOOKUPS: usize = 16;

impl<T> Standing<T> {
    pub fn record(&self) -> &T {
        match self {
            Self::Ours(record) | Self::Theirs(record) => record,
        }
    }

    pub fn into_record(self) -> T {
        match self {
            Self::Ours(record) | Self::Theirs(record) => record,
        }
    }

    fn judged(record: T, is_ours: impl FnOnce(&T) -> bool) -> Self {
        if is_ours(&record) { Self::Ours(record) } else { Self::Theirs(record) }
    }
}

impl Client {
    /// Records an event once, and returns what stands. Its UUID is ours, so that what has it is ours as well.
    pub async fn create_event_once(&self, event: &PremisEvent) -> Result<PremisEvent, Error> {
        let find = || self.event(&event.identifier).boxed();
        Ok(self.once(|| self.create_event(event).boxed(), find).await?.0)
    }

    /// Creates an object once. One that stands is ours if it is of the same institution, bag (by its ETag) and state.
    pub async fn create_object_once(&self, object: &IntellectualObject) -> Result<Standing<IntellectualObject>, Error> {
        let find = || self.object(&object.identifier).boxed();
        let (standing, found) = self.once(|| self.save_object(object).boxed(), find).await?;
        Ok(Standing::judged(standing, |standing| {
            let key = |object: &IntellectualObject| (object.institution_id, object.etag.clone(), object.state.clone());
            found == Found::Made || key(standing) == key(object)
        }))
    }

    /// Creates files of one institution once, as [`Client::create_files`] does, and says in the same order what stands. A
    /// file is ours if it has our UUID or one of our events. Those that stood before are left as they are, and the others
    /// are created. After an error nothing is known; the same call may be made again.
    pub async fn create_files_once(
        &self,
        institution: i64,
        files: &[GenericFile],
    ) -> Result<Vec<Standing<GenericFile>>, Error> {
        let mut standing: Vec<Option<Standing<GenericFile>>> = vec![None; files.len()];
        let mut batch = files.to_vec();
        let mut tried = 1;
        loop {
            let error = match self.create_files(institution, &batch).await {
                Ok(created) => {
                    let mut created = created.into_iter().map(Standing::Ours);
                    return Ok(standing.into_iter().filter_map(|known| known.or_else(|| created.next())).collect());
                }
                Err(error) if error.leaves_open_what_stands() => error,
                Err(error) => return Err(error),
            };
            let found = match self.find_files(&batch).await {
                Ok(found) => found,
                Err(unknown) => return Err(unanswered(error, &unknown)),
            };
            let before = batch.len();
            let mut found = found.into_iter();
            for known in standing.iter_mut().filter(|known| known.is_none()) {
                *known = found.next().flatten();
            }
            batch = files
                .iter()
                .zip(&standing)
                .filter(|(_, known)| known.is_none())
                .map(|(file, _)| file.clone())
                .collect();
            if batch.is_empty() {
                return Ok(standing.into_iter().flatten().collect());
            }
            // Fewer are left each time, or it is one try more.
            if batch.len() == before {
                self.again(tried, error).await?;
                tried += 1;
            }
        }
    }

    /// What stands of these files, in their order.
    async fn find_files(&self, files: &[GenericFile]) -> Result<Vec<Option<Standing<GenericFile>>>, Error> {
        // Collected: a closure in the stream would keep the future from being sent to another thread.
        let lookups: Vec<_> = files.iter().map(|file| self.find_file(file).boxed()).collect();
        stream::iter(lookups).buffered(LOOKUPS).try_collect().await
    }

    async fn find_file(&self, file: &GenericFile) -> Result<Option<Standing<GenericFile>>, Error> {
        match self.file(&file.identifier).await {
            Ok(known) => Ok(Some(Standing::judged(known, |known| is_same(known, file)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates one record, or finds it. The futures are boxed: those of closures could not be sent to another thread.
    async fn once<'f, T>(
        &self,
        create: impl Fn() -> BoxFuture<'f, Result<T, Error>>,
        find: impl Fn() -> BoxFuture<'f, Result<T, Error>>,
    ) -> Result<(T, Found), Error> {
        let mut tried = 1;
        loop {
            let error = match create().await {
                Ok(record) => return Ok((record, Found::Made)),
                Err(error) if error.leaves_open_what_stands() => error,
                Err(error) => return Err(error),
            };
            match find().await {
                Ok(record) => return Ok((record, Found::Standing)),
                Err(absent) if absent.is_not_found() => self.again(tried, error).await?,
                Err(unknown) => return Err(unanswered(error, &unknown)),
            }
            tried += 1;
        }
    }

    /// Waits before it is sent again, where that may help.
    async fn again(&self, tried: u32, error: Error) -> Result<(), Error> {
        if error.is_worth_repeating() { self.transport.pause(tried, error).await } else { Err(error) }
    }
}

/// How a record came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Made,
    Standing,
}

/// By 07 C.20.
fn is_same(known: &GenericFile, ours: &GenericFile) -> bool {
    let has = |event: &PremisEvent| known.premis_events.iter().any(|known| known.identifier == event.identifier);
    known.uuid == ours.uuid || ours.premis_events.iter().any(has)
}

/// The failure that matters; the other one is told where it can be read.
fn unanswered(error: Error, unknown: &Error) -> Error {
    tracing::warn!("what stands after a failed request could not be looked up: {unknown}");
    error
}
