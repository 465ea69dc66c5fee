//! The pages for people, as a browser without JavaScript sees them: each shows what is there, every link of each leads
//! somewhere, and the script has what it needs. What the buttons do is in `changes`, what must not happen in `hostile`.

mod changes;
mod hostile;

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::json;
use stack::registry::{Fixtures, Options};

use super::{Peer, new_item, start, start_with};

/// A browser that acts as one of the users.
pub(super) struct Browser {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

pub(super) struct Shown {
    pub(super) status: StatusCode,
    pub(super) location: String,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn new(peer: &Peer, user: i64) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { http, url: peer.registry.url(), cookie: format!("registry_acting_as={user}") }
    }

    pub(super) async fn get(&self, path: &str) -> Shown {
        self.send(self.request(Method::GET, path)).await
    }

    /// A page that has to be there.
    #[track_caller]
    pub(super) fn page<'a>(&'a self, path: &'a str) -> impl Future<Output = String> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let shown = self.get(path).await;
            assert_eq!(shown.status, 200, "{place}: {path}: {}", shown.text);
            shown.text
        }
    }

    /// Sends a form with the token of our pages.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let page = self.page("/").await;
        let token = between(&page, "name=\"csrf\" value=\"", "\"").to_owned();
        let fields = [fields, &[("csrf", token.as_str())]].concat();
        self.send(self.request(Method::POST, path).header("Origin", &self.url).body(form(&fields))).await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.header("Cookie", &self.cookie).header("Accept", "text/html")
    }

    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Shown {
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let location = header("location").unwrap_or_default();
        assert!(header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        Shown { status: response.status(), location, text: response.text().await.unwrap() }
    }
}

pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", super::escape(value))).collect();
    pairs.join("&")
}

/// The text after `start` and before `end`.
pub(super) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no `{start}` in {text}"));
    rest.split_once(end).unwrap().0
}

/// Every page of the fixtures.
pub(super) const PAGES: [&str; 13] = [
    "/",
    "/work_items",
    "/work_items/28",
    "/objects",
    "/objects/7",
    "/files",
    "/files/21",
    "/events",
    "/events/38",
    "/deletions",
    "/deletions/1",
    "/deletions/review/2?token=x",
    "/institutions",
];

#[tokio::test]
async fn each_page_shows_its_records() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    for (path, texts) in [
        (
            "/",
            &["Active objects", "fake_bag_", "Latest PREMIS events", "/work_items?action=Ingest&#38;status=Pending"][..],
        ),
        (
            "/work_items",
            &["format.tar", "Format Identification", "1–33 of 33", "<option value=\"Storage Validation\">"],
        ),
        ("/work_items/31", &["Item restored to https://s3.example.com/photos.tar.", "Restore Object", "/objects/1"]),
        ("/objects", &["institution2.edu/toads", "APTrust Test Restoration Bag", "Glacier-Deep-OH", "Deleted"]),
        (
            "/objects/7",
            &["BTR Restoration Test Bag (sha512)", "45.2\u{a0}kB", "/files/21", "Request deletion", "Restore"],
        ),
        ("/files?page=2", &["51–62 of 62", "rel=\"prev\""]),
        ("/files/21", &["preservation-va/", "sha512", "test.edu/btr-512-test-restore"]),
        ("/events", &["message digest calculation", "fixity check", "rel=\"next\""]),
        ("/events/38", &["ac6a2b51-a2f4-4380-a3ca-8fa1d45ed6a6", "ingestion completed"]),
        ("/deletions", &["user@inst1.edu", "Waiting", "Approved", "Cancelled"]),
        ("/deletions/1", &["Deletion request 1", "Inst One User", "/files/7", "act as one"]),
        ("/institutions", &["aptrust.receiving.test.test.edu", "/objects?institution_id=4"]),
    ] {
        let page = browser.page(path).await;
        for text in texts {
            assert!(page.contains(text), "{path}: `{text}` is not in {page}");
        }
    }
}

