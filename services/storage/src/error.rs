//! What can go wrong with S3, sorted by what a caller does about it. What an item's failure means is the stage's business.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// A failed operation: which one, on what, and why. Holds neither credentials nor a signature.
#[derive(Debug)]
pub struct Error(Box<Details>);

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such object, and the bucket is there. Nothing else is taken for that.
    NotFound,
    /// There is no such bucket.
    NoBucket,
    /// The credentials do not allow it, or are wrong.
    Denied,
    /// The object is in an archive and must be restored before it is read.
    Archived,
    /// The object, or what arrived of it, is not what was expected: another ETag, digest or length.
    Changed,
    /// The object is larger than S3 takes, or needs larger parts than this process has memory for.
    TooLarge,
    /// The service asks to slow down.
    Throttled,
    /// The service could not be reached, broke off, took too long, failed, or lost an upload in parts.
    Unavailable,
    /// The service answered what no S3 answers.
    Malformed,
    /// The stream that was to be uploaded failed or had another length than announced.
    Source,
    /// The service refuses the request for another reason; repeating it is no use.
    Refused,
    /// The settings have no such provider, or only half of its credentials.
    Settings,
}

#[derive(Debug)]
struct Details {
    target: Target,
    kind: Kind,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What an operation was about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    operation: &'static str,
    bucket: String,
    key: Option<String>,
}

/// How much of a server's own words is kept.
const LONGEST_MESSAGE: usize = 300;

impl Error {
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether the same call may well succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, Kind::Throttled | Kind::Unavailable | Kind::Malformed)
    }

    pub fn is_not_found(&self) -> bool {
        self.0.kind == Kind::NotFound
    }

    /// The HTTP status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// S3's own name of the error, such as `NoSuchKey`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    pub fn bucket(&self) -> &str {
        &self.0.target.bucket
    }

    pub fn key(&self) -> Option<&str> {
        self.0.target.key.as_deref()
    }

    pub(crate) fn new(target: Target, kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Details { target, kind, status: None, code: None, request_id: None, message, source: None }))
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same failure, of a request whose digest is our own, taken of the very bytes: if they have another one now, they
    /// were damaged on the way.
    pub(crate) fn of_own_digest(mut self) -> Self {
        if self.code() == Some("BadDigest") {
            self.0.kind = Kind::Unavailable;
        }
        self
    }

    /// The same failure, by one who knows what it was about.
    pub(crate) fn about(mut self, target: Target) -> Self {
        self.0.target = target;
        self
    }

    /// The upload in parts was completed or aborted earlier, or the service lost it.
    pub(crate) fn is_upload_gone(&self) -> bool {
        self.code() == Some("NoSuchUpload")
    }

    /// What the uploaded stream said. An error of ours, as of a copy between providers, stays what it is.
    pub(crate) fn of_source(target: Target, error: Box<dyn StdError + Send + Sync>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(ours) => return *ours,
            Err(error) => error,
        };
        match error.downcast::<std::io::Error>() {
            Ok(io) => match io.downcast::<Self>() {
                Ok(ours) => ours,
                Err(io) => Self::new(target, Kind::Source, "the stream to be uploaded failed").because(io),
            },
            Err(error) => Self::new(target, Kind::Source, "the stream to be uploaded failed").because(error),
        }
    }

    /// The error of one object among several.
    pub(crate) fn of_code(target: Target, code: Option<&str>, message: Option<&str>) -> Self {
        let message: String = message.unwrap_or_default().chars().take(LONGEST_MESSAGE).collect();
        let kind = kind_of(&target, code, None);
        let mut error = Self::new(target, kind, message);
        error.0.code = code.map(ToOwned::to_owned);
        error
    }

    pub(crate) fn of_sdk<E>(target: Target, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().map(ToOwned::to_owned);
        let request_id = error.request_id().map(ToOwned::to_owned);
        let (kind, message) = match &error {
            SdkError::ServiceError(service) => {
                let said = service.err().message().unwrap_or_default();
                (kind_of(&target, code.as_deref(), status), said.chars().take(LONGEST_MESSAGE).collect())
            }
            SdkError::TimeoutError(_) => (Kind::Unavailable, "no answer in time".to_owned()),
            // What was to be sent is read while it is sent.
            SdkError::DispatchFailure(failure)
                if let Some(ours) = ours_in(failure.as_connector_error().and_then(StdError::source)) =>
            {
                (ours.kind(), "what was to be sent cannot be read".to_owned())
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => (Kind::Refused, "cannot be sent".to_owned()),
            SdkError::DispatchFailure(_) => (Kind::Unavailable, "no contact with the server".to_owned()),
            SdkError::ConstructionFailure(_) => (Kind::Refused, "the request cannot be made".to_owned()),
            _ => (Kind::Malformed, "the answer cannot be understood".to_owned()),
        };
        // An answer is let go: it may repeat what was signed.
        let source = match error {
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => error.into_source().ok(),
            _ => None,
        };
        Self(Box::new(Details { target, kind, status, code, request_id, message, source }))
    }
}

