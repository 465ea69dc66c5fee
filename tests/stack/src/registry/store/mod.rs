//! The Registry's records in SQLite: typed, with the rules of spec 05 on saving, listing, deleting and requesting.
//! It knows nothing of HTTP, and what has to be published is published by `actions`.
//!
//! Every call blocks for as long as the database takes. With a file there is one connection that writes and a few that
//! read beside it; in memory one does both.

mod alerts;
mod deletions;
mod error;
mod files;
mod fixity;
mod pattern;
mod prepare;
mod query;
pub(super) mod record;
mod records;
mod requests;
mod saving;
mod schema;
mod validation;
mod views;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use error::{Error, Result};
pub use fixity::FixitySummary;
pub use query::{Paging, Query};
pub use record::Record;
pub use records::{
    Alert, Checksum, DeletionRequest, GenericFile, Institution, IntellectualObject, Person, PremisEvent, StorageRecord,
    User, WorkItem,
};
pub use requests::Subject;
pub use views::{
    AlertView, ChecksumView, DeletionRequestView, GenericFileView, InstitutionView, IntellectualObjectView, Listed,
    PremisEventView, WorkItemView,
};

/// More would only wait for the same two or four processors.
const READERS: usize = 4;
/// Statements that a connection keeps prepared: what the workers ask for, with room for people's filters.
const STATEMENTS: usize = 128;

/// Days that must pass before a record of a storage option may be deleted (spec 05 §8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub standard: i64,
    pub glacier: i64,
    pub glacier_deep: i64,
    /// Wasabi in Oregon and Virginia.
    pub wasabi: i64,
}

impl Default for Retention {
    /// As shipped.
    fn default() -> Self {
        Self { standard: 0, glacier: 90, glacier_deep: 180, wasabi: 90 }
    }
}

impl Retention {
    fn days(self, storage_option: &str) -> i64 {
        match storage_option {
            "Standard" => self.standard,
            "Wasabi-OR" | "Wasabi-VA" => self.wasabi,
            deep if deep.starts_with("Glacier-Deep-") => self.glacier_deep,
            glacier if glacier.starts_with("Glacier-") => self.glacier,
            // Wasabi-TX, which the real server forgets.
            _ => 0,
        }
    }
}

/// The records. Copies share one database.
#[derive(Clone)]
pub struct Store(Arc<Connections>);

struct Connections {
    writer: Mutex<Connection>,
    readers: Vec<Mutex<Connection>>,
    next: AtomicUsize,
    revision: AtomicU64,
    retention: Retention,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<R> {
    /// All that match, whatever the page.
    pub count: i64,
    pub results: Vec<R>,
}

impl Store {
    /// Opens the database in a file, which is made if it is not there, or an empty one in memory.
    pub fn open(file: Option<&Path>, retention: Retention) -> Result<Self> {
        let writer = match file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        // A journal that is synchronised at checkpoints: a crash of the machine may cost the last moments, never order.
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")?;
        set_up(&writer)?;
        writer.execute_batch(schema::SCHEMA)?;
        let mut readers = Vec::new();
        if let Some(file) = file {
            for _ in 0..READERS {
                let reader = Connection::open(file)?;
                reader.execute_batch("PRAGMA query_only = ON;")?;
                set_up(&reader)?;
                readers.push(Mutex::new(reader));
            }
        }
        let (writer, next) = (Mutex::new(writer), AtomicUsize::new(0));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let revision = AtomicU64::new(u64::try_from(since.as_micros()).unwrap_or_default());
        Ok(Self(Arc::new(Connections { writer, readers, next, revision, retention })))
    }

    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// One page of a list.
    pub fn list<R: Listed>(&self, query: &Query) -> Result<Page<R>> {
        let (condition, values) = query.condition::<R>()?;
        let order = query.order::<R>()?;
        let Paging { per_page, offset, .. } = query.paging;
        let limit = format!(" LIMIT {} OFFSET {offset}", if per_page > 0 { per_page } else { -1 });
        // The page is found by ids first, so that what a view computes is computed for the page and not for the list.
        let page = if R::TABLE == "alerts_view" {
            format!("{condition}{order}{limit}")
        } else {
            format!(" WHERE id IN (SELECT id FROM {}{condition}{order}{limit}){order}", R::TABLE)
        };
        let db = self.read();
        let results = record::select(&db, &page, &values)?;
        // The limit keeps SQLite from merging the two queries, so that joins which the condition does not need are left out.
        let count = format!("SELECT count(*) FROM (SELECT id FROM {}{condition} LIMIT -1)", R::TABLE);
        let mut count = db.prepare_cached(&count)?;
        let count = count.query_row(rusqlite::params_from_iter(&values), |row| row.get(0))?;
        Ok(Page { count, results })
    }

