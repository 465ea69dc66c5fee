//! What one request sends: bytes in memory, or bytes that are read from their source as often as they are sent.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

use crate::budget::Permit;
use crate::digest::md5_of;
use crate::error::Error;
use crate::source::Source;

/// The body of a PUT. Each try of the request sends it from its first byte.
pub(crate) enum Content {
    /// In memory, whose permit goes when S3 has it.
    Held { bytes: Bytes, _permit: Option<Permit> },
    /// As it was when the md5 was taken: S3 refuses other bytes.
    Read { source: Source, length: u64, md5: [u8; 16] },
}

/// One slice of a body. Small, so that it shows how fast the server takes the bytes.
const SLICE: usize = 64 << 10;

impl Content {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Held { bytes, .. } => bytes.len() as u64,
            Self::Read { length, .. } => *length,
        }
    }

    pub(crate) async fn md5(&self) -> Result<[u8; 16], Error> {
        match self {
            Self::Held { bytes, .. } => md5_of(bytes.clone()).await,
            Self::Read { md5, .. } => Ok(*md5),
        }
    }

    pub(crate) fn body(&self) -> ByteStream {
        ByteStream::new(match self {
            Self::Held { bytes, .. } if bytes.is_empty() => SdkBody::empty(),
            Self::Held { bytes, .. } => {
                let bytes = bytes.clone();
                SdkBody::retryable(move || SdkBody::from_body_1_x(Slices(bytes.clone())))
            }
            Self::Read { source, length, .. } => {
                let (source, length) = (source.clone(), *length);
                SdkBody::retryable(move || {
                    let stream = Mutex::new(source.clone().into_stream(Some(length)).boxed());
                    SdkBody::from_body_1_x(Reading { stream, left: length })
                })
            }
        })
    }
}

struct Slices(Bytes);

impl Body for Slices {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.0.len().min(SLICE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

struct Reading {
    /// Never locked: the SDK wants a body that can be shared between threads, and a stream cannot.
    stream: Mutex<BoxStream<'static, Result<Bytes, Error>>>,
    left: u64,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Ok(stream) = self.stream.get_mut() else { unreachable!("never locked, so never poisoned") };
        let next = stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
