//! Commands on strings.

use super::super::keyspace::Value;
use super::super::reply::{Decimal, Failure, integer};
use super::super::server::Call;
use super::expiry::Clock;
use super::flags::{DENY_OOM, FAST, READ_ONLY, WRITE};
use super::{Command, is_word};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, READ_ONLY | FAST, get).keys(1, 1, 1),
    Command::new("set", -3, WRITE | DENY_OOM, set).keys(1, 1, 1),
    Command::new("setnx", 3, WRITE | DENY_OOM | FAST, set_if_new).keys(1, 1, 1),
    Command::new("setex", 4, WRITE | DENY_OOM, |call| set_for(call, Clock::Seconds, "setex")).keys(1, 1, 1),
    Command::new("psetex", 4, WRITE | DENY_OOM, |call| set_for(call, Clock::Milliseconds, "psetex")).keys(1, 1, 1),
    Command::new("getset", 3, WRITE | DENY_OOM | FAST, get_and_set).keys(1, 1, 1),
    Command::new("getdel", 2, WRITE | FAST, get_and_delete).keys(1, 1, 1),
    Command::new("getex", -2, WRITE | FAST, get_and_expire).keys(1, 1, 1),
    Command::new("mget", -2, READ_ONLY | FAST, get_many).keys(1, -1, 1),
    Command::new("mset", -3, WRITE | DENY_OOM, set_many).keys(1, -1, 2),
    Command::new("append", 3, WRITE | DENY_OOM | FAST, append).keys(1, 1, 1),
    Command::new("strlen", 2, READ_ONLY | FAST, length).keys(1, 1, 1),
    Command::new("incr", 2, WRITE | DENY_OOM | FAST, |call| add(call, 1)).keys(1, 1, 1),
    Command::new("decr", 2, WRITE | DENY_OOM | FAST, |call| add(call, -1)).keys(1, 1, 1),
    Command::new("incrby", 3, WRITE | DENY_OOM | FAST, increment).keys(1, 1, 1),
    Command::new("decrby", 3, WRITE | DENY_OOM | FAST, decrement).keys(1, 1, 1),
];

pub(super) const OVERFLOW: Failure = Failure::of("ERR increment or decrement would overflow");

