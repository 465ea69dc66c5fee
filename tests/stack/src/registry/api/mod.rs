//! The REST API of spec 05: who may ask, what is asked, and the answers in the words and statuses of the real server.
//! The records' own rules are the store's.

mod handlers;
pub(super) mod input;
mod list;
mod route;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use self::input::Unread;
use self::route::{Face, Route};
use super::actions::Actions;
use super::auth;
use super::store::{Error, User};
use super::vocabulary::role;

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) actions: Actions,
    /// The endpoints that only tests need are served.
    pub(super) test_environment: bool,
    /// The key of batch deletion.
    pub(super) batch_deletion_key: String,
    /// Where the pages for people are.
    pub(super) url: String,
}

/// A request that is allowed.
struct Call {
    user: User,
    route: Route,
    params: Vec<(String, String)>,
    /// Decoded.
    path: String,
}

/// Why there is no answer.
#[derive(Debug)]
enum Fail {
    Unauthorized,
    Denied(String),
    /// The record that the path names.
    NotFound,
    NoRoute,
    /// JSON that cannot be read, where the real server's framework answers by itself and the handler once more.
    BadJson(String),
    Unread(Unread),
    BadPath,
    Store(Error),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

type Answer = Result<Response, Fail>;

/// Everything that is not a page: the two faces of the API, and for the rest the refusal of spec 05 §2.2.
pub(super) async fn handle(State(context): State<Arc<Context>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = input::path(head.uri.path());
    let shown = path.clone().unwrap_or_default();
    let outcome = async {
        let path = path.ok_or(Fail::BadPath)?;
        if let Some(to) = route::redirect(&head.method, &path) {
            return Ok(moved(&to, head.uri.query()));
        }
        let user = authenticate(&context, &head.headers).await?;
        let route = route::find(&head.method, &path).ok_or(Fail::NoRoute)?;
        if route.face == Face::Admin && user.role != role::ADMIN {
            let text =
                format!("Permission denied for {} (institution 0). non-admins must use the member api", route.pattern);
            return Err(Fail::Denied(text));
        }
        let params = input::params(head.uri.query().unwrap_or_default());
        let call = Call { user, route, params, path };
        handlers::answer(context, call, body).await
    };
    outcome.await.unwrap_or_else(|fail| fail.response(&shown))
}

async fn authenticate(context: &Context, headers: &HeaderMap) -> Result<User, Fail> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (email, key) = (text("X-Pharos-API-User"), text("X-Pharos-API-Key"));
    let user = context.actions.blocking(move |store| auth::by_api_key(store, &email, &key)).await?;
    user.ok_or(Fail::Unauthorized)
}

impl Fail {
    fn response(self, path: &str) -> Response {
        let refused = |status, text: String| reply(status, &json!({ "error": text }));
        let failed = |status: u16, text: &str| {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply(code, &json!({ "StatusCode": status, "Error": text }))
        };
        match self {
            Self::Unauthorized => failed(401, "API credentials are missing or invalid."),
            Self::Denied(text) => refused(StatusCode::FORBIDDEN, text),
            Self::NotFound => refused(StatusCode::NOT_FOUND, format!("Not found: {path}")),
            Self::NoRoute => refused(StatusCode::NOT_FOUND, format!("Missing authorization check for {path}")),
            Self::BadPath => plain(StatusCode::BAD_REQUEST, "400 Bad Request".to_owned()),
            Self::BadJson(text) => {
                // The framework's answer had gone out when the handler's came: its status and type, the other's body.
                plain(StatusCode::BAD_REQUEST, escaped(&json!({ "StatusCode": 500, "Error": text })))
            }
            Self::Unread(Unread::TooLarge) => failed(413, "the request body is too large"),
            Self::Unread(Unread::TooSlow) => failed(408, "the request body did not arrive in time"),
            Self::Unread(Unread::Broken) => failed(400, "the request body broke off"),
            Self::Store(error) => failed(error.status(), &error.to_string()),
        }
    }
}

/// Workers ask for `objects/?…` and follow.
fn moved(to: &str, query: Option<&str>) -> Response {
    let to = query.map_or_else(|| to.to_owned(), |query| format!("{to}?{query}"));
    let mut response =
        respond(StatusCode::MOVED_PERMANENTLY, "text/html; charset=utf-8", "Moved Permanently".to_owned());
    if let Ok(to) = header::HeaderValue::from_str(&to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn plain(status: StatusCode, text: String) -> Response {
    respond(status, "text/plain; charset=utf-8", text)
}

/// JSON as Go writes it.
fn reply<T: Serialize>(status: StatusCode, value: &T) -> Response {
    respond(status, "application/json; charset=utf-8", escaped(value))
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// With the characters escaped that Go escapes for the sake of HTML. They stand only within strings.
fn escaped<T: Serialize>(value: &T) -> String {
    // None of our records can fail: no map has keys that are not texts.
    let text = serde_json::to_string(value).unwrap_or_default();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a text cannot fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            other => safe.push(other),
        }
    }
    safe
}
