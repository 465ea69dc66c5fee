//! The Registry's pages for people: what is there, what goes on, and the buttons that the API has no counterpart for.
//! Server-rendered, whole without JavaScript; the rules of what a button does are the store's and `actions`'.
//!
//! ```text
//! guard    who may ask at all, on whose behalf, and whether a form is ours
//! dashboard, lists, details   GET: records into a `view`, which the templates show and escape
//! changes  POST: a form into an action, answered by a redirect or by a page that says why not
//! assets   stylesheet, icon, and the script that keeps a page as new as the records
//! ```
//!
//! A stand-in for signing in: one acts as any active user, chosen from a list and kept in a cookie. Reading is open to
//! all of them. What a user may change depends on the role, and is decided when the form comes in.

mod assets;
mod changes;
mod dashboard;
mod details;
mod guard;
mod lists;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use self::view::{Choice, ErrorPage, Frame};
use super::actions::Actions;
use super::api::input;
use super::store::{Error, Store, User};

/// What a page may load and where its forms may go: nothing but the Registry itself, and no script within the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const SECTIONS: [&str; 9] =
    ["work_items", "objects", "files", "events", "deletions", "institutions", "static", "live", "act_as"];

/// What all pages share.
#[derive(Debug)]
pub(super) struct Pages {
    actions: Actions,
    /// Where the pages are.
    url: String,
    /// Stands in every form of ours, and no other site can read it.
    token: String,
}

/// Why there is no page.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    text: String,
}

type Html = Result<String, Problem>;

/// What a page is rendered from.
#[derive(Debug)]
struct Asked {
    params: Vec<(String, String)>,
    /// Path and query as they came, for the link that asks again.
    here: String,
    /// The id in the cookie.
    acting: Option<i64>,
    token: String,
}

#[derive(Debug, Clone, Copy)]
enum Page {
    Dashboard,
    Items,
    Objects,
    Files,
    Events,
    Deletions,
    Institutions,
    Item(i64),
    Object(i64),
    File(i64),
    Event(i64),
    Deletion(i64),
}

/// Whether a request is one for pages. Programs show an API user, or ask under the API's prefixes.
pub(super) fn wanted(request: &Request) -> bool {
    let path = request.uri().path();
    let of_api = path.starts_with("/admin-api/") || path.starts_with("/member-api/");
    if of_api || request.headers().contains_key("X-Pharos-API-User") {
        return false;
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let by_browser = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    path == "/" || SECTIONS.contains(&first) || by_browser.is_some_and(|accept| accept.contains("text/html"))
}

impl Pages {
    pub(super) fn new(actions: Actions, url: String) -> Self {
        Self { actions, url, token: uuid::Uuid::new_v4().simple().to_string() }
    }

    pub(super) async fn handle(self: Arc<Self>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let answer = if guard::is_local(&head.headers) {
            self.answer(&head, body).await
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, "These pages answer under names of this machine only."))
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(problem) => self.show(&head.headers, problem).await,
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn answer(&self, head: &Parts, body: Body) -> Result<Response, Problem> {
        let path = input::path(head.uri.path())
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "This address is not well-formed."))?;
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        if head.method == Method::POST {
            let form = guard::form(&head.headers, body, &self.token).await?;
            return changes::change(self, &head.headers, &segments, &form).await;
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Pages are read with GET and changed with POST."));
        }
        match segments[..] {
            ["static", name] => return assets::asset(name).ok_or_else(Problem::not_found),
            ["live"] => return Ok(self.live()),
            _ => {}
        }
        let (page, section) = page(&segments).ok_or_else(Problem::not_found)?;
        let asked = Asked {
            params: input::params(head.uri.query().unwrap_or_default()),
            here: here(head),
            acting: guard::acting(&head.headers),
            token: self.token.clone(),
        };
        let html = self.actions.blocking(move |store| Ok(render(store, page, section, &asked))).await??;
        Ok(respond(StatusCode::OK, html))
    }

    /// A number that is another one after every change, and after a restart.
    fn live(&self) -> Response {
        let text = format!("{{\"revision\":\"{}\"}}", self.actions.store.revision());
        let mut response = respond(StatusCode::OK, text);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn show(&self, headers: &HeaderMap, problem: Problem) -> Response {
        let asked = Asked {
            params: Vec::new(),
            here: "/".to_owned(),
            acting: guard::acting(headers),
            token: self.token.clone(),
        };
        // A store that cannot even name its users is no reason to say nothing.
        let frame = self.actions.blocking(move |store| asked.frame(store, "").map(|(frame, _)| frame)).await;
        let frame = Frame { live: false, ..frame.unwrap_or_default() };
        let Problem { status, text } = problem;
        let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let page = ErrorPage { frame: &frame, title, lines: text.lines().map(str::to_owned).collect() };
        respond(status, page.render().unwrap_or(text))
    }
}

