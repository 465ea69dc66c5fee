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
    /// There is no such object or upload.
    NotFound,
    /// There is no such bucket.
    NoBucket,
    /// The credentials do not allow it, or are wrong.
    Denied,
    /// The object is in an archive and must be restored before it is read.
    Archived,
    /// The object, or what arrived of it, is not what was expected: another ETag, digest or length.
    Changed,
    /// The service asks to slow down.
    Throttled,
    /// The service could not be reached, broke off, took too long or failed.
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

    /// The same failure, seen otherwise by one who knows more.
    pub(crate) fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
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
        let mut error = Self::new(target, kind_of(code, None), message);
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
                (kind_of(code.as_deref(), status), said.chars().take(LONGEST_MESSAGE).collect())
            }
            SdkError::TimeoutError(_) => (Kind::Unavailable, "no answer in time".to_owned()),
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

/// The kind of an error that the service reports. Its code says more than its status, where there is one.
fn kind_of(code: Option<&str>, status: Option<u16>) -> Kind {
    match code.unwrap_or_default() {
        "NoSuchKey" | "NotFound" | "NoSuchUpload" | "NoSuchVersion" => return Kind::NotFound,
        "NoSuchBucket" => return Kind::NoBucket,
        "AccessDenied" | "AllAccessDisabled" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => return Kind::Denied,
        "InvalidObjectState" => return Kind::Archived,
        "PreconditionFailed" | "BadDigest" => return Kind::Changed,
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
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ServiceUnavailable"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody" => return Kind::Unavailable,
        _ => {}
    }
    match status {
        Some(404) => Kind::NotFound,
        Some(401 | 403) => Kind::Denied,
        Some(412) => Kind::Changed,
        Some(429 | 503) => Kind::Throttled,
        Some(408 | 499 | 500..) => Kind::Unavailable,
        // A redirection means another region or another host than the settings say.
        Some(300..) => Kind::Refused,
        // An error may come with a good status, when it happened after the first bytes of the answer were sent.
        _ if code.is_some() => Kind::Refused,
        _ => Kind::Malformed,
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
            (Some("NoSuchKey"), 404, Kind::NotFound),
            (None, 404, Kind::NotFound),
            (Some("NoSuchBucket"), 404, Kind::NoBucket),
            (Some("InvalidObjectState"), 403, Kind::Archived),
            (Some("SignatureDoesNotMatch"), 403, Kind::Denied),
            (Some("RequestTimeTooSkewed"), 403, Kind::Unavailable),
            (Some("RequestTimeout"), 400, Kind::Unavailable),
            (Some("PreconditionFailed"), 412, Kind::Changed),
            (Some("SlowDown"), 503, Kind::Throttled),
            (Some("AccessDenied"), 200, Kind::Denied),
            (Some("Unheard"), 200, Kind::Refused),
            (None, 200, Kind::Malformed),
            (None, 429, Kind::Throttled),
            (None, 520, Kind::Unavailable),
            (Some("PermanentRedirect"), 301, Kind::Refused),
            (Some("EntityTooLarge"), 400, Kind::Refused),
        ];
        for (code, status, kind) in cases {
            assert_eq!(kind_of(code, Some(status)), kind, "{code:?} {status}");
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
