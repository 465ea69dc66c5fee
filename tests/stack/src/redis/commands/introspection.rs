//! Commands to look around with: the settings of the server, its commands, its keys. INFO has a file of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::MOST_CLIENTS;
use super::super::glob;
use super::super::hash::{Hash, LONGEST_PACKED, MOST_PACKED};
use super::super::keyspace::{DATABASES, Entry, Value};
use super::super::reply::{Failure, integer};
use super::super::server::Call;
use super::connection::container;
use super::flags::{ADMIN, CONTAINER, FAST, LOADING, NAMES, NO_SCRIPT, READ_ONLY, STALE};
use super::{COMMANDS as ALL, Command, get, is_word};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("time", 1, LOADING | STALE | FAST, time),
    Command::new("config", -2, CONTAINER, container),
    Command::new("config|get", -3, ADMIN | NO_SCRIPT | LOADING | STALE, config),
    Command::new("command", -1, LOADING | STALE | CONTAINER, all_commands),
    Command::new("command|count", 2, LOADING | STALE, count_commands),
    Command::new("command|info", -2, LOADING | STALE, some_commands),
    Command::new("command|list", -2, LOADING | STALE, list_commands),
    Command::new("command|docs", -2, LOADING | STALE, command_docs),
    Command::new("memory", -2, CONTAINER, container),
    Command::new("memory|usage", -3, READ_ONLY, memory_usage).keys(2, 2, 1),
    Command::new("object", -2, CONTAINER, container),
    Command::new("object|encoding", 3, READ_ONLY, encoding).keys(2, 2, 1),
    Command::new("object|freq", 3, READ_ONLY, frequency).keys(2, 2, 1),
];

fn time(call: &mut Call<'_>) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    call.reply.array(2);
    call.reply.bulk(now.as_secs().to_string().as_bytes());
    call.reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(())
}

fn config(call: &mut Call<'_>) -> Result<(), Failure> {
    let server = &call.server;
    let password = server.password.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let settings = [
        ("appendonly", "no".to_owned()),
        ("bind", server.address.ip().to_string()),
        ("databases", DATABASES.to_string()),
        ("hash-max-listpack-entries", MOST_PACKED.to_string()),
        ("hash-max-listpack-value", LONGEST_PACKED.to_string()),
        ("maxclients", MOST_CLIENTS.to_string()),
        ("maxmemory", server.max_memory.to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", server.address.port().to_string()),
        ("proto-max-bulk-len", "536870912".to_owned()),
        ("requirepass", password),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let patterns: Vec<Vec<u8>> = call.arguments[2..].iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    let wanted = |name: &str| patterns.iter().any(|pattern| glob::fits(pattern, name.as_bytes()));
    let found: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// All commands that are not part of a container, in the order of the alphabet.
fn whole_commands() -> Vec<&'static Command> {
    let mut commands: Vec<_> = ALL.values().copied().filter(|command| !command.name.contains('|')).collect();
    commands.sort_unstable_by_key(|command| command.name);
    commands
}

/// The parts of a container.
fn parts_of(command: &Command) -> Vec<&'static Command> {
    let is_part = |part: &&Command| part.name.split_once('|').is_some_and(|(whole, _)| whole == command.name);
    let mut parts: Vec<_> = ALL.values().copied().filter(is_part).collect();
    parts.sort_unstable_by_key(|part| part.name);
    parts
}

fn all_commands(call: &mut Call<'_>) -> Result<(), Failure> {
    let commands = whole_commands();
    call.reply.array(commands.len());
    for command in commands {
        describe(call, command);
    }
    Ok(())
}

fn some_commands(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.arguments.len() == 2 {
        return all_commands(call);
    }
    let names = &call.arguments[2..];
    call.reply.array(names.len());
    for name in names {
        match get(name) {
            Some(command) => describe(call, command),
            None => call.reply.null(),
        }
    }
    Ok(())
}

/// Name, arity, flags and the places of keys; categories, hints and key specifications are left empty.
fn describe(call: &mut Call<'_>, command: &Command) {
    let shown: Vec<&str> = NAMES.iter().filter(|(flag, _)| command.is(*flag)).map(|(_, name)| *name).collect();
    let reply = &mut *call.reply;
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(command.arity.into());
    reply.set(shown.len());
    for name in shown {
        reply.simple(name);
    }
    let (first, last, step) = command.keys;
    for number in [first, last, step] {
        reply.integer(number.into());
    }
    reply.set(0);
    reply.array(0);
    reply.array(0);
    let parts = parts_of(command);
    reply.array(parts.len());
    for part in parts {
        describe(call, part);
    }
}

fn count_commands(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.count(whole_commands().len());
    Ok(())
}

fn list_commands(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.arguments.len() > 2 {
        return Err(Failure::SYNTAX);
    }
    let commands = whole_commands();
    call.reply.array(commands.len());
    for command in commands {
        call.reply.bulk(command.name.as_bytes());
    }
    Ok(())
}

/// There is no documentation here: each command is named, with nothing about it.
fn command_docs(call: &mut Call<'_>) -> Result<(), Failure> {
    let commands: Vec<_> = match &call.arguments[2..] {
        [] => whole_commands(),
        names => names.iter().filter_map(|name| get(name)).collect(),
    };
    call.reply.map(commands.len());
    for command in commands {
        call.reply.bulk(command.name.as_bytes());
        call.reply.map(0);
    }
    Ok(())
}

fn memory_usage(call: &mut Call<'_>) -> Result<(), Failure> {
    match call.arguments[3..] {
        [] => {}
        [word, number] if is_word(word, "samples") => {
            let number = integer(number).ok_or(Failure::NOT_AN_INTEGER)?;
            if number < 0 {
                return Err(Failure::SYNTAX);
            }
        }
        _ => return Err(Failure::SYNTAX),
    }
    let key = call.arguments[2];
    match call.server.keyspace.get(call.database(), key) {
        Some(entry) => call.reply.count(entry.size(key)),
        None => call.reply.null(),
    }
    Ok(())
}

fn encoding(call: &mut Call<'_>) -> Result<(), Failure> {
    let name = match call.server.keyspace.get(call.database(), call.arguments[2]) {
        None => None,
        Some(Entry { value: Value::Hash(Hash::Packed(_)), .. }) => Some("listpack"),
        Some(Entry { value: Value::Hash(Hash::Table { .. }), .. }) => Some("hashtable"),
        Some(Entry { value: Value::Text(text), .. }) if integer(text).is_some() => Some("int"),
        // Longer ones do not fit beside the real server's header.
        Some(Entry { value: Value::Text(text), .. }) if text.len() <= 44 => Some("embstr"),
        Some(_) => Some("raw"),
    };
    call.reply.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}

fn frequency(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.server.keyspace.get(call.database(), call.arguments[2]).is_none() {
        call.reply.null();
        return Ok(());
    }
    Err(Failure::of(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    ))
}
