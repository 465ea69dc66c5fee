//! A message, its identity on the wire, and the budget of memory that all messages of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::journal::Stored;

/// Bytes of a message id on the wire: the id in lower-case hexadecimal.
pub(super) const ID_LENGTH: usize = 16;

/// What one message costs beside its body: the entries of queues and maps, rounded up.
const OVERHEAD: usize = 192;

/// Frame type 2 of the protocol: timestamp, attempts, id and body.
const MESSAGE_FRAME: u32 = 2;

/// One message in one queue. Copies for several channels share the body.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u64,
    /// Nanoseconds of the wall clock at publishing.
    pub(super) timestamp: i64,
    pub(super) attempts: u16,
    pub(super) body: Arc<[u8]>,
    /// How long a channel holds it back after taking it from the topic.
    pub(super) delay: Duration,
    share: Share,
}

impl Message {
    pub(super) fn new(id: u64, body: &[u8], delay: Duration, budget: &Arc<Budget>) -> Result<Self, Full> {
        let share = budget.take(body.len() + OVERHEAD)?;
        Ok(Self { id, timestamp: wall_clock(), attempts: 0, body: body.into(), delay, share })
    }

    /// The same message for another channel. It was accepted already, so the budget cannot refuse it.
    pub(super) fn copy(&self) -> Self {
        let share = self.share.budget.take_anyway(self.share.size);
        Self {
            id: self.id,
            timestamp: self.timestamp,
            attempts: 0,
            body: Arc::clone(&self.body),
            delay: self.delay,
            share,
        }
    }

    /// A message of an earlier run of the server, which the budget cannot refuse either.
    pub(super) fn restore(stored: &Stored, budget: &Arc<Budget>) -> Self {
        let Stored { id, timestamp, attempts, body, .. } = stored;
        let share = budget.take_anyway(body.len() + OVERHEAD);
        let (id, timestamp, attempts, body) = (*id, *timestamp, *attempts, Arc::clone(body));
        Self { id, timestamp, attempts, body, delay: Duration::ZERO, share }
    }

    /// As the journal has it before it is in a channel.
    pub(super) fn stored(&self) -> Stored {
        let (id, timestamp, attempts, body) = (self.id, self.timestamp, self.attempts, Arc::clone(&self.body));
        Stored { id, timestamp, attempts, due: nanoseconds(self.delay), body }
    }

    /// Appends the frame that a consumer receives.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let length = 4 + 8 + 2 + ID_LENGTH + self.body.len();
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&MESSAGE_FRAME.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.attempts.to_be_bytes());
        out.extend_from_slice(&id_text(self.id));
        out.extend_from_slice(&self.body);
    }
}

/// The id as it stands on the wire.
pub(super) fn id_text(id: u64) -> [u8; ID_LENGTH] {
    let mut text = [0; ID_LENGTH];
    for (digit, shift) in text.iter_mut().zip((0..16u32).rev()) {
        *digit = b"0123456789abcdef"[usize::try_from(id >> (4 * shift) & 15).unwrap_or_default()];
    }
    text
}

/// The id that a client sent; none for text that we never gave out, such as capitals.
pub(super) fn id_of(text: [u8; ID_LENGTH]) -> Option<u64> {
    text.iter().try_fold(0u64, |id, digit| match digit {
        b'0'..=b'9' => Some(id << 4 | u64::from(digit - b'0')),
        b'a'..=b'f' => Some(id << 4 | u64::from(digit - b'a' + 10)),
        _ => None,
    })
}

/// Gives out ids that only grow, also when the wall clock goes back: time in units of 2^20 ns above 22 bits for node and
/// sequence, as nsqd does, so that ids of an earlier run of the server do not come again.
#[derive(Debug, Default)]
pub(super) struct Ids(AtomicU64);

impl Ids {
    /// 2^20 ns units at which nsqd's count begins.
    const EPOCH: i64 = 1_288_834_974_288;

    pub(super) fn next(&self) -> u64 {
        let now = u64::try_from((wall_clock() >> 20) - Self::EPOCH).unwrap_or_default() << 22;
        let step = |last: u64| Some(now.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_default();
        now.max(last + 1)
    }

    /// From now on ids are greater than this one.
    pub(super) fn pass(&self, id: u64) {
        self.0.fetch_max(id, Ordering::Relaxed);
    }
}

/// Nanoseconds since 1970.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds of a delay.
pub(super) fn nanoseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX)
}

/// The memory that messages may take in one server.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

/// The budget is spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Full;

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn take(self: &Arc<Self>, size: usize) -> Result<Share, Full> {
        let before = self.used.fetch_add(size, Ordering::Relaxed);
        let share = Share { budget: Arc::clone(self), size };
        if before + size > self.limit { Err(Full) } else { Ok(share) }
    }

    fn take_anyway(self: &Arc<Self>, size: usize) -> Share {
        self.used.fetch_add(size, Ordering::Relaxed);
        Share { budget: Arc::clone(self), size }
    }
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    size: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_only_in_the_form_given_out() {
        assert_eq!(&id_text(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert_eq!(id_of(*b"0123456789abcdef"), Some(0x0123_4567_89ab_cdef));
        assert_eq!(id_of(*b"0123456789ABCDEF"), None);
    }

    #[test]
    fn ids_only_grow() {
        let ids = Ids::default();
        ids.pass(u64::MAX / 2);
        let given: Vec<u64> = (0..1000).map(|_| ids.next()).collect();
        assert!(given.is_sorted_by(|a, b| a < b) && given[0] > u64::MAX / 2);
    }

    #[test]
    fn the_budget_comes_back_with_the_last_copy() {
        let budget = Budget::new(1000);
        let first = Message::new(1, &[0; 300], Duration::ZERO, &budget).unwrap();
        let second = first.copy();
        assert!(Message::new(2, &[0; 300], Duration::ZERO, &budget).is_err());
        drop(first);
        assert_eq!(budget.used(), 300 + OVERHEAD);
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