    /// The record with this id.
    pub fn find<R: Record>(&self, id: i64) -> Result<Option<R>> {
        record::by_id(&self.read(), id)
    }

    /// The record with this identifier: of institutions, objects, files and events.
    pub fn find_by_identifier<R: Record>(&self, identifier: &str) -> Result<Option<R>> {
        record::find(&self.read(), "WHERE identifier = ?", &[text(identifier)])
    }

    pub fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        record::find(&self.read(), "WHERE email = ?", &[text(email)])
    }

    pub fn users(&self) -> Result<Vec<User>> {
        record::select(&self.read(), "ORDER BY id", &[])
    }

    /// Gives a user another of the roles in [`role`](super::vocabulary::role).
    pub fn set_role(&self, user: i64, role: &str) -> Result<()> {
        self.writer().execute("UPDATE users SET role = ?1 WHERE id = ?2", (role, user))?;
        Ok(())
    }

    /// Work items by stage and status: how many.
    pub fn item_counts(&self) -> Result<Vec<(String, String, i64)>> {
        let db = self.read();
        let mut statement = db.prepare_cached(
            "SELECT coalesce(stage, ''), coalesce(status, ''), count(*) FROM work_items GROUP BY 1, 2 ORDER BY 1, 2",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Makes a work item as old as if nobody had saved it for this long. Saving always sets its time to now.
    pub fn age_work_item(&self, id: i64, age: Duration) -> Result<()> {
        let updated = super::Time::new(time::OffsetDateTime::now_utc() - age).to_column();
        self.writer().execute("UPDATE work_items SET updated_at = ?1 WHERE id = ?2", (updated, id))?;
        Ok(())
    }

    /// Work items by action, stage and status: how many.
    pub fn item_counts_by_action(&self) -> Result<Vec<(String, String, String, i64)>> {
        let db = self.read();
        let mut statement = db.prepare_cached(
            "SELECT coalesce(action, ''), coalesce(stage, ''), coalesce(status, ''), count(*) FROM work_items \
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A number that is another one after each change, and in each process.
    pub fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Relaxed)
    }

    /// Lets the database grow no further, as a full disk does.
    pub fn refuse_growth(&self) -> Result<()> {
        let db = self.writer();
        let pages: u32 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        limit_pages(&db, pages)
    }

    /// Lets the database grow again.
    pub fn allow_growth(&self) -> Result<()> {
        limit_pages(&self.writer(), u32::MAX - 1)
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        let readers = &self.0.readers;
        if readers.is_empty() {
            return self.writer();
        }
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        let free = (0..readers.len()).find_map(|at| readers[(turn + at) % readers.len()].try_lock().ok());
        free.unwrap_or_else(|| readers[turn % readers.len()].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A panic while it was held has rolled back its transaction.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change as one transaction: all of it, or on an error nothing.
    pub(super) fn change<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.writer();
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = change(&transaction)?;
        transaction.commit()?;
        self.0.revision.fetch_add(1, Ordering::Relaxed);
        Ok(done)
    }
}

fn limit_pages(db: &Connection, pages: u32) -> Result<()> {
    Ok(db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
}

fn set_up(db: &Connection) -> Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    pattern::register(db)?;
    Ok(())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: i64) -> Value {
    Value::Integer(number)
}
