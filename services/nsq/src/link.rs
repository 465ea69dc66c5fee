//! What holders of messages and the consumer know of one connection: the commands that go to it, what is in flight on
//! it. The bytes are `connection.rs`'s.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::delivery::{Delivery, Lost};
use crate::frame::{Id, Negotiated, Refused};

/// A subscribed connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// `host:port`.
    pub(crate) address: Arc<str>,
    pub(crate) negotiated: Negotiated,
    /// Without a bound of its own: each message in flight has at most one answer and a few touches on the way, and the
    /// connection ends when what was written is not taken within the write time-out.
    commands: mpsc::UnboundedSender<Command>,
    in_flight: Mutex<InFlight>,
    /// The RDY count last asked for.
    ready: AtomicU32,
    received: AtomicU64,
}

/// What the connection is to send, in this order.
#[derive(Debug)]
pub(crate) enum Command {
    Ready(u32),
    Finish(Arc<Delivery>),
    /// With somebody who waits for the answer, or not.
    Requeue(Arc<Delivery>, Duration, Option<Answer>),
    Touch(Id),
    /// The holder of a lost message is done with it: nothing to send.
    Forget(Arc<Delivery>),
    Heartbeat,
    Close,
    /// nsqd will send no more messages.
    CloseConfirmed,
    /// nsqd has answered a requeue: nothing to send, but perhaps the last thing to wait for.
    Answered,
}

pub(crate) type Answer = oneshot::Sender<Result<(), Lost>>;

#[derive(Debug, Default)]
struct InFlight {
    messages: HashMap<Id, Arc<Delivery>>,
    /// Requeues that await nsqd's word, in the order of their fences.
    fences: VecDeque<Fence>,
    fence_number: u32,
    most_ready: u32,
}

#[derive(Debug)]
struct Fence {
    id: Id,
    message: Id,
    answer: Option<Answer>,
}

impl Link {
    pub(crate) fn new(address: Arc<str>, negotiated: Negotiated) -> (Arc<Self>, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let link = Self {
            address,
            negotiated,
            commands,
            in_flight: Mutex::default(),
            ready: AtomicU32::new(0),
            received: AtomicU64::new(0),
        };
        (Arc::new(link), receiver)
    }

    /// Without effect when the connection has ended: its messages are lost then.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    pub(crate) fn ask_for(&self, ready: u32) {
        if self.ready.swap(ready, Ordering::Relaxed) != ready {
            let mut in_flight = self.in_flight();
            in_flight.most_ready = in_flight.most_ready.max(ready);
            drop(in_flight);
            self.send(Command::Ready(ready));
        }
    }

    pub(crate) fn ready(&self) -> u32 {
        self.ready.load(Ordering::Relaxed)
    }

    /// Messages received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn in_flight_count(&self) -> usize {
        self.in_flight().messages.len()
    }

    /// Takes note of a delivery, unless nsqd sends far more than it was asked for. More than that can be there for a
    /// moment: what timed out at nsqd is not counted by it any more, and is still with us.
    pub(crate) fn add(&self, delivery: Arc<Delivery>) -> Result<(), usize> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let mut in_flight = self.in_flight();
        let most = 64 + 4 * usize::try_from(in_flight.most_ready).unwrap_or(usize::MAX / 8);
        if in_flight.messages.len() >= most {
            return Err(most);
        }
        let earlier = in_flight.messages.insert(delivery.id, delivery);
        drop(in_flight);
        if let Some(earlier) = earlier {
            earlier.lose(Lost::DeliveredAgain);
        }
        Ok(())
    }

    /// Whether this delivery is still the one that nsqd means by its id; it is not in flight any more afterwards.
    pub(crate) fn remove(&self, delivery: &Arc<Delivery>) -> bool {
        let mut in_flight = self.in_flight();
        let current = in_flight.messages.get(&delivery.id).is_some_and(|known| Arc::ptr_eq(known, delivery));
        current && in_flight.messages.remove(&delivery.id).is_some()
    }

    /// The id whose TOUCH goes behind this requeue.
    pub(crate) fn fence(&self, message: Id, answer: Answer) -> Id {
        let mut in_flight = self.in_flight();
        in_flight.fence_number = in_flight.fence_number.wrapping_add(1);
        let id = Id::fence(in_flight.fence_number);
        in_flight.fences.push_back(Fence { id, message, answer: Some(answer) });
        id
    }

    /// Whether nsqd's word on a requeue is still to come.
    pub(crate) fn awaits_answers(&self) -> bool {
        !self.in_flight().fences.is_empty()
    }

    /// Takes in nsqd's word that a message is not in flight.
    pub(crate) fn refused(&self, refused: Refused) {
        let mut in_flight = self.in_flight();
        match refused {
            Refused::Requeue(id) => {
                let mut fences = in_flight.fences.iter_mut();
                let answer = fences.find(|fence| fence.message == id).and_then(|fence| fence.answer.take());
                answer.map(|answer| answer.send(Err(Lost::NotInFlight)));
            }
            Refused::Touch(id) => {
                if let Some(place) = in_flight.fences.iter().position(|fence| fence.id == id) {
                    for answer in in_flight.fences.drain(..=place).filter_map(|fence| fence.answer) {
                        let _ = answer.send(Ok(()));
                    }
                    self.send(Command::Answered);
                } else if let Some(delivery) = in_flight.messages.get(&id).map(Arc::clone) {
                    drop(in_flight);
                    delivery.lose(Lost::NotInFlight);
                }
            }
            // Whoever finished it is done with it.
            Refused::Finish(_) => {}
        }
    }

    /// The connection has ended: all that was in flight is lost, and who awaits an answer gets none.
    pub(crate) fn end(&self) {
        let mut in_flight = self.in_flight();
        let messages = std::mem::take(&mut in_flight.messages);
        in_flight.fences.clear();
        drop(in_flight);
        for delivery in messages.into_values() {
            delivery.lose(Lost::Disconnected);
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
