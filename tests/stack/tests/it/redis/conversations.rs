//! Conversations that ours and the real server must answer with the same bytes, in both protocols.
//!
//! The files in `conversations/` have them: a line with `#` begins one, every other line is a request. `b:` before it sends it on a
//! second connection, `b<` waits there for a message that answers no request, `~` compares the lines of the reply without
//! their order, and `?` the time that is left by its first digit and its length.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use stack::redis::Options;

use super::client::{Client, Real, ours};

const CONVERSATIONS: [&str; 2] = [include_str!("conversations/values.txt"), include_str!("conversations/sessions.txt")];

/// Everything a server says in one conversation, a line per request.
fn answers(address: SocketAddr, protocol: &str, requests: &[&str]) -> String {
    let mut clients: HashMap<&str, Client> = HashMap::new();
    let mut client = |name: &'static str, act: &mut dyn FnMut(&mut Client) -> String| {
        let client = clients.entry(name).or_insert_with(|| {
            let mut client = Client::new(address);
            // Ids differ between servers.
            client.ask(&format!("HELLO {protocol}"));
            client
        });
        act(client)
    };
    client("a", &mut |client| client.ask("FLUSHALL"));
    let mut text = String::new();
    for line in requests {
        let reply = if *line == "b<" {
            client("b", &mut Client::reply)
        } else if let Some(request) = line.strip_prefix("b:") {
            client("b", &mut |client| client.ask(request))
        } else if let Some(request) = line.strip_prefix('~') {
            let reply = client("a", &mut |client| client.ask(request));
            let mut lines: Vec<_> = reply.split("\\r\\n").collect();
            lines.sort_unstable();
            lines.join("\\r\\n")
        } else if let Some(request) = line.strip_prefix('?') {
            let reply = client("a", &mut |client| client.ask(request));
            if reply.starts_with(":-") { reply } else { format!("{}... of {} characters", &reply[..2], reply.len()) }
        } else {
            client("a", &mut |client| client.ask(line))
        };
        writeln!(text, "{line}  =>  {reply}").unwrap();
    }
    text
}

#[test]
fn ours_answers_as_the_real_one() {
    let Some(real) = Real::start("redis::conversations", &[]) else { return };
    let ours = ours(Options::default());
    let mut differences = String::new();
    for conversation in CONVERSATIONS.iter().flat_map(|file| file.split("# ").skip(1)) {
        let mut lines = conversation.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap();
        let requests: Vec<&str> = lines.collect();
        for protocol in ["2", "3"] {
            let left = answers(ours.address(), protocol, &requests);
            let right = answers(real.address(), protocol, &requests);
            for (left, right) in left.lines().zip(right.lines()).filter(|(left, right)| left != right) {
                writeln!(differences, "{title}, RESP{protocol}\n    ours: {left}\n    real: {right}").unwrap();
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn every_command_of_ours_has_the_arity_flags_and_keys_of_the_real_one() {
    let Some(real) = Real::start("redis::commands", &[]) else { return };
    let ours = ours(Options::default());
    let (mut left, mut right) = (Client::new(ours.address()), Client::new(real.address()));
    let list = left.ask("COMMAND LIST");
    // What came with 7.2, or is a name that holds others.
    let newer = ["client|setinfo"];
    let mut compared = 0;
    for name in list.split("\\r\\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$'])) {
        let (left, right) = (left.ask(&format!("COMMAND INFO {name}")), right.ask(&format!("COMMAND INFO {name}")));
        let right = facts(&right);
        for (name, facts) in facts(&left).into_iter().filter(|(name, _)| !newer.contains(&name.as_str())) {
            assert_eq!(Some(&facts), right.get(&name), "{name}; left: ours, right: redis-server");
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} commands were compared");
}

/// Of each command in a reply of COMMAND INFO, containers with their parts: its arity, flags and places of keys.
fn facts(reply: &str) -> HashMap<String, String> {
    let lines: Vec<&str> = reply.split("\\r\\n").collect();
    let mut found = HashMap::new();
    for (at, window) in lines.windows(4).enumerate() {
        // `*10`, the length of the name, the name, the arity, then an array of flags and three numbers.
        if window[0] == "*10" && window[1].starts_with('$') {
            let flags: usize = lines[at + 4][1..].parse().unwrap();
            found.insert(window[2].to_owned(), lines[at + 3..at + 8 + flags].join(" "));
        }
    }
    found
}
