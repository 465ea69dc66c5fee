//! The servers that the services stand on, and the ways to them, which can be cut. NSQ has none, since consumers are told where nsqd
//! is: it is stopped, and started again where it was.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use stack::nsq::{Lookupd, LookupdOptions, Nsqd};
use stack::proxy::Proxy;
use stack::redis::Redis;
use stack::registry::{Fixtures, Registry};
use stack::s3::S3;
use stack::settings::{self, Access, COUNTED_TOPICS, TOPICS, channel};

use crate::real::{self, Started};

/// How long a message may be in flight without a touch: so long the message of a killed worker stays away.
const MSG_TIMEOUT: Duration = Duration::from_secs(3);
/// Of the fixtures: those that deposit here.
const INSTITUTIONS: [&str; 5] = ["aptrust.org", "institution1.edu", "institution2.edu", "test.edu", "example.edu"];
const S3_KEY: &str = "minioadmin";
/// Of the fixtures: an administrator of APTrust.
const USER: (&str, &str) = ("system@aptrust.org", "password");

/// Which servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Those of `tests/stack`.
    Embedded,
    /// Those on PATH; the Registry that `REGISTRY_URL` names, or else ours.
    Real,
}

/// What can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Nsq,
    Redis,
    Registry,
    S3,
}

/// All of them, running.
#[derive(Debug)]
pub(crate) struct Servers {
    kind: Kind,
    folder: PathBuf,
    nsqd: Option<AnyNsqd>,
    nsqd_at: (SocketAddr, SocketAddr),
    lookupd: AnyLookupd,
    redis: SocketAddr,
    s3: SocketAddr,
    registry: AnyRegistry,
    redis_way: Proxy,
    s3_way: Proxy,
    registry_way: Option<Proxy>,
    _alive: (AnyRedis, AnyS3),
}

#[derive(Debug)]
enum AnyNsqd {
    Ours(Nsqd),
    Real(Started),
}

#[derive(Debug)]
enum AnyLookupd {
    Ours(Lookupd),
    Real(Started),
}

#[derive(Debug)]
#[expect(dead_code, reason = "they live as long as these values")]
enum AnyRedis {
    Ours(Redis),
    Real(Started),
}

#[derive(Debug)]
#[expect(dead_code, reason = "they live as long as these values")]
enum AnyS3 {
    Ours(S3),
    Real(Started),
}

#[derive(Debug)]
enum AnyRegistry {
    Ours(Registry),
    /// Somebody else's, at this address.
    Elsewhere {
        url: String,
        user: String,
        key: String,
    },
}

