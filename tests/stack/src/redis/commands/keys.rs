//! Commands on keys of any kind, and on whole databases.

use super::super::keyspace::DATABASES;
use super::super::reply::{Failure, integer};
use super::super::server::Call;
use super::expiry::{Clock, invalid};
use super::flags::{FAST, READ_ONLY, WRITE};
use super::{Command, is_word, shown};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("del", -2, WRITE, delete).keys(1, -1, 1),
    Command::new("unlink", -2, WRITE | FAST, delete).keys(1, -1, 1),
    Command::new("exists", -2, READ_ONLY | FAST, exists).keys(1, -1, 1),
    Command::new("touch", -2, READ_ONLY | FAST, exists).keys(1, -1, 1),
    Command::new("type", 2, READ_ONLY | FAST, kind).keys(1, 1, 1),
    Command::new("expire", -3, WRITE | FAST, |call| expire(call, Clock::Seconds, "expire")).keys(1, 1, 1),
    Command::new("pexpire", -3, WRITE | FAST, |call| expire(call, Clock::Milliseconds, "pexpire")).keys(1, 1, 1),
    Command::new("expireat", -3, WRITE | FAST, |call| expire(call, Clock::UnixSeconds, "expireat")).keys(1, 1, 1),
    Command::new("pexpireat", -3, WRITE | FAST, |call| expire(call, Clock::UnixMilliseconds, "pexpireat"))
        .keys(1, 1, 1),
    Command::new("persist", 2, WRITE | FAST, persist).keys(1, 1, 1),
    Command::new("ttl", 2, READ_ONLY | FAST, |call| remaining(call, Clock::Seconds)).keys(1, 1, 1),
    Command::new("pttl", 2, READ_ONLY | FAST, |call| remaining(call, Clock::Milliseconds)).keys(1, 1, 1),
    Command::new("expiretime", 2, READ_ONLY | FAST, |call| remaining(call, Clock::UnixSeconds)).keys(1, 1, 1),
    Command::new("pexpiretime", 2, READ_ONLY | FAST, |call| remaining(call, Clock::UnixMilliseconds)).keys(1, 1, 1),
    Command::new("rename", 3, WRITE, rename).keys(1, 2, 1),
    Command::new("renamenx", 3, WRITE | FAST, rename_if_new).keys(1, 2, 1),
    Command::new("dbsize", 1, READ_ONLY | FAST, size),
    Command::new("swapdb", 3, WRITE | FAST, swap),
    Command::new("flushdb", -1, WRITE, flush_one),
    Command::new("flushall", -1, WRITE, flush_all),
];

fn delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let index = call.database();
    let removed = call.arguments[1..].iter().filter(|key| call.server.keyspace.remove(index, key).is_some()).count();
    call.reply.count(removed);
    Ok(())
}

fn exists(call: &mut Call<'_>) -> Result<(), Failure> {
    let index = call.database();
    let found = call.arguments[1..].iter().filter(|key| call.server.keyspace.get(index, key).is_some()).count();
    call.reply.count(found);
    Ok(())
}

fn kind(call: &mut Call<'_>) -> Result<(), Failure> {
    let entry = call.server.keyspace.get(call.database(), call.arguments[1]);
    call.reply.simple(entry.map_or("none", |entry| entry.value.kind()));
    Ok(())
}

