//! The Registry over HTTP, by area of spec 05: what is marked there as a must or as a quirk has a test named after it.

mod auth;
mod deletions;
mod events;
mod faults;
mod files;
mod fixtures;
mod hostile;
mod items;
mod lists;
mod objects;
mod pages;
mod property;
mod requests;
mod typed;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stack::registry::{Fixtures, Options, Registry};

/// A Registry in memory, and somebody who asks it things.
pub(crate) struct Peer {
    pub(crate) registry: Registry,
    pub(crate) client: Client,
}

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    user: String,
    key: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of an answer that has to have this status.
    #[track_caller]
    pub(crate) fn with(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The text of a handler's error.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        let body = self.with(status);
        assert_eq!(body["StatusCode"], status, "{self:?}");
        body["Error"].as_str().unwrap().to_owned()
    }
}

/// With the records that upstream's tests expect.
pub(crate) fn start() -> Peer {
    start_with(Options { fixtures: Fixtures::Upstream, ..Options::default() })
}

pub(crate) fn start_with(options: Options) -> Peer {
    let registry = Registry::start(options).unwrap();
    let client = Client::new(&registry.url(), "system@aptrust.org", "password");
    Peer { registry, client }
}

impl Client {
    pub(crate) fn new(url: &str, user: &str, key: &str) -> Self {
        // Only the first of the process gets in; which one is all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, url: url.to_owned(), user: user.to_owned(), key: key.to_owned() }
    }

    /// The same connection, as somebody else.
    pub(crate) fn as_user(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>, kind: &str) -> Reply {
        self.try_send(method, path, body, kind).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
        kind: &str,
    ) -> reqwest::Result<Reply> {
        let request = self.http.request(method, format!("{}{path}", self.url)).header("Content-Type", kind).body(body);
        let request = request.header("X-Pharos-API-User", &self.user).header("X-Pharos-API-Key", &self.key);
        let response = request.send().await?;
        let status = response.status();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (kind, location) = (header("content-type"), header("location"));
        Ok(Reply { status: status.as_u16(), kind: kind.unwrap_or_default(), location, text: response.text().await? })
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, &admin(path), "", "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, &admin(path), body.to_string(), "application/json").await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, &admin(path), body.to_string(), "application/json").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, &admin(path), "", "").await
    }

    /// What the path shows, which has to be there.
    pub(crate) async fn show(&self, path: &str) -> Value {
        self.get(path).await.with(StatusCode::OK.as_u16())
    }

    /// How many a list counts.
    pub(crate) async fn count(&self, path: &str) -> i64 {
        self.show(path).await["count"].as_i64().unwrap()
    }
}

fn admin(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/admin-api/v3/{path}") }
}

/// A text as part of a query.
pub(crate) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The results of a list.
pub(crate) fn results(list: &Value) -> Vec<Value> {
    list["results"].as_array().cloned().unwrap_or_default()
}

/// One field of all the results.
pub(crate) fn column(list: &Value, name: &str) -> Vec<Value> {
    results(list).into_iter().map(|row| row[name].clone()).collect()
}

pub(crate) fn new_object(name: &str) -> Value {
    json!({
        "title": "A title", "identifier": format!("test.edu/{name}"), "state": "A", "access": "institution",
        "institution_id": 4, "storage_option": "Standard", "bag_name": name, "etag": "0".repeat(32),
        "file_count": 3, "size": 17, "object_identifier": "no such field",
    })
}

pub(crate) fn new_file(object: &Value, name: &str) -> Value {
    json!({
        "file_format": "text/plain", "identifier": format!("{}/{name}", object["identifier"].as_str().unwrap()),
        "state": "A", "size": 12, "institution_id": 4, "intellectual_object_id": object["id"],
        "storage_option": "Standard", "uuid": uuid::Uuid::new_v4().to_string(), "file_modified": "2020-01-01T00:00:00Z",
        "last_fixity_check": "2024-05-06T07:08:09.123456789Z",
    })
}

pub(crate) fn new_event(kind: &str) -> Value {
    json!({
        "agent": "agent", "date_time": "2024-05-06T07:08:09Z", "detail": "detail", "event_type": kind,
        "identifier": uuid::Uuid::new_v4().to_string(), "institution_id": 4, "object": "object", "outcome": "Success",
        "outcome_detail": "outcome detail", "outcome_information": "outcome information",
    })
}

pub(crate) fn new_item(name: &str) -> Value {
    json!({
        "name": name, "etag": "0123456789abcdef0123456789abcdef", "institution_id": 4, "bucket": "receiving",
        "user": "system@aptrust.org", "action": "Ingest", "stage": "Receive", "status": "Pending",
        "bag_date": "2024-05-06T07:08:09Z", "date_processed": "2024-05-06T07:08:10Z", "retry": true, "size": 99,
    })
}
