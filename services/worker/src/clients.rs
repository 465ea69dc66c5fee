//! From settings to clients. None of them opens a connection before it is used.

use anyhow::{Context as _, Result};

use crate::settings::{Nsq, NsqPublisher, Redis, Registry, S3, Scheme};

impl Registry {
    pub fn client(&self) -> Result<registry::Client> {
        let settings = registry::Settings {
            url: self.url.as_str(),
            version: self.api_version.as_str(),
            user: self.user.as_str(),
            key: self.key.expose(),
        };
        registry::Client::new(settings, registry::Limits::default()).context("the settings of the Registry")
    }
}

impl Redis {
    pub fn store(&self) -> Result<redis_store::Store> {
        let options = redis_store::Options {
            address: self.address.as_str().to_owned(),
            password: self.password.as_ref().map(|password| password.expose().to_owned()),
            database: self.database,
            lease_database: self.lease_database,
        };
        redis_store::Store::new(&options).context("the settings of Redis")
    }
}

impl NsqPublisher {
    pub fn publisher(&self) -> Result<nsq::Publisher> {
        nsq::Publisher::new(self.url.as_str()).context("the address of nsqd")
    }
}

impl Nsq {
    pub fn lookup(&self) -> Result<nsq::Lookup> {
        nsq::Lookup::new([self.lookupd.as_str()]).context("the address of nsqlookupd")
    }
}

impl S3 {
    /// Receiving, staging and restoration buckets.
    pub async fn storage(&self) -> Result<storage::Storage> {
        let secret = |choose: fn(&crate::settings::Credentials) -> &crate::settings::Secret| {
            self.credentials.as_ref().map(|credentials| choose(credentials).expose().to_owned())
        };
        let provider = storage::Provider {
            name: model::Provider::Aws,
            host: self.host.as_str().to_owned(),
            scheme: match self.scheme {
                Scheme::Http => storage::Scheme::Http,
                Scheme::Https => storage::Scheme::Https,
            },
            key: secret(|credentials| &credentials.key),
            secret: secret(|credentials| &credentials.secret),
        };
        let config =
            storage::Config { providers: vec![provider], regions: Vec::new(), limits: storage::Limits::default() };
        storage::Storage::new(&config).await.context("the settings of S3")
    }
}
