//! A server that answers what a test tells it to, one answer per request, and writes down the requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The server; it ends when this is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /bucket/key?query`
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What comes back: raw bytes, after which the connection stays open, or nothing ever.
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    Last(Vec<u8>),
    Never,
}

impl Stub {
    pub(crate) async fn new(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, written) = (Arc::new(answer), Arc::clone(&requests));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, written) = (Arc::clone(&answer), Arc::clone(&written));
                running.spawn(async move {
                    let _ = serve(stream, &*answer, &written).await;
                });
            }
        });
        Self { address, requests, _tasks: tasks }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str) -> bool {
        self.line.split(' ').next() == Some(method)
    }
}

/// A well-formed answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let length = body.len().to_string();
    let is_told = headers.iter().any(|(name, _)| *name == "Content-Length");
    let length = (!is_told).then_some(("Content-Length", length.as_str()));
    let headers: Vec<String> =
        headers.iter().copied().chain(length).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Status\r\n{}\r\n", headers.concat());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// An error as S3 words it.
pub(crate) fn error(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>Told to</Message><RequestId>r-1</RequestId></Error>");
    answer(status, &[("Content-Type", "application/xml"), ("x-amz-request-id", "r-1")], body.as_bytes())
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&Request) -> Answer + Send + Sync),
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end + 4);
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut request = Request { line, headers: headers.collect(), body: Vec::new() };
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        request.body = buffer.drain(..length).collect();
        requests.lock().unwrap().push(request.clone());
        match answer(&request) {
            Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
            Answer::Last(bytes) => return stream.write_all(&bytes).await,
            Answer::Never => std::future::pending().await,
        }
    }
}
