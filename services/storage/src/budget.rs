//! The memory that a process has for what is on its way: one account for all uploads and for what callers hold, so that the sum
//! is bounded whatever the number of transfers. From what the number of bytes is derived is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The account. Made once per process and given to every [`Storage`](crate::Storage); the clones are one account.
///
/// Who asks first gets first, so that a large request is not starved by small ones. Callers together hold at most half of it:
/// so an upload always gets what it needs, even from a caller that holds a permit meanwhile. The one thing that must not take
/// from the budget is a stream that is being uploaded.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Account>);

/// So many bytes of the account, given back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    pages: u32,
    account: Arc<Account>,
    _of_callers: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Account {
    all: Arc<Semaphore>,
    callers: Arc<Semaphore>,
    most_for_callers: u32,
    most_for_uploads: u32,
    held: AtomicU64,
    peak: AtomicU64,
}

/// The unit: a semaphore counts up to 2^32.
const PAGE: u64 = 4096;

/// With less, an upload would lack the room for one ordinary part.
const LEAST: u64 = 2 * model::multipart::SINGLE_PUT_LIMIT;

impl Budget {
    /// An account of so many bytes. Less than 32 MiB is taken for 32 MiB.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes.max(LEAST) / PAGE).unwrap_or(u32::MAX);
        let (most_for_callers, most_for_uploads) = (total / 2, total - total / 2);
        let semaphore = |pages| Arc::new(Semaphore::new(pages as usize));
        let (all, callers) = (semaphore(total), semaphore(most_for_callers));
        let (held, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Account { all, callers, most_for_callers, most_for_uploads, held, peak }))
    }

    /// Waits until so many bytes are free. Ask before the bytes are fetched, and for all of them at once: who holds some and
    /// waits for more may wait for one who does the same. What exceeds half of the account is given that half
    /// ([`Permit::bytes`]).
    pub async fn take(&self, bytes: u64) -> Permit {
        let pages = pages(bytes).min(self.0.most_for_callers);
        let of_callers = acquire(&self.0.callers, pages).await;
        self.granted(pages, Some(of_callers)).await
    }

    /// For the buffer of an upload, which may use whatever is free.
    pub(crate) async fn take_for_upload(&self, bytes: u64) -> Permit {
        self.granted(pages(bytes).min(self.0.most_for_uploads), None).await
    }

    /// The largest part of an upload, in bytes, for which there is room whatever callers hold.
    pub(crate) fn largest_part(&self) -> u64 {
        u64::from(self.0.most_for_uploads) * PAGE
    }

    /// Bytes that are taken now.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever taken at once.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    async fn granted(&self, pages: u32, of_callers: Option<OwnedSemaphorePermit>) -> Permit {
        let of_all = acquire(&self.0.all, pages).await;
        let bytes = u64::from(pages) * PAGE;
        let held = self.0.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.peak.fetch_max(held, Ordering::Relaxed);
        Permit { pages, account: Arc::clone(&self.0), _of_callers: of_callers, _of_all: of_all }
    }
}

impl Permit {
    /// For how many bytes it stands.
    pub fn bytes(&self) -> u64 {
        u64::from(self.pages) * PAGE
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.account.held.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX)
}

async fn acquire(semaphore: &Arc<Semaphore>, pages: u32) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_many_owned(pages).await;
    permit.unwrap_or_else(|_| unreachable!("nobody closes the semaphores of a budget"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn callers_hold_at_most_half_and_uploads_get_the_rest() {
        let budget = Budget::new(64 * MIB);
        let all_of_theirs = budget.take(1 << 40).await;
        assert_eq!(all_of_theirs.bytes(), 32 * MIB);
        let mut waiting = std::pin::pin!(budget.take(1));
        assert!(waiting.as_mut().now_or_never().is_none(), "no more for callers");
        assert_eq!(budget.largest_part(), 32 * MIB);
        let part = budget.take_for_upload(32 * MIB).await;
        assert_eq!((budget.held(), budget.peak()), (64 * MIB, 64 * MIB));
        drop(all_of_theirs);
        assert_eq!(waiting.await.bytes(), PAGE);
        drop(part);
        let whole = [budget.take_for_upload(32 * MIB).await, budget.take_for_upload(32 * MIB).await];
        drop(whole);
        assert_eq!((budget.held(), budget.peak()), (0, 64 * MIB));
        assert_eq!(Budget::new(0).largest_part(), 16 * MIB, "one ordinary part");
    }

    #[tokio::test]
    async fn a_large_request_is_not_overtaken() {
        let budget = Budget::new(64 * MIB);
        let first = budget.take(20 * MIB).await;
        let mut large = std::pin::pin!(budget.take(32 * MIB));
        let mut small = std::pin::pin!(budget.take(MIB));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().is_none(), "it came later");
        drop(first);
        drop(large.await);
        small.await;
    }

    /// The clock stands still while anybody can go on, so that the limit strikes only when nobody can.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_although_uploads_are_made_under_a_permit() {
        let budget = Budget::new(40 * MIB);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u64 {
            let budget = budget.clone();
            tasks.spawn(async move {
                let _held = budget.take((n * 7 % 23 + 1) * MIB).await;
                tokio::task::yield_now().await;
                for part in 0..3 {
                    let _part = budget.take_for_upload((n * 5 + part) % 30 * MIB).await;
                    tokio::time::sleep(Duration::from_millis(n % 5)).await;
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_hours(1), tasks.join_all()).await;
        assert!(all.is_ok(), "{} bytes are held", budget.held());
        assert_eq!(budget.held(), 0);
        assert!(budget.peak() <= 40 * MIB);
    }
}
