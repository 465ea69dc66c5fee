//! The memory of uploads: one account for all of them, so that the sum is bounded whatever the number of uploads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The account. A byte is a permit; who asks first gets first, so that a large buffer is not starved by small ones.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Arc<Semaphore>,
    total: usize,
    peak: AtomicUsize,
}

/// A buffer and its place in the account, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    _permit: OwnedSemaphorePermit,
}

impl Buffers {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { free: Arc::new(Semaphore::new(total)), total, peak: AtomicUsize::new(0) }
    }

    /// Waits until this many bytes are free. What is larger than the whole account takes all of it and is alone.
    pub(crate) async fn lease(&self, bytes: usize) -> Lease {
        let bytes = bytes.min(self.total);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.free).acquire_many_owned(permits).await;
        // Nobody closes the semaphore.
        let permit = permit.unwrap_or_else(|_| unreachable!("the account of buffers is never closed"));
        self.peak.fetch_max(self.total - self.free.available_permits(), Ordering::Relaxed);
        Lease { _permit: permit }
    }

    /// The most that was ever leased at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}