/// The conditions of EXPIRE: `NX`, `XX`, `GT`, `LT`.
#[derive(Debug)]
struct Conditions<'a>(&'a [&'a [u8]]);

impl<'a> Conditions<'a> {
    fn read(words: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let known = |word: &&&[u8]| ["nx", "xx", "gt", "lt"].iter().any(|known| is_word(word, known));
        if let Some(word) = words.iter().find(|word| !known(word)) {
            return Err(Failure::from(format!("ERR Unsupported option {}", shown(word, 128))));
        }
        let found = Self(words);
        if found.has("nx") && (found.has("xx") || found.has("gt") || found.has("lt")) {
            return Err(Failure::of("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if found.has("gt") && found.has("lt") {
            return Err(Failure::of("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(found)
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|given| is_word(given, word))
    }

    /// No time of death counts as the end of time.
    fn allow(&self, before: Option<u64>, wanted: i64) -> bool {
        let end = before.and_then(|time| i64::try_from(time).ok()).unwrap_or(i64::MAX);
        (!self.has("nx") || before.is_none())
            && (!self.has("xx") || before.is_some())
            && (!self.has("gt") || (before.is_some() && wanted > end))
            && (!self.has("lt") || wanted < end)
    }
}

fn expire(call: &mut Call<'_>, clock: Clock, name: &str) -> Result<(), Failure> {
    let conditions = Conditions::read(&call.arguments[3..])?;
    let number = call.integer(2)?;
    let time = clock.time(number, call.now).ok_or_else(|| invalid(name))?;
    let (index, key) = (call.database(), call.arguments[1]);
    let entry = call.server.keyspace.get(index, key);
    let allowed = entry.is_some_and(|entry| conditions.allow(entry.dies, time));
    if allowed {
        match u64::try_from(time) {
            Ok(time) if time > call.now => call.server.keyspace.set_death(index, key, Some(time)),
            _ => drop(call.server.keyspace.remove(index, key)),
        }
    }
    call.reply.flag(allowed);
    Ok(())
}

fn persist(call: &mut Call<'_>) -> Result<(), Failure> {
    let (index, key) = (call.database(), call.arguments[1]);
    let mortal = call.server.keyspace.get(index, key).is_some_and(|entry| entry.dies.is_some());
    if mortal {
        call.server.keyspace.set_death(index, key, None);
    }
    call.reply.flag(mortal);
    Ok(())
}

/// -2: no such key; -1: it does not die.
fn remaining(call: &mut Call<'_>, clock: Clock) -> Result<(), Failure> {
    let answer = match call.server.keyspace.get(call.database(), call.arguments[1]).map(|entry| entry.dies) {
        None => -2,
        Some(None) => -1,
        Some(Some(dies)) => {
            let left = dies.saturating_sub(call.now);
            let number = match clock {
                Clock::Seconds => (left + 500) / 1000,
                Clock::Milliseconds => left,
                Clock::UnixSeconds => (dies + 500) / 1000,
                Clock::UnixMilliseconds => dies,
            };
            i64::try_from(number).unwrap_or(i64::MAX)
        }
    };
    call.reply.integer(answer);
    Ok(())
}

fn rename(call: &mut Call<'_>) -> Result<(), Failure> {
    move_key(call)?;
    call.reply.ok();
    Ok(())
}

fn rename_if_new(call: &mut Call<'_>) -> Result<(), Failure> {
    let taken = call.server.keyspace.get(call.database(), call.arguments[2]).is_some();
    if taken {
        call.server.keyspace.get(call.database(), call.arguments[1]).ok_or(NO_SUCH_KEY)?;
    } else {
        move_key(call)?;
    }
    call.reply.flag(!taken);
    Ok(())
}

const NO_SUCH_KEY: Failure = Failure::of("ERR no such key");

fn move_key(call: &mut Call<'_>) -> Result<(), Failure> {
    let (index, from, to) = (call.database(), call.arguments[1], call.arguments[2]);
    let keyspace = &mut call.server.keyspace;
    if from == to {
        return keyspace.get(index, from).map(|_| ()).ok_or(NO_SUCH_KEY);
    }
    let entry = keyspace.remove(index, from).ok_or(NO_SUCH_KEY)?;
    keyspace.put(index, to, entry.value, entry.dies);
    Ok(())
}

fn size(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.count(call.server.keyspace.database(call.database()).keys.len());
    Ok(())
}

fn swap(call: &mut Call<'_>) -> Result<(), Failure> {
    let one = integer(call.arguments[1]).ok_or(Failure::of("ERR invalid first DB index"))?;
    let other = integer(call.arguments[2]).ok_or(Failure::of("ERR invalid second DB index"))?;
    let (one, other) = (index(one)?, index(other)?);
    call.server.keyspace.swap(one, other);
    call.reply.ok();
    Ok(())
}

/// The number of a database.
pub(super) fn index(number: i64) -> Result<usize, Failure> {
    let index = usize::try_from(number).ok().filter(|index| *index < DATABASES);
    index.ok_or(Failure::of("ERR DB index is out of range"))
}

fn flush_one(call: &mut Call<'_>) -> Result<(), Failure> {
    check_flush(call)?;
    call.server.keyspace.clear(call.client.database);
    call.reply.ok();
    Ok(())
}

fn flush_all(call: &mut Call<'_>) -> Result<(), Failure> {
    check_flush(call)?;
    for index in 0..DATABASES {
        call.server.keyspace.clear(index);
    }
    call.reply.ok();
    Ok(())
}

/// SYNC or ASYNC: here there is no difference.
fn check_flush(call: &Call<'_>) -> Result<(), Failure> {
    match call.arguments[1..] {
        [] => Ok(()),
        [word] if is_word(word, "sync") || is_word(word, "async") => Ok(()),
        _ => Err(Failure::SYNTAX),
    }
}
