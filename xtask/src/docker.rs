//! Docker: the engine on this machine and, through it, the registry. No other module calls `docker`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::files::ScratchFolder;
use crate::image::{Image, USER};
use crate::process::{self, Finished, Process, Secret};

/// Asks the client and, through it, the engine.
const VERSION: [&str; 3] = ["version", "--format", "{{.Client.Version}} {{.Server.Version}}"];
/// Pauses between the attempts at what may fail for a moment only.
const BACK_OFF: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Limit of one short docker command.
const SHORT: Duration = Duration::from_mins(2);
/// Limit of loading or moving one image.
const LONG: Duration = Duration::from_mins(20);

/// Client and engine, such as `client 28.2.2, engine 28.2.2`, with the user's own configuration; or what to do.
pub(crate) fn version(limit: Duration) -> Result<String> {
    let program = which::which("docker").map_err(|_| {
        Exit::Unavailable.stop("docker is not on PATH", "apt-get install docker.io, or use --no-push, which needs none")
    })?;
    versions(Process::new(program).args(VERSION).limit(limit))
}

fn versions(command: Process) -> Result<String> {
    let answer = command.run()?;
    if !answer.success() {
        let said = if answer.over_limit { "no answer in time" } else { &process::last_lines(&answer.stderr, 1) };
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        let next = if said.to_ascii_lowercase().contains("permission denied") {
            "let your user use it (sudo usermod -aG docker $USER, then log in anew)".to_owned()
        } else if host.is_empty() {
            "start it (systemctl start docker, or dockerd)".to_owned()
        } else {
            format!("DOCKER_HOST leads to {host}: correct it, or unset it for the engine of this machine")
        };
        return Err(Exit::Unavailable.stop(
            format!("the docker engine does not answer: {said}"),
            format!("{next}, or use --no-push, which needs none"),
        ));
    }
    let (client, engine) = answer.stdout.trim().split_once(' ').unwrap_or_default();
    for (what, version) in [("client", client), ("engine", engine)] {
        if !is_recent(version) {
            return Err(Exit::Unavailable.stop(
                format!("the docker {what} is version `{version}`, and 20.10 is the oldest that works"),
                "upgrade docker, or use --no-push, which needs none",
            ));
        }
    }
    Ok(format!("client {client}, engine {engine}"))
}

/// How docker says 401 and 403, in lower case. No bare numbers: they could stand in a digest.
const REFUSED: [&str; 8] = [
    "http 401",
    "http 403",
    "unauthorized",
    "denied",
    "forbidden",
    "authentication required",
    "no basic auth credentials",
    "insufficient_scope",
];

/// Where images are pushed: `HOST[:PORT]/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) host: String,
    pub(crate) prefix: String,
}

impl Registry {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let usage = || {
            let next = "--registry takes HOST[:PORT]/PREFIX, such as docker.io/aptrust or localhost:5000/try";
            Exit::Usage.stop(format!("`{text}` is no registry"), next)
        };
        let (host, prefix) = text.split_once('/').ok_or_else(usage)?;
        let host_char = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        let prefix_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let looks_like_host = host.contains(['.', ':']) || host == "localhost";
        let segments = prefix.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if !looks_like_host || !host.chars().all(host_char) || !segments || !prefix.chars().all(prefix_char) {
            return Err(usage());
        }
        Ok(Self { host: host.to_owned(), prefix: prefix.to_owned() })
    }

    /// `HOST/PREFIX/<service>`.
    pub(crate) fn repository(&self, service: &str) -> String {
        format!("{}/{}/{service}", self.host, self.prefix)
    }

    /// It is on this machine, where plain HTTP is no risk.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// An answer to "which manifest has this name".
#[derive(Debug)]
pub(crate) enum Lookup {
    Found(Vec<Stored>),
    /// The registry says that there is none. Only believed where the same question found something else: see 07 G.36
    /// in ARCHITECTURE.md.
    Absent,
}

