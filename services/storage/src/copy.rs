//! Copies that S3 makes by itself, within one provider.

use aws_sdk_s3::types::MetadataDirective;
use model::multipart::{SINGLE_COPY_LIMIT, copy_parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::bucket::Bucket;
use crate::connection::copying;
use crate::error::{Error, Kind};
use crate::multipart::{Flights, Multipart, Origin};
use crate::object::{Attributes, ETag, Stored, etag};

/// A copy within one provider.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Bytes of the source: they decide how it is copied.
    pub size: u64,
    /// Only this version of the source; another one is [`Kind::Changed`].
    pub etag: Option<ETag>,
    /// `None` takes over the source's content type and metadata.
    pub attributes: Option<Attributes>,
}

impl Bucket {
    /// Has S3 copy an object into this bucket, in one request up to 5 GiB, above that in parts.
    pub async fn copy_from(&self, key: &str, source: &Self, source_key: &str, copy: &Copy) -> Result<Stored, Error> {
        let path = format!("{}/{}", source.name(), utf8_percent_encode(source_key, UNESCAPED));
        let copied = if copy.size <= SINGLE_COPY_LIMIT {
            self.copy_once(key, path, copy).await
        } else {
            Box::pin(self.copy_in_parts(key, source, source_key, path, copy)).await
        };
        // What is absent or archived is the source: the error is about that.
        copied.map_err(|error| match error.kind() {
            Kind::NotFound | Kind::Archived => error.about(source.target("copy", source_key)),
            _ => error,
        })
    }

    async fn copy_in_parts(
        &self,
        key: &str,
        source: &Self,
        source_key: &str,
        path: String,
        copy: &Copy,
    ) -> Result<Stored, Error> {
        // Parts take nothing over by themselves.
        let stat = source.stat(source_key).await?;
        if stat.size != copy.size || copy.etag.as_ref().is_some_and(|etag| etag.as_str() != stat.etag.as_str()) {
            return Err(source
                .target("HEAD", source_key)
                .fails(Kind::Changed, "the source is not the expected version"));
        }
        let taken_over = Attributes { content_type: stat.content_type, metadata: stat.metadata };
        let upload = Multipart::begin(self, key, copy.attributes.as_ref().unwrap_or(&taken_over)).await?;
        let mut flights = Flights::new(self.shared().limits.parts);
        let origin = Origin { path, etag: stat.etag };
        for (number, range) in (1..).zip(even_ranges(copy.size)) {
            flights.add(upload.copy(number, &origin, range)).await?;
        }
        upload.complete(flights.finish().await?, copy.size).await
    }

    async fn copy_once(&self, key: &str, path: String, copy: &Copy) -> Result<Stored, Error> {
        let target = || self.target("copy", key);
        let mut request = self.client().await?.copy_object().bucket(self.name()).key(key).copy_source(path);
        if let Some(Attributes { content_type, metadata }) = copy.attributes.clone() {
            request = request.metadata_directive(MetadataDirective::Replace).set_content_type(content_type);
            request = request.set_metadata(Some(metadata.into_iter().collect()));
        }
        let request = request.set_copy_source_if_match(copy.etag.as_ref().map(ETag::quoted));
        let settings = self.shared().patient(copying(copy.size));
        let answer = Box::pin(request.customize().config_override(settings).send()).await;
        let answer = answer.map_err(|error| Error::of_sdk(target(), error))?;
        let text = answer.copy_object_result().and_then(|result| result.e_tag());
        let etag = etag(text, answer.server_side_encryption(), target)?;
        match (copy.etag.as_ref().and_then(ETag::md5), etag.md5()) {
            (Some(wanted), Some(copied)) if wanted != copied => {
                Err(target().fails(Kind::Changed, format!("the source has md5 {wanted}, the copy {copied}")))
            }
            _ => Ok(Stored { etag, size: copy.size }),
        }
    }
}

/// What a path may hold as it is; the SDK escapes nothing in the header of a copy.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// First and last byte of as many parts as it takes, as even as can be.
fn even_ranges(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = copy_parts(size);
    let at = move |part: u64| u64::try_from(u128::from(size) * u128::from(part) / u128::from(count)).unwrap_or(size);
    (0..count).map(move |part| (at(part), at(part + 1) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_even_and_cover_all() {
        for size in [SINGLE_COPY_LIMIT + 1, (6 << 30) + 12345, 5 << 40] {
            let ranges: Vec<_> = even_ranges(size).collect();
            assert!(ranges.len() <= 10_000);
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, size - 1));
            assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
            let lengths = || ranges.iter().map(|(first, last)| last - first + 1);
            assert!(lengths().max().unwrap() <= SINGLE_COPY_LIMIT);
            assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1);
        }
    }
}
