//! Which institution an item belongs to, and so which object it makes: asked by several stages, answered once per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use model::{Institution, WorkItem, identifier};

/// The domains of institutions, which never change. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Institutions {
    registry: registry::Client,
    known: Arc<Mutex<HashMap<i64, String>>>,
}

impl Institutions {
    pub fn new(registry: registry::Client) -> Self {
        Self { registry, known: Arc::default() }
    }

    /// The institution's domain, such as `test.edu`.
    pub async fn identifier(&self, id: i64) -> Result<String> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identifier) = known().get(&id) {
            return Ok(identifier.clone());
        }
        let institution: Institution =
            self.registry.institution(id).await.context("the Registry did not show its institution")?;
        known().insert(id, institution.identifier.clone());
        Ok(institution.identifier)
    }

    /// The identifier of the object that an item is an ingest of.
    pub async fn object(&self, item: &WorkItem) -> Result<String> {
        Ok(identifier::of_object(&self.identifier(item.institution_id).await?, &item.name))
    }
}
