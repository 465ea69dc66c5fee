//! Which operation of S3 a request is, told from its line and headers alone, so that faults can strike before anything else.

use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};

/// The operations that a fault can be asked for, by their names in S3's documentation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "the names are S3's own")]
pub enum Operation {
    ListBuckets,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    GetBucketLocation,
    /// Both versions.
    ListObjects,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    GetObject,
    HeadObject,
    PutObject,
    CopyObject,
    DeleteObject,
    RestoreObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

impl Operation {
    /// None for what this server does not have.
    pub(crate) fn of(request: &Parts) -> Option<Self> {
        let (bucket, key) = split(request.uri.path());
        let query = request.uri.query().unwrap_or_default();
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers.contains_key("x-amz-copy-source");
        let operation = match (request.method.as_str(), bucket, key) {
            ("GET", "", _) => Self::ListBuckets,
            ("PUT", _, "") => Self::CreateBucket,
            ("DELETE", _, "") => Self::DeleteBucket,
            ("HEAD", _, "") => Self::HeadBucket,
            ("GET", _, "") if asks("location") => Self::GetBucketLocation,
            ("GET", _, "") if asks("uploads") => Self::ListMultipartUploads,
            ("GET", _, "") if asks("versions") => Self::ListObjectVersions,
            ("GET", _, "") => Self::ListObjects,
            ("POST", _, "") if asks("delete") => Self::DeleteObjects,
            ("GET", ..) if asks("uploadId") => Self::ListParts,
            ("GET", ..) => Self::GetObject,
            ("HEAD", ..) => Self::HeadObject,
            ("PUT", ..) if asks("uploadId") && copies => Self::UploadPartCopy,
            ("PUT", ..) if asks("uploadId") => Self::UploadPart,
            ("PUT", ..) if copies => Self::CopyObject,
            ("PUT", ..) => Self::PutObject,
            ("DELETE", ..) if asks("uploadId") => Self::AbortMultipartUpload,
            ("DELETE", ..) => Self::DeleteObject,
            ("POST", ..) if asks("restore") => Self::RestoreObject,
            ("POST", ..) if asks("uploads") => Self::CreateMultipartUpload,
            ("POST", ..) if asks("uploadId") => Self::CompleteMultipartUpload,
            _ => return None,
        };
        Some(operation)
    }
}

/// The bucket and the key, still encoded, in a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').unwrap_or((path, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str, copy: bool) -> Option<Operation> {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        if copy {
            request = request.header("x-amz-copy-source", "/a/b");
        }
        Operation::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_query_and_the_copy_source_decide() {
        assert_eq!(of("GET", "/", false), Some(Operation::ListBuckets));
        assert_eq!(of("GET", "/b/?list-type=2", false), Some(Operation::ListObjects));
        assert_eq!(of("GET", "/b?location", false), Some(Operation::GetBucketLocation));
        assert_eq!(of("GET", "/b?versions", false), Some(Operation::ListObjectVersions));
        assert_eq!(of("PUT", "/b/k", false), Some(Operation::PutObject));
        assert_eq!(of("PUT", "/b/k", true), Some(Operation::CopyObject));
        assert_eq!(of("PUT", "/b/k?partNumber=1&uploadId=u", false), Some(Operation::UploadPart));
        assert_eq!(of("PUT", "/b/k?partNumber=1&uploadId=u", true), Some(Operation::UploadPartCopy));
        assert_eq!(of("POST", "/b/k?restore=", false), Some(Operation::RestoreObject));
        assert_eq!(of("POST", "/b?delete", false), Some(Operation::DeleteObjects));
        assert_eq!(of("PATCH", "/b/k", false), None);
    }
}