/// An error of ours among the causes of another.
fn ours_in<'e>(mut cause: Option<&'e (dyn StdError + 'static)>) -> Option<&'e Error> {
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref() {
            return Some(ours);
        }
        cause = error.source();
    }
    None
}

/// The kind of an error that the service reports. Its code says more than its status, where there is one.
fn kind_of(target: &Target, code: Option<&str>, status: Option<u16>) -> Kind {
    match code.unwrap_or_default() {
        "NoSuchKey" => return Kind::NotFound,
        "NoSuchBucket" => return Kind::NoBucket,
        // The SDK's word for 404 without a body. Only an answer to HEAD has none; what else is so short is not of S3.
        "NotFound" if target.operation == "HEAD" && target.key.is_none() => return Kind::NoBucket,
        "NotFound" if target.operation == "HEAD" => return Kind::NotFound,
        "NotFound" => return Kind::Malformed,
        "AccessDenied" | "AllAccessDisabled" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" => {
            return Kind::Denied;
        }
        "InvalidObjectState" | "ObjectNotInActiveTierError" => return Kind::Archived,
        // Not of the credentials, although it comes with 403.
        "ObjectAlreadyInActiveTierError" => return Kind::Refused,
        "PreconditionFailed" | "BadDigest" => return Kind::Changed,
        "EntityTooLarge" => return Kind::TooLarge,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "BandwidthLimitExceeded" => return Kind::Throttled,
        // Of the time and of the service, not of the request.
        "InternalError"
        | "InternalFailure"
        | "RequestTimeout"
        | "RequestTimeTooSkewed"
        | "ExpiredToken"
        | "TokenRefreshRequired"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ServiceUnavailable"
        | "GlacierExpeditedRetrievalNotAvailable"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "IncompleteBody"
        // Of an upload whose id and ETags are the service's own: another one may succeed.
        | "NoSuchUpload"
        | "InvalidPart" => return Kind::Unavailable,
        _ => {}
    }
    match (status, code) {
        (Some(401 | 403), _) => Kind::Denied,
        (Some(412), _) => Kind::Changed,
        (Some(429 | 503), _) => Kind::Throttled,
        (Some(408 | 499 | 500..), _) => Kind::Unavailable,
        // A page that something on the way has made up. That an object is absent is for S3 to say.
        (Some(404), None) => Kind::Malformed,
        // A redirection means another region or another host than the settings say. An error may also come with a good status,
        // when it happened after the first bytes of the answer were sent.
        (Some(300..), _) | (_, Some(_)) => Kind::Refused,
        (_, None) => Kind::Malformed,
    }
}

impl Target {
    pub(crate) fn new(operation: &'static str, bucket: &str, key: Option<&str>) -> Self {
        Self { operation, bucket: bucket.to_owned(), key: key.map(ToOwned::to_owned) }
    }

