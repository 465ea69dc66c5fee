//! When the message is due that will wake an item which waits between two attempts. NSQ cannot take a message back, so one item
//! can have several under way; by this, those that come too early are told from the one that counts.

use std::time::Duration;

use model::Topic;
use serde::{Deserialize, Serialize};

use crate::claim::{RedisTime, milliseconds};
use crate::documents::parse;
use crate::error::Error;
use crate::store::Store;

/// The field `wake:<topic>`.
#[derive(Debug, Serialize, Deserialize)]
struct Wake {
    /// By Redis's clock, in milliseconds since 1970: workers need no common clock.
    due: u64,
    /// From when it was said until then, in milliseconds.
    delay: u64,
}

impl Store {
    /// Notes that the item will be woken after this delay, or, with `None`, that it does not wait.
    pub async fn save_wake(&self, item: i64, topic: Topic, delay: Option<Duration>) -> Result<(), Error> {
        let Some(delay) = delay else { return self.delete(item, field(topic)).await };
        let mut time = redis::pipe();
        time.cmd("TIME");
        let (now,): (RedisTime,) = self.read(&time, || "ask for the time".to_owned()).await?;
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.save(item, field(topic), &Wake { due: milliseconds(now).saturating_add(delay), delay }).await
    }

    /// How long it is until the item is woken; zero if that time has come, if it was never said, or if Redis's clock was set back
    /// meanwhile.
    pub async fn wakes_in(&self, item: i64, topic: Topic) -> Result<Duration, Error> {
        let field = field(topic);
        let mut commands = redis::pipe();
        commands.hget(item, &field).cmd("TIME");
        let (bytes, now): (Option<Vec<u8>>, RedisTime) =
            self.read(&commands, || format!("read `{field}` of `{item}`")).await?;
        let wake: Option<Wake> = bytes.map(|bytes| parse(item, &field, &bytes)).transpose()?;
        let left = wake.map(|wake| (wake.due.saturating_sub(milliseconds(now)), wake.delay));
        Ok(Duration::from_millis(left.filter(|(left, delay)| left <= delay).map_or(0, |(left, _)| left)))
    }
}

fn field(topic: Topic) -> String {
    format!("wake:{topic}")
}
