//! What is refused before s3s sees a request, because s3s would let it pass: names, sizes, dates and digests against S3's rules.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use s3s::validation::NameValidation;
use s3s::{S3Result, s3_error};

use super::operation::split;

const CONTENT_MD5: &str = "content-md5";

/// The most that the headers of a request may be together. S3 allows 8 KiB, of which 2 are metadata.
const MOST_HEADERS: usize = 16 << 10;

/// The longest XML: a thousand keys to delete, each written as escapes, or ten thousand parts.
pub(crate) const MOST_XML: usize = 8 << 20;

/// Seconds that a presigned URL may be good for: a week.
const LONGEST_PRESIGNED: i64 = 604_800;

/// The parameters of a presigned URL, which has all of them.
const PRESIGNED: [&str; 6] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"];

pub(crate) fn request(parts: &Parts) -> S3Result<()> {
    sizes(parts)?;
    authorization(parts)?;
    content_md5(&parts.headers)
}

fn sizes(parts: &Parts) -> S3Result<()> {
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MOST_HEADERS {
        let message = "Your request header section exceeds the maximum allowed request header section size";
        return Err(s3_error!(RequestHeaderSectionTooLarge, "{message}"));
    }
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if parts.method == Method::POST && length.is_some_and(|length: usize| length > MOST_XML) {
        return Err(s3_error!(MaxMessageLengthExceeded, "Your request was too large."));
    }
    Ok(())
}

fn authorization(parts: &Parts) -> S3Result<()> {
    let authorization = parts.headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let query = parts.uri.query().unwrap_or_default();
    if authorization.starts_with(b"AWS ") || query.split('&').any(|pair| pair.starts_with("AWSAccessKeyId=")) {
        let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
        return Err(s3_error!(InvalidRequest, "{message}"));
    }
    let value = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(it, _)| *it == name).map(|(_, value)| value)
    };
    let given = PRESIGNED.iter().filter(|name| value(name).is_some()).count();
    if (1..PRESIGNED.len()).contains(&given) {
        let message = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                       X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
        return Err(s3_error!(AuthorizationQueryParametersError, "{message}"));
    }
    match value("X-Amz-Expires").map(str::parse::<i64>) {
        None | Some(Ok(0..=LONGEST_PRESIGNED)) => Ok(()),
        Some(Err(_)) => Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires should be a number")),
        Some(Ok(..0)) => Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires must be non-negative")),
        Some(Ok(_)) => {
            let message = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must \
                           be less than 604800 seconds";
            Err(s3_error!(AuthorizationQueryParametersError, "{message}"))
        }
    }
}

/// Whether it can be an md5 at all; s3s takes an empty one for none.
fn content_md5(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key(CONTENT_MD5) && md5(headers).is_none() {
        return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."));
    }
    Ok(())
}

fn md5(headers: &HeaderMap) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(headers.get(CONTENT_MD5)?.to_str().ok()?.trim()).ok().filter(|md5| md5.len() == 16)
}

/// What the body must hash to where it is read whole: not that of an object or a part, which is hashed as it is stored.
pub(crate) fn md5_of_document<B>(request: &Request<B>) -> Option<Vec<u8>> {
    let streams = request.method() == Method::PUT && !split(request.uri().path()).1.is_empty();
    md5(request.headers()).filter(|_| !streams)
}

/// Names of buckets by the rules of general purpose buckets.
pub(crate) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        is_bucket_name(name)
    }
}

/// s3s lets labels begin and end with a hyphen, and does not know what S3 has reserved.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    const RESERVED_BEGINNINGS: [&str; 2] = ["sthree-", "amzn-s3-demo-"];
    const RESERVED_ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    s3s::path::check_bucket_name(name)
        && !name.split('.').any(|label| label.starts_with('-') || label.ends_with('-'))
        && !RESERVED_BEGINNINGS.iter().any(|reserved| name.starts_with(reserved))
        && !RESERVED_ENDS.iter().any(|reserved| name.ends_with(reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_are_those_that_s3_takes() {
        for name in ["abc", "a-b.c-d", "1.2.3", "aptrust.receiving.test.test.edu"] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in
            ["ab", "foo.-bar", "foo-.bar", "foo..bar", "-foo", "192.168.5.4", "xn--foo", "sthree-a", "a-s3alias"]
        {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}
