//! The threads, and what one stream hands over to them.
//!
//! Each algorithm of a stream is a lane: a hasher and the batches that wait for it. A lane with something to do stands once in
//! the queue of all threads; a thread takes it, hashes one batch and puts it back at the end. So the work is even at any
//! mix of algorithms and files, where a fixed partition (md5 and sha1 here, sha256 and sha512 there) fits one mix only.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::PollSemaphore;

use crate::hasher::Hasher;
use crate::{Algorithm, Algorithms, Digests};

/// Bytes that are handed over at once, at the least; a stream with fewer is hashed by its caller. Handing over costs some
/// microseconds, the digests of a batch some hundred.
pub const BATCH: usize = 64 << 10;

/// What a chunk counts for at the least, so that very small ones do not fill the memory with their own administration.
const LEAST_COST: usize = 1 << 10;

/// Threads that compute digests for the whole process. Cheap to clone; the threads end with the last clone and the last
/// stream that is hashed.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<Handle>);

/// One stream that is being hashed. Dropped, it is forgotten.
pub struct Hashing {
    algorithms: Algorithms,
    pool: Lanes,
    room: PollSemaphore,
    /// Not yet handed over.
    waiting: Vec<Bytes>,
    cost: usize,
    /// None until the first batch is handed over.
    lanes: Vec<Arc<Lane>>,
}

/// Ends the threads when it goes.
#[derive(Debug)]
struct Handle(Arc<Pool>);

struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Arc<Semaphore>,
    bytes: u32,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Lane>>,
    closed: bool,
}

/// One algorithm of one stream.
struct Lane {
    algorithm: Algorithm,
    state: Mutex<State>,
}

struct State {
    /// `None` while a thread has it, and after the end.
    hasher: Option<Hasher>,
    batches: VecDeque<Arc<Batch>>,
    /// In the queue, or with a thread.
    scheduled: bool,
    /// Set when nothing more will come.
    answer: Option<oneshot::Sender<String>>,
}

/// Chunks that follow each other, and their place in the memory that may be in flight.
struct Batch {
    chunks: Vec<Bytes>,
    _room: OwnedSemaphorePermit,
}

impl Lanes {
    /// Starts so many threads; the number of cores is a good one. At most `bytes` wait for them at any time (two batches for
    /// each thread at the least), beside up to [`BATCH`] and one chunk for each stream. A chunk that is a slice of a larger
    /// buffer keeps all of that.
    pub fn new(threads: NonZeroUsize, bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(2 * BATCH * threads.get()).min(Semaphore::MAX_PERMITS);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let pool = Arc::new(Pool {
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(bytes as usize)),
            bytes,
        });
        let handle = Handle(pool);
        for number in 0..threads.get() {
            let pool = handle.0.clone();
            thread::Builder::new().name(format!("digests-{number}")).spawn(move || pool.work())?;
        }
        Ok(Self(Arc::new(handle)))
    }

    /// Begins a stream.
    pub fn start(&self, algorithms: impl Into<Algorithms>) -> Hashing {
        Hashing {
            algorithms: algorithms.into(),
            pool: self.clone(),
            room: PollSemaphore::new(self.0.0.room.clone()),
            waiting: Vec::new(),
            cost: 0,
            lanes: Vec::new(),
        }
    }
}

impl Hashing {
    /// Takes the next bytes of the stream; waits while too much is in flight. A dropped future has not taken them.
    pub async fn update(&mut self, chunk: Bytes) {
        poll_fn(|context| self.poll_ready(context)).await;
        self.take(chunk);
    }

    /// The digests of all that was taken.
    pub async fn finish(mut self) -> Digests {
        if self.lanes.is_empty() && self.cost < BATCH {
            return Digests::of_chunks(self.algorithms, &self.waiting);
        }
        if self.cost > 0 {
            poll_fn(|context| self.poll_hand_over(context)).await;
        }
        let answers: Vec<_> = self.lanes.iter().map(|lane| (lane.algorithm, self.pool.0.0.end(lane))).collect();
        let mut digests = Vec::with_capacity(answers.len());
        for (algorithm, answer) in answers {
            // The threads live as long as `self.pool`, and hashing cannot fail.
            digests.push((algorithm, answer.await.expect("a thread that computes digests has died")));
        }
        digests.into_iter().collect()
    }