/// A manifest that the registry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// `sha256:…` of the manifest.
    pub(crate) digest: String,
    /// `sha256:…` of the image's configuration.
    pub(crate) config_digest: String,
    pub(crate) config_bytes: u64,
    /// Of each layer, as it is stored.
    pub(crate) layer_bytes: Vec<u64>,
    /// Such as `linux/amd64`; none if the registry does not tell.
    pub(crate) platform: Option<String>,
}

/// The docker command line with a private configuration folder, which goes away with the value: a login, and the state that
/// `docker manifest` keeps, stay out of the user's own.
#[derive(Debug)]
pub(crate) struct Docker {
    program: PathBuf,
    config: ScratchFolder,
    registry: Registry,
    /// Client and engine.
    pub(crate) version: String,
    has_credentials: bool,
    asked: AtomicUsize,
}

impl Docker {
    /// Finds a docker whose engine answers, or says what to do.
    pub(crate) fn find(registry: Registry, login: Option<&Login>) -> Result<Self> {
        let program = which::which("docker").map_err(|_| {
            Exit::Unavailable.stop("docker is not on PATH", "install it, or use --no-push, which needs none")
        })?;
        let (config, has_credentials) = private_config(login.is_some())?;
        let mut docker =
            Self { program, config, registry, version: String::new(), has_credentials, asked: AtomicUsize::new(0) };
        docker.version = versions(docker.command(&VERSION).limit(SHORT))?;
        Ok(docker)
    }

    /// Logs in with the password on stdin, or sees that no login is needed.
    pub(crate) fn login(&self, login: Option<&Login>) -> Result<()> {
        let Some(login) = login else {
            let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
            if in_ci && !self.has_credentials && !self.registry.is_loopback() {
                return Err(Exit::Unavailable.stop(
                    format!("there is no login for {} in this CI run", self.registry.host),
                    "set DOCKER_USER and DOCKER_PWD",
                ));
            }
            return Ok(());
        };
        let mut args = vec!["login", "--username", &login.user, "--password-stdin"];
        if self.registry.host != "docker.io" {
            args.push(&self.registry.host);
        }
        let answer = self.command(&args).stdin_secret(login.password.clone()).limit(SHORT).run()?;
        if answer.success() {
            return Ok(());
        }
        Err(Exit::Unavailable.stop(
            format!(
                "{} refused the login of {}: {}",
                self.registry.host,
                login.user,
                process::last_lines(&answer.stderr, 2)
            ),
            "check DOCKER_USER and DOCKER_PWD",
        ))
    }

    /// How often the registry was asked what a name stands for. Docker asks with GET, which counts against the limits that some
    /// registries set for pulls.
    pub(crate) fn times_asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Asks the registry what a name stands for. What is neither found nor absent is an error.
    pub(crate) fn lookup(&self, reference: &str) -> Result<Lookup> {
        let mut args = vec!["manifest", "inspect", "--verbose"];
        args.extend(self.insecure());
        args.push(reference);
        let mut tried = 0;
        loop {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = self.command(&args).limit(SHORT).run()?;
            if answer.success() {
                return stored(&answer.stdout)
                    .map(Lookup::Found)
                    .with_context(|| format!("reading what the registry says of {reference}"));
            }
            if answer.stderr.contains("no such manifest") || answer.stderr.contains("manifest unknown") {
                return Ok(Lookup::Absent);
            }
            self.give_up_or_wait(&answer, &mut tried, &format!("asking the registry for {reference}"))?;
        }
    }

