//! Servers that answer half, wrongly, slowly, too much or not at all: every call ends, with an error that names the request,
//! and nothing is sent twice that must not be.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{GenericFile, IntellectualObject, PremisEvent, WorkItem};
use registry::{Error, Kind, Limits};

use super::server::{Answer, KEY, Server, client, ends, impatient, limits, reply, reply_with};

const RECORD: &str = r#"{"id":7,"title":"a title","storage_option":"Standard"}"#;

fn once() -> Limits {
    Limits { tries: 1, ..limits() }
}

/// Each of these requests must not be sent twice.
async fn unrepeatable(server: &Server) -> Vec<Error> {
    let client = server.client();
    let file = GenericFile::default();
    ends(async {
        vec![
            client.save_object(&IntellectualObject::default()).await.unwrap_err(),
            client.save_work_item(&WorkItem::default()).await.unwrap_err(),
            client.create_event(&PremisEvent::default()).await.unwrap_err(),
            client.create_files(1, std::slice::from_ref(&file)).await.unwrap_err(),
            client.save_file(&file).await.unwrap_err(),
            client.save_file(&GenericFile { id: 9, ..file }).await.unwrap_err(),
            client.delete_file(1).await.unwrap_err(),
            client.delete_object(1).await.unwrap_err(),
        ]
    })
    .await
}

