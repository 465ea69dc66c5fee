//! The clock and the faults over HTTP, for other processes. The path cannot be a bucket's: no bucket begins with a dot.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use s3s::Body;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use super::model::date;
use super::{Clock, Fault, Faults};

const PATH: &str = "/.stack/";

/// The longest body: one fault.
const MOST: usize = 64 << 10;

/// The admin path of a server: where it is, and what opens it. Every request carries `authorization: Bearer <token>`.
///
/// | request | body | does |
/// |---|---|---|
/// | `GET <url>/clock` | | answers `{"now": "<RFC 3339>", "ahead_seconds": 0}` |
/// | `POST <url>/clock` | `{"advance_seconds": 3600}` | moves the clock, and answers as above |
/// | `GET <url>/faults` | | answers the list of faults that may still strike |
/// | `POST <url>/faults` | one [`Fault`], such as `{"bucket": "b", "operation": "PutObject", "times": 2, "kind": {"status": {"status": 503, "code": "SlowDown"}}}` | adds it |
/// | `DELETE <url>/faults` | | forgets all |
#[derive(Clone)]
pub struct Admin {
    url: String,
    token: String,
}

impl Admin {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let url = format!("http://{address}{}", PATH.trim_end_matches('/'));
        Self { url, token: uuid::Uuid::new_v4().simple().to_string() }
    }

    /// Without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Made anew at each start.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// Without the token.
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("url", &self.url).finish_non_exhaustive()
    }
}

pub(crate) fn concerns(request: &Parts) -> bool {
    request.uri.path().starts_with(PATH)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

#[derive(Serialize)]
struct Now {
    now: String,
    ahead_seconds: u64,
}

pub(crate) async fn answer(
    admin: &Admin,
    clock: &Clock,
    faults: &Faults,
    request: &Parts,
    body: Incoming,
    patience: Duration,
) -> Response<Body> {
    let sent = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if sent != Some(format!("Bearer {}", admin.token).as_bytes()) {
        return problem(StatusCode::UNAUTHORIZED, "the token of the admin path is missing or wrong");
    }
    let body = match tokio::time::timeout(patience, Limited::new(body, MOST).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return problem(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}")),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body does not come"),
    };
    let wrong = |error: serde_json::Error| problem(StatusCode::BAD_REQUEST, &format!("the body is wrong: {error}"));
    match (request.method.as_str(), &request.uri.path()[PATH.len()..]) {
        ("GET", "clock") => now(clock),
        ("POST", "clock") => match serde_json::from_slice(&body) {
            Ok(Advance { advance_seconds }) => {
                clock.advance(Duration::from_secs(advance_seconds));
                now(clock)
            }
            Err(error) => wrong(error),
        },
        ("GET", "faults") => json(&faults.list()),
        ("POST", "faults") => match serde_json::from_slice::<Fault>(&body) {
            Ok(fault) => match faults.add(fault) {
                Ok(()) => Response::new(Body::empty()),
                Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            Err(error) => wrong(error),
        },
        ("DELETE", "faults") => {
            faults.reset();
            Response::new(Body::empty())
        }
        (method, path) => problem(StatusCode::NOT_FOUND, &format!("there is no {method} {PATH}{path}")),
    }
}

fn now(clock: &Clock) -> Response<Body> {
    let now = date(clock.now()).format(&Rfc3339).unwrap_or_default();
    json(&Now { now, ahead_seconds: clock.ahead().as_secs() })
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn problem(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}
