//! The embedded servers, the services beside them, and clients of both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use model::Provider;
use stack::registry::Fixtures;
use stack::registry::store::User;
use stack::registry::vocabulary::role;
use stack::s3::StorageClass;
use stack::settings::{PRESERVATION_BUCKETS, receiving_bucket};
use stack::{Folder, Options, Ports, Service, Services, Stack};
use storage::{Budget, Config, Limits, Scheme, Storage};
use xtask::catalog::Catalog;
use xtask::exit::Exit;
use xtask::ui::Ui;

/// Whose bags they are.
pub(crate) const INSTITUTION: &str = "test.edu";

/// Who asks for restorations and deletions, and who agrees to a deletion.
const ADMINISTRATOR: &str = "admin@test.edu";
const SECOND_ADMINISTRATOR: &str = "user@test.edu";

/// Services look for work as often as somebody who watches wants them to, and a fixity check reads every copy.
const SETTINGS: [(&str, &str); 3] =
    [("INGEST_BUCKET_READER_INTERVAL", "1s"), ("QUEUE_FIXITY_INTERVAL", "1s"), ("FIXITY_COPIES", "all")];
/// The hours that Glacier takes are told by a clock that the demo puts forward.
const IMPATIENT: (&str, [&str; 2]) = ("glacier_restorer", ["--requeue-timeout", "1s"]);

/// Bytes on their way from S3.
const BUFFERS: u64 = 64 << 20;

/// All that runs.
pub(crate) struct System {
    pub(crate) stack: Stack,
    /// Looked at from time to time, by one task.
    services: Mutex<Services>,
    pub(crate) registry: registry::Client,
    pub(crate) storage: Storage,
    /// From when on times are counted.
    pub(crate) began: Instant,
    // Last: what is in it goes when nothing uses it any more.
    folder: Folder,
}

impl System {
    pub(crate) async fn start(catalog: &Catalog, ui: &Ui) -> Result<Self> {
        let folder = Folder::below(&catalog.target.join("xtask/demo"))?;
        let services = services(catalog)?;
        let stack = Stack::start(Options {
            folder: folder.path().to_owned(),
            ports: Ports::Free,
            fixtures: Fixtures::People,
            archived: archived(),
        })
        .await?;
        let services = Services::start(services, folder.path()).await?;
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
        let system = Self { stack, services: Mutex::new(services), registry, storage, began: Instant::now(), folder };
        let [_, second] = system.administrators()?;
        system.stack.registry.store().set_role(second.id, role::INSTITUTIONAL_ADMIN)?;
        Ok(system)
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

    /// How many services run.
    pub(crate) fn services(&self) -> usize {
        self.services.lock().unwrap_or_else(std::sync::PoisonError::into_inner).names().count()
    }

    /// Who asks for what was deposited.
    pub(crate) fn depositor(&self) -> Result<User> {
        let [depositor, _] = self.administrators()?;
        Ok(depositor)
    }

    /// The two whose word a deletion needs.
    pub(crate) fn administrators(&self) -> Result<[User; 2]> {
        let user = |email| {
            let user = self.stack.registry.store().user_by_email(email)?;
            user.ok_or_else(|| anyhow!("the Registry does not know {email}"))
        };
        Ok([user(ADMINISTRATOR)?, user(SECOND_ADMINISTRATOR)?])
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
        let said = fs::read_to_string(self.logs().join(format!("{name}.out"))).unwrap_or_default();
        bail!("{ended}; the last that it said: {}", said.lines().next_back().unwrap_or("nothing"));
    }

    fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    /// Copies what the services said to a folder that stays.
    pub(crate) fn keep_logs(&self, folder: &Path) -> Result<()> {
        let keeping = || format!("keeping the services' log lines in {}", folder.display());
        fs::create_dir_all(folder).with_context(keeping)?;
        for log in fs::read_dir(self.logs()).with_context(keeping)? {
            let log = log.with_context(keeping)?;
            fs::copy(log.path(), folder.join(log.file_name())).with_context(keeping)?;
        }
        Ok(())
    }

    /// Ends the services in order, then the servers.
    pub(crate) async fn stop(self) {
        self.storage.close().await;
        self.services.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).stop().await;
    }
}

/// All services, which must lie beside this program.
fn services(catalog: &Catalog) -> Result<Vec<Service>> {
    let own = std::env::current_exe().context("finding this program's own folder")?;
    let missing: Vec<&str> =
        catalog.services.iter().filter(|name| !own.with_file_name(name).exists()).map(String::as_str).collect();
    if !missing.is_empty() {
        let folder = own.parent().unwrap_or(Path::new(".")).display();
        return Err(Exit::Failed.stop(
            format!("the whole life of a bag needs all services, and {} is not in {folder}", missing.join(", ")),
            "run `cargo xtask demo`, which compiles them",
        ));
    }
    let service = |name: &String| {
        let mut service = Service::from(own.with_file_name(name));
        service.settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        if name == IMPATIENT.0 {
            service.arguments = IMPATIENT.1.map(str::to_owned).into();
        }
        service
    };
    Ok(catalog.services.iter().map(service).collect())
}

/// The buckets of Glacier, as a lifecycle rule of no days would have them.
fn archived() -> BTreeMap<String, StorageClass> {
    let buckets = PRESERVATION_BUCKETS.iter().filter(|(setting, _)| setting.contains("GLACIER"));
    let class =
        |setting: &str| if setting.contains("DEEP") { StorageClass::DeepArchive } else { StorageClass::Glacier };
    buckets.map(|(setting, bucket)| ((*bucket).to_owned(), class(setting))).collect()
}
