//! Claims: which worker has an item in work at a topic (07 A.2). A claim is a field of the item's hash, so it goes when
//! the hash goes, and it dies when it was not renewed for its time.
//!
//! Each change is WATCH, read, decide, MULTI, write, EXEC on a connection of its own: atomic without a script. The time
//! is Redis's own, so workers need no common clock. If that clock is set forward, claims die early and somebody else may
//! take them: the holder then learns it from its next renewal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use failing::chain;
use model::Topic;
use redis::Pipeline;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::documents::parse;
use crate::error::Error;
use crate::held::{Answer, Held, Loss, Renewable};
use crate::store::Store;
use crate::transaction::{Decision, transaction};

/// What came of asking for a claim.
#[derive(Debug)]
#[must_use]
pub enum ClaimTaken {
    Ours(Held),
    /// Somebody is at work.
    Theirs(Claimant),
}

/// Who has, or had, an item in work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    pub host: String,
    /// How long ago it was last renewed, by Redis's clock.
    pub age: Duration,
    /// After this age it is dead.
    pub lifetime: Duration,
}

/// A claim that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub item: i64,
    pub topic: Topic,
    pub claimant: Claimant,
}

/// All claims on all items, batch by batch; see [`Store::claims`].
#[derive(Debug)]
pub struct ClaimScan {
    store: Store,
    cursor: Option<u64>,
}

/// The value of the field.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    /// Who it is: a host name and a process number come again in the next container, this does not.
    token: Uuid,
    host: String,
    /// Redis's time of the last renewal, in milliseconds since 1970.
    heartbeat: u64,
    /// In milliseconds. Whoever judges the claim goes by its holder's setting.
    lifetime: u64,
}

struct Claim {
    store: Store,
    item: i64,
    topic: Topic,
    token: Uuid,
    host: String,
    lifetime: Duration,
}

/// The answer to TIME: seconds and microseconds.
pub(crate) type RedisTime = (u64, u64);

/// The answer to SCAN: the next cursor, and keys.
type Keys = (u64, Vec<Vec<u8>>);

/// Keys of one step of a walk.
const KEYS: usize = 100;

impl Store {
    /// Takes the claim on an item for a topic, if nobody has it or its holder is dead. It is renewed until it is
    /// released, dropped or lost.
    ///
    /// After an error it may have been taken all the same, if the answer of Redis was lost; it then dies after its
    /// lifetime.
    pub async fn take_claim(
        &self,
        item: i64,
        topic: Topic,
        host: &str,
        lifetime: Duration,
    ) -> Result<ClaimTaken, Error> {
        let claim = Claim { store: self.clone(), item, topic, token: Uuid::new_v4(), host: host.to_owned(), lifetime };
        let since = Instant::now();
        let doing = || format!("take {claim}");
        let taken = claim.change(doing, |known, now| match known {
            // Our own token: the answer to our first try was lost.
            Some(known) if known.token != claim.token && !known.is_dead(now) => {
                Decision::Leave(Some(known.claimant(now)))
            }
            _ => Decision::Write(claim.write(now), None),
        });
        Ok(match taken.await? {
            Some(claimant) => ClaimTaken::Theirs(claimant),
            None => ClaimTaken::Ours(Held::keep(Arc::new(claim), since, lifetime)),
        })
    }

    /// Who has or had the item in work at this topic.
    pub async fn claimant(&self, item: i64, topic: Topic) -> Result<Option<Claimant>, Error> {
        let field = field(topic);
        let mut commands = redis::pipe();
        commands.hget(item, &field).cmd("TIME");
        let (bytes, time): (Option<Vec<u8>>, RedisTime) =
            self.read(&commands, || format!("read `{field}` of `{item}`")).await?;
        let document: Option<Document> = bytes.map(|bytes| parse(item, &field, &bytes)).transpose()?;
        Ok(document.map(|document| document.claimant(milliseconds(time))))
    }

    /// Walks through the claims of all items, dead ones too. As with [`FileScan`](crate::FileScan), one may come twice.
    pub fn claims(&self) -> ClaimScan {
        ClaimScan { store: self.clone(), cursor: Some(0) }
    }
}

impl Claimant {
    pub fn is_dead(&self) -> bool {
        self.age >= self.lifetime
    }
}