impl Servers {
    /// Starts them, with the buckets, topics and people that the services expect. `folder` holds what they keep.
    pub(crate) async fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let made = |name: &str| {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
            anyhow::Ok(path)
        };
        let nsqd_at = (real::free()?, real::free()?);
        let (lookupd, (redis, redis_at), (s3, s3_at)) = match kind {
            Kind::Embedded => {
                let lookupd = Lookupd::start(LookupdOptions::default()).await?;
                let redis = Redis::start(stack::redis::Options::default())?;
                let options = stack::s3::Options { buckets: settings::buckets(INSTITUTIONS), ..Default::default() };
                let s3 = S3::start(options).await?;
                let (redis_at, s3_at) = (redis.address(), s3.address());
                (AnyLookupd::Ours(lookupd), (AnyRedis::Ours(redis), redis_at), (AnyS3::Ours(s3), s3_at))
            }
            Kind::Real => {
                let (lookupd, redis, weed) = (made("lookupd")?, made("redis")?, made("weed")?);
                let lookupd = real::nsqlookupd(&lookupd).await?;
                let redis = real::redis(&redis).await?;
                let s3 = real::weed(&weed, S3_KEY, S3_KEY).await?;
                let (redis_at, s3_at) = (redis.tcp, s3.tcp);
                (AnyLookupd::Real(lookupd), (AnyRedis::Real(redis), redis_at), (AnyS3::Real(s3), s3_at))
            }
        };
        let registry = match std::env::var("REGISTRY_URL").ok().filter(|url| kind == Kind::Real && !url.is_empty()) {
            Some(url) => {
                let or = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
                AnyRegistry::Elsewhere { url, user: or("REGISTRY_USER", USER.0), key: or("REGISTRY_KEY", USER.1) }
            }
            None => AnyRegistry::Ours(Registry::start(stack::registry::Options {
                nsqd: Some(nsqd_at.1),
                redis: Some((redis_at, 0)),
                fixtures: Fixtures::People,
                ..Default::default()
            })?),
        };
        let registry_way = match &registry {
            AnyRegistry::Ours(registry) => Some(Proxy::to(registry.address()).await),
            AnyRegistry::Elsewhere { .. } => None,
        };
        let mut servers = Self {
            kind,
            folder: made("nsq")?,
            nsqd: None,
            nsqd_at,
            lookupd,
            redis: redis_at,
            s3: s3_at,
            registry,
            redis_way: Proxy::to(redis_at).await,
            s3_way: Proxy::to(s3_at).await,
            registry_way,
            _alive: (redis, s3),
        };
        servers.start_nsqd().await?;
        Ok(servers)
    }

    async fn start_nsqd(&mut self) -> Result<()> {
        let (tcp, http) = self.nsqd_at;
        let nsqd = match self.kind {
            Kind::Real => AnyNsqd::Real(real::nsqd(&self.folder, self.nsqd_at, self.lookupd_tcp(), MSG_TIMEOUT).await?),
            Kind::Embedded => {
                let options = stack::nsq::Options {
                    tcp,
                    http,
                    lookupd: vec![self.lookupd_tcp()],
                    msg_timeout: MSG_TIMEOUT,
                    data: Some(self.folder.clone()),
                    ..Default::default()
                };
                AnyNsqd::Ours(Nsqd::start(options).await?)
            }
        };
        self.nsqd = Some(nsqd);
        let client = reqwest::Client::new();
        let make = async |path: String| -> Result<()> {
            let making = || format!("asking nsqd for {path}");
            let answer = client.post(format!("http://{http}/{path}")).send().await.with_context(making)?;
            answer.error_for_status().with_context(making).map(drop)
        };
        for topic in TOPICS.into_iter().chain(COUNTED_TOPICS) {
            make(format!("topic/create?topic={topic}")).await?;
        }
        for topic in TOPICS {
            make(format!("channel/create?topic={topic}&channel={}", channel(topic))).await?;
        }
        Ok(())
    }

    fn lookupd_tcp(&self) -> SocketAddr {
        match &self.lookupd {
            AnyLookupd::Ours(lookupd) => lookupd.tcp(),
            AnyLookupd::Real(started) => started.tcp,
        }
    }

    fn lookupd_http(&self) -> SocketAddr {
        match &self.lookupd {
            AnyLookupd::Ours(lookupd) => lookupd.http(),
            AnyLookupd::Real(started) => started.http,
        }
    }

    /// Nobody reaches it from now on, and who does is cut off.
    pub(crate) async fn take_away(&mut self, server: Server) -> Result<()> {
        match server {
            Server::Redis => self.redis_way.take_away(),
            Server::S3 => self.s3_way.take_away(),
            Server::Registry => self.registry_way.iter().for_each(Proxy::take_away),
            Server::Nsq => match self.nsqd.take() {
                Some(AnyNsqd::Ours(nsqd)) => nsqd.stop().await,
                Some(AnyNsqd::Real(started)) => drop(started.process.stop().await?),
                None => {}
            },
        }
        Ok(())
    }

    /// It is where it was, with what it had.
    pub(crate) async fn bring_back(&mut self, server: Server) -> Result<()> {
        match server {
            Server::Redis => self.redis_way.bring_back(),
            Server::S3 => self.s3_way.bring_back(),
            Server::Registry => self.registry_way.iter().for_each(Proxy::bring_back),
            Server::Nsq => self.start_nsqd().await?,
        }
        Ok(())
    }

    /// Our own Registry, whose clock and people a test can turn.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        match &self.registry {
            AnyRegistry::Ours(registry) => Some(registry),
            AnyRegistry::Elsewhere { .. } => None,
        }
    }

    /// Where the services find them: by the ways that can be cut.
    pub(crate) fn cuttable(&self) -> Access {
        Access { redis: self.redis_way.address(), s3: self.s3_way.address(), ..self.access() }
    }

    /// The Registry, by the way that can be cut, where it is ours.
    pub(crate) fn cuttable_registry(&self) -> String {
        self.registry_way.as_ref().map_or_else(|| self.registry_url(), |way| format!("http://{}", way.address()))
    }

    /// Where the tests find them: past the ways that are cut.
    pub(crate) fn access(&self) -> Access {
        let (registry_user, registry_key) = match &self.registry {
            AnyRegistry::Ours(_) => (USER.0.to_owned(), USER.1.to_owned()),
            AnyRegistry::Elsewhere { user, key, .. } => (user.clone(), key.clone()),
        };
        Access {
            nsqd_http: self.nsqd_at.1,
            lookupd_http: self.lookupd_http(),
            redis: self.redis,
            s3: self.s3,
            s3_key: S3_KEY.to_owned(),
            s3_secret: S3_KEY.to_owned(),
            // Its URL counts, which need not be on loopback.
            registry: self.registry().map_or(SocketAddr::from(([127, 0, 0, 1], 0)), Registry::address),
            registry_user,
            registry_key,
        }
    }

    /// The Registry, past that way.
    pub(crate) fn registry_url(&self) -> String {
        match &self.registry {
            AnyRegistry::Ours(registry) => registry.url(),
            AnyRegistry::Elsewhere { url, .. } => url.clone(),
        }
    }

    /// Every bucket that the services expect.
    pub(crate) fn buckets() -> Vec<String> {
        settings::buckets(INSTITUTIONS)
    }
}
