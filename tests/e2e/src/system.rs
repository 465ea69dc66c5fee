//! The servers and the services on them, each a process that can be killed, stopped and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use model::Time;
use nsq::Lookup;
use stack::settings;
use storage::{Budget, Config, Limits, Scheme, Storage};
use tokio::process::Command;

use crate::process::Process;
use crate::servers::{Kind, Server, Servers};

/// It would queue what is none of a test's business; upstream's tests leave it out too.
const LEFT_OUT: &str = "apt_queue_fixity";
/// What a test can wait for, instead of the defaults.
const SETTINGS: [(&str, &str); 6] = [
    ("APT_ENV", settings::ENVIRONMENT),
    ("APT_QUEUE_INTERVAL", "1s"),
    ("CLAIM_TTL", "2s"),
    ("INGEST_BUCKET_READER_INTERVAL", "1s"),
    ("LOG_DIR", "STDOUT"),
    ("LOG_LEVEL", "INFO"),
];

/// The whole system.
#[derive(Debug)]
pub struct System {
    pub(crate) started: Time,
    pub(crate) servers: Servers,
    pub(crate) lookup: Lookup,
    pub(crate) storage: Storage,
    /// Reads and writes what the services do.
    pub registry: registry::Client,
    programs: PathBuf,
    services: BTreeMap<String, Process>,
    finished: BTreeSet<String>,
    folder: tempfile::TempDir,
}

impl System {
    /// Starts the servers, and then every service that does not say of itself that it is unfinished.
    pub async fn start(kind: Kind) -> Result<Self> {
        // A second call finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().context("making a folder for the system")?;
        for part in ["work/ingest", "work/restore", "profiles", "logs"] {
            fs::create_dir_all(folder.path().join(part)).context("making folders for the system")?;
        }
        let programs = programs().await?;
        let servers = Servers::start(kind, folder.path()).await?;
        let file = folder.path().join(settings::FILE);
        fs::write(&file, settings::text(&servers.cuttable(), folder.path())).context("writing the settings file")?;
        let access = servers.access();
        let registry = registry::Client::new(
            registry::Settings {
                url: &servers.registry_url(),
                version: "v3",
                user: &access.registry_user,
                key: &access.registry_key,
            },
            registry::Limits::default(),
        )?;
        let provider = storage::Provider {
            name: model::Provider::Aws,
            host: access.s3.to_string(),
            scheme: Scheme::Http,
            key: Some(access.s3_key),
            secret: Some(access.s3_secret),
        };
        let config = Config { providers: vec![provider], regions: Vec::new(), limits: Limits::default() };
        let mut system = Self {
            started: Time::now(),
            lookup: Lookup::new([access.lookupd_http.to_string()])?,
            storage: Storage::new(&config, &Budget::new(64 << 20)).await?,
            servers,
            registry,
            finished: finished(&programs).await?,
            programs,
            services: BTreeMap::new(),
            folder,
        };
        if kind == Kind::Real {
            system.make_buckets().await?;
        }
        for name in system.finished.clone() {
            if name != LEFT_OUT {
                system.start_service(&name)?;
            }
        }
        Ok(system)
    }

    /// SeaweedFS makes a bucket when something is put into it.
    async fn make_buckets(&self) -> Result<()> {
        for name in Servers::buckets() {
            let bucket = self.bucket(&name);
            bucket.put_bytes("made", b"made".to_vec().into(), storage::Attributes::default()).await?;
            bucket.delete("made").await?;
        }
        Ok(())
    }

    /// Whether the work of this service is built.
    pub fn is_finished(&self, service: &str) -> bool {
        self.finished.contains(service)
    }

    /// The services that run, or should.
    pub fn services(&self) -> Vec<String> {
        self.services.keys().cloned().collect()
    }

    /// Starts a service that does not run.
    pub fn start_service(&mut self, name: &str) -> Result<()> {
        self.start_service_with(name, &[])
    }

    /// The same, with arguments.
    pub fn start_service_with(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let log = self.folder.path().join("logs").join(format!("{name}.log"));
        let process = Process::start(name, self.command(name)?.args(arguments), &log)?;
        let before = self.services.insert(name.to_owned(), process);
        ensure!(before.is_none(), "{name} was started while it ran");
        Ok(())
    }

    fn command(&self, name: &str) -> Result<Command> {
        let scratch = self.folder.path().join("tmp").join(name);
        fs::create_dir_all(&scratch).with_context(|| format!("making a folder for {name}"))?;
        let mut command = Command::new(self.programs.join(name));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .envs(SETTINGS)
            .env("APT_E2E", "true")
            .env("TMPDIR", scratch);
        command.env("PRESERV_REGISTRY_URL", self.servers.cuttable_registry());
        command.env(format!("{}_WORKERS", name.to_ascii_uppercase()), "4");
        Ok(command)
    }

    /// SIGKILL, and the service is started again at once, as ECS would do it.
    pub async fn kill_service(&mut self, name: &str) -> Result<()> {
        self.running(name)?.kill().await?;
        self.start_service(name)
    }