    /// Loads an image into the engine under `reference`, and sees that the engine holds just what was assembled.
    pub(crate) fn load(&self, image: &Image, reference: &str) -> Result<()> {
        self.command(&["load", "--quiet"]).stdin_feed(image.docker_archive(reference)).limit(LONG).check()?;
        let answer = self.command(&["image", "inspect", "--format", "{{json .}}", reference]).limit(SHORT).check()?;
        let held: Value = serde_json::from_str(&answer.stdout).context("reading `docker image inspect`")?;
        let layers = image.diff_ids();
        ensure!(
            held["RootFS"]["Layers"].as_array().is_some_and(|held| held.iter().filter_map(Value::as_str).eq(layers)),
            "the engine holds other layers for {reference} than were assembled: {}",
            held["RootFS"]["Layers"]
        );
        ensure!(held["Config"]["User"] == USER, "{reference} runs as `{}` and not as {USER}", held["Config"]["User"]);
        ensure!(
            held["Architecture"] == image.platform.architecture,
            "the engine takes {reference} for {}",
            held["Architecture"]
        );
        Ok(())
    }

    /// Runs an image's executable with `--version`, without network, on a read-only root file system.
    pub(crate) fn run_version(&self, reference: &str) -> Result<String> {
        let args = ["run", "--rm", "--pull=never", "--network=none", "--read-only", reference, "--version"];
        Ok(self.command(&args).limit(SHORT).check()?.stdout)
    }

    /// Pushes a name and returns the digest that the registry gave, and the layers that were sent, by the names that docker prints.
    pub(crate) fn push(&self, reference: &str) -> Result<(String, Vec<String>)> {
        let mut tried = 0;
        loop {
            let answer = self.command(&["push", reference]).limit(LONG).run()?;
            if !answer.success() {
                self.give_up_or_wait(&answer, &mut tried, &format!("pushing {reference}"))?;
                continue;
            }
            let digest = answer.stdout.lines().rev().find_map(|line| {
                let (_, rest) = line.split_once("digest: ")?;
                rest.split_whitespace().next().filter(|digest| digest.starts_with("sha256:"))
            });
            let digest =
                digest.with_context(|| format!("docker pushed {reference} but named no digest:\n{}", answer.stdout))?;
            let sent = answer.stdout.lines().filter_map(|line| line.strip_suffix(": Pushed"));
            return Ok((digest.to_owned(), sent.map(|name| name.trim().to_owned()).collect()));
        }
    }

    /// Gives the manifest `digest` of `repository`, which the engine pushed or pulls now, one more tag.
    pub(crate) fn tag(&self, repository: &str, from: &str, digest: &str, to: &str) -> Result<()> {
        let (source, target) = (format!("{repository}:{from}"), format!("{repository}:{to}"));
        let format = "{{json .RepoDigests}}";
        let known = self.command(&["image", "inspect", "--format", format, &source]).limit(SHORT).run()?;
        if !known.success() || !known.stdout.contains(&format!("{repository}@{digest}")) {
            self.command(&["pull", "--quiet", &source]).limit(LONG).check()?;
        }
        self.command(&["tag", &source, &target]).limit(SHORT).check()?;
        let (pushed, _) = self.push(&target)?;
        ensure!(pushed == digest, "{target} was pushed as {pushed}, but {digest} was checked: do not use this tag");
        Ok(())
    }

    /// Joins the manifests `digests` of `repository` under a tag.
    pub(crate) fn tag_list(&self, repository: &str, digests: &[String], to: &str) -> Result<()> {
        let target = format!("{repository}:{to}");
        let parts: Vec<String> = digests.iter().map(|digest| format!("{repository}@{digest}")).collect();
        let mut args = vec!["manifest", "create"];
        args.extend(self.insecure());
        args.push(&target);
        args.extend(parts.iter().map(String::as_str));
        self.command(&args).limit(SHORT).check()?;
        let mut args = vec!["manifest", "push"];
        args.extend(self.insecure());
        args.push(&target);
        let mut tried = 0;
        loop {
            let answer = self.command(&args).limit(LONG).run()?;
            if answer.success() {
                return Ok(());
            }
            self.give_up_or_wait(&answer, &mut tried, &format!("pushing {target}"))?;
        }
    }

