//! The Registry: the records of the repository and the REST API over them (spec 05), on SQLite.
//!
//! ```text
//! server ─▶ api ─▶ actions ─▶ store      who asks and what; what workers are told; records and their rules
//!    ├───▶ pages ──▶  └─────▶ queue      for people, the same; ids to nsqd, a key to Redis
//!    └────▶ faults                       what goes wrong on purpose
//! fixtures                               what is there from the start
//! ```
//!
//! It is as true to the real one as upstream's workers and tests can tell, with its oddities. README.md lists the
//! differences that remain.

mod actions;
mod api;
pub mod auth;
mod faults;
mod fixtures;
mod pages;
mod queue;
mod server;
pub mod store;
mod time;
pub mod vocabulary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;

pub use actions::Actions;
pub use faults::{Fault, Faults};
pub use fixtures::Fixtures;
pub use store::{Retention, Store};
pub use time::Time;

/// How a Registry is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// 0 for any that is free.
    pub port: u16,
    /// The database file, made if it is not there. Without one everything is in memory.
    pub database: Option<PathBuf>,
    /// The HTTP side of nsqd, for the work items that the Registry publishes itself.
    pub nsqd: Option<SocketAddr>,
    /// Redis and the number of its database, for `items/redis_delete`.
    pub redis: Option<(SocketAddr, u32)>,
    /// Serves `prepare_file_delete` and `prepare_object_delete`.
    pub test_environment: bool,
    pub retention: Retention,
    /// The key of batch deletion, a UUID.
    pub batch_deletion_key: String,
    pub fixtures: Fixtures,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            database: None,
            nsqd: None,
            redis: None,
            test_environment: true,
            retention: Retention::default(),
            batch_deletion_key: "00000000-0000-0000-0000-000000000000".to_owned(),
            fixtures: Fixtures::People,
        }
    }
}

/// A running Registry. It ends with the value.
#[derive(Debug)]
pub struct Registry {
    server: server::Server,
    actions: Actions,
    faults: Faults,
    requests: Arc<AtomicU64>,
}

/// What an answer comes from, and how many were asked for.
type Answering = (Arc<pages::Pages>, Arc<api::Context>, Arc<AtomicU64>);

/// To people or to programs.
async fn answer(State((pages, context, requests)): State<Answering>, request: Request) -> Response {
    requests.fetch_add(1, Ordering::Relaxed);
    if pages::wanted(&request) { pages.handle(request).await } else { api::handle(State(context), request).await }
}

impl Registry {
    /// Starts a Registry. It has threads of its own, so that this works in and out of asynchronous programs.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let Options { port, database, nsqd, redis, test_environment, retention, batch_deletion_key, fixtures } =
            options;
        let (listener, address) =
            server::Server::bind(port).with_context(|| format!("cannot listen on port {port} for the Registry"))?;
        let store = Store::open(database.as_deref(), retention).context("cannot open the database of the Registry")?;
        fixtures::load(&store, fixtures).context("cannot load the fixtures of the Registry")?;
        let actions = Actions { store, nsqd, redis };
        let (faults, requests) = (Faults::default(), Arc::<AtomicU64>::default());
        let url = format!("http://{address}");
        let pages = Arc::new(pages::Pages::new(actions.clone(), url.clone()));
        let context = Arc::new(api::Context { actions: actions.clone(), test_environment, batch_deletion_key, url });
        let router = Router::new().fallback(answer).with_state((pages, context, requests.clone()));
        let server =
            server::Server::start(listener, router, faults.clone()).context("cannot start the Registry's server")?;
        Ok(Self { server, actions, faults, requests })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// For `PRESERV_REGISTRY_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The records, past HTTP.
    pub fn store(&self) -> &Store {
        &self.actions.store
    }

    /// What changes records and tells the workers.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// How many requests reached it, of programs and of people.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}
