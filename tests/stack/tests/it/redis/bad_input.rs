//! What breaks the protocol, breaks off, or is slow.

use std::io::Write as _;

use stack::redis::Options;

use super::client::{Client, Real, ours, written};

/// What a server says to bytes after which nothing more comes.
fn said(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let client = Client::new(address);
    // A server that has seen enough closes before the end.
    let _ = client.stream().write_all(bytes);
    let _ = client.stream().shutdown(std::net::Shutdown::Write);
    client.rest()
}

#[test]
fn what_breaks_the_protocol_is_refused_as_by_the_real_one() {
    let Some(real) = Real::start("redis::bad_input", &[]) else { return };
    let ours = ours(Options::default());
    let table = [
        "*x\r\n",
        "*4294967296\r\n",
        "*99999999999999999999\r\n",
        "*1\r\n*1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$536870913\r\n",
        "*1\r\n$4294967296\r\n",
        "*1\r\n$9223372036854775808\r\n",
        "*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n",
        "*-4294967296\r\n*1\r\n$4\r\nPING\r\n",
        "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI",
        "*1\r\n$4\r\nPING\r\n*1\r\n$-4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
        "*1048576\r\n$4\r\nPING\r\n",
        "*1\r\n$536870912\r\nPING",
    ];
    for bytes in table {
        let (left, right) = (said(ours.address(), bytes.as_bytes()), said(real.address(), bytes.as_bytes()));
        assert_eq!(left, right, "{}; left: ours, right: redis-server", bytes.escape_default());
    }
}

#[test]
fn more_than_the_rules_allow_is_refused() {
    let ours = ours(Options::default());
    let expected = [
        ("PING\r\n", "expected \\'*\\', got \\'P\\'"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "expected \\'*\\', got \\'G\\'"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*1\r\n$4\r\nPINGPONG\r\n", "a bulk string is longer than its length says"),
    ];
    for (bytes, error) in expected {
        assert_eq!(said(ours.address(), bytes.as_bytes()), format!("-ERR Protocol error: {error}\\r\\n"));
    }
    // A hundred thousand arrays in one another.
    assert!(said(ours.address(), "*1\r\n".repeat(100_000).as_bytes()).starts_with("-ERR Protocol error"));
    assert_eq!(Client::new(ours.address()).ask("PING"), "+PONG\\r\\n");
}

#[test]
fn a_conversation_may_come_in_any_pieces_and_break_off_anywhere() {
    let ours = ours(Options::default());
    let requests = ["HELLO 3", "HSET h f {x*30} g 2", "MULTI", "HGETALL h", "EXEC", "HSCAN h 0", "DEL h"];
    let bytes: Vec<u8> = requests.iter().flat_map(|request| written(&super::client::words(request))).collect();
    // The id of the connection differs.
    let tail = |said: String| said.split_once("modules").map_or(String::new(), |(_, tail)| tail.to_owned());
    let whole = tail(said(ours.address(), &bytes));
    assert!(whole.ends_with(":1\\r\\n"));
    for cut in 1..bytes.len() {
        let before = said(ours.address(), &bytes[..cut]);
        assert!(whole.starts_with(&tail(before)), "cut at byte {cut}");
        let mut client = Client::new(ours.address());
        client.ask("FLUSHALL");
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        let _ = client.stream().shutdown(std::net::Shutdown::Write);
        assert_eq!(tail(client.rest()), whole, "in two pieces at byte {cut}");
    }
    let slow = Client::new(ours.address());
    for byte in &bytes {
        slow.stream().write_all(std::slice::from_ref(byte)).unwrap();
    }
    slow.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(tail(slow.rest()), whole, "byte by byte");
    assert_eq!(Client::new(ours.address()).ask("DBSIZE"), ":0\\r\\n");
}

#[test]
fn a_client_that_does_not_read_blocks_nobody() {
    let ours = ours(Options::default());
    let mut client = Client::new(ours.address());
    let mut value = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n".to_vec();
    value.resize(value.len() + (8 << 20), b'v');
    value.extend(b"\r\n");
    client.send(&value);
    assert_eq!(client.reply(), "+OK\\r\\n");
    let stuck = Client::new(ours.address());
    stuck.stream().set_nonblocking(true).unwrap();
    // As many as the sockets take: until neither side has room for more.
    let request = written(&["GET", "k"]);
    for _ in 0..10_000 {
        if stuck.stream().write(&request).is_err() {
            break;
        }
    }
    for _ in 0..100 {
        assert_eq!(client.ask("STRLEN k"), ":8388608\\r\\n");
    }
}