    /// The digest of the manifest list that a tag stands for.
    ///
    /// `docker manifest inspect` prints the list in another spelling than the registry's, so the digest is computed from docker's own
    /// spelling (three spaces) and believed only if the registry knows it.
    pub(crate) fn list_digest(&self, repository: &str, tag: &str) -> Result<String> {
        let inspect = |reference: &str| {
            let mut args = vec!["manifest", "inspect"];
            args.extend(self.insecure());
            args.push(reference);
            self.command(&args).limit(SHORT).check()
        };
        let shown = inspect(&format!("{repository}:{tag}"))?.stdout;
        let pushed = shown.trim_end().replace('\t', "   ");
        let digest = crate::image::digest(pushed.as_bytes());
        inspect(&format!("{repository}@{digest}"))
            .with_context(|| format!("the digest of the manifest list {repository}:{tag} is not what docker writes"))?;
        Ok(digest)
    }

    /// Removes names from the engine; the images stay as long as they have others.
    pub(crate) fn untag(&self, references: &[String]) {
        if !references.is_empty() {
            // Left-over names do no harm, and the run has done its work.
            let _ = self.command(&["image", "rm", "--no-prune"]).args(references).limit(SHORT).run();
        }
    }

    fn command(&self, args: &[&str]) -> Process {
        Process::new(&self.program).args(args).env("DOCKER_CONFIG", self.config.path())
    }

    fn insecure(&self) -> Option<&'static str> {
        self.registry.is_loopback().then_some("--insecure")
    }

    /// After a failure: a refused login ends the run, anything else is tried again twice.
    fn give_up_or_wait(&self, answer: &Finished, tried: &mut usize, doing: &str) -> Result<()> {
        let said = answer.stderr.to_ascii_lowercase();
        if REFUSED.iter().any(|words| said.contains(words)) {
            return Err(Exit::Unavailable.stop(
                format!("{doing}: {} refused: {}", self.registry.host, process::last_lines(&answer.stderr, 2)),
                "set DOCKER_USER and DOCKER_PWD to an account that may push there, or run `docker login`",
            ));
        }
        match BACK_OFF.get(*tried) {
            Some(time) if !answer.over_limit => process::pause(*time)?,
            _ => bail!("{doing} (tried {} times): {}", *tried + 1, answer.error()),
        }
        *tried += 1;
        Ok(())
    }
}

/// Who logs in, from `DOCKER_USER` and `DOCKER_PWD`.
#[derive(Debug)]
pub(crate) struct Login {
    user: String,
    password: Secret,
}

impl Login {
    /// Both variables, or neither.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        let get = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (get("DOCKER_USER"), get("DOCKER_PWD")) {
            (Some(user), Some(password)) => Ok(Some(Self { user, password: Secret::new(password) })),
            (None, None) => Ok(None),
            (user, _) => {
                let (set, missing) =
                    if user.is_some() { ("DOCKER_USER", "DOCKER_PWD") } else { ("DOCKER_PWD", "DOCKER_USER") };
                Err(Exit::Usage.stop(
                    format!("{set} is set but {missing} is not"),
                    "set both, or neither to use docker's own login",
                ))
            }
        }
    }
}

