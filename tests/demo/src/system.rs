//! The embedded servers, the services beside them, and clients of both.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use model::Provider;
use stack::registry::Fixtures;
use stack::settings::receiving_bucket;
use stack::{Folder, Options, Ports, Services, Stack};
use storage::{Budget, Config, Limits, Scheme, Storage};
use xtask::catalog::Catalog;
use xtask::ui::Ui;

/// Whose bags they are.
pub(crate) const INSTITUTION: &str = "test.edu";

/// Bytes on their way from S3.
const BUFFERS: u64 = 64 << 20;

/// All that runs.
pub(crate) struct System {
    stack: Stack,
    /// Looked at from time to time, by one task.
    services: Mutex<Services>,
    pub(crate) registry: registry::Client,
    pub(crate) storage: Storage,
    // Last: what is in it goes when nothing uses it any more.
    folder: Folder,
}

impl System {
    pub(crate) async fn start(ui: &Ui) -> Result<Self> {
        let catalog = Catalog::load()?;
        ui.keep_below(&catalog.target)?;
        let folder = Folder::below(&catalog.target.join("xtask/demo"))?;
        let own = std::env::current_exe().context("finding this program's own folder")?;
        let executables: Vec<PathBuf> = catalog.services.iter().map(|name| own.with_file_name(name)).collect();
        let stack =
            Stack::start(Options { folder: folder.path().to_owned(), ports: Ports::Free, fixtures: Fixtures::People })
                .await?;
        let services = Services::start(&executables, folder.path()).await?;
        ui.say(&format!(
            "NSQ, Redis, S3 and {} services run; the Registry is {}",
            services.names().count(),
            stack.registry.url()
        ));
        if !services.unfinished.is_empty() {
            ui.detail(&format!("not built yet: {}", services.unfinished.join(", ")));
        }
        let access = stack.access();
        let settings = registry::Settings {
            url: &stack.registry.url(),
            version: "v3",
            user: &access.registry_user,
            key: &access.registry_key,
        };
        let registry =
            registry::Client::new(settings, registry::Limits::default()).context("making a client of the Registry")?;
        let provider = storage::Provider {
            name: Provider::Aws,
            host: access.s3.to_string(),
            scheme: Scheme::Http,
            key: Some(access.s3_key),
            secret: Some(access.s3_secret),
        };
        let config = Config { providers: vec![provider], regions: Vec::new(), limits: Limits::default() };
        let storage = Storage::new(&config, &Budget::new(BUFFERS)).await.context("making a client of S3")?;
        Ok(Self { stack, services: Mutex::new(services), registry, storage, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn registry_url(&self) -> String {
        self.stack.registry.url()
    }

    /// Who may look at the Registry, and with which password.
    pub(crate) fn registry_user(&self) -> (String, String) {
        let access = self.stack.access();
        (access.registry_user, access.registry_key)
    }

    /// Puts a tar where the institution's depositors put theirs.
    pub(crate) async fn deposit(&self, key: &str, tar: &Path) -> Result<()> {
        let bucket = receiving_bucket(INSTITUTION);
        let sent = self.stack.s3.import(&bucket, key, tar).await;
        sent.with_context(|| format!("sending {} to {bucket}", tar.display()))
    }

    /// Fails when a service has ended.
    pub(crate) fn check(&self) -> Result<()> {
        let mut services = self.services.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(ended) = services.ended().into_iter().next() else { return Ok(()) };
        let name = ended.split(' ').next().unwrap_or_default();
        let said = std::fs::read_to_string(self.folder().join(format!("logs/{name}.out"))).unwrap_or_default();
        bail!("{ended}; the last that it said: {}", said.lines().next_back().unwrap_or("nothing"));
    }

    /// Ends the services in order, then the servers.
    pub(crate) async fn stop(self) {
        self.storage.close().await;
        self.services.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).stop().await;
    }
}
