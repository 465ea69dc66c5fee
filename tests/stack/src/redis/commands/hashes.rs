//! Commands on hashes.

use super::super::hash::Hash;
use super::super::reply::{Decimal, Failure, integer};
use super::super::server::Call;
use super::Command;
use super::flags::{DENY_OOM, FAST, READ_ONLY, WRITE};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("hget", 3, READ_ONLY | FAST, get).keys(1, 1, 1),
    Command::new("hset", -4, WRITE | DENY_OOM | FAST, set).keys(1, 1, 1),
    Command::new("hmset", -4, WRITE | DENY_OOM | FAST, set).keys(1, 1, 1),
    Command::new("hsetnx", 4, WRITE | DENY_OOM | FAST, set_if_new).keys(1, 1, 1),
    Command::new("hdel", -3, WRITE | FAST, delete).keys(1, 1, 1),
    Command::new("hgetall", 2, READ_ONLY, get_all).keys(1, 1, 1),
    Command::new("hkeys", 2, READ_ONLY, names).keys(1, 1, 1),
    Command::new("hvals", 2, READ_ONLY, values).keys(1, 1, 1),
    Command::new("hmget", -3, READ_ONLY | FAST, get_many).keys(1, 1, 1),
    Command::new("hexists", 3, READ_ONLY | FAST, exists).keys(1, 1, 1),
    Command::new("hlen", 2, READ_ONLY | FAST, count).keys(1, 1, 1),
    Command::new("hstrlen", 3, READ_ONLY | FAST, length).keys(1, 1, 1),
    Command::new("hincrby", 4, WRITE | DENY_OOM | FAST, increment).keys(1, 1, 1),
];

fn get(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.bulk_or_null(hash.and_then(|hash| hash.get(call.arguments[2])));
    let found = hash.is_some();
    call.note_lookup(found);
    Ok(())
}

fn set(call: &mut Call<'_>) -> Result<(), Failure> {
    let pairs = &call.arguments[2..];
    let old_form = super::is_word(call.arguments[0], "hmset");
    if !pairs.len().is_multiple_of(2) {
        let name = if old_form { "hmset" } else { "hset" };
        return Err(Failure::from(format!("ERR wrong number of arguments for '{name}' command")));
    }
    let added = call.server.keyspace.change_hash(call.client.database, call.arguments[1], |hash| {
        Ok((true, pairs.chunks_exact(2).filter(|pair| hash.set(pair[0], pair[1])).count()))
    })?;
    if old_form {
        call.reply.ok();
    } else {
        call.reply.count(added);
    }
    Ok(())
}

fn set_if_new(call: &mut Call<'_>) -> Result<(), Failure> {
    let (field, value) = (call.arguments[2], call.arguments[3]);
    let added = call.server.keyspace.change_hash(call.client.database, call.arguments[1], |hash| {
        let added = hash.get(field).is_none() && hash.set(field, value);
        Ok((added, added))
    })?;
    call.reply.flag(added);
    Ok(())
}

fn delete(call: &mut Call<'_>) -> Result<(), Failure> {
    let fields = &call.arguments[2..];
    let removed = call.server.keyspace.change_hash(call.client.database, call.arguments[1], |hash| {
        let removed = fields.iter().filter(|field| hash.remove(field)).count();
        Ok((removed > 0, removed))
    })?;
    call.reply.count(removed);
    Ok(())
}

fn get_all(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.map(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|field, value| {
            call.reply.bulk(field);
            call.reply.bulk(value);
        });
    }
    Ok(())
}

fn names(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|field, _| call.reply.bulk(field));
    }
    Ok(())
}

fn values(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.for_each(|_, value| call.reply.bulk(value));
    }
    Ok(())
}

fn get_many(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    let fields = &call.arguments[2..];
    call.reply.array(fields.len());
    for field in fields {
        call.reply.bulk_or_null(hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

fn exists(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.flag(hash.is_some_and(|hash| hash.get(call.arguments[2]).is_some()));
    Ok(())
}

fn count(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.count(hash.map_or(0, Hash::len));
    Ok(())
}

fn length(call: &mut Call<'_>) -> Result<(), Failure> {
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    call.reply.count(hash.and_then(|hash| hash.get(call.arguments[2])).map_or(0, <[u8]>::len));
    Ok(())
}

fn increment(call: &mut Call<'_>) -> Result<(), Failure> {
    let by = call.integer(3)?;
    let field = call.arguments[2];
    let sum = call.server.keyspace.change_hash(call.client.database, call.arguments[1], |hash| {
        let number = match hash.get(field) {
            Some(value) => integer(value).ok_or(Failure::of("ERR hash value is not an integer"))?,
            None => 0,
        };
        let sum = number.checked_add(by).ok_or(super::strings::OVERFLOW)?;
        hash.set(field, Decimal::of(sum).as_bytes());
        Ok((true, sum))
    })?;
    call.reply.integer(sum);
    Ok(())
}
