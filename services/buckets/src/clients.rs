//! From settings to clients. None of them opens a connection before it is used.

use anyhow::{Context as _, Result};
use worker::settings::Secret;

use crate::settings::{Credentials, S3, Scheme};

impl S3 {
    /// Receiving, staging and restoration buckets.
    pub async fn storage(&self) -> Result<storage::Storage> {
        let secret = |choose: fn(&Credentials) -> &Secret| {
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
