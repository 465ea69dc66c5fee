//! What can go wrong with Redis, as callers tell it apart.

use redis::RedisError;

use crate::verdict::Verdict;

/// Redis did not do what was asked. That something is not there is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, no answer in time, or a server that is loading, full or read-only. It may pass. So may a password
    /// that is refused: the crate says that too when there are too many clients.
    #[error("Redis is unavailable; could not {doing}")]
    Unavailable {
        doing: String,
        #[source]
        source: RedisError,
    },
    /// The server understood and refused, or the settings are wrong: no password, no such database, a key of another
    /// type.
    #[error("Redis refused to {doing}")]
    Refused {
        doing: String,
        #[source]
        source: RedisError,
    },
    /// There is something, but no document of ours.
    #[error("in Redis, the field `{field}` of `{key}` holds no document of ours: {reason}")]
    Corrupt { key: String, field: String, reason: String },
    /// Its field cannot be named, or it has no JSON form.
    #[error("`{field}` cannot be saved in `{key}` of Redis: {reason}")]
    Unsavable { key: String, field: String, reason: String },
    /// Others changed the key again and again between our reading and our writing.
    #[error("`{key}` in Redis changes too fast; could not {doing}")]
    Contended { key: String, doing: String },
}

impl Error {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contended { .. })
    }

    pub(crate) fn from_redis(doing: String, source: RedisError) -> Self {
        match Verdict::of(&source) {
            Verdict::Broken | Verdict::Unfit | Verdict::Busy => Self::Unavailable { doing, source },
            Verdict::Refused => Self::Refused { doing, source },
        }
    }
}
