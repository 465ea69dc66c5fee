//! A server made by hand: it answers each request with the bytes it is told to, as slowly as it is told to, and
//! remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{Client, Limits, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) const KEY: &str = "the-key-that-is-secret";

/// What becomes of a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, and the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes one at a time, with this pause between them, over and over.
    Drip(Vec<u8>, Duration),
    /// These bytes first, then those over and over, as fast as they are taken.
    Flood(Vec<u8>, Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
    /// The connection is closed when so many bytes of the request have come.
    Hangup(usize),
}

/// Ends with all its connections when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers the first request with `answer(0, …)`, the second with `answer(1, …)`.
    pub(crate) async fn start(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let (answer, log) = (Arc::new(answer), asked.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                connections.spawn(async move {
                    // A client that goes away is not the server's problem.
                    let _ = converse(stream, &*answer, &log).await;
                });
            }
        });
        Self { url, asked, _tasks: tasks }
    }

    /// One answer to everything.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    /// All requests so far, each with its head and body.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of all requests so far, without the version.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |text: &String| text.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
        self.asked().iter().map(line).collect()
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url, limits())
    }
}

async fn converse(
    mut stream: TcpStream,
    answer: &(dyn Fn(usize, &str) -> Answer + Send + Sync),
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let number = log.lock().unwrap().len();
    if let Answer::Hangup(bytes) = answer(number, "") {
        log.lock().unwrap().push(String::new());
        let mut part = vec![0; bytes];
        return stream.read_exact(&mut part).await.map(drop);
    }
    let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    match answer(number, &request) {
        Answer::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Answer::Drip(bytes, pause) => loop {
            for byte in &bytes {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(pause).await;
            }
        },
        Answer::Flood(first, then) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&then).await?;
            }
        }
        Answer::Silence | Answer::Hangup(_) => stream.read_to_end(&mut Vec::new()).await.map(drop),
    }
}

/// Head and body, or none if the client closes before.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0));
            if body.len() >= length {
                return Ok(Some(text));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// A whole answer with a length, after which the connection closes.
pub(crate) fn reply(status: u16, body: &str) -> Vec<u8> {
    reply_with(status, "", body)
}

/// As [`reply`], with more lines in its head.
pub(crate) fn reply_with(status: u16, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// Quick to repeat, and patient with a busy machine.
pub(crate) fn limits() -> Limits {
    Limits { tries: 3, pause: Duration::from_millis(1), answer: 1 << 20, ..Limits::default() }
}

/// For servers whose slowness is what is tested: a test waits for these.
pub(crate) fn impatient() -> Limits {
    Limits { idle: Duration::from_millis(300), whole: Duration::from_millis(900), ..limits() }
}

pub(crate) fn client(url: &str, limits: Limits) -> Client {
    Client::new(Settings { url, version: "v3", user: "system@aptrust.org", key: KEY }, limits).unwrap()
}

/// What a call must not take longer than, whatever happens.
pub(crate) async fn ends<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(Duration::from_mins(1), call).await.expect("the client hangs")
}
