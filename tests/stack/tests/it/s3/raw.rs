//! HTTP by hand, and signatures by hand: for what the SDK would not send.

use std::fmt::Write as _;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::target::{ACCESS, SECRET};

/// What came back before the connection closed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The code of S3 in an error.
    pub(crate) fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let code = body.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next());
        code.unwrap_or_default().to_owned()
    }
}

/// A request that is signed as SigV4 has it, and then perhaps spoilt.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Encoded.
    pub(crate) path: String,
    /// Encoded and sorted.
    pub(crate) query: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What stands in `x-amz-content-sha256`.
    pub(crate) payload: String,
}

/// The signature and what the signatures of chunks are made of.
pub(crate) struct Signed {
    pub(crate) head: String,
    pub(crate) signature: String,
    pub(crate) date: String,
    pub(crate) scope: String,
    key: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        let (payload, headers) = (hex(&Sha256::digest(b"")), Vec::new());
        Self { method, path: path.into(), query: String::new(), headers, body: Vec::new(), payload }
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.payload = hex(&Sha256::digest(&self.body));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn payload(mut self, payload: &str) -> Self {
        payload.clone_into(&mut self.payload);
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    pub(crate) fn sign(&self, host: &str) -> Signed {
        let now = time::OffsetDateTime::from(SystemTime::now());
        let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let date = format!("{day}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
        let mut headers = self.headers.clone();
        headers.push(("host".into(), host.into()));
        headers.push(("x-amz-content-sha256".into(), self.payload.clone()));
        headers.push(("x-amz-date".into(), date.clone()));
        headers.sort();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in &headers {
            writeln!(canonical, "{name}:{}", value.trim()).unwrap();
        }
        write!(canonical, "\n{names}\n{}", self.payload).unwrap();
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = hmac(format!("AWS4{SECRET}").as_bytes(), day.as_bytes());
        for part in ["us-east-1", "s3", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let signature = hex(&hmac(&key, text.as_bytes()));
        let mark = if self.query.is_empty() { "" } else { "?" };
        let mut head = format!("{} {}{mark}{} HTTP/1.1\r\n", self.method, self.path, self.query);
        for (name, value) in &headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let credential = format!("{ACCESS}/{scope}");
        write!(
            head,
            "authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}\r\n\
             connection: close\r\n"
        )
        .unwrap();
        Signed { head, signature, date, scope, key }
    }

    /// Signs and sends it.
    pub(crate) async fn send(&self, endpoint: &str) -> Answer {
        let host = endpoint.trim_start_matches("http://");
        let head = self.sign(host).head;
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", self.body.len()).into_bytes();
        bytes.extend_from_slice(&self.body);
        exchange(endpoint, &bytes).await
    }
}

impl Signed {
    /// `aws-chunked` with a signature on each chunk, and the last one.
    pub(crate) fn chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
        let mut previous = self.signature.clone();
        let mut bytes = Vec::new();
        for chunk in chunks.iter().chain([&&b""[..]]) {
            previous = self.sign_chunk(&previous, chunk);
            bytes.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend(b"\r\n");
        }
        bytes
    }

    fn sign_chunk(&self, previous: &str, chunk: &[u8]) -> String {
        let Self { date, scope, key, .. } = self;
        let (empty, sum) = (hex(&Sha256::digest(b"")), hex(&Sha256::digest(chunk)));
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{empty}\n{sum}");
        hex(&hmac(key, text.as_bytes()))
    }
}

/// Sends the bytes and reads until the connection closes.
pub(crate) async fn exchange(endpoint: &str, bytes: &[u8]) -> Answer {
    try_exchange(endpoint, bytes).await.expect("the connection was cut without an answer")
}

/// The same, where no answer may be what is expected.
pub(crate) async fn try_exchange(endpoint: &str, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect(endpoint).await;
    // The server may answer and close before it has taken everything.
    let _ = stream.write_all(bytes).await;
    read(&mut stream).await
}

pub(crate) async fn connect(endpoint: &str) -> TcpStream {
    TcpStream::connect(endpoint.trim_start_matches("http://")).await.unwrap()
}

/// What the server says until it closes the connection; nothing if it says nothing.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
        }
    });
    end.await.expect("the server must close the connection");
    let split = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: bytes[split + 4..].to_vec() })
}

/// RFC 2104 over SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
