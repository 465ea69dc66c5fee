//! What S3 knows of an object, and how its answers say so.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_types::date_time::{DateTime, Format};
use time::OffsetDateTime;

use crate::error::{Error, Kind, Target};

/// What S3 knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    pub etag: ETag,
    pub last_modified: Option<OffsetDateTime>,
    pub content_type: Option<String>,
    /// User metadata, without the prefix of the headers; names in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Absent for `STANDARD`.
    pub storage_class: Option<String>,
    pub restored: Restored,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
}

/// What goes with an object's bytes.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    pub content_type: Option<String>,
    /// User metadata, without the prefix of the headers.
    pub metadata: BTreeMap<String, String>,
}

/// An object's identity: the same ETag, the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    text: String,
    is_keyed: bool,
}

/// Whether an archived object has a copy that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Nobody asked for it, or the object is in no archive.
    No,
    Ongoing,
    /// Until then, if the service says so.
    Until(Option<OffsetDateTime>),
}

impl Attributes {
    /// With names and values such as `model::metadata` makes them.
    pub fn new<N: Into<String>>(content_type: &str, metadata: impl IntoIterator<Item = (N, String)>) -> Self {
        let metadata = metadata.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self { content_type: Some(content_type.to_owned()), metadata }
    }
}

impl ETag {
    /// As S3 gives it, with or without quotes.
    pub fn new(text: &str) -> Self {
        Self { text: text.trim_matches('"').to_owned(), is_keyed: false }
    }

    /// Without quotes.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The object's md5 in lower-case hex, where the ETag is one (ruling D.28): not of an upload in parts, and not of an object
    /// whose key KMS keeps.
    pub fn md5(&self) -> Option<&str> {
        let is_md5 = self.text.len() == 32 && self.text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_md5 && !self.is_keyed).then_some(&self.text)
    }

    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.text)
    }

    /// An ETag that is an md5 must be that of what was sent.
    pub(crate) fn check(&self, md5: [u8; 16], target: impl FnOnce() -> Target) -> Result<(), Error> {
        let sent = hex::encode(md5);
        match self.md5() {
            Some(stored) if stored != sent => {
                Err(target().fails(Kind::Changed, format!("what was sent has md5 {sent}, what was stored {stored}")))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn etag(
    text: Option<&str>,
    encryption: Option<&ServerSideEncryption>,
    target: impl FnOnce() -> Target,
) -> Result<ETag, Error> {
    let Some(text) = text else { return Err(target().fails(Kind::Malformed, "the answer has no ETag")) };
    let is_keyed = matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse));
    Ok(ETag { is_keyed, ..ETag::new(text) })
}

pub(crate) fn size(length: Option<i64>, target: impl FnOnce() -> Target) -> Result<u64, Error> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| target().fails(Kind::Malformed, "the answer has no length"))
}

pub(crate) fn date(date: &DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(date.as_nanos()).ok()
}

/// Reads `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
pub(crate) fn restored(header: &str) -> Restored {
    if header.contains("ongoing-request=\"true\"") {
        return Restored::Ongoing;
    }
    let expiry = header.split_once("expiry-date=\"").and_then(|(_, rest)| rest.split_once('"'));
    Restored::Until(expiry.and_then(|(text, _)| date(&DateTime::from_str(text, Format::HttpDate).ok()?)))
}
