//! What should not be sent, and what should not happen: bodies without end, senders without haste, connections cut at any
//! byte, a disk that is full, a port that is taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use stack::registry::{Fixtures, Options, Registry};

use super::{new_item, new_object, start, start_with};

const NASTY: [&str; 7] = [
    "'; DROP TABLE work_items; --",
    "\" OR \"\"=\"",
    "<script>alert('x')</script>&amp;",
    "%_\\%",
    "\u{0}\u{1}\u{7f}\u{2028}\u{fffd}\u{1F41B}",
    "../../etc/passwd",
    "{{7*7}} ${7*7} %s %n",
];

#[tokio::test]
async fn sql_and_html_stay_data_in_every_field() {
    let peer = start();
    for (nth, nasty) in NASTY.into_iter().enumerate() {
        // The driver of the real server leaves NUL out.
        let stored = nasty.replace('\0', "");
        let mut object = new_object(&format!("{nasty}{nth}"));
        for field in ["title", "description", "alt_identifier", "bag_name", "etag", "source_organization"] {
            object[field] = json!(nasty);
        }
        let created = peer.client.post("objects/create/4", &object).await.with(201);
        let shown = peer.client.show(&format!("objects/show/{}", created["id"])).await;
        for field in ["title", "description", "alt_identifier", "bag_name", "etag", "source_organization"] {
            assert_eq!(shown[field], stored, "{field}");
        }
        let query = format!("{:?}", json!(nasty));
        let escaped = super::escape(&stored);
        assert_eq!(peer.client.count(&format!("objects?alt_identifier={escaped}")).await, 1, "{query}");
        let mut item = new_item(nasty);
        (item["note"], item["outcome"], item["bucket"], item["node"]) =
            (json!(nasty), json!(nasty), json!(nasty), json!(nasty));
        let created = peer.client.post("items/create/4", &item).await.with(201);
        assert_eq!(peer.client.show(&format!("items/show/{}", created["id"])).await["node"], stored);
        for path in ["items?name__contains=", "items?sort=", "items?", "files/show/", "items?page="] {
            let reply = peer.client.get(&format!("{path}{escaped}")).await;
            assert!([200, 404, 500].contains(&reply.status), "{reply:?}");
            assert!(!reply.text.contains("<script"), "{reply:?}");
        }
    }
    assert_eq!(peer.client.count("items").await, 33 + 7);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_413() {
    let peer = start();
    let body = vec![b' '; (64 << 20) + 1];
    let reply = peer.client.try_send(Method::POST, "/admin-api/v3/events/create", body, "application/json").await;
    // The connection may be closed before all of it was sent.
    if let Ok(reply) = reply {
        reply.error(413);
    }
    assert_eq!(peer.client.count("events").await, 54);
}

#[tokio::test]
async fn deep_json_is_refused() {
    let peer = start();
    for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let reply = peer.client.send(Method::POST, "/admin-api/v3/items/create/4", body, "application/json").await;
        assert_eq!(reply.status, 400);
    }
}

#[tokio::test]
async fn paths_and_names_without_end_are_refused() {
    let peer = start();
    let long = "x".repeat(100_000);
    let reply = peer.client.try_send(Method::GET, &format!("/admin-api/v3/files/show/{long}"), "", "").await;
    assert!(reply.is_err() || (400..500).contains(&reply.unwrap().status));
    assert_eq!(peer.client.get("files/show/a%zz").await.status, 400);
    peer.client.get("files/show/a%ff%fe").await.with(404);
}

