//! What the HTTP sides of nsqd and nsqlookupd share: the server, queries, bodies within a limit, the form of answers.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::command::valid_name;
use super::tasks::Tasks;

/// How long a client may take for the body of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for the head, which includes the time between two requests: more than clients keep an idle connection for,
/// lest they send a request on one that we are just closing.
const IDLE: Duration = Duration::from_mins(5);

pub(super) type Reply = Response<Full<Bytes>>;

/// An error as the API answers it.
#[derive(Debug)]
pub(super) struct Failure(pub(super) StatusCode, pub(super) &'static str);

/// What a handler answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// For people and load balancers, without the API's header.
    Plain(StatusCode, String),
    Text(String),
    Json(Value),
    Nothing,
}

/// Serves requests for as long as the server lives.
pub(super) fn serve<F>(
    tasks: &Tasks,
    listener: TcpListener,
    handle: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    let handle = Arc::new(handle);
    tasks.accept(listener, move |stream, _| {
        let handle = Arc::clone(&handle);
        async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| {
                let answer = handle(request);
                async { Ok::<_, Infallible>(reply(answer.await)) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(IDLE);
            // A client that goes away or breaks the protocol ends here; hyper has answered what could be answered.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    });
}

fn reply(answer: Result<Answer, Failure>) -> Reply {
    let (mut status, mut is_api) = (StatusCode::OK, true);
    let (kind, body) = match answer {
        Ok(Answer::Plain(code, text)) => {
            (status, is_api) = (code, false);
            (Some("text/plain; charset=utf-8"), text)
        }
        Ok(Answer::Text(text)) => (Some("text/plain; charset=utf-8"), text),
        Ok(Answer::Json(value)) => (Some("application/json; charset=utf-8"), value.to_string()),
        Ok(Answer::Nothing) => (None, String::new()),
        Err(Failure(code, message)) => {
            status = code;
            (Some("application/json; charset=utf-8"), json!({ "message": message }).to_string())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if is_api {
        response.headers_mut().insert("x-nsq-content-type", HeaderValue::from_static("nsq; version=1.0"));
    }
    response
}

/// No such path, or not with this method.
pub(super) fn unknown(path: &str, paths: &[(Method, &str)]) -> Failure {
    if paths.iter().any(|(_, known)| *known == path) {
        Failure(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED")
    } else {
        Failure(StatusCode::NOT_FOUND, "NOT_FOUND")
    }
}

/// The parameters of a request, first value first.
#[derive(Debug)]
pub(super) struct Query(Vec<(Vec<u8>, Vec<u8>)>);

impl Query {
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Failure> {
        let mut parameters = Vec::new();
        for pair in request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let both = decoded(key).zip(decoded(value)).filter(|_| !pair.contains(';'));
            parameters.push(both.ok_or(Failure(StatusCode::BAD_REQUEST, "INVALID_REQUEST"))?);
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A value that is text and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| std::str::from_utf8(value).ok()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, key: &str, missing: &'static str) -> Result<&[u8], Failure> {
        self.get(key).ok_or(Failure(StatusCode::BAD_REQUEST, missing))
    }

    /// Topic and channel, both there and valid.
    pub(super) fn topic_and_channel(&self) -> Result<(&str, &str), Failure> {
        let name = |key, missing, invalid| {
            valid_name(self.required(key, missing)?).ok_or(Failure(StatusCode::BAD_REQUEST, invalid))
        };
        let topic = name("topic", "MISSING_ARG_TOPIC", "INVALID_ARG_TOPIC")?;
        let channel = name("channel", "MISSING_ARG_CHANNEL", "INVALID_ARG_CHANNEL")?;
        Ok((topic, channel))
    }
}

/// None if an escape is broken.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        rest = &after[2..];
    }
    Some(percent_decode(text.replace('+', " ").as_bytes()).collect())
}

/// The whole body, if it has at most `limit` bytes.
pub(super) async fn body(request: Request<Incoming>, limit: usize, too_big: &'static str) -> Result<Bytes, Failure> {
    let too_big = || Failure(StatusCode::PAYLOAD_TOO_LARGE, too_big);
    let collecting = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(PATIENCE, collecting).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_big()),
        Ok(Err(_)) => Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR")),
        Err(_) => Err(Failure(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW")),
    }
}
