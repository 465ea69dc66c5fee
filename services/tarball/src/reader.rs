//! A tar out of a stream of chunks, as S3 sends it.

use std::error::Error as StdError;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::{Entry, Error, Limits, Parser, Step};

/// Reads a tar from a stream. Futures may be dropped and asked for again; nothing is lost.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    parser: Parser,
    chunk: Bytes,
    ended: bool,
}

/// Why reading ended before the tar did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E: StdError + 'static> {
    /// The source failed; another try may go well.
    #[error("the tar could not be read on from its source")]
    Source(#[source] E),
    /// The tar is bad, and will be the next time.
    #[error("the tar cannot be read")]
    Tar(#[source] Error),
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: StdError + 'static,
{
    pub fn new(source: S, limits: Limits) -> Self {
        Self { source, parser: Parser::new(limits), chunk: Bytes::new(), ended: false }
    }

    /// The next entry, passing over what is left of the last one's contents; `None` at the end. What stands in the source after
    /// that is left there.
    pub async fn entry(&mut self) -> Result<Option<Entry>, ReadError<E>> {
        loop {
            match self.step().await? {
                Step::Entry(entry) => return Ok(Some(entry)),
                Step::End => return Ok(None),
                Step::Data(_) | Step::More => {}
            }
        }
    }

    /// The next bytes of the entry's contents: a slice of a chunk of the source. `None` when all were given.
    pub async fn data(&mut self) -> Result<Option<Bytes>, ReadError<E>> {
        while self.parser.left() > 0 {
            if let Step::Data(data) = self.step().await? {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Step, ReadError<E>> {
        loop {
            match self.parser.step(&mut self.chunk).map_err(ReadError::Tar)? {
                Step::More if self.ended => {
                    self.parser.finish().map_err(ReadError::Tar)?;
                    return Ok(Step::End);
                }
                Step::More => match self.source.next().await {
                    Some(chunk) => self.chunk = chunk.map_err(ReadError::Source)?,
                    None => self.ended = true,
                },
                step => return Ok(step),
            }
        }
    }
}