fn raw(registry: &Registry, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

const CREATE: &str = "POST /admin-api/v3/items/create/4 HTTP/1.1\r\nHost: x\r\nX-Pharos-API-User: system@aptrust.org\r\n\
    X-Pharos-API-Key: password\r\nContent-Type: application/json\r\n";

/// At every byte: nothing hangs, and an item is there only if all of it was sent.
#[tokio::test]
async fn a_conversation_cut_at_any_byte_leaves_nothing_half_done() {
    let peer = start();
    let body = new_item("cut.tar").to_string();
    let request = format!("{CREATE}Content-Length: {}\r\n\r\n{body}", body.len());
    for length in 0..request.len() {
        drop(raw(&peer.registry, &request.as_bytes()[..length]));
    }
    let mut whole = raw(&peer.registry, request.as_bytes());
    let mut answer = [0; 12];
    whole.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    assert_eq!(peer.client.count("items?name=cut.tar").await, 1);
}

#[tokio::test]
async fn slow_senders_hold_up_nobody_and_end_with_the_server() {
    let peer = start();
    let slow: Vec<TcpStream> = (0..100)
        .map(|nth| raw(&peer.registry, if nth % 2 == 0 { CREATE.as_bytes() } else { b"GET /admin-api/v3/items HT" }))
        .collect();
    let lengthy = format!("{CREATE}Content-Length: 1000\r\n\r\n{{");
    let waiting: Vec<TcpStream> = (0..50).map(|_| raw(&peer.registry, lengthy.as_bytes())).collect();
    assert_eq!(peer.client.count("items").await, 33);
    drop(peer);
    for mut stream in slow.into_iter().chain(waiting) {
        // Closed, by an end or a reset, and not left to the time-out of reading.
        let started = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn what_is_no_http_gets_an_error_or_an_end() {
    let peer = start();
    for bytes in [&b"\x00\x01\x02\x03\r\n\r\n"[..], b"GET\r\n\r\n", b"  V2", b"GET / HTTP/9.9\r\n\r\n", &[0xff; 5000]] {
        let mut stream = raw(&peer.registry, bytes);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(peer.client.count("items").await, 33);
}

#[tokio::test]
async fn a_full_disk_is_500_with_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let database = Some(folder.path().join("registry.db"));
    let peer = start_with(Options { database, fixtures: Fixtures::Upstream, ..Options::default() });
    let object = peer.client.post("objects/create/4", &new_object("full")).await.with(201);
    let batch: Vec<_> = (0..200)
        .map(|nth| {
            let mut file = super::new_file(&object, &format!("data/{nth}"));
            file["checksums"] =
                json!([{ "algorithm": "md5", "digest": "d".repeat(500), "datetime": "2024-05-06T07:08:09Z" }]);
            file
        })
        .collect();
    peer.registry.store().refuse_growth().unwrap();
    let error = peer.client.post("files/create_batch/4", &json!(batch)).await.error(500);
    assert_eq!(error, "ERROR #53100 could not extend file: No space left on device");
    let path = format!("files?intellectual_object_id={}", object["id"]);
    assert_eq!((peer.client.count(&path).await, peer.client.count("checksums").await), (0, 32));
    peer.registry.store().allow_growth().unwrap();
    peer.client.post("files/create_batch/4", &json!(batch)).await.with(201);
    assert_eq!(peer.client.count(&path).await, 200);
}

#[test]
fn a_port_that_is_taken_is_said() {
    let first = Registry::start(Options::default()).unwrap();
    let taken = Registry::start(Options { port: first.address().port(), ..Options::default() }).unwrap_err();
    assert!(format!("{taken:#}").contains(&format!("cannot listen on port {}", first.address().port())), "{taken:#}");
    // Two at once, and one after the other on the same port.
    let port = Registry::start(Options::default()).unwrap().address().port();
    Registry::start(Options { port, ..Options::default() }).unwrap();
}

#[test]
fn a_database_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    std::fs::write(&path, vec![7; 8192]).unwrap();
    let error = Registry::start(Options { database: Some(path), ..Options::default() }).unwrap_err();
    assert!(format!("{error:#}").contains("cannot open the database of the Registry"), "{error:#}");
    let nowhere = folder.path().join("no").join("such").join("folder");
    assert!(Registry::start(Options { database: Some(nowhere), ..Options::default() }).is_err());
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for database in [None, Some(folder.path().join("registry.db"))] {
        let peer = start_with(Options { database, fixtures: Fixtures::Upstream, ..Options::default() });
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..16 {
            let client = peer.client.clone();
            tasks.spawn(async move {
                for nth in 0..10 {
                    let created =
                        client.post("items/create/4", &new_item(&format!("{worker}-{nth}.tar"))).await.with(201);
                    client.put(&format!("items/update/{}", created["id"]), &created).await.with(200);
                    client.get("items?per_page=1000").await.with(200);
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(peer.client.count("items?institution_id=4").await, 160);
    }
}