    /// Whether [`Hashing::take`] may be called.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.cost < BATCH { Poll::Ready(()) } else { self.poll_hand_over(context) }
    }

    /// Once after each time that [`Hashing::poll_ready`] was ready.
    pub(crate) fn take(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.cost = self.cost.saturating_add(chunk.len().max(LEAST_COST));
            self.waiting.push(chunk);
        }
    }

    fn poll_hand_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let pool = &self.pool.0.0;
        // A chunk larger than all the room takes all of it.
        let cost = u32::try_from(self.cost).unwrap_or(u32::MAX).min(pool.bytes);
        let room = ready!(self.room.poll_acquire_many(context, cost)).expect("the room is never closed");
        let batch = Arc::new(Batch { chunks: mem::take(&mut self.waiting), _room: room });
        self.cost = 0;
        if self.lanes.is_empty() {
            self.lanes = self.algorithms.iter().map(|algorithm| Arc::new(Lane::new(algorithm))).collect();
        }
        for lane in &self.lanes {
            pool.change(lane, |state| state.batches.push_back(batch.clone()));
        }
        Poll::Ready(())
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lock(&lane.state).batches.clear();
        }
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Hashing").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl Pool {
    /// A thread's life.
    fn work(&self) {
        while let Some(lane) = self.next() {
            let Some((mut hasher, batch)) = lane.begin() else { continue };
            for chunk in &batch.chunks {
                hasher.update(chunk);
            }
            drop(batch);
            if lane.put_back(hasher) {
                self.schedule(lane);
            }
        }
    }

    fn next(&self) -> Option<Arc<Lane>> {
        let queue = lock(&self.queue);
        let idle = |queue: &mut Queue| queue.ready.is_empty() && !queue.closed;
        let mut queue = self.wake.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        queue.ready.pop_front()
    }

    fn schedule(&self, lane: Arc<Lane>) {
        lock(&self.queue).ready.push_back(lane);
        self.wake.notify_one();
    }

    /// Gives a lane something to do.
    fn change(&self, lane: &Arc<Lane>, change: impl FnOnce(&mut State)) {
        let mut state = lock(&lane.state);
        change(&mut state);
        if !mem::replace(&mut state.scheduled, true) {
            drop(state);
            self.schedule(lane.clone());
        }
    }

    /// Nothing more will come; the digest will.
    fn end(&self, lane: &Arc<Lane>) -> oneshot::Receiver<String> {
        let (sender, receiver) = oneshot::channel();
        self.change(lane, |state| state.answer = Some(sender));
        receiver
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pool").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.0.queue).closed = true;
        self.0.wake.notify_all();
    }
}

impl Lane {
    fn new(algorithm: Algorithm) -> Self {
        let hasher = Some(Hasher::new(algorithm));
        let state = State { hasher, batches: VecDeque::new(), scheduled: false, answer: None };
        Self { algorithm, state: Mutex::new(state) }
    }

    /// What to hash. Where there is nothing, the lane leaves the queue, with its digest if this was the end.
    fn begin(&self) -> Option<(Hasher, Arc<Batch>)> {
        let mut state = lock(&self.state);
        if let Some(batch) = state.batches.pop_front() {
            return Some((state.hasher.take()?, batch));
        }
        state.scheduled = false;
        if let Some(answer) = state.answer.take() {
            let hasher = state.hasher.take()?;
            // Nobody listens if the future of `finish` was dropped.
            let _ = answer.send(hasher.finish());
        }
        None
    }

    /// Whether there is more to do.
    fn put_back(&self, hasher: Hasher) -> bool {
        let mut state = lock(&self.state);
        state.hasher = Some(hasher);
        state.scheduled = !state.batches.is_empty() || state.answer.is_some();
        state.scheduled
    }
}

