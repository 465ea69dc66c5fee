//! HSCAN and SCAN over what is large, and while it changes.

use std::collections::HashMap;
use std::net::SocketAddr;

use stack::redis::Options;

use super::client::{Client, Real, ours};

/// Fields of a bag with a million files.
const MANY: usize = 1_000_000;

/// The elements of one step, and the cursor to go on with.
fn step(client: &mut Client, request: &str) -> (Vec<String>, String) {
    let reply = client.ask(request);
    let mut texts = reply.split("\\r\\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$']));
    let cursor = texts.next().unwrap().to_owned();
    (texts.map(str::to_owned).collect(), cursor)
}

fn against_both(test: &str, check: impl Fn(SocketAddr)) {
    let ours = ours(Options::default());
    check(ours.address());
    if let Some(real) = Real::start(test, &[]) {
        check(real.address());
    }
}

#[test]
fn a_walk_finds_every_field_that_stays_while_others_come_and_go() {
    against_both("redis::scans::fields", |address| {
        let mut client = Client::new(address);
        for number in 0..3000 {
            client.ask(&format!("HSET h stays:{number} v goes:{number} v"));
        }
        let (mut seen, mut cursor, mut round) = (HashMap::new(), "0".to_owned(), 0);
        loop {
            let (found, next) = step(&mut client, &format!("HSCAN h {cursor} MATCH stays:* COUNT 50"));
            found.chunks(2).for_each(|pair| *seen.entry(pair[0].clone()).or_insert(0) += 1);
            if next == "0" {
                break;
            }
            cursor = next;
            client.ask(&format!("HSET h comes:{round} {}", "v".repeat(100)));
            for number in 0..40 {
                client.ask(&format!("HDEL h goes:{}", (round * 40 + number) % 3000));
            }
            round += 1;
            assert!(round < 6000, "the walk does not end");
        }
        assert_eq!(seen.len(), 3000);
    });
}

#[test]
fn a_walk_finds_every_key() {
    against_both("redis::scans::keys", |address| {
        let mut client = Client::new(address);
        for number in 0..500 {
            client.ask(&format!("HSET hash:{number} f v"));
            client.ask(&format!("SET text:{number} v"));
        }
        for (options, expected) in [("", 1000), ("TYPE hash", 500), ("MATCH text:* COUNT 7", 500)] {
            let (mut seen, mut cursor) = (std::collections::HashSet::new(), "0".to_owned());
            loop {
                let (found, next) = step(&mut client, &format!("SCAN {cursor} {options}"));
                seen.extend(found);
                if next == "0" {
                    break;
                }
                cursor = next;
            }
            assert_eq!(seen.len(), expected, "{options}");
        }
    });
}

#[test]
fn a_hash_of_a_million_fields_works() {
    let ours = ours(Options::default());
    let mut client = Client::new(ours.address());
    for from in (0..MANY).step_by(10_000) {
        let mut request = vec!["HSET".to_owned(), "9999".to_owned()];
        request.extend((from..from + 10_000).flat_map(|number| [format!("file:{number}"), format!("{{{number}}}")]));
        assert_eq!(client.request(&request), ":10000\\r\\n");
    }
    assert_eq!(client.ask("HLEN 9999"), format!(":{MANY}\\r\\n"));
    assert_eq!(client.ask("HGET 9999 file:123456"), "$8\\r\\n{123456}\\r\\n");
    let (mut count, mut cursor) = (0, "0".to_owned());
    loop {
        let (found, next) = step(&mut client, &format!("HSCAN 9999 {cursor} COUNT 1000"));
        assert!(found.len() <= 2002, "a step does more than its share: {}", found.len());
        count += found.len() / 2;
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(count, MANY);
    assert_eq!(client.ask("DEL 9999"), ":1\\r\\n");
    assert_eq!(client.ask("DBSIZE"), ":0\\r\\n");
}
