//! A message and the three answers to it. What the connection does with them is in `connection.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::delivery::{Delivery, Lost};
use crate::frame::Id;
use crate::link::{Command, Link};

/// A message that nsqd handed to us and that it waits to hear about until [`deadline`](Self::deadline).
///
/// nsqd confirms neither FIN nor TOUCH; it only says when one came too late, and that arrives at any time after. Such an
/// answer is expected, not a fault (07 A.5): it makes the message [`lost`](Self::lost), as does the end of the
/// connection or the passing of the deadline. A lost message is nsqd's again: somebody will get it, or has it already.
///
/// **Dropped without an answer, it goes back to the queue at once** (REQ with no delay): whoever held it is gone, by a
/// panic or a shutdown, and nsqd would otherwise keep it until its time-out. The attempt counts either way.
#[must_use = "a message that is dropped goes back to the queue"]
pub struct Message {
    /// How often nsqd has handed it out, this time included. It stops at 65,535.
    pub attempts: u16,
    /// When it was published, in nanoseconds since 1970.
    pub timestamp: i64,
    pub body: Box<[u8]>,
    delivery: Arc<Delivery>,
    link: Arc<Link>,
    /// When it was received; nsqd counts from when it sent it, a moment before.
    delivered: Instant,
    answered: bool,
}

/// A touch that would gain less than this part of the time-out is not sent.
const LEAST_GAIN: u32 = 100;

impl Message {
    pub(crate) fn new(link: &Arc<Link>, id: Id, attempts: u16, timestamp: i64, body: Box<[u8]>) -> Self {
        let delivered = Instant::now();
        let delivery = Arc::new(Delivery::new(id, delivered + link.negotiated.message_timeout));
        Self { attempts, timestamp, body, delivery, link: Arc::clone(link), delivered, answered: false }
    }

    pub fn id(&self) -> Id {
        self.delivery.id
    }

    /// The nsqd that it came from, as `host:port`.
    pub fn source(&self) -> &str {
        &self.link.address
    }

    /// Until when nsqd waits for an answer or a touch. Its own clock started a moment earlier.
    pub fn deadline(&self) -> Instant {
        self.delivery.state().deadline
    }

    /// The latest deadline that touching can bring about (07 A.6).
    pub fn final_deadline(&self) -> Instant {
        let negotiated = self.link.negotiated;
        self.delivered + negotiated.max_message_timeout.max(negotiated.message_timeout)
    }

    /// How often to touch: a third of the time-out that nsqd announced (07 A.6).
    pub fn touch_interval(&self) -> Duration {
        self.link.negotiated.message_timeout / 3
    }

    /// Asks for the whole time-out again, counted from now, and returns the deadline that follows. It never asks where
    /// that would bring the deadline forward, as a TOUCH does beyond nsqd's maximum.
    pub fn touch(&self) -> Result<Instant, Lost> {
        let negotiated = self.link.negotiated;
        let mut state = self.delivery.state();
        state.valid()?;
        let cap = self.delivered + negotiated.max_message_timeout;
        let deadline = (Instant::now() + negotiated.message_timeout).min(cap);
        if deadline > state.deadline + negotiated.message_timeout / LEAST_GAIN {
            self.link.send(Command::Touch(self.delivery.id));
            state.deadline = deadline;
        }
        Ok(state.deadline)
    }

    /// FIN: it is done. An error means that it will be, or was, delivered again; nothing is to be done about it.
    pub fn finish(mut self) -> Result<(), Lost> {
        self.answered = true;
        let valid = self.delivery.state().valid();
        // After the deadline by our clock it may still be in time by nsqd's.
        self.give_back(Command::Finish);
        valid
    }

    /// REQ: deliver it again after the delay, which nsqd cuts to its `--max-req-timeout` (an hour by default).
    ///
    /// nsqd does not confirm this either. But a refused REQ must be noticed, since a deferred publish takes its place
    /// (07 A.5): behind it goes a TOUCH of an id that cannot exist, which nsqd always answers, in order. Its log then
    /// has a line `E_TOUCH_FAILED TOUCH fence-…` for each requeue.
    ///
    /// [`Lost::Disconnected`] leaves open whether nsqd got it; if not, the message comes back when its time is out.
    pub async fn requeue(mut self, delay: Duration) -> Result<(), Lost> {
        self.answered = true;
        let (answer, answered) = oneshot::channel();
        self.give_back(|delivery| Command::Requeue(delivery, delay, Some(answer)));
        match answered.await {
            Ok(answer) => answer,
            Err(_closed) => Err(self.delivery.state().lost.unwrap_or(Lost::Disconnected)),
        }
    }

    /// Completes when the message is not ours any more. Nothing needs to be answered then.
    pub async fn lost(&self) -> Lost {
        self.delivery.lost().await
    }

    /// The same at this moment.
    pub fn is_lost(&self) -> Option<Lost> {
        self.delivery.state().valid().err()
    }

    fn give_back(&self, answer: impl FnOnce(Arc<Delivery>) -> Command) {
        let delivery = Arc::clone(&self.delivery);
        let lost = self.delivery.state().lost;
        self.link.send(if lost.is_none() { answer(delivery) } else { Command::Forget(delivery) });
    }

    pub(crate) fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.answered {
            // What has timed out is nsqd's again, and a REQ could hit its next delivery.
            if self.is_lost() == Some(Lost::TimedOut) {
                self.delivery.lose(Lost::TimedOut);
            }
            self.give_back(|delivery| Command::Requeue(delivery, Duration::ZERO, None));
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.delivery.id)
            .field("attempts", &self.attempts)
            .field("body", &format_args!("{}", self.body[..self.body.len().min(64)].escape_ascii()))
            .field("source", &self.link.address)
            .finish_non_exhaustive()
    }
}