impl ClaimScan {
    /// The claims of the next hundred items or so, perhaps none; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Claimed>>, Error> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut commands = redis::pipe();
        commands.cmd("SCAN").arg(cursor).arg("COUNT").arg(KEYS).cmd("TIME");
        let ((next, keys), time): (Keys, RedisTime) =
            self.store.read(&commands, || "walk through the items".to_owned()).await?;
        let items: Vec<i64> = keys.iter().filter_map(|key| str::from_utf8(key).ok()?.parse().ok()).collect();
        let mut claims = Vec::new();
        for items in items.chunks(KEYS) {
            claims.extend(self.of_items(items.to_vec(), milliseconds(time)).await?);
        }
        self.cursor = if next == 0 { None } else { Some(next) };
        Ok(Some(claims))
    }

    /// Asks for the field of each topic by its name: walking through a hash would take as long as it has files.
    async fn of_items(&self, mut items: Vec<i64>, now: u64) -> Result<Vec<Claimed>, Error> {
        let fields: Vec<String> = Topic::ALL.into_iter().map(field).collect();
        let found: Vec<Vec<Option<Vec<u8>>>> = loop {
            let mut commands = Pipeline::with_capacity(items.len());
            for item in &items {
                commands.cmd("HMGET").arg(item).arg(&fields);
            }
            match self.store.read(&commands, || "read the claims of some items".to_owned()).await {
                Ok(found) => break found,
                Err(error) => {
                    let strange = not_hashes(&error);
                    if strange.is_empty() {
                        return Err(error);
                    }
                    // One key that is none of ours must not hide all others'.
                    for place in strange.into_iter().rev() {
                        let key = items.remove(place);
                        tracing::warn!(key, "the key `{key}` of the items' database is no hash, and is skipped");
                    }
                }
            }
        };
        let mut claims = Vec::new();
        for (item, values) in items.into_iter().zip(found) {
            for ((topic, field), value) in Topic::ALL.into_iter().zip(&fields).zip(values) {
                let Some(value) = value else { continue };
                match parse::<Document>(item, field, &value) {
                    Ok(document) => {
                        claims.push(Claimed { item, topic, claimant: document.claimant(now) });
                    }
                    // One item's must not hide all others'.
                    Err(error) => tracing::error!(error = %chain(&error), "a claim cannot be read"),
                }
            }
        }
        Ok(claims)
    }
}

impl Document {
    fn claimant(self, now: u64) -> Claimant {
        Claimant {
            host: self.host,
            age: Duration::from_millis(now.saturating_sub(self.heartbeat)),
            lifetime: Duration::from_millis(self.lifetime),
        }
    }

    fn is_dead(&self, now: u64) -> bool {
        now.saturating_sub(self.heartbeat) >= self.lifetime
    }
}

impl Claim {
    fn write(&self, now: u64) -> Pipeline {
        let document = Document {
            token: self.token,
            host: self.host.clone(),
            heartbeat: now,
            lifetime: u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX),
        };
        let json = serde_json::to_string(&document).expect("numbers and texts have a JSON form");
        let mut commands = redis::pipe();
        commands.hset(self.item, field(self.topic), json).ignore();
        commands
    }

    /// Reads the field and Redis's time, and does what is decided by them, all at one moment.
    async fn change<T>(
        &self,
        doing: impl Fn() -> String,
        decide: impl Fn(Option<Document>, u64) -> Decision<T>,
    ) -> Result<T, Error> {
        let field = field(self.topic);
        let shared = &self.store.shared;
        let _writing = shared.writing.write().await;
        let connection = shared.claims.lock().await;
        let mut read = redis::pipe();
        read.hget(self.item, &field).cmd("TIME");
        let key = self.item.to_string();
        transaction(&connection, &key, doing, &read, |(bytes, time): (Option<Vec<u8>>, RedisTime)| {
            let document = bytes.map(|bytes| parse(self.item, &field, &bytes)).transpose()?;
            Ok(decide(document, milliseconds(time)))
        })
        .await
    }
}

impl Renewable for Claim {
    fn renew(&self) -> Answer<'_, Result<(), Loss>> {
        let doing = move || format!("renew {self}");
        Box::pin(self.change(doing, |known, now| match known {
            // A hash that was deleted is not brought back (07 A.10).
            None => Decision::Leave(Err(Loss::Gone)),
            Some(known) if known.token != self.token => Decision::Leave(Err(Loss::Taken)),
            Some(_) => Decision::Write(self.write(now), Ok(())),
        }))
    }

    fn release(&self) -> Answer<'_, ()> {
        let doing = move || format!("release {self}");
        Box::pin(self.change(doing, |known, _now| match known {
            Some(known) if known.token == self.token => {
                let mut commands = redis::pipe();
                commands.hdel(self.item, field(self.topic)).ignore();
                Decision::Write(commands, ())
            }
            _ => Decision::Leave(()),
        }))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the claim on `{}` for {}", self.item, self.topic)
    }
}

fn field(topic: Topic) -> String {
    format!("claim:{topic}")
}

/// The places of the commands that met a key of another type.
fn not_hashes(error: &Error) -> Vec<usize> {
    let Error::Refused { source, .. } = error else { return Vec::new() };
    let answers = source.clone().into_server_errors();
    let answers = answers.iter().flat_map(|answers| answers.iter());
    answers.filter(|(_, answer)| answer.code() == "WRONGTYPE").map(|(place, _)| *place).collect()
}

/// Since 1970.
pub(crate) fn milliseconds((seconds, microseconds): RedisTime) -> u64 {
    seconds.saturating_mul(1000).saturating_add(microseconds / 1000)
}
