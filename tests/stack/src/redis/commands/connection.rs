//! Commands about the connection itself.

use super::super::reply::{Failure, Protocol, integer};
use super::super::server::Call;
use super::flags::{
    ADMIN, ALLOW_BUSY, CONTAINER, ENDS_TRANSACTION, FAST, IN_TRANSACTION, LOADING, NO_AUTH, NO_SCRIPT, STALE, UNSEEN,
    WHILE_SUBSCRIBED,
};
use super::{Command, is_word, keys, shown};

const ENTRANCE: u32 = NO_SCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
const ABOUT_CLIENTS: u32 = NO_SCRIPT | LOADING | STALE;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("auth", -2, ENTRANCE | UNSEEN, authenticate),
    Command::new("hello", -1, ENTRANCE | UNSEEN, hello),
    Command::new("quit", -1, ENTRANCE | IN_TRANSACTION | ENDS_TRANSACTION | WHILE_SUBSCRIBED, quit),
    Command::new("reset", 1, ENTRANCE | IN_TRANSACTION | ENDS_TRANSACTION | WHILE_SUBSCRIBED, reset),
    Command::new("ping", -1, FAST | WHILE_SUBSCRIBED, ping),
    Command::new("echo", 2, LOADING | STALE | FAST, echo),
    Command::new("select", 2, LOADING | STALE | FAST, select),
    Command::new("client", -2, CONTAINER, container),
    Command::new("client|id", 2, ABOUT_CLIENTS, id),
    Command::new("client|info", 2, ABOUT_CLIENTS, info),
    Command::new("client|list", -2, ABOUT_CLIENTS | ADMIN, list),
    Command::new("client|getname", 2, ABOUT_CLIENTS, name),
    Command::new("client|setname", 3, ABOUT_CLIENTS, set_name),
    Command::new("client|setinfo", 4, ABOUT_CLIENTS, set_info),
    Command::new("client|no-evict", 3, ABOUT_CLIENTS | ADMIN, no_evict),
];

const WRONG_PASSWORD: Failure = Failure::of("WRONGPASS invalid username-password pair or user is disabled.");

/// What the protocol calls the version of the server; its clients decide by it what they may ask for.
pub(super) const VERSION: &str = "7.0.15";

/// A container alone has too few arguments, so that this is never reached.
pub(super) fn container(_: &mut Call<'_>) -> Result<(), Failure> {
    Err(Failure::SYNTAX)
}

fn authenticate(call: &mut Call<'_>) -> Result<(), Failure> {
    match call.arguments[1..] {
        [_] if call.server.password.is_none() => {
            return Err(Failure::of(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            ));
        }
        [password] => admit(call, b"default", password)?,
        [user, password] => admit(call, user, password)?,
        _ => return Err(Failure::SYNTAX),
    }
    call.reply.ok();
    Ok(())
}

fn admit(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), Failure> {
    let right = call.server.password.as_deref().is_none_or(|right| right == password);
    if user != b"default" || !right {
        return Err(WRONG_PASSWORD);
    }
    call.client.authenticated = true;
    Ok(())
}

