//! What stands in S3 of one file: its key in staging, what goes with its bytes, and what these must be (02 §1.7, §7.3). Which files
//! are sent where is their stages' business.

use model::metadata::{Destination, NoChecksum, metadata};
use model::multipart::SINGLE_PUT_LIMIT;
use model::{Algorithm, ChecksumSource, IngestFile, Provider};
use storage::{Attributes, Bucket, Digest, Length, Put, Storage};

/// The key of a file in staging: `<WorkItem id>/<UUID>`.
pub(crate) fn key(item: i64, file: &IngestFile) -> String {
    format!("{item}/{}", file.uuid)
}

/// The staging bucket.
pub(crate) fn bucket(storage: &Storage, staging: &buckets::Staging) -> Result<Bucket, storage::Error> {
    storage.bucket(&Provider::Aws, &staging.bucket)
}

/// An upload of the file, which is stored only if its bytes are those that were hashed when the bag was read.
pub(crate) fn put(file: &IngestFile, destination: Destination<'_>) -> Result<Put, NoChecksum> {
    Ok(Put { attributes: attributes(file, destination)?, length: Length::Known(size(file)), digest: digest(file) })
}

pub(crate) fn attributes(file: &IngestFile, destination: Destination<'_>) -> Result<Attributes, NoChecksum> {
    Ok(Attributes::new(&file.file_format, metadata(file, destination)?))
}

/// Bytes.
pub(crate) fn size(file: &IngestFile) -> u64 {
    u64::try_from(file.size).unwrap_or_default()
}

pub(crate) fn md5(file: &IngestFile) -> Option<&str> {
    file.checksum(&ChecksumSource::Ingest, &Algorithm::Md5).map(|checksum| checksum.digest.as_str())
}

/// A single request carries the md5 of all bytes anyhow, so that one serves for both. For parts, sha256 costs less.
fn digest(file: &IngestFile) -> Option<Digest> {
    let algorithm = if size(file) <= SINGLE_PUT_LIMIT { Algorithm::Md5 } else { Algorithm::Sha256 };
    let checksum = file.checksum(&ChecksumSource::Ingest, &algorithm)?;
    Digest::new(&algorithm, &checksum.digest)
}
