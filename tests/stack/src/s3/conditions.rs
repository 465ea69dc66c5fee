//! Conditional requests: which of RFC 9110's preconditions S3 honours, for reads, for copies and for writes.

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::index::Entry;
use super::model::{Etag, timestamp};

/// The conditions of a GET or HEAD, or those on the source of a copy.
#[derive(Debug, Default)]
#[allow(clippy::struct_field_names, reason = "the names of the headers")]
pub(crate) struct ReadCondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

/// What a condition on the source of a copy fails with, which has no "not modified".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Read,
    CopySource,
}

impl ReadCondition {
    /// RFC 9110 section 13.2.2: a condition on the ETag wins over the one on the time beside it.
    pub(crate) fn check(&self, entry: &Entry, on: On) -> S3Result<()> {
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        // HTTP dates know no fractions.
        let modified = timestamp(entry.modified.div_euclid(1000) * 1000);
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, entry.etag) => return Err(failed()),
            (None, Some(since)) if modified > *since => return Err(failed()),
            _ => {}
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, entry.etag),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        match (unchanged, on) {
            (false, _) => Ok(()),
            (true, On::CopySource) => Err(failed()),
            (true, On::Read) => {
                let mut error = s3_error!(NotModified, "Not Modified");
                let mut headers = hyper::HeaderMap::new();
                if let Ok(value) = format!("\"{}\"", entry.etag).parse() {
                    headers.insert(hyper::header::ETAG, value);
                }
                error.set_headers(headers);
                Err(error)
            }
        }
    }
}

/// The conditions of a PUT, of a copy on its destination, of the end of a multipart upload, or of a DELETE.
#[derive(Debug, Default)]
pub(crate) struct WriteCondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    /// What is there has this time, to the second.
    pub(crate) modified: Option<Timestamp>,
    /// What is there has so many bytes.
    pub(crate) size: Option<i64>,
}

impl WriteCondition {
    pub(crate) fn check(&self, present: Option<&Entry>) -> S3Result<()> {
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        match (&self.if_none_match, present) {
            (Some(ETagCondition::Any), Some(_)) => return Err(failed()),
            (Some(ETagCondition::ETag(_)), _) => {
                let message = "A header you provided implies functionality that is not implemented";
                return Err(s3_error!(NotImplemented, "{message}"));
            }
            _ => {}
        }
        let Some(entry) = present else {
            let asks = self.if_match.is_some() || self.modified.is_some() || self.size.is_some();
            return if asks { Err(s3_error!(NoSuchKey, "The specified key does not exist.")) } else { Ok(()) };
        };
        let holds = self.if_match.as_ref().is_none_or(|condition| matches(condition, entry.etag))
            && self.modified.as_ref().is_none_or(|wanted| is_second_of(wanted, entry.modified))
            && self.size.is_none_or(|size| u64::try_from(size) == Ok(entry.size));
        if holds { Ok(()) } else { Err(failed()) }
    }
}

/// HTTP dates know no fractions; those of lists do.
pub(crate) fn is_second_of(wanted: &Timestamp, millis: i64) -> bool {
    time::OffsetDateTime::from(wanted.clone()).unix_timestamp() == millis.div_euclid(1000)
}

fn matches(condition: &ETagCondition, etag: Etag) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag.to_string(),
    }
}
