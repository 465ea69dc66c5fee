//! INFO: what clients and people read there.

use std::collections::BTreeMap;

use stack::redis::Options;

use super::client::{Client, Real, ours};

/// The sections in their order, and the fields of each with their values.
fn info(client: &mut Client, request: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let reply = client.ask(request);
    let (mut titles, mut fields) = (Vec::new(), BTreeMap::new());
    for line in reply.split("\\r\\n") {
        if let Some(title) = line.strip_prefix("# ") {
            titles.push(title.to_owned());
        } else if let Some((name, value)) = line.split_once(':') {
            fields.insert(format!("{}.{name}", titles.last().unwrap()), value.to_owned());
        }
    }
    (titles, fields)
}

#[test]
fn clients_find_what_they_ask_before_they_begin() {
    let ours = ours(Options::default());
    let mut client = Client::new(ours.address());
    client.ask("SET key value");
    let (_, fields) = info(&mut client, "INFO");
    for (field, value) in [
        ("Server.redis_mode", "standalone"),
        ("Persistence.loading", "0"),
        ("Persistence.rdb_last_bgsave_status", "ok"),
        ("Replication.role", "master"),
        ("Replication.master_failover_state", "no-failover"),
        ("Cluster.cluster_enabled", "0"),
        ("Keyspace.db0", "keys=1,expires=0,avg_ttl=0"),
    ] {
        assert_eq!(fields.get(field).map(String::as_str), Some(value), "{field} of {fields:#?}");
    }
    assert_eq!(fields["Server.run_id"].len(), 40);
    let peak = |client: &mut Client| info(client, "INFO memory").1["Memory.used_memory_peak"].parse::<u64>().unwrap();
    let before = peak(&mut client);
    client.ask("SET key vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
    let after = peak(&mut client);
    assert!(after > before, "{after} after {before}");
    client.ask("DEL key");
    assert_eq!(peak(&mut client), after);
    assert_eq!(info(&mut client, "INFO cluster").0, ["Cluster"]);
}

#[test]
fn every_field_is_one_of_the_real_server_in_its_section() {
    let Some(real) = Real::start("redis::info", &[]) else { return };
    let ours = ours(Options::default());
    let (mut left, mut right) = (Client::new(ours.address()), Client::new(real.address()));
    for client in [&mut left, &mut right] {
        client.ask("SET key value");
        client.ask("SUBSCRIBE channel");
        client.ask("UNSUBSCRIBE channel");
    }
    let ((titles, fields), (real_titles, real_fields)) = (info(&mut left, "INFO"), info(&mut right, "INFO"));
    let missing: Vec<_> = fields.keys().filter(|field| !real_fields.contains_key(*field)).collect();
    assert!(missing.is_empty(), "redis-server has no {missing:?}");
    let shared: Vec<_> = real_titles.into_iter().filter(|title| titles.contains(title)).collect();
    assert_eq!(titles, shared, "left: ours, right: the order of redis-server");
    // What does not depend on machine, time or measure is the same.
    for name in [
        "Server.redis_version",
        "Server.redis_mode",
        "Server.config_file",
        "Clients.connected_clients",
        "Clients.cluster_connections",
        "Clients.maxclients",
        "Memory.maxmemory_policy",
        "Persistence.loading",
        "Persistence.aof_enabled",
        "Stats.pubsub_channels",
        "Replication.role",
        "Replication.master_failover_state",
        "Replication.master_replid2",
        "Replication.second_repl_offset",
        "Cluster.cluster_enabled",
        "Keyspace.db0",
    ] {
        assert_eq!(fields.get(name), real_fields.get(name), "{name}; left: ours, right: redis-server");
    }
}
