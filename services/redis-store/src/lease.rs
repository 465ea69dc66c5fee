//! Leases and locks: whoever holds one is the only one, for a time. They live in a database of their own, where Redis
//! itself ends them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::Error;
use crate::held::{Answer, Held, Loss, Renewable};
use crate::store::Store;
use crate::transaction::{Decision, transaction};

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseName<'a> {
    /// One item at a time works on this object, by its identifier (07 A.12).
    Object(&'a str),
    /// One reader at a time scans this receiving bucket (07 B.13).
    Bucket(&'a str),
    /// One run of this program at a time (07 H.52).
    Run(&'a str),
    /// This item was published again by a sweep, which happens once an hour at most (07 A.8).
    Swept(i64),
    /// The same for an item whose topic is never idle: once a day at most.
    SweptDaily(i64),
}

/// Who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A WorkItem, whichever worker has it: the lock goes from stage to stage with it. Only one worker must act for the
    /// item, which its claim ensures.
    Item(i64),
    /// Nobody else than who took it.
    Holder(Uuid),
}

/// What came of asking for a lease.
#[derive(Debug)]
#[must_use]
pub enum LeaseTaken {
    Ours(Held),
    Theirs { owner: Owner, host: String },
}

/// The value of the key.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    owner: Owner,
    host: String,
}

struct Lease {
    store: Store,
    key: String,
    owner: Owner,
    host: String,
    lifetime: Duration,
}

impl Owner {
    /// Nobody else.
    pub fn holder() -> Self {
        Self::Holder(Uuid::new_v4())
    }
}

impl fmt::Display for LeaseName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(identifier) => write!(f, "object:{identifier}"),
            Self::Bucket(bucket) => write!(f, "bucket:{bucket}"),
            Self::Run(program) => write!(f, "run:{program}"),
            Self::Swept(item) => write!(f, "swept:{item}"),
            Self::SweptDaily(item) => write!(f, "swept-daily:{item}"),
        }
    }
}

impl Store {
    /// Takes a lease, if nobody has it or the same owner has. It is renewed until it is released, dropped or lost.
    pub async fn take_lease(
        &self,
        name: LeaseName<'_>,
        owner: Owner,
        host: &str,
        lifetime: Duration,
    ) -> Result<LeaseTaken, Error> {
        let lease = Lease { store: self.clone(), key: name.to_string(), owner, host: host.to_owned(), lifetime };
        let since = Instant::now();
        let doing = || format!("take {lease}");
        let taken = lease.change(doing, |known| match known {
            Some(known) if known.owner != lease.owner => Decision::Leave(Some(known)),
            _ => Decision::Write(lease.write(), None),
        });
        Ok(match taken.await? {
            Some(Document { owner, host }) => LeaseTaken::Theirs { owner, host },
            None => LeaseTaken::Ours(Held::keep(Arc::new(lease), since, lifetime)),
        })
    }

    /// Releases a lease that this owner has, wherever it was taken; otherwise nothing happens.
    pub async fn release_lease(&self, name: LeaseName<'_>, owner: Owner) -> Result<(), Error> {
        let key = name.to_string();
        Lease { store: self.clone(), key, owner, host: String::new(), lifetime: Duration::ZERO }.release().await
    }
}

impl Lease {
    fn write(&self) -> redis::Pipeline {
        let document = Document { owner: self.owner.clone(), host: self.host.clone() };
        let json = serde_json::to_string(&document).expect("numbers and texts have a JSON form");
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut commands = redis::pipe();
        commands.cmd("SET").arg(&self.key).arg(json).arg("PX").arg(lifetime).ignore();
        commands
    }

    async fn change<T>(
        &self,
        doing: impl Fn() -> String,
        decide: impl Fn(Option<Document>) -> Decision<T>,
    ) -> Result<T, Error> {
        let connection = self.store.shared.leases.lock().await;
        let mut read = redis::pipe();
        read.get(&self.key);
        transaction(&connection, &self.key, doing, &read, |(bytes,): (Option<Vec<u8>>,)| {
            let document = bytes.map(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt {
                    key: self.key.clone(),
                    field: String::new(),
                    reason: error.to_string(),
                })
            });
            Ok(decide(document.transpose()?))
        })
        .await
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the lease `{}`", self.key)
    }
}

impl Renewable for Lease {
    fn renew(&self) -> Answer<'_, Result<(), Loss>> {
        let doing = move || format!("renew {self}");
        Box::pin(self.change(doing, |known| match known {
            None => Decision::Leave(Err(Loss::Gone)),
            Some(known) if known.owner != self.owner => Decision::Leave(Err(Loss::Taken)),
            Some(_) => Decision::Write(self.write(), Ok(())),
        }))
    }

    fn release(&self) -> Answer<'_, ()> {
        let doing = move || format!("release {self}");
        Box::pin(self.change(doing, |known| match known {
            Some(known) if known.owner == self.owner => {
                let mut commands = redis::pipe();
                commands.del(&self.key).ignore();
                Decision::Write(commands, ())
            }
            _ => Decision::Leave(()),
        }))
    }
}
