//! Giving out an object's bytes, or a range of them: read ahead by one piece, from one data file after another.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::{JoinHandle, spawn_blocking};

use super::files::{Files, Lease};
use super::model::Segment;

/// What is read at once, and so about twice what one download holds in memory.
const PIECE: u64 = 256 << 10;

/// The bytes of a range of an object.
pub(crate) struct Outbound {
    remaining: u64,
    state: State,
}

enum State {
    Ready(Source, Bytes),
    Reading(JoinHandle<io::Result<(Source, Bytes)>>),
    Ended,
}

/// What is still to be read.
struct Source {
    files: Arc<Files>,
    segments: VecDeque<Segment>,
    open: Option<io::Take<File>>,
    /// The files stay until the last byte is read.
    _lease: Lease,
}

impl Outbound {
    /// Reads the first piece, so that a small object needs no more threads. May wait for the disk.
    pub(crate) fn open(files: &Arc<Files>, segments: &[Segment], range: Range<u64>, lease: Lease) -> io::Result<Self> {
        let segments = cut(segments, &range);
        let mut source = Source { files: files.clone(), segments, open: None, _lease: lease };
        let first = source.read()?;
        Ok(Self { remaining: range.end - range.start, state: State::Ready(source, first) })
    }
}

impl Source {
    /// The next piece; empty at the end.
    fn read(&mut self) -> io::Result<Bytes> {
        let Some(segment) = self.segments.front() else { return Ok(Bytes::new()) };
        let file = match &mut self.open {
            Some(file) => file,
            closed => closed.insert(self.files.read_segment(segment)?),
        };
        let wanted = file.limit().min(PIECE);
        let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        file.by_ref().take(wanted).read_to_end(&mut piece)?;
        if piece.len() as u64 != wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a data file is shorter than it was"));
        }
        if file.limit() == 0 {
            self.segments.pop_front();
            self.open = None;
        }
        Ok(piece.into())
    }
}

/// The stretches of data files that make up a range.
pub(crate) fn cut(segments: &[Segment], range: &Range<u64>) -> VecDeque<Segment> {
    let mut position = 0;
    let mut wanted = VecDeque::new();
    for segment in segments {
        let (start, end) = (range.start.max(position), range.end.min(position + segment.length));
        if start < end {
            let offset = segment.offset + (start - position);
            wanted.push_back(Segment { file: segment.file, offset, length: end - start });
        }
        position += segment.length;
    }
    wanted
}

impl Stream for Outbound {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let (mut source, piece) = match &mut this.state {
            State::Ended => return Poll::Ready(None),
            State::Ready(..) => match std::mem::replace(&mut this.state, State::Ended) {
                State::Ready(source, piece) => (source, piece),
                _ => return Poll::Ready(None),
            },
            State::Reading(task) => {
                let read = ready!(Pin::new(task).poll(cx));
                this.state = State::Ended;
                read.map_err(io::Error::other).flatten()?
            }
        };
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        this.remaining = this.remaining.saturating_sub(piece.len() as u64);
        if !source.segments.is_empty() {
            this.state = State::Reading(spawn_blocking(move || source.read().map(|piece| (source, piece))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

impl ByteStream for Outbound {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.remaining).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_the_files_that_hold_it() {
        let segments =
            [(1, 0, 10), (2, 5, 10), (3, 0, 1)].map(|(file, offset, length)| Segment { file, offset, length });
        let cut = |range: Range<u64>| -> Vec<(u64, u64, u64)> {
            super::cut(&segments, &range).iter().map(|it| (it.file, it.offset, it.length)).collect()
        };
        assert_eq!(cut(0..21), [(1, 0, 10), (2, 5, 10), (3, 0, 1)]);
        assert_eq!(cut(9..11), [(1, 9, 1), (2, 5, 1)]);
        assert_eq!(cut(12..14), [(2, 7, 2)]);
        assert_eq!(cut(20..21), [(3, 0, 1)]);
        assert_eq!(cut(5..5), []);
    }
}
