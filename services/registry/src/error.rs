//! What goes wrong, with which request, and whether it may go right later.

use std::fmt;

use failing::chain;
use reqwest::{Method, StatusCode};

/// A request that failed. Its text names method and URL, and is what upstream's workers put into a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Failure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    method: Method,
    url: String,
    kind: Kind,
}

/// How it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// 404: there is no such record (or no such address).
    NotFound { body: String },
    /// 401 or 403: the credentials are wrong, or not enough.
    Unauthorized { status: StatusCode, body: String },
    /// 429, 502, 503 or 504: not now. The Registry has most likely not seen the request.
    Unavailable { status: StatusCode, body: String },
    /// Any other status from 400 on.
    Rejected { status: StatusCode, body: String },
    /// An answer that leads elsewhere, and that was not followed.
    Redirected { status: StatusCode, location: String },
    /// No connection, or one that broke.
    Connection { cause: String },
    /// It took too long.
    TimedOut { cause: String },
    /// An answer, but not one to this question.
    BadAnswer { cause: String },
    /// The request makes no sense and was not sent.
    NotSent { cause: String },
}

impl Error {
    pub(crate) fn new(method: &Method, url: impl Into<String>, kind: Kind) -> Self {
        Self(Box::new(Failure { method: method.clone(), url: url.into(), kind }))
    }

    pub(crate) fn of_status(method: &Method, url: &str, status: StatusCode, body: String) -> Self {
        let kind = match status {
            StatusCode::NOT_FOUND => Kind::NotFound { body },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Unauthorized { status, body },
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Kind::Unavailable { status, body },
            status => Kind::Rejected { status, body },
        };
        Self::new(method, url, kind)
    }

    pub(crate) fn of_transport(method: &Method, url: &str, error: reqwest::Error) -> Self {
        let timed_out = error.is_timeout();
        let cause = chain(&error.without_url()).to_string();
        let kind = if timed_out { Kind::TimedOut { cause } } else { Kind::Connection { cause } };
        Self::new(method, url, kind)
    }

    /// How it failed.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind() {
            Kind::NotFound { .. } => Some(StatusCode::NOT_FOUND),
            Kind::Unauthorized { status, .. }
            | Kind::Unavailable { status, .. }
            | Kind::Rejected { status, .. }
            | Kind::Redirected { status, .. } => Some(*status),
            Kind::Connection { .. } | Kind::TimedOut { .. } | Kind::BadAnswer { .. } | Kind::NotSent { .. } => None,
        }
    }

    /// The Registry said that there is no such record. A connection that failed says nothing of the kind.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), Kind::NotFound { .. })
    }

    /// What was to be created is there already: the database's unique index says so.
    pub fn is_duplicate(&self) -> bool {
        matches!(self.kind(), Kind::Rejected { body, .. } if body.contains("#23505"))
    }

    /// The fault lies with the system and not with the request, so that it may go right later: no connection, too slow, too
    /// much at once, a failure inside the Registry or before it.
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            Kind::Connection { .. } | Kind::TimedOut { .. } | Kind::Unavailable { .. } => true,
            // A parameter that it does not know is an internal error to the Registry.
            Kind::Rejected { status, body } => {
                status.is_server_error() && !self.is_duplicate() && !body.contains("Invalid query params")
            }
            // Where maintenance is announced.
            Kind::Redirected { location, .. } => location.contains("/maintenance"),
            Kind::NotFound { .. } | Kind::Unauthorized { .. } | Kind::BadAnswer { .. } | Kind::NotSent { .. } => false,
        }
    }

    /// The Registry was not reached, or said that it is not at work.
    pub(crate) fn is_of_the_way(&self) -> bool {
        matches!(self.kind(), Kind::Connection { .. } | Kind::TimedOut { .. } | Kind::Unavailable { .. })
    }

    /// What was to be created may be there now, or was there before.
    pub(crate) fn leaves_open_what_stands(&self) -> bool {
        self.is_transient() || self.is_duplicate() || matches!(self.kind(), Kind::BadAnswer { .. })
    }

    /// Worth another try at once, if the request may be repeated at all.
    pub(crate) fn is_worth_repeating(&self) -> bool {
        matches!(self.kind(), Kind::Connection { .. } | Kind::Unavailable { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { method, url, kind } = &*self.0;
        let (status, body) = match kind {
            Kind::NotFound { body } => (StatusCode::NOT_FOUND, body),
            Kind::Unauthorized { status, body }
            | Kind::Unavailable { status, body }
            | Kind::Rejected { status, body } => (*status, body),
            Kind::Redirected { status, location } => {
                return write!(out, "{method} {url}: not following redirection ({}) to {location}", status.as_u16());
            }
            Kind::Connection { cause }
            | Kind::TimedOut { cause }
            | Kind::BadAnswer { cause }
            | Kind::NotSent { cause } => {
                return write!(out, "{method} {url}: {cause}");
            }
        };
        write!(out, "Server returned status code {}. {method} {url} - Body: {body}", status.as_u16())
    }
}

/// The causes stand in the text, since the text goes where a chain cannot follow.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Error {
        Error::of_status(&Method::PUT, "http://r/admin-api/v3/x", StatusCode::from_u16(status).unwrap(), body.into())
    }

    #[test]
    fn the_text_is_what_notes_have_always_said() {
        let text = "Server returned status code 400. PUT http://r/admin-api/v3/x - Body: {\"Error\":\"no\"}";
        assert_eq!(of(400, "{\"Error\":\"no\"}").to_string(), text);
    }

    #[test]
    fn each_status_has_its_kind_and_its_hope() {
        for (status, transient, repeat) in [
            (400, false, false),
            (401, false, false),
            (403, false, false),
            (404, false, false),
            (405, false, false),
            (409, false, false),
            (429, true, true),
            (500, true, false),
            (502, true, true),
            (503, true, true),
            (504, true, true),
            (599, true, false),
        ] {
            let error = of(status, "");
            assert_eq!((error.is_transient(), error.is_worth_repeating()), (transient, repeat), "{status}");
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert_eq!(error.is_not_found(), status == 404);
        }
    }

    #[test]
    fn what_the_registry_calls_internal_may_be_ours() {
        let duplicate = of(500, "ERROR #23505 duplicate key value violates unique constraint \"index_x\"");
        assert!(duplicate.is_duplicate() && !duplicate.is_transient());
        let parameter = of(500, "Invalid query params: a, b");
        assert!(!parameter.is_duplicate() && !parameter.is_transient());
    }

    #[test]
    fn maintenance_passes() {
        let to = |location: &str| {
            let kind = Kind::Redirected { status: StatusCode::FOUND, location: location.into() };
            Error::new(&Method::POST, "http://r/x", kind)
        };
        assert!(to("http://r/maintenance?format=json").is_transient());
        assert!(!to("http://elsewhere/").is_transient());
        assert_eq!(to("http://e/").to_string(), "POST http://r/x: not following redirection (302) to http://e/");
    }
}
