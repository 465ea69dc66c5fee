//! A real image registry on a port of its own, and a proxy in front of it that misbehaves on request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Scratch;
use super::workspace::real_program;

/// Debian's `docker-registry` with an empty store; ended with the value.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    _scratch: Scratch,
}

impl Registry {
    /// Starts it, or says why the test cannot run: it needs a docker engine and the registry.
    pub(crate) fn start() -> Result<Self, String> {
        let program = real_program("docker-registry").ok_or("docker-registry is not on PATH")?;
        let engine = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !engine.is_ok_and(|status| status.success()) {
            return Err("no docker engine answers".to_owned());
        }
        let scratch = Scratch::new("registry");
        let port = free_port();
        let config = scratch.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            scratch.path().join("store").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { child, port, _scratch: scratch };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not listen on port {port} after 30 s");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// What `--registry` takes.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}/try", self.port)
    }

    /// The tags of a repository, by the registry's own account.
    pub(crate) fn tags(&self, service: &str) -> Vec<String> {
        let answer = get(self.port, &format!("/v2/try/{service}/tags/list"));
        let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let tags = value["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<String> = tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of a GET.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Answers with this status and nothing else.
    Status(u16),
    /// Closes the connection after the request's head.
    Cut,
    /// Says that a manifest was stored, and forgets it.
    Lose,
}

type Choose = dyn Fn(&str, &str) -> Fault + Send + Sync;

/// A proxy to a [`Registry`]; `choose` sees method and path of every request.
pub(crate) struct Proxy {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn before(registry: &Registry, choose: impl Fn(&str, &str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (upstream, seen, choose) = (registry.port, Arc::clone(&requests), Arc::new(choose) as Arc<Choose>);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, choose) = (Arc::clone(&seen), Arc::clone(&choose));
                thread::spawn(move || {
                    // A client that goes away in the middle ends its connection, no more.
                    let _ = serve(client, upstream, &seen, &*choose);
                });
            }
        });
        Self { port, requests }
    }

    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}/try", self.port)
    }

    /// `METHOD path` of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// One request per connection: both sides are told to close it.
fn serve(client: TcpStream, upstream: u16, seen: &Mutex<Vec<String>>, choose: &Choose) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    // Docker tries TLS first; an answer in plain text, as a Go server gives it, sends it on to plain HTTP.
    if !reader.fill_buf()?.first().is_some_and(u8::is_ascii_uppercase) {
        (&client).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
        return drain(reader);
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    seen.lock().unwrap().push(format!("{method} {path}"));
    let mut client = client;
    match choose(method, path) {
        Fault::None => {}
        Fault::Cut => return client.shutdown(Shutdown::Both),
        Fault::Status(status) => {
            let login = if status == 401 { "WWW-Authenticate: Basic realm=\"test\"\r\n" } else { "" };
            write!(client, "HTTP/1.1 {status} Fault\r\n{login}Content-Length: 0\r\nConnection: close\r\n\r\n")?;
            return drain(reader);
        }
        Fault::Lose => {
            let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let (digest, location) = (super::sha256(&body), path);
            write!(
                client,
                "HTTP/1.1 201 Created\r\nDocker-Content-Digest: {digest}\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(());
        }
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    server.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
    let mut to_server = server.try_clone()?;
    let copying = thread::spawn(move || io::copy(&mut reader, &mut to_server));
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    let _ = copying.join();
    Ok(())
}

/// Reads what the client still sends, so that it gets the answer rather than a reset.
fn drain(mut reader: BufReader<TcpStream>) -> io::Result<()> {
    reader.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
    match io::copy(&mut reader, &mut io::sink()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        other => other.map(|_| ()),
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