    pub(crate) fn fails(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(self.clone(), kind, message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { target, kind, status, code, request_id, message, .. } = &*self.0;
        write!(f, "{target}: {kind}")?;
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        let status = status.map(|status| status.to_string());
        let request = request_id.as_ref().map(|id| format!("request {id}"));
        let notes: Vec<&str> = [status.as_deref(), code.as_deref(), request.as_deref()].into_iter().flatten().collect();
        if notes.is_empty() { Ok(()) } else { write!(f, " ({})", notes.join(", ")) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} of `{}/{key}`", self.operation, self.bucket),
            None => write!(f, "{} of `{}`", self.operation, self.bucket),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such object",
            Self::NoBucket => "no such bucket",
            Self::Denied => "access denied",
            Self::Archived => "the object is archived",
            Self::Changed => "not what was expected",
            Self::TooLarge => "the object is too large",
            Self::Throttled => "the service asks to slow down",
            Self::Unavailable => "the service is not available",
            Self::Malformed => "not an answer of S3",
            Self::Source => "nothing was stored",
            Self::Refused => "the service refuses",
            Self::Settings => "the settings do not allow it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_more_than_statuses() {
        let cases = [
            ("GET", "NoSuchKey", 404, Kind::NotFound),
            ("HEAD", "NotFound", 404, Kind::NotFound),
            ("HEAD of a bucket", "NotFound", 404, Kind::NoBucket),
            ("GET", "NoSuchBucket", 404, Kind::NoBucket),
            ("GET", "InvalidObjectState", 403, Kind::Archived),
            ("copy", "ObjectNotInActiveTierError", 403, Kind::Archived),
            ("restore", "ObjectAlreadyInActiveTierError", 403, Kind::Refused),
            ("GET", "SignatureDoesNotMatch", 403, Kind::Denied),
            ("GET", "InvalidToken", 400, Kind::Denied),
            ("HEAD", "", 403, Kind::Denied),
            ("GET", "RequestTimeTooSkewed", 403, Kind::Unavailable),
            ("GET", "ExpiredToken", 400, Kind::Unavailable),
            ("PUT", "RequestTimeout", 400, Kind::Unavailable),
            ("PUT", "IncompleteBody", 400, Kind::Unavailable),
            ("PUT", "BadDigest", 400, Kind::Changed),
            ("PUT", "InvalidDigest", 400, Kind::Refused),
            ("PUT", "OperationAborted", 409, Kind::Unavailable),
            ("PUT", "ConditionalRequestConflict", 409, Kind::Unavailable),
            ("GET", "PreconditionFailed", 412, Kind::Changed),
            ("HEAD", "", 412, Kind::Changed),
            ("GET", "InvalidRange", 416, Kind::Refused),
            ("GET", "SlowDown", 503, Kind::Throttled),
            ("restore", "GlacierExpeditedRetrievalNotAvailable", 503, Kind::Unavailable),
            ("copy", "AccessDenied", 200, Kind::Denied),
            ("copy", "Unheard", 200, Kind::Refused),
            ("copy", "", 200, Kind::Malformed),
            ("GET", "", 429, Kind::Throttled),
            ("GET", "", 520, Kind::Unavailable),
            ("GET", "PermanentRedirect", 301, Kind::Refused),
            ("PUT", "EntityTooLarge", 400, Kind::TooLarge),
            ("PUT", "EntityTooSmall", 400, Kind::Refused),
        ];
        for (operation, code, status, kind) in cases {
            let (operation, key) = match operation {
                "HEAD of a bucket" => ("HEAD", None),
                operation => (operation, Some("key")),
            };
            let code = Some(code).filter(|code| !code.is_empty());
            let target = Target::new(operation, "bucket", key);
            assert_eq!(kind_of(&target, code, Some(status)), kind, "{operation} {code:?} {status}");
        }
    }

    #[test]
    fn nothing_but_a_missing_object_is_taken_for_one() {
        let cases = [
            ("PUT part", "NoSuchUpload", Kind::Unavailable),
            ("complete upload", "NoSuchUpload", Kind::Unavailable),
            ("complete upload", "InvalidPart", Kind::Unavailable),
            ("GET", "NoSuchVersion", Kind::Refused),
            ("GET", "NoSuchLifecycleConfiguration", Kind::Refused),
            ("DELETE", "", Kind::Malformed),
            ("DELETE", "NotFound", Kind::Malformed),
            ("GET", "NotFound", Kind::Malformed),
        ];
        for (operation, code, kind) in cases {
            let code = Some(code).filter(|code| !code.is_empty());
            let target = Target::new(operation, "bucket", Some("key"));
            assert_eq!(kind_of(&target, code, Some(404)), kind, "{operation} {code:?}");
        }
    }

    #[test]
    fn an_error_of_ours_in_a_stream_stays_what_it_is() {
        let ours = || Target::new("GET", "from", Some("key")).fails(Kind::Archived, "");
        let target = || Target::new("PUT", "to", Some("key"));
        assert_eq!(Error::of_source(target(), Box::new(ours())).kind(), Kind::Archived);
        assert_eq!(Error::of_source(target(), Box::new(std::io::Error::other(ours()))).kind(), Kind::Archived);
        let other = Error::of_source(target(), "disk full".into());
        assert_eq!(other.kind(), Kind::Source);
        let text = "PUT of `to/key`: nothing was stored: the stream to be uploaded failed";
        assert_eq!(other.to_string(), text);
        assert_eq!(other.source().map(ToString::to_string).as_deref(), Some("disk full"));
    }
}