/// The id in the first line of a request for an object.
fn id(request: &str) -> Option<usize> {
    request.split_once("/show/")?.1.split_once(' ')?.0.parse().ok()
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_an_error_and_the_next_try_helps() {
    let close_delimited = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{RECORD}").into_bytes();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{RECORD}\r\n0\r\n\r\n",
        RECORD.len()
    )
    .into_bytes();
    for whole in [reply(200, RECORD), close_delimited, chunked] {
        let length = whole.len();
        let seen = Mutex::new(HashSet::new());
        // The first answer about object 17 ends after 17 bytes.
        let server = Server::start(move |_, request| match id(request) {
            Some(cut) if seen.lock().unwrap().insert(cut) => Answer::Bytes(whole[..cut].to_vec()),
            _ => Answer::Bytes(whole.clone()),
        })
        .await;
        let client = server.client();
        for cut in 0..length {
            let before = server.lines().len();
            let result = ends(client.object(i64::try_from(cut).unwrap())).await;
            let object = result.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!((object.id, object.title.as_str()), (7, "a title"));
            // One cut behind the last byte of the record may go unnoticed.
            let asked = server.lines().len() - before;
            assert!(asked == 2 || (asked == 1 && cut > length - 8), "cut at {cut}: asked {asked} times");
        }
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_never_taken_for_a_whole_one() {
    let whole = reply(200, RECORD);
    let length = whole.len();
    let server = Server::start(move |_, request| {
        let event = request.split_once(r#""generic_file_id":"#).and_then(|(_, rest)| rest.split_once(','));
        let cut = id(request).or_else(|| event.and_then(|(id, _)| id.parse().ok()));
        Answer::Bytes(whole[..cut.unwrap_or_default()].to_vec())
    })
    .await;
    let (cautious, client) = (client(&server.url, once()), server.client());
    for cut in 0..length {
        let cut = i64::try_from(cut).unwrap();
        let error = ends(cautious.object(cut)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Connection { .. }) && error.is_transient(), "cut at {cut}: {error}");
        let event = PremisEvent { generic_file_id: cut, ..PremisEvent::default() };
        let error = ends(client.create_event(&event)).await.unwrap_err();
        assert!(error.is_transient(), "cut at {cut}: {error}");
    }
    assert_eq!(server.lines().len(), 2 * length, "a POST was repeated");
}

#[tokio::test]
async fn a_request_cut_at_any_byte_is_an_error() {
    let item = WorkItem { id: 9, ..WorkItem::default() };
    let server =
        Server::start(
            |number, _| {
                if number == 0 { Answer::Bytes(reply(200, RECORD)) } else { Answer::Hangup(number - 1) }
            },
        )
        .await;
    let client = client(&server.url, once());
    ends(client.save_work_item(&item)).await.unwrap();
    for cut in 0..server.asked()[0].len() {
        let error = ends(client.save_work_item(&item)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Connection { .. }), "cut at {cut}: {error}");
        assert!(error.to_string().starts_with(&format!("PUT {}/admin-api/v3/items/update/9: ", server.url)), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_left() {
    let server = Server::always(Answer::Silence).await;
    let error = ends(client(&server.url, impatient()).object(1)).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::TimedOut { .. }) && error.is_transient(), "{error}");
    assert!(error.to_string().starts_with(&format!("GET {}/admin-api/v3/objects/show/1: ", server.url)), "{error}");
    assert_eq!(server.lines().len(), 1, "what takes too long is for the caller to repeat");
}

#[tokio::test]
async fn a_server_that_answers_for_ever_is_left() {
    let slow =
        |first: &str, then: &str| Answer::Drip([first.as_bytes(), then.as_bytes()].concat(), Duration::from_millis(20));
    let endless_head = b"X: y\r\n".repeat(1000);
    let continues = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    for (answer, name) in [
        (slow("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "head by the byte"),
        (slow("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", ""), "body by the byte"),
        (slow("HTTP/1.1 100 Continue\r\n\r\n", ""), "nothing but Continue"),
        (Answer::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), endless_head), "endless head"),
        (Answer::Flood(continues.clone(), continues), "endless Continue"),
    ] {
        let server = Server::always(answer).await;
        let error = ends(client(&server.url, Limits { tries: 1, ..impatient() }).object(1)).await.unwrap_err();
        assert!(error.is_transient(), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let zeros = vec![b'0'; 1 << 16];
    let chunk = [b"10000\r\n".to_vec(), zeros.clone(), b"\r\n".to_vec()].concat();
    for (head, body) in [
        ("Content-Length: 1099511627776\r\n", zeros.clone()),
        ("Transfer-Encoding: chunked\r\n", chunk.clone()),
        ("", zeros.clone()),
    ] {
        let answer =
            |status: u16| Answer::Flood(format!("HTTP/1.1 {status} X\r\n{head}\r\n").into_bytes(), body.clone());
        let server = Server::always(answer(200)).await;
        let error = ends(server.client().object(1)).await.unwrap_err();
        assert!(error.to_string().ends_with("the answer is longer than 1048576 bytes"), "{error}");
        let server = Server::always(answer(400)).await;
        let text = ends(server.client().object(1)).await.unwrap_err().to_string();
        assert!(text.ends_with("000 [cut]") && text.len() < 5000, "{} bytes", text.len());
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        b"\r\n\r\n",
        b"",
    ] {
        let server = Server::always(Answer::Bytes(bytes.to_vec())).await;
        let error = ends(client(&server.url, once()).object(1)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Connection { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    for status in [429, 502, 503, 504] {
        let server = Server::start(move |number, _| {
            Answer::Bytes(if number < 2 { reply(status, "busy") } else { reply(200, RECORD) })
        })
        .await;
        ends(server.client().save_work_item(&WorkItem { id: 9, ..WorkItem::default() })).await.unwrap();
        assert_eq!(server.lines(), ["PUT /admin-api/v3/items/update/9"; 3]);

        let server = Server::always(Answer::Bytes(reply(status, "busy"))).await;
        let error = ends(server.client().object(1)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unavailable { .. }) && error.is_transient(), "{error}");
        assert_eq!((server.lines().len(), error.status().unwrap().as_u16()), (3, status));
    }
}

#[tokio::test]
async fn a_failure_inside_the_registry_is_not_repeated_here() {
    let server = Server::always(Answer::Bytes(reply(500, "panic"))).await;
    let error = ends(server.client().object(1)).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn what_changes_something_is_sent_once_whatever_happens() {
    for answer in [
        Answer::Bytes(Vec::new()),
        Answer::Bytes(reply(503, "busy")),
        Answer::Bytes(reply(429, "busy")),
        Answer::Bytes(reply(200, "{\"id\":")),
        Answer::Bytes(reply_with(302, "Location: /maintenance?format=json\r\n", "")),
        Answer::Bytes(reply_with(307, "Location: /again\r\n", "")),
    ] {
        let deletions_succeed = matches!(&answer, Answer::Bytes(bytes) if bytes.starts_with(b"HTTP/1.1 200"));
        let server = Server::always(answer).await;
        if deletions_succeed {
            let error = ends(server.client().create_event(&PremisEvent::default())).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            assert_eq!(server.lines().len(), 1);
            continue;
        }
        let errors = unrepeatable(&server).await;
        assert_eq!(server.lines().len(), errors.len(), "{:?}", server.lines());
    }
}

#[tokio::test]
async fn maintenance_is_an_error_that_passes() {
    let server = Server::start(|_, request| {
        Answer::Bytes(if request.starts_with("GET /maintenance?format=json ") {
            reply(503, r#"{"StatusCode":"503","Error":"undergoing maintenance","Message":""}"#)
        } else {
            reply_with(302, "Location: /maintenance?format=json\r\n", "")
        })
    })
    .await;
    let error = ends(client(&server.url, once()).object(1)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("undergoing maintenance"), "{error}");
    let error = ends(server.client().create_event(&PremisEvent::default())).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("/maintenance"), "{error}");
}

#[tokio::test]
async fn redirections_are_followed_within_the_origin_and_nowhere_else() {
    let elsewhere = Server::always(Answer::Bytes(reply(200, RECORD))).await;
    let there = elsewhere.url.clone();
    let server = Server::start(move |_, request| {
        let line = request.lines().next().unwrap_or_default();
        Answer::Bytes(if line.contains("/show/1 ") {
            reply_with(301, "Location: ../show/2\r\n", "")
        } else if line.contains("/show/2 ") {
            reply(200, RECORD)
        } else if line.contains("/show/3 ") {
            reply_with(302, "Location: /admin-api/v3/objects/show/3\r\n", "")
        } else if line.contains("/show/4 ") {
            reply_with(302, &format!("Location: {there}/admin-api/v3/objects/show/4\r\n"), "")
        } else if line.contains("/show/5 ") {
            reply_with(302, &format!("Location: //{}/\r\n", there.trim_start_matches("http://")), "")
        } else if line.contains("/show/6 ") {
            reply_with(308, "Location: http://[::bad\r\n", "")
        } else {
            reply(302, "")
        })
    })
    .await;
    let client = server.client();
    assert_eq!(ends(client.object(1)).await.unwrap().id, 7);
    assert!(server.asked()[1].contains(KEY), "the key goes where it belongs");
    let error = ends(client.object(3)).await.unwrap_err();
    assert!(error.to_string().contains("more than 5 redirections"), "{error}");
    for id in 4..=7 {
        let error = ends(client.object(id)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Redirected { .. }) && !error.is_transient(), "{error}");
    }
    assert_eq!(elsewhere.lines(), [""; 0], "the key was taken elsewhere");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let no_tls = Server::always(Answer::Hangup(5)).await;
    for url in [
        "http://registry.name.invalid".to_owned(),
        format!("http://{closed}"),
        no_tls.url.replace("http://", "https://"),
    ] {
        let error = ends(client(&url, limits()).object(1)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Connection { .. }) && error.is_transient(), "{error}");
        assert!(error.to_string().starts_with(&format!("GET {url}/admin-api/v3/objects/show/1: ")), "{error}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_requests_and_never_the_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let server = Server::start(|number, _| match number {
        0 | 2 => Answer::Bytes(reply(200, RECORD)),
        1 => Answer::Bytes(reply(503, "busy")),
        _ => Answer::Bytes(reply(404, "no")),
    })
    .await;
    let client = server.client();
    // For all threads, since a scoped one races with the other tests for who first comes past a line that logs.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    ends(client.object(1)).await.unwrap();
    ends(client.object(2)).await.unwrap();
    let error = ends(client.object(3)).await.unwrap_err();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains(&format!("GET {}/admin-api/v3/objects/show/1 completed in ", server.url)), "{log}");
    assert!(log.contains("trying again: Server returned status code 503. GET "), "{log}");
    assert!(!log.contains(KEY), "{log}");
    assert!(!format!("{client:?} {error:?}").contains(KEY));
}
