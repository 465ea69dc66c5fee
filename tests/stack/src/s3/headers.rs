//! The headers that are stored with an object and given back with it, their values exactly as they came.
//!
//! They are read from the request itself and written into the answer itself: the typed fields of s3s decode and encode
//! metadata (RFC 2047), which would change it.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};
use s3s::{S3Result, s3_error};

const META: &str = "x-amz-meta-";

/// S3's limit on names and values of the user's metadata together.
const MOST_METADATA: usize = 2048;

const STORED: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// What of a request is stored with its object.
pub(crate) fn stored(headers: &HeaderMap) -> S3Result<Vec<(String, String)>> {
    let mut stored: Vec<(String, String)> = Vec::new();
    for name in &STORED {
        let Some(value) = headers.get(name) else { continue };
        let mut value = text(name, value)?.to_owned();
        if *name == header::CONTENT_ENCODING {
            // How the body travelled, not what it is.
            let encodings = value.split(',').map(str::trim).filter(|it| *it != "aws-chunked" && !it.is_empty());
            value = encodings.collect::<Vec<_>>().join(",");
        }
        if !value.is_empty() {
            stored.push((name.to_string(), value));
        }
    }
    let mut size = 0;
    for (name, value) in headers {
        let Some(short) = name.as_str().strip_prefix(META).filter(|short| !short.is_empty()) else { continue };
        let value = text(name, value)?;
        size += short.len() + value.len();
        stored.push((name.to_string(), value.to_owned()));
    }
    if size > MOST_METADATA {
        return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
    }
    if !stored.iter().any(|(name, _)| name == header::CONTENT_TYPE.as_str()) {
        stored.push((header::CONTENT_TYPE.to_string(), "binary/octet-stream".to_owned()));
    }
    Ok(stored)
}

fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> S3Result<&'a str> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| s3_error!(InvalidArgument, "The header {name} is not UTF-8"))
}

/// Puts them into an answer, except those that the request replaces.
pub(crate) fn write(stored: &[(String, String)], replaced: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(stored.len());
    for (name, value) in stored {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value.as_bytes()))
        else {
            continue;
        };
        if !replaced.contains(&name) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_came() {
        let mut headers = HeaderMap::new();
        let value = "data/Größe  \u{202f}x =?UTF-8?Q?=41?=";
        headers.insert("x-amz-meta-bagpath", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers.insert("content-encoding", HeaderValue::from_static("aws-chunked, gzip"));
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        let stored = stored(&headers).unwrap();
        let back = write(&stored, &[]);
        assert_eq!(back["x-amz-meta-bagpath"].as_bytes(), value.as_bytes());
        assert_eq!(back["content-encoding"], "gzip");
        assert_eq!(back["content-type"], "binary/octet-stream");
        assert_eq!(back.len(), 3);
        assert!(!write(&stored, &[header::CONTENT_TYPE]).contains_key("content-type"));
    }

    #[test]
    fn more_than_two_kilobytes_of_metadata_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", "b".repeat(2047).parse().unwrap());
        assert!(stored(&headers).is_ok());
        headers.insert("x-amz-meta-a", "b".repeat(2048).parse().unwrap());
        assert!(stored(&headers).is_err());
    }
}