const TOO_LONG: Failure = Failure::of("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

/// The longest value: 512 MiB.
const LONGEST: usize = 512 << 20;

fn get(call: &mut Call<'_>) -> Result<(), Failure> {
    let text = call.server.keyspace.text(call.database(), call.arguments[1])?;
    call.reply.bulk_or_null(text);
    let found = text.is_some();
    call.note_lookup(found);
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Absent,
    Present,
}

fn set(call: &mut Call<'_>) -> Result<(), Failure> {
    let (mut when, mut get, mut keep, mut expiry) = (When::Always, false, false, None);
    let mut rest = call.arguments[3..].iter();
    while let Some(word) = rest.next() {
        if is_word(word, "nx") && when != When::Present {
            when = When::Absent;
        } else if is_word(word, "xx") && when != When::Absent {
            when = When::Present;
        } else if is_word(word, "get") {
            get = true;
        } else if is_word(word, "keepttl") && expiry.is_none() {
            keep = true;
        } else if let Some(clock) = Clock::of(word)
            && !keep
            && expiry.is_none()
            && let Some(number) = rest.next()
        {
            expiry = Some((clock, *number));
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    let dies = expiry.map(|(clock, number)| clock.option(number, call.now, "set")).transpose()?;
    let (index, key) = (call.database(), call.arguments[1]);
    let before = call.server.keyspace.get(index, key);
    let refused = match when {
        When::Always => false,
        When::Absent => before.is_some(),
        When::Present => before.is_none(),
    };
    let dies = if keep { before.and_then(|entry| entry.dies) } else { dies };
    if get {
        call.reply.bulk_or_null(call.server.keyspace.text(index, key)?);
    } else if refused {
        call.reply.null();
    } else {
        call.reply.ok();
    }
    if !refused {
        put(call, call.arguments[2], dies);
    }
    Ok(())
}

fn set_if_new(call: &mut Call<'_>) -> Result<(), Failure> {
    let absent = call.server.keyspace.get(call.database(), call.arguments[1]).is_none();
    if absent {
        put(call, call.arguments[2], None);
    }
    call.reply.flag(absent);
    Ok(())
}

fn set_for(call: &mut Call<'_>, clock: Clock, name: &str) -> Result<(), Failure> {
    let dies = clock.option(call.arguments[2], call.now, name)?;
    put(call, call.arguments[3], Some(dies));
    call.reply.ok();
    Ok(())
}

fn get_and_set(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.bulk_or_null(call.server.keyspace.text(call.database(), call.arguments[1])?);
    put(call, call.arguments[2], None);
    Ok(())
}

fn get_and_delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let (index, key) = (call.database(), call.arguments[1]);
    call.reply.bulk_or_null(call.server.keyspace.text(index, key)?);
    call.server.keyspace.remove(index, key);
    Ok(())
}

fn get_and_expire(call: &mut Call<'_>) -> Result<(), Failure> {
    let (index, key) = (call.database(), call.arguments[1]);
    let change = match call.arguments[2..] {
        [] => None,
        [word] if is_word(word, "persist") => Some(None),
        [word, number] => Some(Some((Clock::of(word).ok_or(Failure::SYNTAX)?, number))),
        _ => return Err(Failure::SYNTAX),
    };
    let Some(text) = call.server.keyspace.text(index, key)? else {
        call.reply.null();
        return Ok(());
    };
    let dies = match change {
        Some(Some((clock, number))) => Some(clock.option(number, call.now, "getex")?),
        _ => None,
    };
    call.reply.bulk(text);
    if dies.is_some_and(|dies| dies <= call.now) {
        call.server.keyspace.remove(index, key);
    } else if change.is_some() {
        call.server.keyspace.set_death(index, key, dies);
    }
    Ok(())
}

fn get_many(call: &mut Call<'_>) -> Result<(), Failure> {
    let keys = &call.arguments[1..];
    call.reply.array(keys.len());
    for key in keys {
        // What is no string counts as absent.
        call.reply.bulk_or_null(call.server.keyspace.text(call.client.database, key).unwrap_or_default());
    }
    Ok(())
}

fn set_many(call: &mut Call<'_>) -> Result<(), Failure> {
    let pairs = &call.arguments[1..];
    if !pairs.len().is_multiple_of(2) {
        return Err(Failure::of("ERR wrong number of arguments for 'mset' command"));
    }
    for pair in pairs.chunks_exact(2) {
        call.server.keyspace.put(call.client.database, pair[0], Value::Text(pair[1].to_vec()), None);
    }
    call.reply.ok();
    Ok(())
}

fn append(call: &mut Call<'_>) -> Result<(), Failure> {
    let more = call.arguments[2];
    let length = call.server.keyspace.change_text(call.client.database, call.arguments[1], |text| {
        if text.len() + more.len() > LONGEST {
            return Err(TOO_LONG);
        }
        text.extend_from_slice(more);
        Ok(text.len())
    })?;
    call.reply.count(length);
    Ok(())
}

fn length(call: &mut Call<'_>) -> Result<(), Failure> {
    let text = call.server.keyspace.text(call.database(), call.arguments[1])?;
    call.reply.count(text.map_or(0, <[u8]>::len));
    Ok(())
}

fn increment(call: &mut Call<'_>) -> Result<(), Failure> {
    let by = call.integer(2)?;
    add(call, by)
}

fn decrement(call: &mut Call<'_>) -> Result<(), Failure> {
    let by = call.integer(2)?;
    let by = by.checked_neg().ok_or(Failure::of("ERR decrement would overflow"))?;
    add(call, by)
}

fn add(call: &mut Call<'_>, by: i64) -> Result<(), Failure> {
    let (index, key) = (call.database(), call.arguments[1]);
    let number = match call.server.keyspace.text(index, key)? {
        Some(text) => integer(text).ok_or(Failure::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = number.checked_add(by).ok_or(OVERFLOW)?;
    call.server.keyspace.change_text(index, key, |text| {
        text.clear();
        text.extend_from_slice(Decimal::of(sum).as_bytes());
        Ok(())
    })?;
    call.reply.integer(sum);
    Ok(())
}

/// Sets the key of the request; a time of death in the past removes it at the next command.
fn put(call: &mut Call<'_>, value: &[u8], dies: Option<u64>) {
    call.server.keyspace.put(call.client.database, call.arguments[1], Value::Text(value.to_vec()), dies);
}
