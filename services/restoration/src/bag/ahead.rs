//! The files of a bag in their order, fetched before their turn: many small ones at a time, so that nobody waits for S3 once per file.
//! Their number and their bytes have bounds; a large file is only named, and streams when its turn comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use digests::{Algorithms, Digests};
use futures_util::{Stream, StreamExt as _};
use model::{GenericFile, IntellectualObject};
use storage::Permit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;
use worker::{Stop, Task};

use super::WrongCopies;
use crate::contents::{Contents, Copies, Failure, Notices};
use crate::ground::{Ground, active_files};

/// Files on their way at a time: with a round trip of 20 ms, some three thousand a second.
const FILES: usize = 64;
/// Bytes of them, for each bag.
const BYTES: u64 = 8 << 20;
/// A larger file never stands in memory as a whole.
const LARGEST_HELD: u64 = 1 << 20;
/// Files on a page of the Registry's list.
const PAGE: u16 = 500;

/// What comes next.
pub(super) enum Next {
    /// Compared with the Registry already.
    Held {
        file: Arc<GenericFile>,
        bytes: Bytes,
        digests: Digests,
        room: OwnedSemaphorePermit,
    },
    Large(Copies),
}

enum Under {
    Way(AbortOnDropHandle<Result<Next, Failure>>),
    Named(Copies),
}

pub(super) struct Ahead {
    ground: Ground,
    algorithms: Algorithms,
    wrong: WrongCopies,
    notices: Notices,
    files: Pin<Box<dyn Stream<Item = Result<GenericFile, registry::Error>> + Send>>,
    is_ended: bool,
    /// The next of them, where there is no room for it yet.
    waiting: Option<Copies>,
    queue: VecDeque<Under>,
    room: Arc<Semaphore>,
    bytes: u64,
    _of_budget: Permit,
}

impl Ahead {
    /// Waits for memory.
    pub(super) async fn new(
        ground: &Ground,
        task: &Task,
        object: &IntellectualObject,
        algorithms: Algorithms,
        (wrong, notices): (&WrongCopies, &Notices),
    ) -> Self {
        let permit = ground.budget.take(BYTES).await;
        let bytes = permit.bytes().min(BYTES);
        Self {
            ground: ground.clone(),
            algorithms,
            wrong: wrong.clone(),
            notices: notices.clone(),
            files: Box::pin(task.registry.all(active_files(object).per_page(PAGE))),
            is_ended: false,
            waiting: None,
            queue: VecDeque::with_capacity(FILES),
            room: Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(usize::MAX))),
            bytes,
            _of_budget: permit,
        }
    }

    /// The next file. The one before must have been let go.
    pub(super) async fn next(&mut self) -> Result<Option<Next>, Failure> {
        while self.queue.len() < FILES {
            let Some(copies) = self.named().await? else { break };
            let size = copies.size()?;
            if size > LARGEST_HELD.min(self.bytes) {
                self.queue.push_back(Under::Named(copies));
                continue;
            }
            // An empty file takes a little too. The order of files is that of their room, so that the first has it.
            let bytes = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
            let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else {
                self.waiting = Some(copies);
                break;
            };
            self.queue.push_back(self.fetch(copies, room));
        }
        match self.queue.pop_front() {
            None => Ok(None),
            Some(Under::Named(copies)) => Ok(Some(Next::Large(copies))),
            Some(Under::Way(fetching)) => match fetching.await {
                Ok(fetched) => fetched.map(Some),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }

    async fn named(&mut self) -> Result<Option<Copies>, Failure> {
        if let Some(copies) = self.waiting.take() {
            return Ok(Some(copies));
        }
        if self.is_ended {
            return Ok(None);
        }
        let Some(file) = self.files.next().await else {
            self.is_ended = true;
            return Ok(None);
        };
        let file = file.map_err(Stop::from)?;
        let wrong = self.wrong.get(&file.id).cloned().unwrap_or_default();
        let mut copies = Copies::of(&self.ground, file, &self.notices)?;
        for (bucket, text) in wrong {
            copies.without(&bucket, text);
        }
        Ok(Some(copies))
    }

    fn fetch(&self, copies: Copies, room: OwnedSemaphorePermit) -> Under {
        let (lanes, algorithms) = (self.ground.lanes.clone(), self.algorithms);
        Under::Way(AbortOnDropHandle::new(tokio::spawn(async move {
            let file = copies.file.clone();
            let (bytes, digests) = Contents::whole(&lanes, copies, algorithms).await?;
            Ok(Next::Held { file, bytes, digests, room })
        })))
    }
}
