//! One delivery of a message: until when it is ours, and why it is not any more. Its holder is `message.rs`, its connection
//! `link.rs`; both know it by this.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::frame::Id;

/// One delivery of a message, as the connection and the holder both know it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: Id,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) deadline: Instant,
    pub(crate) lost: Option<Lost>,
}

/// Why a message is not ours any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("its time ran out without an answer")]
    TimedOut,
    /// `E_FIN_FAILED`, `E_REQ_FAILED` or `E_TOUCH_FAILED`.
    #[error("nsqd does not have it in flight for us any more")]
    NotInFlight,
    #[error("nsqd delivered it again")]
    DeliveredAgain,
    #[error("the connection that it came from has ended")]
    Disconnected,
}

impl Delivery {
    pub(crate) fn new(id: Id, deadline: Instant) -> Self {
        Self { id, state: Mutex::new(State { deadline, lost: None }), changed: Notify::new() }
    }

    /// Completes when it is lost.
    pub(crate) async fn lost(&self) -> Lost {
        loop {
            let changed = self.changed.notified();
            let deadline = {
                let state = self.state();
                match state.valid() {
                    Ok(()) => state.deadline,
                    Err(lost) => return lost,
                }
            };
            tokio::select! {
                () = changed => {}
                // A touch may have moved it meanwhile.
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// The first reason stays.
    pub(crate) fn lose(&self, reason: Lost) {
        self.state().lost.get_or_insert(reason);
        self.changed.notify_waiters();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn valid(&self) -> Result<(), Lost> {
        match self.lost {
            Some(lost) => Err(lost),
            None if Instant::now() >= self.deadline => Err(Lost::TimedOut),
            None => Ok(()),
        }
    }
}
