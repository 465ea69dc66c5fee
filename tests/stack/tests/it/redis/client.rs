//! A raw client, which shows replies as they are on the wire, and the servers that it talks to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stack::redis::{Options, Redis};

use crate::support::skip;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// The reply to a request that is written as text: see [`words`].
    pub(super) fn ask(&mut self, request: &str) -> String {
        self.request(&words(request))
    }

    /// The reply to a request.
    pub(super) fn request<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> String {
        self.send(&written(arguments));
        self.reply()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next reply as it is on the wire, escaped.
    pub(super) fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        self.read(&mut bytes);
        bytes.escape_ascii().to_string()
    }

    /// What is sent until the server ends the connection.
    pub(super) fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = self.reader.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        bytes.escape_ascii().to_string()
    }

    pub(super) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    fn read(&mut self, bytes: &mut Vec<u8>) {
        let from = bytes.len();
        assert!(self.reader.read_until(b'\n', bytes).unwrap() > 0, "the server ended the connection");
        let line = bytes[from..].to_vec();
        let number = || -> i64 { std::str::from_utf8(&line[1..]).unwrap().trim_end().parse().unwrap() };
        match line[0] {
            b'$' | b'=' if number() >= 0 => {
                let at = bytes.len();
                bytes.resize(at + usize::try_from(number()).unwrap() + 2, 0);
                self.reader.read_exact(&mut bytes[at..]).unwrap();
            }
            b'*' | b'~' | b'>' => (0..number()).for_each(|_| self.read(bytes)),
            b'%' => (0..number() * 2).for_each(|_| self.read(bytes)),
            _ => {}
        }
    }
}

/// A request on the wire.
pub(super) fn written<T: AsRef<[u8]>>(arguments: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments.iter().map(AsRef::as_ref) {
        bytes.extend(format!("${}\r\n", argument.len()).bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The words of a line; `_` alone is an empty one, `{x*100}` a hundred times x, and `\xHH` a byte.
pub(super) fn words(line: &str) -> Vec<Vec<u8>> {
    line.split_whitespace()
        .map(|word| {
            if word == "_" {
                return Vec::new();
            }
            if let Some((letter, count)) =
                word.strip_prefix('{').and_then(|word| word.strip_suffix('}')?.split_once('*'))
            {
                return letter.repeat(count.parse().unwrap()).into_bytes();
            }
            let mut parts = word.split("\\x");
            let mut bytes = parts.next().unwrap().as_bytes().to_vec();
            for part in parts {
                bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            bytes
        })
        .collect()
}

/// Ours, with these options.
pub(super) fn ours(options: Options) -> Redis {
    Redis::start(options).unwrap()
}

/// A `redis-server` of its own, ended with the value.
#[derive(Debug)]
pub(super) struct Real {
    child: Child,
    address: SocketAddr,
}

impl Real {
    /// `None`, and the test is listed as skipped, where there is no such program.
    pub(super) fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        for _ in 0..10 {
            // Another process may take the port before the server does; then there is a next time.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
            command.args(["--daemonize", "no", "--appendonly", "no"]).args(arguments);
            let child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
                Ok(child) => child,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    skip(test, "redis-server is not on PATH");
                    return None;
                }
                Err(error) => panic!("redis-server: {error}"),
            };
            let mut real = Self { child, address };
            if real.is_up() {
                return Some(real);
            }
        }
        panic!("redis-server does not start");
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is there.
#[track_caller]
pub(super) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