/// A copy of the user's configuration. With a login of its own it has no credential helpers, so that the password is not handed to them.
fn private_config(own_login: bool) -> Result<(ScratchFolder, bool)> {
    let folder = ScratchFolder::new("docker")?;
    let users = match std::env::var_os("DOCKER_CONFIG") {
        Some(path) => PathBuf::from(path),
        None => std::env::home_dir().unwrap_or_default().join(".docker"),
    };
    for name in ["contexts", "cli-plugins"] {
        if users.join(name).is_dir() {
            symlink(users.join(name), folder.path().join(name)).context("making docker's private configuration")?;
        }
    }
    let path = users.join("config.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((folder, false)),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    // Docker takes an empty file for none.
    if text.trim().is_empty() {
        return Ok((folder, false));
    }
    let mut config: Value = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let has = |name: &str| match &config[name] {
        Value::Object(entries) => !entries.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    };
    let has_credentials = has("auths") || has("credsStore") || has("credHelpers");
    if own_login && let Some(config) = config.as_object_mut() {
        for name in ["auths", "credsStore", "credHelpers"] {
            config.remove(name);
        }
    }
    fs::write(folder.path().join("config.json"), config.to_string())
        .context("making docker's private configuration")?;
    Ok((folder, has_credentials))
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (20, 10)
}

/// Reads `docker manifest inspect --verbose`: one object, or an array of them for a list.
fn stored(json: &str) -> Result<Vec<Stored>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        descriptor: Descriptor,
        #[serde(alias = "OCIManifest")]
        schema_v2_manifest: Manifest,
    }
    #[derive(Deserialize)]
    struct Descriptor {
        digest: String,
        #[serde(default)]
        size: u64,
        platform: Option<Platform>,
    }
    #[derive(Deserialize)]
    struct Platform {
        os: String,
        architecture: String,
    }
    #[derive(Deserialize)]
    struct Manifest {
        config: Descriptor,
        layers: Vec<Descriptor>,
    }
    let value: Value = serde_json::from_str(json)?;
    let entries: Vec<Entry> =
        if value.is_array() { serde_json::from_value(value)? } else { vec![serde_json::from_value(value)?] };
    let stored = |entry: Entry| Stored {
        digest: entry.descriptor.digest,
        config_bytes: entry.schema_v2_manifest.config.size,
        layer_bytes: entry.schema_v2_manifest.layers.iter().map(|layer| layer.size).collect(),
        config_digest: entry.schema_v2_manifest.config.digest,
        platform: entry.descriptor.platform.map(|platform| format!("{}/{}", platform.os, platform.architecture)),
    };
    Ok(entries.into_iter().map(stored).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_parsed_strictly() {
        let hub = Registry::parse("docker.io/aptrust").unwrap();
        assert_eq!(hub.repository("apt_delete"), "docker.io/aptrust/apt_delete");
        assert!(!hub.is_loopback());
        for loopback in ["localhost:5000/try", "127.0.0.1:5000/a/b", "[::1]:5000/x"] {
            assert!(Registry::parse(loopback).unwrap().is_loopback(), "{loopback}");
        }
        assert!(!Registry::parse("127.0.0.1.example.org/x").unwrap().is_loopback());
        for wrong in ["", "aptrust", "aptrust/x", "docker.io/", "docker.io/UPPER", "https://docker.io/x", "a b.c/x"] {
            assert_eq!(Exit::of(&Registry::parse(wrong).unwrap_err()), Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn versions_before_20_10_are_too_old() {
        assert!(
            is_recent("20.10.24+dfsg1")
                && is_recent("28.2.2")
                && !is_recent("19.03.15")
                && !is_recent("20.9.0")
                && !is_recent("")
        );
    }

    #[test]
    fn both_kinds_of_manifest_are_read() {
        let one = |field: &str| {
            format!(
                r#"{{"Ref":"x","Descriptor":{{"digest":"sha256:a","size":500,"platform":{{"architecture":"arm64","os":"linux"}}}},"{field}":{{"config":{{"digest":"sha256:c","size":2}},"layers":[{{"digest":"sha256:l","size":40}}]}}}}"#
            )
        };
        let platform = Some("linux/arm64".into());
        let expected = Stored {
            digest: "sha256:a".into(),
            config_digest: "sha256:c".into(),
            config_bytes: 2,
            layer_bytes: vec![40],
            platform,
        };
        for field in ["SchemaV2Manifest", "OCIManifest"] {
            assert_eq!(stored(&one(field)).unwrap(), std::slice::from_ref(&expected));
            assert_eq!(stored(&format!("[{0},{0}]", one(field))).unwrap().len(), 2);
        }
        stored("{}").unwrap_err();
    }
}
