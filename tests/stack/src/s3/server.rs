//! Connections and what stands before s3s: limits, faults, the admin path, and the headers that every answer has.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use md5::{Digest as _, Md5};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, StdError, s3_error};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::admin::{self, Admin};
use super::check::{self, MOST_XML};
use super::connection::Connection;
use super::errors;
use super::faults::{FaultKind, Faults};
use super::inbound::{Inbound, Taken};
use super::operation::Operation;
use super::outcome::Status;
use super::receive::body_error;
use super::requests::Requests;
use super::service::Service;
use super::slow;
use super::store::Store;
use super::{Clock, Options};

/// Connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;

/// What is read from a connection at once, and so the most that the head of a request can be for hyper.
const READ_BUFFER: usize = 128 << 10;

#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    s3: S3Service,
    clock: Clock,
    faults: Faults,
    requests: Requests,
    admin: Option<Admin>,
    patience: Duration,
}

impl Server {
    pub(crate) fn new(
        options: &Options,
        store: Arc<Store>,
        faults: Faults,
        requests: Requests,
        admin: Option<Admin>,
    ) -> Self {
        let clock = store.clock.clone();
        let mut config = S3Config::default();
        config.xml_max_body_size = MOST_XML;
        // Forms are refused, but s3s reads them first.
        config.post_object_max_file_size = 1 << 20;
        let mut builder = S3ServiceBuilder::new(Service(store));
        builder.set_auth(Key { access: options.access_key.clone(), secret: options.secret_key.clone().into() });
        builder.set_validation(check::Names);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self(Arc::new(Inner { s3: builder.build(), clock, faults, requests, admin, patience: options.patience }))
    }

    pub(crate) async fn run(self, listener: TcpListener, stopped: CancellationToken) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                let permit = permits.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = stopped.cancelled() => break,
                Some(_) = connections.join_next() => {}
                (accepted, permit) = next => match accepted {
                    Ok((stream, _)) => {
                        let server = self.clone();
                        connections.spawn(async move {
                            server.serve(stream).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        // It may be a lack of file descriptors, which only time helps.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        connections.shutdown().await;
    }

    async fn serve(self, stream: TcpStream) {
        // Answers are written whole; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let patience = self.0.patience;
        let service = hyper::service::service_fn(move |request| {
            let server = self.clone();
            async move { server.answer(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(Connection::new(stream, patience)), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// An error here cuts the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Outgoing>, Severed> {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let id = format!("{:016X}", fastrand::u64(..));
        let mut response = self.dispatch(parts, body, &id).await?;
        if let Some(Status(status)) = response.extensions().get() {
            *response.status_mut() = *status;
        }
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            if matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE) {
                tracing::warn!(%method, path, %status, id, "the S3 server failed; its answer tells how");
            } else {
                tracing::debug!(%method, path, %status, id, "refused");
            }
            response.body_mut().complete(&id);
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        response.headers_mut().insert(header::SERVER, HeaderValue::from_static("preserv-stack"));
        Ok(response)
    }

    async fn dispatch(&self, parts: Parts, body: Incoming, id: &str) -> Result<Response<Outgoing>, Severed> {
        let inner = &*self.0;
        if let Some(admin) = inner.admin.as_ref().filter(|_| admin::concerns(&parts)) {
            let answer = admin::answer(admin, &inner.clock, &inner.faults, &parts, body, inner.patience).await;
            return Ok(answer.map(Outgoing::from));
        }
        inner.requests.count(&parts);
        let strike = inner.faults.strike(&parts);
        if !strike.latency.is_zero() {
            tokio::time::sleep(strike.latency).await;
        }
        let sends = !body.is_end_stream();
        let mut inbound = Inbound::new(body, inner.patience);
        if !parts.headers.contains_key(header::EXPECT) {
            inbound = inbound.eager();
        }
        let cut = match strike.kind {
            Some(FaultKind::Stall) => {
                strike.reset.cancelled().await;
                return Err(Severed("a stalled request was let go".to_owned()));
            }
            Some(FaultKind::Status { status, code }) => {
                let mut error =
                    S3Error::with_message(S3ErrorCode::Custom(code.into()), "A fault that a test asked for");
                error.set_status_code(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
                return refuse(error);
            }
            Some(FaultKind::Cut { after_bytes }) => Some(after_bytes),
            Some(FaultKind::Latency { .. }) | None => None,
        };
        if let Err(error) = check::request(&parts) {
            return refuse(error);
        }
        let copies = matches!(Operation::of(&parts), Some(Operation::CopyObject | Operation::UploadPartCopy));
        let mut request = Request::from_parts(parts, Body::empty());
        if sends {
            if is_chunked(request.headers()) {
                let taken = Taken::default();
                request.extensions_mut().insert(taken.clone());
                inbound = inbound.chunked(taken);
            }
            if let Some(after) = cut {
                inbound = inbound.cut(after);
            }
            *request.body_mut() = match check::md5_of_document(&request) {
                Some(md5) => match document(inbound, &md5).await {
                    Ok(bytes) => Body::from(bytes),
                    Err(error) => return refuse(error),
                },
                None => Body::http_body_unsync(inbound),
            };
        }
        let s3 = inner.s3.clone();
        // s3s calls every refusal an error of its own, at the level of errors.
        let call = async move { s3.call(request).await }.with_subscriber(Dispatch::none());
        let answered = if copies { slow::answer(call, inner.patience / 8, id).await } else { call.await };
        let response = answered.map_err(|error| Severed(format!("{error:?}")))?;
        match cut {
            Some(after) if sends || after == 0 => Err(Severed(CUT.to_owned())),
            cut => Ok(response.map(|body| Outgoing { body, left: cut })),
        }
    }
}

const CUT: &str = "the connection is cut as a fault asks for";

/// Why a connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Severed(String);

fn refuse(error: S3Error) -> Result<Response<Outgoing>, Severed> {
    let response = error.to_http_response().map_err(|error| Severed(error.to_string()))?;
    Ok(response.map(Outgoing::from))
}

/// A body that is no object, whose md5 s3s does not verify.
async fn document(body: Inbound, md5: &[u8]) -> S3Result<Bytes> {
    let bytes = Limited::new(body, MOST_XML).collect().await.map_err(body_error)?.to_bytes();
    if *Md5::digest(&bytes) != *md5 {
        return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
    }
    Ok(bytes)
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

/// The one key there is.
struct Key {
    access: String,
    secret: SecretKey,
}

#[async_trait]
impl S3Auth for Key {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access {
            return Ok(self.secret.clone());
        }
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Err(s3_error!(InvalidAccessKeyId, "{message}"))
    }
}

/// The body of an answer, which may be cut after so many bytes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: Body,
    left: Option<u64>,
}

impl Outgoing {
    /// Of an error, adds what it lacks.
    fn complete(&mut self, id: &str) {
        if let Some(whole) = self.body.bytes().and_then(|bytes| errors::complete(&bytes, id)) {
            self.body = Body::from(whole);
        }
    }
}

impl From<Body> for Outgoing {
    fn from(body: Body) -> Self {
        Self { body, left: None }
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(mut frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let Some(left) = self.left else { return Poll::Ready(Some(Ok(frame))) };
        if left == 0 {
            return Poll::Ready(Some(Err(CUT.into())));
        }
        if let Some(data) = frame.data_mut() {
            data.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.left = Some(left - data.len() as u64);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