    /// SIGTERM. It must end by itself, and well.
    pub async fn stop_service(&mut self, name: &str) -> Result<()> {
        let status = self.running(name)?.stop().await?;
        ensure!(status.success(), "{name} ended with {status} when it was asked to; {}", self.log(name));
        Ok(())
    }

    fn running(&mut self, name: &str) -> Result<Process> {
        self.services.remove(name).with_context(|| format!("{name} does not run"))
    }

    /// Nobody reaches the server from now on.
    pub async fn take_away(&mut self, server: Server) -> Result<()> {
        self.servers.take_away(server).await
    }

    /// It is back, with what it had.
    pub async fn bring_back(&mut self, server: Server) -> Result<()> {
        self.servers.bring_back(server).await
    }

    /// Makes all items older by hours, and lets `apt_queue` look once for those that were left behind: it looks at what has waited
    /// for an hour, at each item once an hour. `false` where the Registry is not ours.
    pub async fn sweep_after_hours(&mut self) -> Result<bool> {
        let Some(registry) = self.servers.registry() else { return Ok(false) };
        for item in self.all_items().await? {
            registry.store().age_work_item(item.id, Duration::from_hours(3))?;
        }
        self.forget_sweeps().await?;
        let mut command = self.command("apt_queue")?;
        let ended = command.arg("--run-once").env("APT_E2E", "false").output().await.context("running apt_queue")?;
        ensure!(ended.status.success(), "apt_queue: {}", String::from_utf8_lossy(&ended.stdout));
        Ok(true)
    }

    /// Whether the Registry is one whose clock and ways a test can turn.
    pub fn has_own_registry(&self) -> bool {
        self.servers.registry().is_some()
    }

    /// A deletion that was asked for and approved, as upstream's tests make it; the id of its item.
    pub fn prepare_file_deletion(&self, file: i64) -> Result<i64> {
        Ok(self.own_registry()?.store().prepare_file_delete(file)?.id)
    }

    /// The same of an object.
    pub fn prepare_object_deletion(&self, object: i64) -> Result<i64> {
        Ok(self.own_registry()?.store().prepare_object_delete(object)?.id)
    }

    fn own_registry(&self) -> Result<&stack::registry::Registry> {
        self.servers.registry().context("the Registry is not ours, and does not prepare deletions for us")
    }

    /// Publishes an id.
    pub async fn publish(&self, topic: model::Topic, id: i64) -> Result<()> {
        let publisher = nsq::Publisher::new(&self.servers.access().nsqd_http.to_string())?;
        Ok(publisher.publish(&topic.as_str().parse()?, id.to_string()).await?)
    }

    /// The services that ended by themselves; with the ends of their logs.
    pub fn ended(&mut self) -> Result<Vec<String>> {
        let mut ended = Vec::new();
        for (name, process) in &mut self.services {
            if let Some(status) = process.ended()? {
                ended.push((name.clone(), status));
            }
        }
        Ok(ended.into_iter().map(|(name, status)| format!("{name} ended with {status}; {}", self.log(&name))).collect())
    }

    /// The end of what a service said.
    fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(format!("logs/{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("its log ends with:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// Asks every service to end. All must, and well.
    pub async fn stop_services(&mut self) -> Result<()> {
        let mut wrong = self.ended()?;
        let services = std::mem::take(&mut self.services);
        let mut stopping: Vec<_> =
            services.into_iter().map(|(name, process)| (name, tokio::spawn(process.stop()))).collect();
        for (name, stopped) in &mut stopping {
            match stopped.await? {
                Ok(status) if status.success() => {}
                Ok(status) => wrong.push(format!("{name} ended with {status}; {}", self.log(name))),
                Err(error) => wrong.push(format!("{error:#}; {}", self.log(name))),
            }
        }
        if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
    }
}

/// The folder of the executables. `test-all` has compiled them and says where; in a run by hand they are built as it would.
async fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XTASK_PROGRAMS") {
        return Ok(folder.into());
    }
    // This executable is <target>/<profile>/deps/e2e-…
    let executable = std::env::current_exe().context("finding this executable")?;
    let folder = executable.ancestors().nth(2).context("this executable is in no target folder")?;
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--workspace", "--bins", "--examples", "--profile", profile]);
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().await.context("running cargo")?;
    ensure!(built.success(), "the services do not build");
    Ok(folder.to_owned())
}

/// The services that there are, but for those that say of themselves that they are unfinished.
async fn finished(programs: &Path) -> Result<BTreeSet<String>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services/apps/src/bin");
    let mut asked = Vec::new();
    for entry in fs::read_dir(&sources).with_context(|| format!("listing the services in {}", sources.display()))? {
        let name = entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let version = Command::new(programs.join(&name)).arg("--version").output();
        asked.push((name, tokio::spawn(version)));
    }
    let mut finished = BTreeSet::new();
    for (name, version) in asked {
        let version = version.await?.with_context(|| format!("asking {name} for its version"))?;
        if !String::from_utf8_lossy(&version.stdout).lines().any(|line| line == "unfinished") {
            finished.insert(name);
        }
    }
    Ok(finished)
}
