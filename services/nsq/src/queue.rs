//! What was delivered and not yet taken by the worker. How much that can be, nsqd's RDY count decides.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Message;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Queue {
    /// Takes a message in; when closed, it goes back to nsqd.
    pub(crate) fn push(&self, message: Message) {
        let mut state = self.state();
        // While the worker is busy, what waits here times out and is delivered again, for as long as that goes on.
        while state.messages.front().is_some_and(|oldest| oldest.is_lost().is_some()) {
            state.messages.pop_front();
        }
        if !state.closed {
            state.messages.push_back(message);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// The next message that is still ours; `None` when closed. For one caller at a time; cancel-safe.
    pub(crate) async fn pop(&self) -> Option<Message> {
        tokio::task::consume_budget().await;
        loop {
            {
                let mut state = self.state();
                while let Some(message) = state.messages.pop_front() {
                    if message.is_lost().is_none() {
                        return Some(message);
                    }
                }
                if state.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// What is in it goes back to nsqd, and so does what comes.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let messages = std::mem::take(&mut state.messages);
        drop(state);
        drop(messages);
        self.arrived.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
