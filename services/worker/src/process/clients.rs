//! From settings to clients. None of them opens a connection before it is used.

use anyhow::{Context as _, Result};

use crate::process::settings::{Nsq, NsqPublisher, Redis, Registry};

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
