//! `/stats` of nsqd: everything as JSON, or as text for people.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::VERSION;
use super::broker::Broker;
use super::http::{Answer, Query};
use super::message::wall_clock;

pub(super) fn answer(broker: &Broker, query: &Query) -> Answer {
    let (topic, channel) = (query.text("topic"), query.text("channel"));
    let with_clients = !matches!(query.get("include_clients"), Some(b"false" | b"0"));
    let topics = broker.statistics(topic, channel, with_clients);
    let mut producers = if with_clients { broker.producers() } else { Vec::new() };
    if let Some(topic) = topic {
        producers.retain_mut(|producer| {
            let counts = producer["pub_counts"].as_array_mut();
            counts.is_some_and(|counts| {
                counts.retain(|count| count["topic"] == topic);
                !counts.is_empty()
            })
        });
    }
    if query.get("format") != Some(b"json") {
        return Answer::Text(text(broker, &topics, &producers));
    }
    // Go has no empty list where it never made one.
    let producers = if with_clients || topic.is_some() { Value::Array(producers) } else { Value::Null };
    Answer::Json(json!({
        "version": VERSION,
        "health": broker.health().map_or_else(|reason| format!("NOK - {reason}"), |()| "OK".to_owned()),
        "start_time": broker.started,
        "topics": topics,
        "memory": memory(broker),
        "producers": producers,
    }))
}

/// Go's numbers of its heap; ours has the messages held, and no garbage collector.
fn memory(broker: &Broker) -> Value {
    json!({
        "heap_objects": 0,
        "heap_idle_bytes": 0,
        "heap_in_use_bytes": broker.budget.used(),
        "heap_released_bytes": 0,
        "gc_pause_usec_100": 0,
        "gc_pause_usec_99": 0,
        "gc_pause_usec_95": 0,
        "next_gc_bytes": 0,
        "gc_total_runs": 0,
    })
}

fn text(broker: &Broker, topics: &[Value], producers: &[Value]) -> String {
    let started = UNIX_EPOCH + Duration::from_secs(broker.started.unsigned_abs());
    let started = time::OffsetDateTime::from(started).format(&time::format_description::well_known::Rfc3339);
    let health = broker.health().map_or_else(|reason| format!("NOK - {reason}"), |()| "OK".to_owned());
    let mut out = format!(
        "nsqd v{VERSION} (built w/rust)\nstart_time {}\nuptime {:?}\n\nHealth: {health}\n\nMemory:\n",
        started.unwrap_or_default(),
        broker.started_at.elapsed(),
    );
    // Writing to a String cannot fail.
    for (name, value) in memory(broker).as_object().into_iter().flatten() {
        let _ = writeln!(out, "   {name:<25}\t{value}");
    }
    out.push_str(if topics.is_empty() { "\nTopics: None\n" } else { "\nTopics:" });
    for topic in topics {
        let _ = writeln!(
            out,
            "\n{}[{:<15}] depth: {:<5} be-depth: {:<5} msgs: {:<8} e2e%: ",
            if topic["paused"] == true { "*P " } else { "   " },
            plain(&topic["topic_name"]),
            plain(&topic["depth"]),
            0,
            plain(&topic["message_count"]),
        );
        for channel in topic["channels"].as_array().into_iter().flatten() {
            let _ = writeln!(
                out,
                "{}[{:<25}] depth: {:<5} be-depth: {:<5} inflt: {:<4} def: {:<4} re-q: {:<5} timeout: {:<5} msgs: {:<8} e2e%: ",
                if channel["paused"] == true { "   *P " } else { "      " },
                plain(&channel["channel_name"]),
                plain(&channel["depth"]),
                0,
                plain(&channel["in_flight_count"]),
                plain(&channel["deferred_count"]),
                plain(&channel["requeue_count"]),
                plain(&channel["timeout_count"]),
                plain(&channel["message_count"]),
            );
            for client in channel["clients"].as_array().into_iter().flatten() {
                let _ = writeln!(
                    out,
                    "        [V2 {:<21}] state: {} inflt: {:<4} rdy: {:<4} fin: {:<8} re-q: {:<8} msgs: {:<8} connected: {}s",
                    plain(&client["client_id"]),
                    plain(&client["state"]),
                    plain(&client["in_flight_count"]),
                    plain(&client["ready_count"]),
                    plain(&client["finish_count"]),
                    plain(&client["requeue_count"]),
                    plain(&client["message_count"]),
                    connected(client),
                );
            }
        }
    }
    out.push_str(if producers.is_empty() { "\nProducers: None\n" } else { "\nProducers:" });
    for client in producers {
        let counts = client["pub_counts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let total: u64 = counts.iter().filter_map(|count| count["count"].as_u64()).sum();
        let id = plain(&client["client_id"]);
        let _ = writeln!(out, "\n   [V2 {id:<21}] msgs: {total:<8} connected: {}s", connected(client));
        for count in counts {
            let _ = writeln!(out, "      [{:<15}] msgs: {:<8}", plain(&count["topic"]), plain(&count["count"]));
        }
    }
    out
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whole seconds.
fn connected(client: &Value) -> i64 {
    wall_clock() / 1_000_000_000 - client["connect_ts"].as_i64().unwrap_or_default()
}
