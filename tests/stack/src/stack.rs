//! The four servers together, with the buckets, topics and settings file that the services expect.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::nsq::{self, Lookupd, LookupdOptions, Nsqd};
use crate::redis::{self, Redis};
use crate::registry::{self, Fixtures, Registry};
use crate::s3::{self, S3, StorageClass};
use crate::settings::{self, Access, COUNTED_TOPICS, TOPICS, channel};

/// The running servers. They end when this is dropped.
#[derive(Debug)]
pub struct Stack {
    pub registry: Registry,
    pub s3: S3,
    pub redis: Redis,
    pub nsqd: Nsqd,
    pub lookupd: Lookupd,
    folder: PathBuf,
}

/// How a stack is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data, the settings file and what the services write go.
    pub folder: PathBuf,
    pub ports: Ports,
    pub fixtures: Fixtures,
    /// Buckets whose objects are in an archive as soon as they are stored; see [`s3::Options::archived`].
    pub archived: BTreeMap<String, StorageClass>,
}

/// Where the servers listen, always on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// On any that are free.
    Free,
    /// Where upstream's test settings expect them.
    Fixed,
}

/// Institutions of the fixtures, whose buckets are made.
const INSTITUTIONS: [&str; 5] = ["aptrust.org", "institution1.edu", "institution2.edu", "test.edu", "example.edu"];
/// Of the fixtures: an administrator of APTrust.
const USER: (&str, &str) = ("system@aptrust.org", "password");

impl Stack {
    /// Starts all of it. What is in the folder from an earlier time is taken up.
    pub async fn start(options: Options) -> Result<Self> {
        let Options { folder, ports, fixtures, archived } = options;
        for part in ["s3", "redis", "work/ingest", "work/restore", "profiles", "logs"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("making the folder {}", path.display()))?;
        }
        let on = |fixed: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, if ports == Ports::Fixed { fixed } else { 0 }));
        let lookupd =
            Lookupd::start(LookupdOptions { tcp: on(4160), http: on(4161), ..LookupdOptions::default() }).await?;
        let nsqd = Nsqd::start(nsq::Options {
            tcp: on(4150),
            http: on(4151),
            lookupd: vec![lookupd.tcp()],
            data: Some(folder.join("nsq")),
            ..nsq::Options::default()
        })
        .await?;
        for topic in TOPICS {
            nsqd.create(topic, Some(&channel(topic))).await?;
        }
        for topic in COUNTED_TOPICS {
            nsqd.create(topic, None).await?;
        }
        let redis = Redis::start(redis::Options {
            port: on(6379).port(),
            folder: Some(folder.join("redis")),
            ..redis::Options::default()
        })?;
        let s3 = S3::start(s3::Options {
            address: on(9899),
            folder: Some(folder.join("s3")),
            buckets: settings::buckets(INSTITUTIONS),
            archived,
            admin: true,
            ..s3::Options::default()
        })
        .await?;
        let registry = Registry::start(registry::Options {
            port: on(8080).port(),
            database: Some(folder.join("registry.sqlite")),
            nsqd: Some(nsqd.http()),
            redis: Some((redis.address(), 0)),
            fixtures,
            ..registry::Options::default()
        })?;
        let stack = Self { registry, s3, redis, nsqd, lookupd, folder };
        let file = stack.settings_file();
        fs::write(&file, settings::text(&stack.access(), &stack.folder))
            .with_context(|| format!("writing the settings file {}", file.display()))?;
        Ok(stack)
    }

    /// Where everything is that does not live in memory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// For services that run on this stack.
    pub fn settings_file(&self) -> PathBuf {
        self.folder.join(settings::FILE)
    }

    pub fn access(&self) -> Access {
        Access {
            nsqd_http: self.nsqd.http(),
            lookupd_http: self.lookupd.http(),
            redis: self.redis.address(),
            s3: self.s3.address(),
            s3_key: "minioadmin".to_owned(),
            s3_secret: "minioadmin".to_owned(),
            registry: self.registry.address(),
            registry_user: USER.0.to_owned(),
            registry_key: USER.1.to_owned(),
        }
    }

    /// The institutions that can deposit bags.
    pub fn institutions(&self) -> &'static [&'static str] {
        &INSTITUTIONS
    }
}
