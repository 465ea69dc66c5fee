//! The `redis` crate, which the services use, against ours and the real server.

use std::net::SocketAddr;

use ::redis::{Client, Commands as _, Connection, pipe};
use stack::redis::Options;

use super::client::{Real, ours};

fn against_both(test: &str, check: impl Fn(SocketAddr)) {
    let ours = ours(Options { password: Some("secret".to_owned()), ..Options::default() });
    check(ours.address());
    if let Some(real) = Real::start(test, &["--requirepass", "secret"]) {
        check(real.address());
    }
}

fn connect(address: SocketAddr, protocol: &str) -> Connection {
    let client = Client::open(format!("redis://:secret@{address}/2?protocol={protocol}")).unwrap();
    client.get_connection().unwrap()
}

#[test]
fn a_claim_is_taken_once() {
    against_both("redis::library::claim", |address| {
        for protocol in ["resp2", "resp3"] {
            let (mut one, mut other) = (connect(address, protocol), connect(address, protocol));
            let field = format!("claim:{protocol}");
            // Both have looked; only the first to write gets it.
            for connection in [&mut one, &mut other] {
                ::redis::cmd("WATCH").arg("9999").exec(connection).unwrap();
                assert!(!connection.hexists::<_, _, bool>("9999", &field).unwrap());
            }
            let take = |connection: &mut Connection, token: &str| -> Option<(i64,)> {
                pipe().atomic().hset("9999", &field, token).query(connection).unwrap()
            };
            assert_eq!(take(&mut one, "one"), Some((1,)));
            assert_eq!(take(&mut other, "other"), None);
            assert_eq!(one.hget::<_, _, String>("9999", &field).unwrap(), "one");
        }
    });
}

#[test]
fn files_are_scanned_in_batches() {
    against_both("redis::library::scan", |address| {
        for protocol in ["resp2", "resp3"] {
            let mut connection = connect(address, protocol);
            connection.del::<_, ()>("9999").unwrap();
            for number in 0..1000 {
                connection.hset::<_, _, _, ()>("9999", format!("file:{number}"), "{}").unwrap();
            }
            connection.hset::<_, _, _, ()>("9999", "object:a", "{}").unwrap();
            let found: Vec<(String, String)> =
                connection.hscan_match("9999", "file:*").unwrap().collect::<Result<_, _>>().unwrap();
            let distinct: std::collections::HashSet<_> = found.iter().map(|(field, _)| field).collect();
            assert_eq!(distinct.len(), 1000);
        }
    });
}
