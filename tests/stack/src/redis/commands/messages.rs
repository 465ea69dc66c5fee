//! Publishing, subscribing and MONITOR.

use super::super::push::Kind;
use super::super::reply::Failure;
use super::super::server::Call;
use super::Command;
use super::flags::{ADMIN, FAST, LOADING, NO_SCRIPT, PUB_SUB, STALE, WHILE_SUBSCRIBED};

const LISTENING: u32 = PUB_SUB | NO_SCRIPT | LOADING | STALE | WHILE_SUBSCRIBED;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("subscribe", -2, LISTENING, |call| subscribe(call, Kind::Channel, b"subscribe")),
    Command::new("psubscribe", -2, LISTENING, |call| subscribe(call, Kind::Pattern, b"psubscribe")),
    Command::new("unsubscribe", -1, LISTENING, |call| unsubscribe(call, Kind::Channel, b"unsubscribe")),
    Command::new("punsubscribe", -1, LISTENING, |call| unsubscribe(call, Kind::Pattern, b"punsubscribe")),
    Command::new("publish", 3, PUB_SUB | LOADING | STALE | FAST, publish),
    Command::new("monitor", 1, ADMIN | NO_SCRIPT | LOADING | STALE, monitor),
];

fn subscribe(call: &mut Call<'_>, kind: Kind, word: &[u8]) -> Result<(), Failure> {
    call.client.outbox.speak(call.reply.protocol);
    for name in &call.arguments[1..] {
        call.server.hub.subscribe(call.client, kind, name);
        confirm(call, word, Some(name));
    }
    Ok(())
}

/// From those that are named, otherwise from all.
fn unsubscribe(call: &mut Call<'_>, kind: Kind, word: &[u8]) -> Result<(), Failure> {
    let own = match kind {
        Kind::Channel => call.client.channels.clone(),
        Kind::Pattern => call.client.patterns.clone(),
    };
    let named: Vec<&[u8]> = match &call.arguments[1..] {
        [] => own.iter().map(Vec::as_slice).collect(),
        named => named.to_vec(),
    };
    for name in &named {
        call.server.hub.unsubscribe(call.client, kind, name);
        confirm(call, word, Some(name));
    }
    if named.is_empty() {
        confirm(call, word, None);
    }
    Ok(())
}

fn confirm(call: &mut Call<'_>, word: &[u8], name: Option<&[u8]>) {
    call.reply.push(3);
    call.reply.bulk(word);
    call.reply.bulk_or_null(name);
    call.reply.count(call.client.channels.len() + call.client.patterns.len());
}

fn publish(call: &mut Call<'_>) -> Result<(), Failure> {
    call.reply.count(call.server.hub.publish(call.arguments[1], call.arguments[2]));
    Ok(())
}

fn monitor(call: &mut Call<'_>) -> Result<(), Failure> {
    call.client.outbox.speak(call.reply.protocol);
    call.server.hub.monitor(call.client);
    call.reply.ok();
    Ok(())
}
