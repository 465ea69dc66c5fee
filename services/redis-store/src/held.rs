//! Something that is ours for a time and renewed as long as we live: what claims and leases have in common.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use failing::{Backoff, chain};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::Error;

/// A claim or a lease that we hold. A task of its own renews it, whatever the holder does meanwhile.
///
/// It is lost when Redis says so, or when it could not be renewed for half its time (07 A.4): the holder has the other
/// half to stop before anybody else may begin. Time is counted by a clock that nobody sets, from before the request
/// that renewed it was sent, so the holder never believes longer than Redis does.
///
/// Dropped without [`release`](Self::release), it ends by itself when its time is over.
#[must_use = "it is renewed only as long as it lives"]
pub struct Held {
    what: Arc<dyn Renewable>,
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

/// Why it is not ours any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    #[error("it could not be renewed for half its time")]
    NotRenewed,
    #[error("somebody else has it")]
    Taken,
    /// Its time was over, somebody released it, or the item's hash was deleted.
    #[error("it is not there any more")]
    Gone,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Ours { until: Instant },
    Lost(Loss),
}

/// What is held, and how; shown as `the claim on …`.
pub(crate) trait Renewable: fmt::Display + Send + Sync {
    fn renew(&self) -> Answer<'_, Result<(), Loss>>;

    /// If it is still ours; otherwise nothing.
    fn release(&self) -> Answer<'_, ()>;
}

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// In parts of the time: how often it is renewed, and how soon, and how late, a failed attempt is repeated.
const RENEWALS: u32 = 6;
const SOONEST: u32 = 40;
const LATEST: u32 = 20;

impl Held {
    /// What was taken by a request that was sent after `since`.
    pub(crate) fn keep(what: Arc<dyn Renewable>, since: Instant, time: Duration) -> Self {
        let (sender, state) = watch::channel(State::Ours { until: since + time });
        let keeper = tokio::spawn(keep(Arc::clone(&what), since, time, sender));
        Self { what, state, keeper }
    }

    /// Completes when it is lost.
    pub async fn lost(&self) -> Loss {
        let mut state = self.state.clone();
        loop {
            if let State::Lost(loss) = *state.borrow_and_update() {
                return loss;
            }
            if state.changed().await.is_err() {
                return Loss::NotRenewed;
            }
        }
    }

    /// Until when nobody else can have it, as far as is known now.
    pub fn check(&self) -> Result<Instant, Loss> {
        match *self.state.borrow() {
            State::Lost(loss) => Err(loss),
            // The process may have been stopped for a while.
            State::Ours { until } if Instant::now() >= until => Err(Loss::NotRenewed),
            State::Ours { until } => Ok(until),
        }
    }

    /// Ends the renewing, and gives it up if it is still ours, lost or not.
    pub async fn release(mut self) -> Result<(), Error> {
        self.keeper.abort();
        // It is not in the middle of anything any more.
        let _ = (&mut self.keeper).await;
        self.what.release().await
    }

    /// Ends the renewing and nothing else: it stays for the rest of its time.
    pub fn leave(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// What, and for how long: a claim knows its whole store.
impl fmt::Debug for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, state, keeper: _ } = self;
        out.debug_struct("Held").field("what", &format_args!("{what}")).field("state", &*state.borrow()).finish()
    }
}

async fn keep(what: Arc<dyn Renewable>, since: Instant, time: Duration, state: watch::Sender<State>) {
    let mut renewed = since;
    let mut next = renewed + time / RENEWALS;
    let backoff = Backoff { first: time / SOONEST, longest: time / LATEST };
    let mut failures = 0;
    loop {
        let half = renewed + time / 2;
        sleep_until(next.min(half)).await;
        let begun = Instant::now();
        if begun >= half {
            state.send_replace(State::Lost(Loss::NotRenewed));
            return;
        }
        match timeout_at(half, what.renew()).await {
            Ok(Ok(Ok(()))) => {
                renewed = begun;
                failures = 0;
                next = renewed + time / RENEWALS;
                state.send_replace(State::Ours { until: renewed + time });
            }
            Ok(Ok(Err(loss))) => {
                state.send_replace(State::Lost(loss));
                return;
            }
            Ok(Err(error)) => {
                failures += 1;
                tracing::warn!(error = %chain(&error), "{what} could not be renewed");
                next = Instant::now() + backoff.after(failures);
            }
            Err(_elapsed) => {
                state.send_replace(State::Lost(Loss::NotRenewed));
                return;
            }
        }
    }
}