fn page(segments: &[&str]) -> Option<(Page, &'static str)> {
    let id = |text: &str| text.parse::<i64>().ok().filter(|id| *id > 0);
    Some(match *segments {
        [""] => (Page::Dashboard, "dashboard"),
        ["work_items"] => (Page::Items, "work_items"),
        ["objects"] => (Page::Objects, "objects"),
        ["files"] => (Page::Files, "files"),
        ["events"] => (Page::Events, "events"),
        ["deletions"] => (Page::Deletions, "deletions"),
        ["institutions"] => (Page::Institutions, "institutions"),
        ["work_items", item] => (Page::Item(id(item)?), "work_items"),
        ["objects", object] => (Page::Object(id(object)?), "objects"),
        ["files", file] => (Page::File(id(file)?), "files"),
        ["events", event] => (Page::Event(id(event)?), "events"),
        // The second is where alerts send the administrators, with a token.
        ["deletions", request] | ["deletions", "review", request] => (Page::Deletion(id(request)?), "deletions"),
        _ => return None,
    })
}

fn render(store: &Store, page: Page, section: &'static str, asked: &Asked) -> Html {
    let (frame, user) = asked.frame(store, section)?;
    match page {
        Page::Dashboard => dashboard::dashboard(store, &frame),
        Page::Items => lists::items(store, asked, &frame),
        Page::Objects => lists::objects(store, asked, &frame),
        Page::Files => lists::files(store, asked, &frame),
        Page::Events => lists::events(store, asked, &frame),
        Page::Deletions => lists::deletions(store, asked, &frame),
        Page::Institutions => lists::institutions(store, asked, &frame),
        Page::Item(id) => details::item(store, id, user.as_ref(), &frame),
        Page::Object(id) => details::object(store, id, user.as_ref(), &frame),
        Page::File(id) => details::file(store, id, user.as_ref(), &frame),
        Page::Event(id) => details::event(store, id, &frame),
        Page::Deletion(id) => details::deletion(store, id, asked.param("token"), user.as_ref(), &frame),
    }
}

impl Asked {
    fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(param, _)| param == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// What stands around a page, and the user on whose behalf it is shown.
    fn frame(&self, store: &Store, section: &'static str) -> super::store::Result<(Frame, Option<User>)> {
        // First, so that a change in between costs one update too many and not one too few.
        let revision = store.revision().to_string();
        let users = guard::people(store)?;
        let user = guard::chosen(&users, self.acting);
        let label = |user: &User| format!("{} ({})", user.email, user.role.replace('_', " "));
        let choices = users.iter().map(|one| Choice {
            value: one.id.to_string(),
            label: label(one),
            selected: user.is_some_and(|user| user.id == one.id),
        });
        let frame = Frame {
            revision,
            here: self.here.clone(),
            csrf: self.token.clone(),
            users: choices.collect(),
            section,
            notice: changes::notice(self.param("done")),
            live: true,
        };
        Ok((frame, user.cloned()))
    }
}

fn here(head: &Parts) -> String {
    let text = head.uri.path_and_query().map_or("/", |here| here.as_str());
    // Two slashes would be the name of another host.
    if text.starts_with('/') && !text.starts_with("//") { text.to_owned() } else { "/".to_owned() }
}

fn respond(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such page, or no record with this number.")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if matches!(error, Error::NoRows) {
            return Self::not_found();
        }
        Self::new(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_string())
    }
}

impl From<askama::Error> for Problem {
    fn from(error: askama::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
