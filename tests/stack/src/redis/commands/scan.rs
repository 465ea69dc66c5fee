//! Walking through keys and through the fields of a hash.

use super::super::glob;
use super::super::reply::{Failure, integer};
use super::super::server::Call;
use super::flags::READ_ONLY;
use super::{Command, is_word};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("scan", -2, READ_ONLY, keys_in_pieces),
    Command::new("hscan", -3, READ_ONLY, fields_in_pieces).keys(1, 1, 1),
    Command::new("keys", 2, READ_ONLY, keys),
];

/// How many elements a step visits, unless the request says otherwise.
const COUNT: usize = 10;

/// The options of a scan.
#[derive(Debug)]
struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn read(words: &[&'a [u8]], typed: Typed) -> Result<Self, Failure> {
        let mut options = Self { count: COUNT, pattern: None, kind: None };
        for pair in words.chunks(2) {
            let &[word, value] = pair else { return Err(Failure::SYNTAX) };
            if is_word(word, "count") {
                let count = integer(value).ok_or(Failure::NOT_AN_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Failure::SYNTAX)?;
            } else if is_word(word, "match") {
                options.pattern = Some(value).filter(|pattern| *pattern != b"*");
            } else if is_word(word, "type") && typed == Typed::Yes {
                options.kind = Some(value);
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::fits(pattern, name))
    }
}

/// Whether the scan takes TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Yes,
    No,
}

fn cursor(argument: &[u8]) -> Result<u64, Failure> {
    let digits = argument.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(argument).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or(Failure::of("ERR invalid cursor"))
}

fn keys_in_pieces(call: &mut Call<'_>) -> Result<(), Failure> {
    let from = cursor(call.arguments[1])?;
    let options = Options::read(&call.arguments[2..], Typed::Yes)?;
    let mut found = Vec::new();
    let table = &call.server.keyspace.database(call.database()).keys;
    let next = table.scan(from, options.count, |key, entry| {
        let right = options.kind.is_none_or(|kind| is_word(kind, entry.value.kind()));
        if right && options.wants(key) {
            found.push(key);
        }
    });
    call.reply.array(2);
    call.reply.bulk(next.to_string().as_bytes());
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(key);
    }
    Ok(())
}

fn fields_in_pieces(call: &mut Call<'_>) -> Result<(), Failure> {
    let from = cursor(call.arguments[2])?;
    let hash = call.server.keyspace.hash(call.database(), call.arguments[1])?;
    let (mut next, mut found) = (0, Vec::new());
    if let Some(hash) = hash {
        let options = Options::read(&call.arguments[3..], Typed::No)?;
        next = hash.scan(from, options.count, |field, value| {
            if options.wants(field) {
                found.push([field, value]);
            }
        });
    }
    call.reply.array(2);
    call.reply.bulk(next.to_string().as_bytes());
    call.reply.array(found.len() * 2);
    for part in found.into_iter().flatten() {
        call.reply.bulk(part);
    }
    Ok(())
}

fn keys(call: &mut Call<'_>) -> Result<(), Failure> {
    let keys = call.server.keyspace.database(call.database()).keys.iter().map(|(key, _)| key);
    let found: Vec<&[u8]> = keys.filter(|key| glob::fits(call.arguments[1], key)).collect();
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(key);
    }
    Ok(())
}
