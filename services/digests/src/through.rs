//! A stream that is hashed while it goes elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::{Algorithms, Digests, Hashing, Lanes};

/// Passes a stream on and hashes it. The stream is asked for more only when there is room for it, so nothing is lost when a
/// future that reads it is dropped.
#[derive(Debug)]
pub struct Through<S> {
    stream: S,
    hashing: Hashing,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Reached,
    /// There was an error on the way, and what comes after it need not follow what came before.
    Failed,
}

impl Lanes {
    /// Hashes what passes. Read it through `&mut`, and ask for the digests afterwards.
    pub fn through<S>(&self, stream: S, algorithms: impl Into<Algorithms>) -> Through<S> {
        Through { stream, hashing: self.start(algorithms), end: End::NotYet }
    }
}

impl<S> Through<S> {
    /// The digests of the whole stream; `None` if it failed or was not read to its end, for then they would be of something
    /// else.
    pub async fn finish(self) -> Option<Digests> {
        if self.end == End::Reached { Some(self.hashing.finish().await) } else { None }
    }
}

impl<S, E> Stream for Through<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.hashing.poll_ready(context));
        let item = ready!(self.stream.poll_next_unpin(context));
        match &item {
            Some(Ok(chunk)) => self.hashing.take(chunk.clone()),
            Some(Err(_)) => self.end = End::Failed,
            None if self.end == End::NotYet => self.end = End::Reached,
            None => {}
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use futures_util::stream;

    use super::*;
    use crate::Algorithm;

    const CHUNK: &[u8] = &[7; 100_000];

    fn through(
        items: Vec<Result<Bytes, &'static str>>,
    ) -> Through<impl Stream<Item = Result<Bytes, &'static str>> + Unpin> {
        let lanes = Lanes::new(NonZeroUsize::MIN, 0).unwrap();
        lanes.through(stream::iter(items), Algorithms::ALL)
    }

    #[tokio::test]
    async fn a_stream_passes_unchanged_and_is_hashed() {
        let items = vec![Ok(Bytes::from_static(CHUNK)); 20];
        let mut through = through(items.clone());
        let passed: Vec<_> = (&mut through).collect().await;
        assert_eq!(passed, items);
        assert_eq!(through.finish().await, Some(Digests::of(Algorithms::ALL, &CHUNK.repeat(20))));
    }

    #[tokio::test]
    async fn a_part_of_a_stream_has_no_digests() {
        let mut partly = through(vec![Ok(Bytes::from_static(CHUNK)); 3]);
        assert!(partly.next().await.is_some());
        assert_eq!(partly.finish().await, None);
        let mut broken = through(vec![Ok(Bytes::from_static(CHUNK)), Err("broken"), Ok(Bytes::from_static(CHUNK))]);
        assert_eq!((&mut broken).collect::<Vec<_>>().await.len(), 3);
        assert_eq!(broken.finish().await, None);
    }

    #[tokio::test]
    async fn an_empty_stream_has_digests() {
        let mut empty = through(Vec::new());
        assert!(empty.next().await.is_none());
        let digests = empty.finish().await.unwrap();
        assert_eq!(digests.get(Algorithm::Md5), Some("d41d8cd98f00b204e9800998ecf8427e"));
    }
}
