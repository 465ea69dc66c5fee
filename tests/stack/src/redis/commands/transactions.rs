//! MULTI and what belongs to it.

use std::sync::atomic::Ordering;

use super::super::reply::Failure;
use super::super::server::{Call, Transaction};
use super::Command;
use super::flags::{ALLOW_BUSY, ENDS_TRANSACTION, FAST, IN_TRANSACTION, LOADING, NO_SCRIPT, SKIP_SLOWLOG, STALE};

const COMMON: u32 = NO_SCRIPT | LOADING | STALE;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("multi", 1, COMMON | FAST | ALLOW_BUSY | IN_TRANSACTION, begin),
    Command::new("exec", 1, COMMON | SKIP_SLOWLOG | IN_TRANSACTION | ENDS_TRANSACTION, execute),
    Command::new("discard", 1, COMMON | FAST | ALLOW_BUSY | IN_TRANSACTION | ENDS_TRANSACTION, discard),
    Command::new("watch", -2, COMMON | FAST | ALLOW_BUSY | IN_TRANSACTION, watch).keys(1, -1, 1),
    Command::new("unwatch", 1, COMMON | FAST | ALLOW_BUSY, unwatch),
];

fn begin(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.client.transaction.is_some() {
        return Err(Failure::of("ERR MULTI calls can not be nested"));
    }
    call.client.transaction = Some(Transaction::default());
    call.reply.ok();
    Ok(())
}

fn execute(call: &mut Call<'_>) -> Result<(), Failure> {
    let touched = call.client.touched.load(Ordering::Relaxed);
    let transaction = call.server.leave_transaction(call.client);
    let transaction = transaction.ok_or(Failure::of("ERR EXEC without MULTI"))?;
    if transaction.broken {
        return Err(Failure::of("EXECABORT Transaction discarded because of previous errors."));
    }
    if touched {
        call.reply.null_array();
        return Ok(());
    }
    call.reply.array(transaction.commands.len());
    for (command, arguments) in transaction.commands {
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| &**argument).collect();
        call.server.run(call.client, command, &arguments, call.reply, call.now);
    }
    Ok(())
}

fn discard(call: &mut Call<'_>) -> Result<(), Failure> {
    call.server.leave_transaction(call.client).ok_or(Failure::of("ERR DISCARD without MULTI"))?;
    call.reply.ok();
    Ok(())
}

fn watch(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.client.transaction.is_some() {
        return Err(Failure::of("ERR WATCH inside MULTI is not allowed"));
    }
    let index = call.database();
    for key in &call.arguments[1..] {
        if !call.client.watches.iter().any(|(database, watched)| *database == index && **watched == **key) {
            call.server.keyspace.watch(index, key, &call.client.touched);
            call.client.watches.push((index, Box::from(*key)));
        }
    }
    call.reply.ok();
    Ok(())
}

fn unwatch(call: &mut Call<'_>) -> Result<(), Failure> {
    call.server.unwatch(call.client);
    call.reply.ok();
    Ok(())
}
