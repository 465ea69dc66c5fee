//! Objects from files of this machine, past HTTP: what is dropped into the stack's folder.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use s3s::dto::StreamingBlob;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::S3;
use super::conditions::WriteCondition;
use super::model::{Etag, Object};
use super::receive::{Announced, Received, receive};

/// What is read at a time.
const CHUNK: usize = 256 << 10;

impl S3 {
    /// Stores the file as an object, as if it had been sent by one PUT.
    pub async fn import(&self, bucket: &str, key: &str, file: &Path) -> anyhow::Result<()> {
        let file = File::open(file).await.context("opening it")?;
        let length = file.metadata().await.context("finding out its size")?.len();
        let announced = Announced {
            length: i64::try_from(length).ok(),
            md5: None,
            checksums: Vec::new(),
            trailing: None,
            wanted: None,
            taken: super::inbound::Taken::default(),
        };
        let body = StreamingBlob::wrap(ReaderStream::with_capacity(file, CHUNK));
        let (store, bucket, key) = (self.store.clone(), bucket.to_owned(), key.to_owned());
        let commit = move |received: Received| {
            let object = Object {
                class: store.class(&bucket, None),
                bucket,
                key,
                size: received.size,
                etag: Etag { md5: received.md5, parts: 0 },
                modified: store.clock.now(),
                headers: vec![("content-type".to_owned(), "application/x-tar".to_owned())],
                checksum: None,
                segments: received.segments,
                upload: None,
            };
            store.put(object, received.names, &WriteCondition::default())
        };
        receive(&self.store.files, Some(body), announced, commit).await.map_err(|error| anyhow!("{error}"))
    }
}
