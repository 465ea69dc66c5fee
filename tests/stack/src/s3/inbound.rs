//! The body of a request as it comes from the network: with a time-out between its pieces, a bound on what s3s may gather
//! from it, and faults on request. What a handler leaves unread is read and thrown away, so that the client sees its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::StdError;
use tokio::time::{Instant, Sleep};

pub(crate) const SLOW: &str = "the client sent nothing for too long";
pub(crate) const CHUNK_TOO_LARGE: &str = "a chunk is larger than is held in memory";
const CUT: &str = "the connection is cut as a fault asks for";

/// s3s gathers a whole chunk of `aws-chunked` before it hands it on, and a chunk may call itself 4 GiB long.
const MOST_GATHERED: u64 = 16 << 20;

/// What is thrown away after an answer that did not need it; beyond that the connection closes.
const MOST_DRAINED: u64 = 16 << 20;

/// Counts what has been taken out of the body at the far end, behind the decoding of chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

pub(crate) struct Inbound {
    body: Option<Incoming>,
    patience: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Whether something was asked of the body: before that, a client that waits to be told to go on sends nothing.
    started: bool,
    given: u64,
    taken: Option<Taken>,
    cut_after: Option<u64>,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, patience: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(patience));
        Self { body: Some(body), patience, sleep, started: false, given: 0, taken: None, cut_after: None }
    }

    /// The body is in chunks, and `taken` counts what comes out of them.
    pub(crate) fn chunked(mut self, taken: Taken) -> Self {
        self.taken = Some(taken);
        self
    }

    /// The client waits for nothing: what it sends is there to be thrown away from the beginning.
    pub(crate) fn eager(mut self) -> Self {
        self.started = true;
        self
    }

    /// Fails after so many bytes.
    pub(crate) fn cut(mut self, after: u64) -> Self {
        self.cut_after = Some(after);
        self
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        if !this.started {
            this.started = true;
            this.sleep.as_mut().reset(Instant::now() + this.patience);
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(this.sleep.as_mut().poll(cx));
                this.body = None;
                return Poll::Ready(Some(Err(SLOW.into())));
            }
        };
        this.sleep.as_mut().reset(Instant::now() + this.patience);
        let Some(frame) = frame else {
            this.body = None;
            return Poll::Ready(None);
        };
        let mut frame = frame?;
        if let Some(data) = frame.data_mut() {
            this.given += data.len() as u64;
            if this.cut_after.is_some_and(|after| this.given >= after) {
                this.body = None;
                return Poll::Ready(Some(Err(CUT.into())));
            }
            let taken = this.taken.as_ref().map_or(this.given, |taken| taken.0.load(Ordering::Relaxed));
            // Chunks of 8 KiB, the smallest that S3 allows, carry one part in 90 of framing.
            if this.given > taken + taken / 64 + MOST_GATHERED {
                this.body = None;
                return Poll::Ready(Some(Err(CHUNK_TOO_LARGE.into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| self.started && self.cut_after.is_none() && !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(drain(body, self.patience));
        }
    }
}

async fn drain(mut body: Incoming, patience: Duration) {
    let mut drained = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(patience, body.frame()).await {
        drained += frame.data_ref().map_or(0, Bytes::len) as u64;
        if drained > MOST_DRAINED {
            return;
        }
    }
}