/// A thread that panicked would have lost its lane and nothing else.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn lanes(threads: usize, bytes: usize) -> Lanes {
        Lanes::new(NonZeroUsize::new(threads).unwrap(), bytes).unwrap()
    }

    /// Bytes that are not all the same.
    fn content(length: usize) -> Bytes {
        (0..=250).cycle().take(length).collect()
    }

    /// A chunk that counts itself in `alive` as long as anybody has it.
    fn counted(length: usize, alive: &Arc<AtomicUsize>) -> Bytes {
        struct Counted(Bytes, Arc<AtomicUsize>);
        impl AsRef<[u8]> for Counted {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                self.1.fetch_sub(self.0.len(), Ordering::Relaxed);
            }
        }
        alive.fetch_add(length, Ordering::Relaxed);
        Bytes::from_owner(Counted(content(length), alive.clone()))
    }

    #[track_caller]
    fn eventually<T: PartialEq + fmt::Debug>(expected: &T, look: impl Fn() -> T) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while look() != *expected {
            assert!(Instant::now() < deadline, "after a minute it is {:?}, not {expected:?}", look());
            thread::yield_now();
        }
    }

    /// Hashes pieces of these lengths, one after the other.
    async fn hashed(lanes: &Lanes, algorithms: Algorithms, mut content: Bytes, pieces: &[usize]) -> Digests {
        let mut hashing = lanes.start(algorithms);
        for piece in pieces.iter().cycle() {
            if content.is_empty() {
                break;
            }
            hashing.update(content.split_to((*piece).min(content.len()))).await;
        }
        hashing.finish().await
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn chunks_do_not_matter(
            length in 0..600_000_usize,
            pieces in prop::collection::vec(1..200_000_usize, 1..8),
            set in 0..16_u8,
            threads in 1..4_usize,
        ) {
            let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| set & (1 << *algorithm as u8) != 0).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let content = content(length);
            let digests = runtime.block_on(hashed(&lanes(threads, 0), algorithms, content.clone(), &pieces));
            prop_assert_eq!(digests, Digests::of(algorithms, &content));
        }
    }

    #[tokio::test]
    async fn small_streams_stay_with_their_caller() {
        let lanes = lanes(1, 0);
        let mut hashing = lanes.start(Algorithms::ALL);
        hashing.update(content(BATCH - 1)).await;
        hashing.update(Bytes::new()).await;
        assert!(hashing.lanes.is_empty());
        assert_eq!(hashing.finish().await, Digests::of(Algorithms::ALL, &content(BATCH - 1)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_streams_share_the_threads() {
        let lanes = lanes(2, 1 << 20);
        let content = content(300_000);
        let streams = (0..100).map(|_| {
            let (lanes, content) = (lanes.clone(), content.clone());
            tokio::spawn(async move { hashed(&lanes, Algorithms::ALL, content, &[50_000]).await })
        });
        let expected = Digests::of(Algorithms::ALL, &content);
        for digests in futures_util::future::join_all(streams).await {
            assert_eq!(digests.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_in_flight_has_a_bound() {
        const CHUNK: usize = 50_000;
        let (lanes, alive) = (lanes(2, 300_000), Arc::new(AtomicUsize::new(0)));
        let mut hashing = lanes.start(Algorithms::ALL);
        let mut most = 0;
        for _ in 0..400 {
            hashing.update(counted(CHUNK, &alive)).await;
            most = most.max(alive.load(Ordering::Relaxed));
        }
        hashing.finish().await;
        assert!(most <= 300_000 + BATCH + 2 * CHUNK, "{most} bytes were in flight");
        eventually(&0, || alive.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_chunk_larger_than_all_the_room_goes_through() {
        let lanes = lanes(1, 0);
        let large = content(3_000_000);
        let digests = hashed(&lanes, Algorithms::ALL, large.clone(), &[3_000_000, 1]).await;
        assert_eq!(digests, Digests::of(Algorithms::ALL, &large));
    }

    #[tokio::test]
    async fn others_run_while_a_stream_waits_for_room() {
        let lanes = lanes(1, 0);
        let mut hashing = lanes.start(Algorithms::ALL);
        let full = async {
            loop {
                hashing.update(content(BATCH)).await;
            }
        };
        // The lanes need a millisecond for what is fed in microseconds: sooner or later an update is pending.
        assert!(tokio::select! { biased; () = full => false, () = async {} => true });
    }

    #[tokio::test]
    async fn a_dropped_update_has_taken_nothing() {
        let lanes = lanes(1, 0);
        let mut hashing = lanes.start(Algorithms::ALL);
        let mut taken = Vec::new();
        for number in 0..200_u8 {
            let chunk = Bytes::from(vec![number; BATCH]);
            if hashing.update(chunk.clone()).now_or_never().is_none() {
                tokio::task::yield_now().await;
                hashing.update(chunk.clone()).await;
            }
            taken.extend_from_slice(&chunk);
        }
        assert_eq!(hashing.finish().await, Digests::of(Algorithms::ALL, &taken));
    }

    #[tokio::test]
    async fn a_dropped_stream_is_forgotten() {
        let lanes = lanes(1, 0);
        let alive = Arc::new(AtomicUsize::new(0));
        let mut hashing = lanes.start(Algorithms::ALL);
        while hashing.update(counted(BATCH, &alive)).now_or_never().is_some() {}
        drop(hashing);
        eventually(&0, || alive.load(Ordering::Relaxed));
        eventually(&(2 * BATCH), || lanes.0.0.room.available_permits());
        let mut hashing = lanes.start(Algorithms::ALL);
        for _ in 0..10 {
            hashing.update(content(BATCH)).await;
        }
        // Dropped where it stands, which may be at its end.
        drop(hashing.finish().now_or_never());
        eventually(&(2 * BATCH), || lanes.0.0.room.available_permits());
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_stream() {
        let lanes = lanes(3, 0);
        let pool: Weak<Pool> = Arc::downgrade(&lanes.0.0);
        let hashing = lanes.start(Algorithms::ALL);
        drop(lanes);
        let content = content(200_000);
        let mut hashing = hashing;
        hashing.update(content.clone()).await;
        assert_eq!(hashing.finish().await, Digests::of(Algorithms::ALL, &content));
        eventually(&0, || pool.strong_count());
    }
}
