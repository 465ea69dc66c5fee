//! nsqlookupd's HTTP endpoints.

use std::sync::PoisonError;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::super::VERSION;
use super::super::command::valid_name;
use super::super::http::{Answer, Failure, Query, unknown};
use super::Shared;
use super::registry::Activity;

const PATHS: [(Method, &str); 12] = [
    (Method::GET, "/ping"),
    (Method::GET, "/info"),
    (Method::GET, "/debug"),
    (Method::GET, "/lookup"),
    (Method::GET, "/topics"),
    (Method::GET, "/channels"),
    (Method::GET, "/nodes"),
    (Method::POST, "/topic/create"),
    (Method::POST, "/topic/delete"),
    (Method::POST, "/topic/tombstone"),
    (Method::POST, "/channel/create"),
    (Method::POST, "/channel/delete"),
];

/// Answers one request.
pub(super) fn handle(shared: &Shared, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let known = PATHS.iter().find(|(method, path)| method == request.method() && *path == request.uri().path());
    let Some((_, path)) = known else { return Err(unknown(request.uri().path(), &PATHS)) };
    let mut registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let activity = Activity {
        now: Instant::now(),
        inactive_after: shared.options.inactive_producer_timeout,
        tombstone_lifetime: shared.options.tombstone_lifetime,
    };
    match *path {
        "/ping" => return Ok(Answer::Plain(StatusCode::OK, "OK".into())),
        "/info" => return Ok(Answer::Json(json!({ "version": VERSION }))),
        "/debug" => return Ok(Answer::Json(registry.debug())),
        "/topics" => return Ok(Answer::Json(json!({ "topics": registry.topics() }))),
        "/nodes" => return Ok(Answer::Json(json!({ "producers": registry.nodes(&activity) }))),
        _ => {}
    }
    let query = Query::of(request)?;
    let too_many = Failure(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_TOPICS");
    match *path {
        "/channel/create" => {
            let (topic, channel) = query.topic_and_channel()?;
            return if registry.create(topic, Some(channel)) { Ok(Answer::Nothing) } else { Err(too_many) };
        }
        "/channel/delete" => {
            let (topic, channel) = query.topic_and_channel()?;
            let not_found = Failure(StatusCode::NOT_FOUND, "CHANNEL_NOT_FOUND");
            return if registry.delete_channel(topic, channel) { Ok(Answer::Nothing) } else { Err(not_found) };
        }
        _ => {}
    }
    let raw = query.required("topic", "MISSING_ARG_TOPIC")?;
    // A name that cannot be valid is simply not known.
    let topic = valid_name(raw).unwrap_or_default();
    match *path {
        "/lookup" => {
            let producers = registry.lookup(topic, &activity);
            let producers = producers.ok_or(Failure(StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND"))?;
            Ok(Answer::Json(json!({ "channels": registry.channels(topic), "producers": producers })))
        }
        "/channels" => Ok(Answer::Json(json!({ "channels": registry.channels(topic) }))),
        "/topic/create" if topic.is_empty() => Err(Failure(StatusCode::BAD_REQUEST, "INVALID_ARG_TOPIC")),
        "/topic/create" if !registry.create(topic, None) => Err(too_many),
        "/topic/delete" => {
            registry.delete_topic(topic);
            Ok(Answer::Nothing)
        }
        "/topic/tombstone" => {
            registry.tombstone(topic, query.required("node", "MISSING_ARG_NODE")?, activity.now);
            Ok(Answer::Nothing)
        }
        _ => Ok(Answer::Nothing),
    }
}
