//! Objects from files of this machine, past HTTP: what is dropped into the stack's folder.

use std::io::SeekFrom;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use md5::{Digest as _, Md5};
use s3s::dto::StreamingBlob;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::S3;
use super::conditions::WriteCondition;
use super::inbound::Taken;
use super::model::{Etag, LARGEST_OBJECT, Object};
use super::receive::{Announced, LARGEST, Received, receive};

/// What is read at a time.
const CHUNK: usize = 256 << 10;

/// The parts of a file that is too large for one PUT.
const PART: u64 = 1 << 30;

impl S3 {
    /// Stores the file as an object, as if it had been sent by one PUT, or by parts of 1 GiB if it is larger than 5 GiB.
    ///
    /// Nothing is stored if this is dropped before its end. What does not fit into an object, 5 TiB, is refused.
    pub async fn import(&self, bucket: &str, key: &str, file: &Path) -> anyhow::Result<()> {
        let file = File::open(file).await.context("opening it")?;
        let length = file.metadata().await.context("finding out its size")?.len();
        if length > LARGEST_OBJECT {
            bail!("it has {length} bytes, and an object at most {LARGEST_OBJECT}");
        }
        self.import_by(if length > LARGEST { PART } else { LARGEST }, bucket, key, &file, length).await
    }

    async fn import_by(&self, part: u64, bucket: &str, key: &str, file: &File, length: u64) -> anyhow::Result<()> {
        let refused = |error: s3s::S3Error| anyhow!("{}", error.message().unwrap_or_else(|| error.code().as_str()));
        self.store.read(|index| index.bucket(bucket).map(|_| ())).map_err(refused)?;
        let (mut md5s, mut segments, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..length.div_ceil(part).max(1) {
            let size = part.min(length - number * part);
            let mut file = file.try_clone().await.context("opening it again")?;
            file.seek(SeekFrom::Start(number * part)).await.context("reading it")?;
            let body = StreamingBlob::wrap(ReaderStream::with_capacity(file.take(size), CHUNK));
            let received =
                receive(&self.store.files, Some(body), Announced::of_file(size), Ok).await.map_err(refused)?;
            let Received { md5, segments: mut more, names: mut more_names, .. } = received;
            md5s.push(md5);
            segments.append(&mut more);
            names.append(&mut more_names);
        }
        let etag = match md5s[..] {
            [md5] => Etag { md5, parts: 0 },
            _ => Etag { md5: Md5::digest(md5s.concat()).into(), parts: u16::try_from(md5s.len())? },
        };
        let object = Object {
            class: self.store.class(bucket, None),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size: length,
            etag,
            modified: self.store.clock.now(),
            headers: vec![("content-type".to_owned(), "application/x-tar".to_owned())],
            checksum: None,
            segments,
            upload: None,
        };
        let store = self.store.clone();
        spawn_blocking(move || store.put(object, names, &WriteCondition::default())).await?.map_err(refused)
    }
}

impl Announced {
    /// Of a file, or of a part of one: nothing but its length.
    fn of_file(size: u64) -> Self {
        Self {
            length: i64::try_from(size).ok(),
            md5: None,
            checksums: Vec::new(),
            trailing: None,
            wanted: None,
            taken: Taken::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::Options;
    use super::*;

    /// With parts of a size that a test can afford.
    #[tokio::test]
    async fn what_is_too_large_for_one_put_is_stored_by_parts() {
        let s3 = S3::start(Options { buckets: vec!["bucket".into()], ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(folder.path().join("tar"), &bytes).unwrap();
        for (part, parts) in [(1 << 20, 3), (2_800_000, 0), (2_799_999, 2)] {
            let file = File::open(folder.path().join("tar")).await.unwrap();
            s3.import_by(part, "bucket", "key", &file, bytes.len() as u64).await.unwrap();
            let found = s3.store.find("bucket", "key").unwrap();
            let mut stored = Vec::new();
            for segment in &found.object.segments {
                s3.store.files.read_segment(segment).unwrap().read_to_end(&mut stored).unwrap();
            }
            assert!(stored == bytes, "{part}");
            let md5s: Vec<_> = bytes.chunks(usize::try_from(part).unwrap()).map(Md5::digest).collect();
            let md5 = if parts == 0 { md5s[0] } else { Md5::digest(md5s.concat()) };
            assert_eq!(found.entry.etag, Etag { md5: md5.into(), parts });
            assert_eq!(found.entry.size, bytes.len() as u64);
        }
    }

    #[tokio::test]
    async fn what_no_object_can_hold_is_refused_unread() {
        let s3 = S3::start(Options { buckets: vec!["bucket".into()], ..Options::default() }).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        if file.as_file().set_len(LARGEST_OBJECT + 1).is_err() {
            // The file system has no files of that size either.
            return;
        }
        let error = s3.import("bucket", "key", file.path()).await.unwrap_err().to_string();
        assert!(error.contains("at most 5497558138880"), "{error}");
    }
}
