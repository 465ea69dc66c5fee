//! What a file begins and ends with, kept while its bytes pass: for most files that is enough to name their format, and no other
//! stage has to read them for that.

use std::ops::Range;
use std::sync::Arc;

use pronom::{Engine, HEAD, Identification, Outcome, Seen, TAIL};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A file up to this size, in bytes, is kept whole.
const SMALL: u64 = (HEAD + TAIL) as u64;
/// And so is a container up to this size: what decides may stand anywhere in it.
const CONTAINER: usize = 1 << 20;
/// Bytes of containers that one bag may keep at a time.
const ROOM: usize = 8 << 20;

/// Where the ends of one bag's files are kept.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    engine: &'static Engine,
    room: Arc<Semaphore>,
}

/// One file's.
pub(super) struct Ends {
    keeper: Keeper,
    size: u64,
    /// How many bytes have passed.
    at: u64,
    /// What is kept stands before the one offset, or from the other on.
    head_to: u64,
    tail_from: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// For a container that is kept whole.
    room: Option<OwnedSemaphorePermit>,
}

impl Keeper {
    pub(super) fn new(engine: &'static Engine) -> Self {
        Self { engine, room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// For a file of `size` bytes.
    pub(super) fn file(&self, size: u64) -> Ends {
        let (head_to, tail_from) = if size <= SMALL { (size, size) } else { (HEAD as u64, size - TAIL as u64) };
        Ends { keeper: self.clone(), size, at: 0, head_to, tail_from, head: Vec::new(), tail: Vec::new(), room: None }
    }
}

impl Ends {
    /// Takes the next bytes. Waits for room if they begin a container, until files that passed before are named.
    pub(super) async fn see(&mut self, chunk: &[u8]) {
        if self.at == 0 && self.head_to < self.size && self.size <= CONTAINER as u64 && pronom::is_container(chunk) {
            let room = u32::try_from(self.size).unwrap_or(u32::MAX);
            // It is never closed.
            self.room = Arc::clone(&self.keeper.room).acquire_many_owned(room).await.ok();
            (self.head_to, self.tail_from) = (self.size, self.size);
        }
        self.head.extend_from_slice(part(chunk, self.at, 0..self.head_to));
        self.tail.extend_from_slice(part(chunk, self.at, self.tail_from..self.size));
        self.at += chunk.len() as u64;
    }

    /// The format of the file, whose name decides beside its bytes; `None` if it takes more of them.
    pub(super) fn identify(&self, name: &str) -> Option<Identification<'static>> {
        let seen = Seen { name, size: self.size, head: &self.head, tail: &self.tail };
        match self.keeper.engine.identify(seen) {
            Outcome::Done(found) => Some(found),
            Outcome::Needs(_) => None,
        }
    }
}

/// What a chunk that stands at an offset has of a range.
fn part(chunk: &[u8], at: u64, wanted: Range<u64>) -> &[u8] {
    let within = |offset: u64| usize::try_from(offset.saturating_sub(at)).map_or(chunk.len(), |it| it.min(chunk.len()));
    chunk.get(within(wanted.start)..within(wanted.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(contents: &[u8], chunk: usize) -> (Vec<u8>, Vec<u8>) {
        let mut ends = Keeper::new(Engine::builtin()).file(contents.len() as u64);
        for chunk in contents.chunks(chunk) {
            ends.see(chunk).await;
        }
        (ends.head, ends.tail)
    }

    #[tokio::test]
    async fn ends_are_kept_however_the_bytes_arrive() {
        let contents: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let expected = (contents[..HEAD].to_vec(), contents[300_000 - TAIL..].to_vec());
        for chunk in [7, 4096, HEAD, 65_536, 299_999, 300_000] {
            assert_eq!(kept(&contents, chunk).await, expected, "{chunk}");
        }
        let small = &contents[..HEAD + TAIL];
        assert_eq!(kept(small, 1000).await, (small.to_vec(), Vec::new()));
        assert_eq!(kept(&[], 1).await, (Vec::new(), Vec::new()));
    }

    #[tokio::test]
    async fn containers_are_kept_whole_within_their_room() {
        let container = |size: usize| [b"PK\x03\x04".as_slice(), &vec![b'.'; size - 4]].concat();
        let (whole, large) = (container(CONTAINER), container(CONTAINER + 1));
        assert_eq!(kept(&whole, 4096).await, (whole, Vec::new()));
        assert_eq!(kept(&large, 4096).await.0.len(), HEAD);

        let keeper = Keeper::new(Engine::builtin());
        let mut first = keeper.file(CONTAINER as u64);
        first.see(&container(100)).await;
        assert_eq!(keeper.room.available_permits(), ROOM - CONTAINER);
        drop(first);
        assert_eq!(keeper.room.available_permits(), ROOM);
    }
}
