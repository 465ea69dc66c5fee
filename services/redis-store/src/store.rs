//! The store itself: its settings and connections, and how requests are sent. What is asked is in `documents.rs`,
//! `claim.rs` and `lease.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Pipeline};
use tokio::sync::{Mutex, RwLock};

use crate::connection::{Access, Connection, Place};
use crate::error::Error;

/// Redis, as the workers use it. Clones share the connections, which are opened when they are needed and come back by
/// themselves.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

/// Where Redis is.
#[derive(Clone)]
pub struct Options {
    /// As `host:port`.
    pub address: String,
    pub password: Option<String>,
    /// With the hashes of the items.
    pub database: u32,
    /// With leases and locks; never the same (07 A.1).
    pub lease_database: u32,
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// Reads and writes of documents.
    documents: Arc<Connection>,
    /// What reads, decides and writes (WATCH … EXEC); the lock is held for all of that.
    pub(crate) claims: Mutex<Arc<Connection>>,
    pub(crate) leases: Mutex<Arc<Connection>>,
    /// These three.
    connections: [Arc<Connection>; 3],
    /// Held for reading while documents are written, for writing while a claim is changed. WATCH looks at the whole hash
    /// of an item, and its holder writes to it all the time: without this, a heartbeat could fail again and again.
    pub(crate) writing: RwLock<()>,
}

impl Store {
    /// Opens no connection yet; a wrong address is an error at once.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let refuse = |source| Error::from_redis(format!("use the address `{}`", options.address), source);
        let (host, port) = split(&options.address)
            .ok_or_else(|| refuse((redis::ErrorKind::InvalidClientConfig, "it is not host:port").into()))?;
        if options.database == options.lease_database {
            return Err(refuse((redis::ErrorKind::InvalidClientConfig, "leases need a database of their own").into()));
        }
        let open = |database| {
            let place = Place { host: host.to_owned(), port, password: options.password.clone(), database };
            Connection::new(&place).map_err(refuse)
        };
        let connections = [open(options.database)?, open(options.database)?, open(options.lease_database)?];
        let [documents, claims, leases] = connections.clone();
        let shared = Shared {
            documents,
            claims: Mutex::new(claims),
            leases: Mutex::new(leases),
            connections,
            writing: RwLock::new(()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether Redis answers, for both databases and over every connection. That it can be written to is not asked.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut ping = redis::pipe();
        ping.cmd("PING").ignore();
        let failed = |source| Error::from_redis("ask whether it is there".to_owned(), source);
        for connection in &self.shared.connections {
            connection.query::<()>(&ping, Access::Reading).await.map_err(failed)?;
        }
        Ok(())
    }

    /// For how long reading or writing has failed, over any of the connections: from the first failure since it last worked
    /// to the latest. `None` while all is well. A replica that can be read is no success of a writer. It does not grow, nor
    /// end, while nothing is asked: who is idle can [`ping`](Self::ping).
    pub fn failing_for(&self) -> Option<Duration> {
        self.shared.connections.iter().filter_map(|connection| connection.failing_for()).max()
    }

    pub(crate) async fn read<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        doing: impl FnOnce() -> String,
    ) -> Result<T, Error> {
        self.ask(commands, Access::Reading, doing).await
    }

    /// The same for what changes documents.
    pub(crate) async fn write<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        doing: impl FnOnce() -> String,
    ) -> Result<T, Error> {
        let _writing = self.shared.writing.read().await;
        self.ask(commands, Access::Writing, doing).await
    }

    async fn ask<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        access: Access,
        doing: impl FnOnce() -> String,
    ) -> Result<T, Error> {
        self.shared.documents.query(commands, access).await.map_err(|source| Error::from_redis(doing(), source))
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("database", &self.database)
            .field("lease_database", &self.lease_database)
            .finish()
    }
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { None } else { Some((host, port.parse().ok()?)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port() {
        assert_eq!(split("localhost:6379"), Some(("localhost", 6379)));
        assert_eq!(split("[::1]:1"), Some(("::1", 1)));
        for bad in ["", "localhost", ":6379", "localhost:", "localhost:x", "localhost:65536"] {
            assert_eq!(split(bad), None, "{bad}");
            let options = Options {
                address: bad.to_owned(),
                password: Some("geheim".to_owned()),
                database: 0,
                lease_database: 1,
            };
            assert!(matches!(Store::new(&options), Err(Error::Refused { .. })));
            assert!(!format!("{options:?}").contains("geheim"));
        }
    }

    #[test]
    fn leases_have_a_database_of_their_own() {
        let options = Options { address: "h:1".to_owned(), password: None, database: 1, lease_database: 1 };
        assert!(matches!(Store::new(&options), Err(Error::Refused { .. })));
        let store = Store::new(&Options { lease_database: 2, password: Some("geheim".to_owned()), ..options }).unwrap();
        let shown = format!("{store:?}");
        assert!(!shown.contains("geheim") && shown.contains("h:1"), "{shown}");
    }
}