fn hello(call: &mut Call<'_>) -> Result<(), Failure> {
    let protocol = match call.arguments.get(1).map(|version| integer(version)) {
        None => None,
        Some(Some(2)) => Some(Protocol::Resp2),
        Some(Some(3)) => Some(Protocol::Resp3),
        Some(Some(_)) => return Err(Failure::of("NOPROTO unsupported protocol version")),
        Some(None) => return Err(Failure::of("ERR Protocol version is not an integer or out of range")),
    };
    let (mut credentials, mut name) = (None, None);
    let mut rest = call.arguments.get(2..).unwrap_or_default();
    loop {
        rest = match *rest {
            [] => break,
            [word, user, password, ref rest @ ..] if is_word(word, "auth") => {
                credentials = Some((user, password));
                rest
            }
            [word, given, ref rest @ ..] if is_word(word, "setname") => {
                check_name(given)?;
                name = Some(given);
                rest
            }
            [word, ..] => {
                return Err(Failure::from(format!("ERR Syntax error in HELLO option '{}'", shown(word, 128))));
            }
        };
    }
    if let Some((user, password)) = credentials {
        admit(call, user, password)?;
    }
    if !call.client.authenticated {
        return Err(Failure::of(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        call.client.name = name.to_vec();
    }
    call.reply.protocol = protocol.unwrap_or(call.reply.protocol);
    call.client.outbox.speak(call.reply.protocol);
    greet(call);
    Ok(())
}

fn greet(call: &mut Call<'_>) {
    let version = if call.reply.protocol == Protocol::Resp3 { 3 } else { 2 };
    let id = i64::try_from(call.client.id).unwrap_or(i64::MAX);
    let reply = &mut *call.reply;
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    for (key, value) in [("proto", version), ("id", id)] {
        reply.bulk(key.as_bytes());
        reply.integer(value);
    }
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

fn quit(call: &mut Call<'_>) -> Result<(), Failure> {
    call.client.closing = true;
    call.reply.ok();
    Ok(())
}

/// Makes the connection as it was when it was new.
fn reset(call: &mut Call<'_>) -> Result<(), Failure> {
    call.server.leave(call.client);
    call.client.database = 0;
    call.client.name.clear();
    call.client.authenticated = call.server.password.is_none();
    call.reply.protocol = Protocol::Resp2;
    call.client.outbox.speak(Protocol::Resp2);
    call.reply.simple("RESET");
    Ok(())
}

fn ping(call: &mut Call<'_>) -> Result<(), Failure> {
    let text = match call.arguments[1..] {
        [] => None,
        [text] => Some(text),
        _ => return Err(Failure::of("ERR wrong number of arguments for 'ping' command")),
    };
    if call.reply.protocol == Protocol::Resp2 && call.client.is_subscribed() {
        call.reply.array(2);
        call.reply.bulk(b"pong");
        call.reply.bulk(text.unwrap_or_default());
    } else if let Some(text) = text {
        call.reply.bulk(text);
    } else {
        call.reply.simple("PONG");
    }
    Ok(())
}

fn echo(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.bulk(call.arguments[1]);
    Ok(())
}

fn select(call: &mut Call<'_>) -> Result<(), Failure> {
    call.client.database = keys::index(call.integer(1)?)?;
    call.reply.ok();
    Ok(())
}

fn id(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.integer(i64::try_from(call.client.id).unwrap_or(i64::MAX));
    Ok(())
}

fn info(call: &mut Call<'_>) -> Result<(), Failure> {
    let line = call.client.sight().line(call.client.id, call.server.address, Some(call.reply.protocol));
    call.reply.verbatim(&(line + "\n"));
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let wanted: Option<Vec<u64>> = match &call.arguments[2..] {
        [] => None,
        [word, kind] if is_word(word, "type") => match () {
            () if is_word(kind, "normal") => None,
            () if ["master", "replica", "slave", "pubsub"].iter().any(|known| is_word(kind, known)) => Some(Vec::new()),
            () => return Err(Failure::from(format!("ERR Unknown client type '{}'", shown(kind, 128)))),
        },
        [word, ids @ ..] if is_word(word, "id") && !ids.is_empty() => {
            let ids: Option<_> = ids.iter().map(|id| integer(id).and_then(|id| u64::try_from(id).ok())).collect();
            Some(ids.ok_or(Failure::of("ERR Invalid client ID"))?)
        }
        _ => return Err(Failure::SYNTAX),
    };
    let own = (call.client.id, call.client.sight());
    call.server.clients.insert(own.0, own.1);
    let shown = call.server.clients.iter().filter(|(id, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
    let text: String = shown.map(|(id, sight)| sight.line(*id, call.server.address, None) + "\n").collect();
    call.reply.verbatim(&text);
    Ok(())
}

fn name(call: &mut Call<'_>) -> Result<(), Failure> {
    let name = &call.client.name;
    call.reply.bulk_or_null(Some(name.as_slice()).filter(|name| !name.is_empty()));
    Ok(())
}

fn set_name(call: &mut Call<'_>) -> Result<(), Failure> {
    check_name(call.arguments[2])?;
    call.client.name = call.arguments[2].to_vec();
    call.reply.ok();
    Ok(())
}

fn check_name(name: &[u8]) -> Result<(), Failure> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(Failure::of("ERR Client names cannot contain spaces, newlines or special characters."))
}

/// Newer clients say which library they are; nobody here asks for it.
fn set_info(call: &mut Call<'_>) -> Result<(), Failure> {
    let option = call.arguments[2];
    if !is_word(option, "lib-name") && !is_word(option, "lib-ver") {
        return Err(Failure::from(format!("ERR Unrecognized option '{}'", shown(option, 128))));
    }
    call.reply.ok();
    Ok(())
}

/// No client is ever evicted.
fn no_evict(call: &mut Call<'_>) -> Result<(), Failure> {
    if !is_word(call.arguments[2], "on") && !is_word(call.arguments[2], "off") {
        return Err(Failure::SYNTAX);
    }
    call.reply.ok();
    Ok(())
}
