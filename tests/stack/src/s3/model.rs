//! What is stored: objects, parts, their digests and classes, as the journal keeps them.

use std::fmt;

use s3s::dto::Timestamp;
use s3s::{S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The most that an object may be.
pub(crate) const LARGEST_OBJECT: u64 = 5 << 40;

/// An object as written to the journal. The index in memory holds an [`Entry`](super::index::Entry) and where this is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Object {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: Etag,
    /// Milliseconds since 1970, as everywhere in the journal.
    pub(crate) modified: i64,
    pub(crate) class: Class,
    /// Content-Type and its like, and the user's metadata, by lower-case name, the values exactly as sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) segments: Vec<Segment>,
    /// The multipart upload that ended by becoming this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upload: Option<String>,
}

/// A stretch of a data file. Data files are never changed once written; a copy is another name for the same file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Segment {
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One part of a multipart upload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Part {
    pub(crate) size: u64,
    pub(crate) etag: Etag,
    pub(crate) modified: i64,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) segments: Vec<Segment>,
}

/// What a multipart upload was started with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Start {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) started: i64,
    pub(crate) class: Class,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) algorithm: Option<Algorithm>,
    /// The checksum is over the whole object instead of over the parts' checksums.
    pub(crate) full: bool,
}

/// The md5 of the bytes, or of the parts' md5s with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Etag {
    pub(crate) md5: [u8; 16],
    /// 0 for an object of one piece.
    pub(crate) parts: u16,
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.md5))?;
        if self.parts > 0 { write!(f, "-{}", self.parts) } else { Ok(()) }
    }
}

impl Serialize for Etag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Etag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (md5, parts) = text.split_once('-').unwrap_or((&text, "0"));
        let mut etag = Self { md5: [0; 16], parts: parts.parse().map_err(serde::de::Error::custom)? };
        hex::decode_to_slice(md5, &mut etag.md5).map_err(serde::de::Error::custom)?;
        Ok(etag)
    }
}

impl From<Etag> for s3s::dto::ETag {
    fn from(etag: Etag) -> Self {
        Self::Strong(etag.to_string())
    }
}

/// The storage classes of S3.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// What an object is stored in when nothing else was asked for.
    #[default]
    Standard,
    /// STANDARD_IA.
    StandardIa,
    /// ONEZONE_IA.
    OnezoneIa,
    /// INTELLIGENT_TIERING.
    IntelligentTiering,
    /// REDUCED_REDUNDANCY.
    ReducedRedundancy,
    /// GLACIER_IR, which reads at once.
    GlacierIr,
    /// GLACIER: reads only what was restored.
    Glacier,
    /// DEEP_ARCHIVE: reads only what was restored.
    DeepArchive,
}

pub(crate) use StorageClass as Class;

impl StorageClass {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Standard, "STANDARD"),
        (Self::StandardIa, "STANDARD_IA"),
        (Self::OnezoneIa, "ONEZONE_IA"),
        (Self::IntelligentTiering, "INTELLIGENT_TIERING"),
        (Self::ReducedRedundancy, "REDUCED_REDUNDANCY"),
        (Self::GlacierIr, "GLACIER_IR"),
        (Self::Glacier, "GLACIER"),
        (Self::DeepArchive, "DEEP_ARCHIVE"),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).map_or("STANDARD", |(_, name)| name)
    }

    pub(crate) fn parse(name: Option<&str>) -> S3Result<Option<Self>> {
        let Some(name) = name else { return Ok(None) };
        match Self::ALL.iter().find(|(_, known)| *known == name) {
            Some((class, _)) => Ok(Some(*class)),
            None => Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid")),
        }
    }

    /// An object of this class must be restored before it can be read.
    pub(crate) fn is_archive(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }
}

/// A checksum that the client chose, beside the md5.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    /// Base64, with `-<parts>` when it is over the parts' checksums.
    pub(crate) value: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Crc32, "CRC32", "x-amz-checksum-crc32"),
        (Self::Crc32c, "CRC32C", "x-amz-checksum-crc32c"),
        (Self::Crc64Nvme, "CRC64NVME", "x-amz-checksum-crc64nvme"),
        (Self::Sha1, "SHA1", "x-amz-checksum-sha1"),
        (Self::Sha256, "SHA256", "x-amz-checksum-sha256"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |(_, name, _)| name)
    }

    pub(crate) fn header(self) -> &'static str {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |(.., header)| header)
    }

    pub(crate) fn parse(name: &str) -> S3Result<Self> {
        match Self::ALL.iter().find(|(_, known, _)| *known == name) {
            Some((algorithm, ..)) => Ok(*algorithm),
            None => Err(s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported: {name}")),
        }
    }

    /// A checksum of parts' checksums is the only kind there is for a SHA; a CRC-64 is always of the whole.
    pub(crate) fn is_always_full(self) -> bool {
        self == Self::Crc64Nvme
    }
}

/// A temporary copy of an archived object.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Restore {
    pub(crate) ready: i64,
    pub(crate) expires: i64,
}

pub(crate) fn date(millis: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from(date(millis))
}

/// A failed disk operation as S3 answers it. A full disk is told apart, since only an operator can help.
pub(crate) fn disk_error(error: std::io::Error) -> s3s::S3Error {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        let code = S3ErrorCode::Custom("InsufficientStorage".into());
        let mut answer = s3s::S3Error::with_message(code, "The disk of the server is full; nothing was stored");
        answer.set_status_code(hyper::StatusCode::INSUFFICIENT_STORAGE);
        answer.set_source(Box::new(error));
        return answer;
    }
    let mut answer = s3_error!(InternalError, "The server's storage failed: {error}");
    answer.set_source(Box::new(error));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_survive_the_journal() {
        for parts in [0, 1, 10_000] {
            let etag = Etag { md5: [0xab; 16], parts };
            let text = serde_json::to_string(&etag).unwrap();
            assert_eq!(serde_json::from_str::<Etag>(&text).unwrap(), etag, "{text}");
        }
        assert!(serde_json::from_str::<Etag>("\"abcd\"").is_err());
    }

    #[test]
    fn every_storage_class_has_the_name_that_s3_gives_it() {
        for (class, name) in Class::ALL {
            assert_eq!(Class::parse(Some(name)).unwrap(), Some(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{name}\""));
        }
        assert!(Class::parse(Some("COLD")).is_err());
    }
}
