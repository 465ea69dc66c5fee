//! nsqd's HTTP endpoints: publishing, topics and channels. The statistics are in `statistics`.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::broker::Broker;
use super::command::{Many, Refusal, split_many, valid_name};
use super::http::{Answer, Failure, Query, body, unknown};
use super::message::Full;
use super::topic::{Refused, Topic};
use super::{VERSION, hostname, statistics};

/// Every endpoint, for telling a wrong path from a wrong method.
const PATHS: [(Method, &str); 15] = [
    (Method::GET, "/ping"),
    (Method::GET, "/info"),
    (Method::POST, "/pub"),
    (Method::POST, "/mpub"),
    (Method::GET, "/stats"),
    (Method::POST, "/topic/create"),
    (Method::POST, "/topic/delete"),
    (Method::POST, "/topic/empty"),
    (Method::POST, "/topic/pause"),
    (Method::POST, "/topic/unpause"),
    (Method::POST, "/channel/create"),
    (Method::POST, "/channel/delete"),
    (Method::POST, "/channel/empty"),
    (Method::POST, "/channel/pause"),
    (Method::POST, "/channel/unpause"),
];

/// Answers one request.
pub(super) async fn handle(broker: Arc<Broker>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let known = PATHS.iter().find(|(method, path)| method == request.method() && *path == request.uri().path());
    let Some((_, path)) = known else { return Err(unknown(request.uri().path(), &PATHS)) };
    match *path {
        "/ping" => Ok(ping(&broker)),
        "/info" => Ok(Answer::Json(json!({
            "version": VERSION,
            "broadcast_address": broker.options.broadcast_address,
            "hostname": hostname(),
            "http_port": broker.http.port(),
            "tcp_port": broker.tcp.port(),
            "start_time": broker.started,
        }))),
        "/pub" => publish(&broker, request).await,
        "/mpub" => publish_many(&broker, request).await,
        "/stats" => Ok(statistics::answer(&broker, &Query::of(&request)?)),
        "/topic/create" => {
            let query = Query::of(&request)?;
            topic(&broker, &query).await?;
            Ok(Answer::Nothing)
        }
        path if path.starts_with("/topic/") => on_topic(&broker, path, &Query::of(&request)?),
        path => on_channel(&broker, path, &Query::of(&request)?),
    }
}

/// Not OK while the memory for messages is spent.
fn ping(broker: &Broker) -> Answer {
    match broker.health() {
        Ok(()) => Answer::Plain(StatusCode::OK, "OK".into()),
        Err(reason) => Answer::Plain(StatusCode::INTERNAL_SERVER_ERROR, format!("NOK - {reason}")),
    }
}

async fn publish(broker: &Arc<Broker>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let query = Query::of(&request);
    let body = body(request, broker.limits.msg_size, "MSG_TOO_BIG").await?;
    if body.is_empty() {
        return Err(Failure(StatusCode::BAD_REQUEST, "MSG_EMPTY"));
    }
    let query = query?;
    let topic = topic(broker, &query).await?;
    let mut delay = Duration::ZERO;
    if let Some(value) = query.get("defer") {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
        let wanted = number.and_then(|number| u64::try_from(number).ok()).map(Duration::from_millis);
        let within = wanted.filter(|delay| *delay <= broker.options.max_req_timeout);
        delay = within.ok_or(Failure(StatusCode::BAD_REQUEST, "INVALID_DEFER"))?;
    }
    broker.publish(&topic, [&body[..]], delay).map_err(refused)?;
    Ok(Answer::Text("OK".into()))
}

async fn publish_many(broker: &Arc<Broker>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let query = Query::of(&request)?;
    let topic = topic(broker, &query).await?;
    let body = body(request, broker.limits.body_size, "BODY_TOO_BIG").await?;
    // nsqd takes a value that it does not know for yes.
    let is_binary = query.get("binary").is_some_and(|value| !matches!(value, b"false" | b"0"));
    let bodies = if is_binary {
        let failure = |refusal: Refusal| Failure(StatusCode::PAYLOAD_TOO_LARGE, refusal.http_code());
        match split_many(&body, &broker.limits).map_err(failure)? {
            Many::All(bodies, _) => bodies,
            Many::Missing(refusal) => return Err(failure(refusal)),
        }
    } else {
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        if lines.iter().any(|line| line.len() > broker.limits.msg_size) {
            return Err(Failure(StatusCode::PAYLOAD_TOO_LARGE, "MSG_TOO_BIG"));
        }
        lines
    };
    broker.publish(&topic, bodies, Duration::ZERO).map_err(refused)?;
    Ok(Answer::Text("OK".into()))
}

/// The topic that the query names, made if it is not there.
async fn topic(broker: &Arc<Broker>, query: &Query) -> Result<Arc<Topic>, Failure> {
    let name = query.required("topic", "MISSING_ARG_TOPIC")?;
    let name = valid_name(name).ok_or(Failure(StatusCode::BAD_REQUEST, "INVALID_TOPIC"))?;
    broker.topic(name).await.map_err(|full| refused(full.into()))
}

fn on_topic(broker: &Broker, path: &str, query: &Query) -> Result<Answer, Failure> {
    let not_found = || Failure(StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND");
    let name = query.required("topic", "MISSING_ARG_TOPIC")?;
    let Some(name) = valid_name(name) else {
        let is_checked = path == "/topic/empty";
        return Err(if is_checked { Failure(StatusCode::BAD_REQUEST, "INVALID_TOPIC") } else { not_found() });
    };
    if path == "/topic/delete" {
        return if broker.delete_topic(name) { Ok(Answer::Nothing) } else { Err(not_found()) };
    }
    let topic = broker.existing_topic(name).ok_or_else(not_found)?;
    match path {
        "/topic/empty" => topic.empty(),
        path => topic.pause(path == "/topic/pause"),
    }
    Ok(Answer::Nothing)
}

fn on_channel(broker: &Broker, path: &str, query: &Query) -> Result<Answer, Failure> {
    let not_found = || Failure(StatusCode::NOT_FOUND, "CHANNEL_NOT_FOUND");
    let (topic, name) = query.topic_and_channel()?;
    let topic = broker.existing_topic(topic).ok_or(Failure(StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND"))?;
    if path == "/channel/create" {
        let made = broker.channel(&topic, name).map_err(|full: Full| refused(full.into()));
        return made.map(|_| Answer::Nothing);
    }
    if path == "/channel/delete" {
        return if broker.delete_channel(&topic, name) { Ok(Answer::Nothing) } else { Err(not_found()) };
    }
    let channel = topic.existing_channel(name).ok_or_else(not_found)?;
    match path {
        "/channel/empty" => topic.empty_channel(&channel),
        path => channel.pause(path == "/channel/pause"),
    }
    Ok(Answer::Nothing)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(reason: Refused) -> Failure {
    let text = match reason {
        Refused::Full => "OUT_OF_MEMORY",
        Refused::Exiting => "EXITING",
        Refused::Journal(_) => "DISK_FAILURE",
    };
    Failure(StatusCode::SERVICE_UNAVAILABLE, text)
}