/// Wherever one comes by following links, and through the forms that only ask, there is a page.
#[tokio::test]
async fn every_link_leads_to_a_page() {
    let peer = start();
    for user in [1, 8] {
        let browser = Browser::new(&peer, user);
        let mut waiting: Vec<String> = PAGES.map(str::to_owned).into();
        let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
        while let Some(path) = waiting.pop() {
            let page = browser.page(&path).await;
            for name in ["href=\"", "src=\"", "action=\""] {
                for link in page.split(name).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    let link = link.replace("&#38;", "&").replace("&amp;", "&");
                    assert!(link.starts_with('/') && !link.starts_with("//"), "{path}: {link}");
                    let changes = link.rsplit('/').next().unwrap();
                    let known = ["requeue", "cancel", "restore", "request_deletion", "approve", "act_as"];
                    if !known.contains(&changes) && seen.insert(link.clone()) {
                        waiting.push(link);
                    }
                }
            }
        }
        // All records: 33 items, 14 objects, 62 files, 54 events, 3 requests.
        let details = seen.iter().filter(|path| path.rsplit('/').next().unwrap().parse::<i64>().is_ok()).count();
        assert_eq!(details, 33 + 14 + 62 + 54 + 3, "{seen:#?}");
    }
}

#[tokio::test]
async fn filters_narrow_a_list_and_stay_in_its_links() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    for (path, count) in [
        ("/work_items?stage=Receive&status=Pending", 20),
        ("/work_items?name=TOADS&action=Ingest", 1),
        ("/work_items?institution_id=3&action=Restore+File", 1),
        ("/work_items?name=%25", 0),
        ("/work_items?name=fake%5Fbag%5F0", 9),
        ("/objects?state=D", 1),
        ("/objects?identifier=test.edu%2F&storage_option=Standard", 2),
        ("/files?intellectual_object_id=7", 3),
        ("/events?event_type=deletion", 1),
        ("/deletions?state=waiting", 1),
        ("/deletions?state=approved&institution_id=2", 1),
        ("/institutions?name=integration", 2),
        ("/work_items?status=Nonsense", 0),
        ("/work_items?page=99", 33),
        ("/work_items?page=-1&per_page=100000&sort=nothing", 33),
    ] {
        let page = browser.page(path).await;
        let pager = between(&page, "aria-label=\"Pages\">", "</span>");
        assert!(
            pager.ends_with(&format!(" of {count}")) || pager.ends_with(&format!("{count} in all")),
            "{path}: {pager}"
        );
    }
    let page = browser.page("/files?state=A&identifier=o").await;
    assert!(between(&page, "rel=\"next\" href=\"", "\"").replace("&#38;", "&").contains("identifier=o&state=A&page=2"));
    for path in ["/work_items?institution_id=x", "/events?generic_file_id=99999999999999"] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
    let long = "x".repeat(501);
    assert_eq!(browser.get(&format!("/objects?title={long}")).await.status, 400);
}

#[tokio::test]
async fn the_revision_moves_with_every_change() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    let revision = async || {
        let json: serde_json::Value = serde_json::from_str(&browser.page("/live").await).unwrap();
        json["revision"].as_str().unwrap().to_owned()
    };
    let before = revision().await;
    assert_eq!(before, revision().await);
    assert!(browser.page("/work_items").await.contains(&format!("data-revision=\"{before}\"")));
    peer.client.post("items/create/4", &new_item("new.tar")).await.with(201);
    let after = revision().await;
    assert_ne!(before, after);
    peer.client.post("items/create/4", &json!({})).await;
    assert_eq!(after, revision().await, "nothing was changed");
    assert!(browser.page("/work_items").await.contains("new.tar"));
}

#[tokio::test]
async fn what_is_missing_is_a_page_for_browsers_and_json_for_programs() {
    let peer = start();
    let browser = Browser::new(&peer, 1);
    for path in ["/nothing", "/objects/999", "/objects/x", "/files/0", "/deletions/9", "/static/../x", "/objects/"] {
        let shown = browser.get(path).await;
        assert_eq!(shown.status, 404, "{path}");
        assert!(shown.text.contains("<h1>404 Not Found</h1>") && !shown.text.contains("id=\"live\""), "{path}");
    }
    peer.client.get("/nothing").await.with(404);
    let shown = browser.send(browser.request(Method::DELETE, "/objects/7")).await;
    assert_eq!(shown.status, 405);
}

#[tokio::test]
async fn a_registry_of_nothing_has_all_its_pages() {
    let peer = start_with(Options { fixtures: Fixtures::None, ..Options::default() });
    let browser = Browser::new(&peer, 1);
    for path in ["/", "/work_items", "/objects", "/files", "/events", "/deletions", "/institutions"] {
        assert!(browser.page(path).await.contains("Acting as"), "{path}");
    }
    assert_eq!(browser.post("/work_items/1/requeue", &[]).await.status, 403);
}
