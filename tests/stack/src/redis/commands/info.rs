//! INFO: what the server tells of itself, in the sections and under the names of the real one.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::MOST_CLIENTS;
use super::super::keyspace::DATABASES;
use super::super::reply::Failure;
use super::super::server::{Call, Server};
use super::connection::VERSION;
use super::flags::{LOADING, STALE};
use super::{Command, is_word};

pub(super) const COMMANDS: &[Command] = &[Command::new("info", -1, LOADING | STALE, info)];

/// A section: its title, and what makes its lines.
type Section = (&'static str, fn(&Server, &mut String));

const SECTIONS: [Section; 8] = [
    ("Server", |server, text| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        line(text, "redis_version", VERSION);
        line(text, "redis_mode", "standalone");
        line(text, "os", std::env::consts::OS);
        line(text, "arch_bits", usize::BITS);
        line(text, "process_id", std::process::id());
        line(text, "run_id", &server.run_id);
        line(text, "tcp_port", server.address.port());
        line(text, "server_time_usec", now.as_micros());
        line(text, "uptime_in_seconds", server.started.elapsed().as_secs());
        line(text, "uptime_in_days", server.started.elapsed().as_secs() / Duration::from_hours(24).as_secs());
        line(text, "config_file", "");
    }),
    ("Clients", |server, text| {
        line(text, "connected_clients", server.clients.len());
        line(text, "cluster_connections", 0);
        line(text, "maxclients", MOST_CLIENTS);
        line(text, "blocked_clients", 0);
        line(text, "tracking_clients", 0);
    }),
    ("Memory", |server, text| {
        line(text, "used_memory", server.keyspace.used());
        line(text, "used_memory_human", human(server.keyspace.used()));
        line(text, "used_memory_peak", server.peak);
        line(text, "used_memory_peak_human", human(server.peak));
        line(text, "maxmemory", server.max_memory);
        line(text, "maxmemory_human", human(server.max_memory));
        line(text, "maxmemory_policy", "noeviction");
    }),
    // Clients wait for the end of a loading, and people look whether the last save went well.
    ("Persistence", |_, text| {
        line(text, "loading", 0);
        line(text, "async_loading", 0);
        line(text, "rdb_bgsave_in_progress", 0);
        line(text, "rdb_last_bgsave_status", "ok");
        line(text, "aof_enabled", 0);
        line(text, "aof_rewrite_in_progress", 0);
    }),
    ("Stats", |server, text| {
        line(text, "total_connections_received", server.connections);
        line(text, "total_commands_processed", server.commands);
        line(text, "expired_keys", server.keyspace.expired());
        line(text, "evicted_keys", 0);
        line(text, "keyspace_hits", server.hits);
        line(text, "keyspace_misses", server.misses);
        line(text, "pubsub_channels", server.hub.channels());
        line(text, "pubsub_patterns", server.hub.patterns());
    }),
    ("Replication", |server, text| {
        line(text, "role", "master");
        line(text, "connected_slaves", 0);
        line(text, "master_failover_state", "no-failover");
        // Nobody replicates: the id only has to differ from one server to the next.
        line(text, "master_replid", &server.run_id);
        line(text, "master_replid2", "0".repeat(40));
        line(text, "master_repl_offset", 0);
        line(text, "second_repl_offset", -1);
        line(text, "repl_backlog_active", 0);
    }),
    ("Cluster", |_, text| line(text, "cluster_enabled", 0)),
    ("Keyspace", |server, text| {
        for index in 0..DATABASES {
            let database = server.keyspace.database(index);
            if !database.keys.is_empty() {
                let (keys, mortal) = (database.keys.len(), database.mortal());
                line(text, &format!("db{index}"), format!("keys={keys},expires={mortal},avg_ttl=0"));
            }
        }
    }),
];

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

/// Bytes in the largest unit that leaves at least one.
#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn human(bytes: usize) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let unit = units.into_iter().find(|(bits, _)| bytes >> bits > 0);
    unit.map_or_else(|| format!("{bytes}B"), |(bits, unit)| format!("{:.2}{unit}", bytes as f64 / f64::from(1 << bits)))
}

fn info(call: &mut Call<'_>) -> Result<(), Failure> {
    let wanted = &call.arguments[1..];
    let all = wanted.is_empty()
        || wanted.iter().any(|word| ["default", "all", "everything"].iter().any(|all| is_word(word, all)));
    let mut text = String::new();
    for (title, write) in SECTIONS {
        if all || wanted.iter().any(|word| is_word(word, title)) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {title}\r\n");
            write(call.server, &mut text);
        }
    }
    call.reply.verbatim(&text);
    Ok(())
}
