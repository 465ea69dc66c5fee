//! An S3 server: the protocol is s3s's, the storage, the time and the faults are ours.
//!
//! Path style, one access key, no versions, policies, tags or encryption. What it does not do it refuses by name. Objects
//! stream to disk and from it; runs of zeros take no room, so that a test can store a terabyte of them. Archived objects
//! behave as in Glacier, by a [`Clock`] that a test can move; [`Faults`] strike the requests that a test chooses.
//!
//! Other processes reach the clock and the faults over HTTP if [`Options::admin`] asks for that: see [`Admin`].

mod admin;
mod check;
mod clock;
mod conditions;
mod connection;
mod errors;
mod faults;
mod files;
mod headers;
mod import;
mod inbound;
mod index;
mod journal;
mod model;
mod operation;
mod outcome;
mod receive;
mod requests;
mod restore;
mod send;
mod server;
mod service;
mod slow;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

pub use admin::Admin;
pub use clock::Clock;
pub use faults::{Fault, FaultKind, Faults};
pub use model::StorageClass;
pub use operation::Operation;
pub use requests::Requests;
use store::Store;

/// A running server. It ends, with its connections and its temporary data, when this is dropped.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    clock: Clock,
    faults: Faults,
    requests: Requests,
    admin: Option<Admin>,
    store: Arc<Store>,
    stopped: CancellationToken,
    task: JoinHandle<()>,
}

/// How the server is to be.
#[derive(Clone)]
pub struct Options {
    /// Where it listens: on loopback, at a free port if the port is 0.
    pub address: SocketAddr,
    /// Where the data is kept. Without it the data goes away with the server.
    pub folder: Option<PathBuf>,
    /// The one access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Buckets that are created if they do not exist.
    pub buckets: Vec<String>,
    /// Buckets whose objects get this class as soon as they are stored, as a lifecycle rule of no days would do it.
    pub archived: BTreeMap<String, StorageClass>,
    /// Whether other processes reach the clock and the faults.
    pub admin: bool,
    /// How long a client may send or take nothing before its connection ends.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            folder: None,
            access_key: "minioadmin".to_owned(),
            secret_key: "minioadmin".to_owned(),
            buckets: Vec::new(),
            archived: BTreeMap::new(),
            admin: false,
            patience: Duration::from_mins(1),
        }
    }
}

/// Without the secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("folder", &self.folder)
            .field("access_key", &self.access_key)
            .field("buckets", &self.buckets)
            .field("archived", &self.archived)
            .field("admin", &self.admin)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl S3 {
    /// Starts it, on the runtime of the caller.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        if !options.address.ip().is_loopback() {
            bail!("the S3 server is for tests and listens on loopback only, not on {}", options.address);
        }
        let wrong = options.buckets.iter().chain(options.archived.keys()).find(|name| !check::is_bucket_name(name));
        if let Some(name) = wrong {
            bail!(
                "`{name}` is no name for a bucket: 3 to 63 of a-z, 0-9, `.` and `-`, no `-` at either end of a label"
            );
        }
        let listener = TcpListener::bind(options.address).await;
        let listener = listener.with_context(|| format!("the S3 server cannot listen on {}", options.address))?;
        let address = listener.local_addr()?;
        let clock = Clock::default();
        let (folder, buckets, archived, time) =
            (options.folder.clone(), options.buckets.clone(), options.archived.clone(), clock.clone());
        let store = spawn_blocking(move || {
            let store = Store::open(folder, time, archived)?;
            for bucket in &buckets {
                if store.read(|index| Ok(!index.buckets.contains_key(bucket)))? {
                    store.create_bucket(bucket, service::REGION)?;
                }
            }
            anyhow::Ok(store)
        });
        let store = store.await??;
        let (faults, requests) = (Faults::default(), Requests::default());
        let admin = options.admin.then(|| Admin::new(address));
        let stopped = CancellationToken::new();
        let server = server::Server::new(&options, store.clone(), faults.clone(), requests.clone(), admin.clone());
        let task = tokio::spawn(server.run(listener, stopped.clone()));
        tracing::debug!(%address, "the S3 server listens");
        Ok(Self { address, clock, faults, requests, admin, store, stopped, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the server takes for now.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many requests came in.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// How other processes reach the clock and the faults, if they may.
    pub fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    /// Ends it and waits until its folder is free for another server. Requests under way are cut.
    pub async fn stop(mut self) {
        self.stopped.cancel();
        if let Err(error) = (&mut self.task).await
            && !error.is_cancelled()
        {
            tracing::warn!(%error, "the S3 server did not end well");
        }
        // Work for the disk cannot be interrupted; each piece of it is short.
        while Arc::strong_count(&self.store) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}
