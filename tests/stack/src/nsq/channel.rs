//! A channel: messages that wait, are in flight or are held back, and the clients that take them. One lock holds its
//! state, one task its clock. Knows nothing of connections but `Client`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::journal::{ChannelImage, Journal, Record};
use super::message::{Budget, Message, Share, nanoseconds, wall_clock};

/// How many messages an ephemeral queue holds; nsqd drops what comes then.
pub(super) const EPHEMERAL_LENGTH: usize = 10_000;

/// Longest sleep of a clock that has nothing to wait for.
const IDLE: Duration = Duration::from_hours(1);

/// Output after which a delivery pauses, so that it is written before more is taken.
const FULL_OUTPUT: usize = 64 * 1024;

/// The queue of one channel of one topic.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) is_ephemeral: bool,
    /// Wakes one client that would take a message.
    pub(super) ready: Notify,
    /// Set when the channel was deleted.
    pub(super) closed: CancellationToken,
    state: Mutex<State>,
    rearm: Notify,
    /// Where changes are written, if anywhere, and the name of the topic there.
    journal: Option<(Arc<Journal>, String)>,
    _share: Share,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    in_flight: HashMap<u64, InFlight>,
    /// The time-outs of what is in flight.
    timeouts: BTreeSet<(Instant, u64)>,
    /// By the time at which they join the queue.
    deferred: BTreeMap<(Instant, u64), Message>,
    clients: HashMap<u64, Arc<Client>>,
    is_paused: bool,
    /// When the clock looks next.
    armed: Option<Instant>,
    messages: u64,
    requeues: u64,
    timed_out: u64,
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    client: u64,
    delivered: Instant,
    timeout: Instant,
}

/// Why a message that a client names cannot be finished, requeued or touched. The texts are nsqd's.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum NotIts {
    #[error("ID not in flight")]
    NotInFlight,
    #[error("client does not own message")]
    Anothers,
}

impl Channel {
    /// The channel is written to the journal, which has the topic by this name, unless it is ephemeral.
    pub(super) fn new(name: &str, share: Share, journal: Option<(Arc<Journal>, String)>) -> Self {
        let is_ephemeral = name.ends_with("#ephemeral");
        Self {
            name: name.to_owned(),
            is_ephemeral,
            journal: journal.filter(|_| !is_ephemeral),
            ready: Notify::new(),
            closed: CancellationToken::new(),
            state: Mutex::default(),
            rearm: Notify::new(),
            _share: share,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a change to the journal. Under the lock, so that the journal has the changes in their order.
    fn note<'a>(&'a self, record: impl FnOnce(&'a str, &'a str) -> Record<'a>) {
        if let Some((journal, topic)) = &self.journal {
            journal.note(record(topic, &self.name));
        }
    }

    /// Takes back what it held in an earlier run of the server.
    pub(super) fn restore(&self, image: &ChannelImage, budget: &Arc<Budget>, longest_delay: Duration) {
        let mut state = self.state();
        state.is_paused = image.is_paused;
        let now = (wall_clock(), Instant::now());
        for stored in image.messages.values() {
            let message = Message::restore(stored, budget);
            // Were the clock set back, the message would wait for ever.
            let left = u64::try_from(stored.due - now.0).map_or(Duration::ZERO, Duration::from_nanos);
            let left = left.min(longest_delay);
            state.messages += 1;
            if left.is_zero() {
                state.queue.push_back(message);
            } else {
                state.deferred.insert((now.1 + left, message.id), message);
            }
        }
        self.rearm.notify_one();
    }

    /// Takes messages from the topic.
    pub(super) fn put(&self, messages: impl IntoIterator<Item = Message>) {
        let mut state = self.state();
        for message in messages {
            state.messages += 1;
            if message.delay.is_zero() {
                self.enqueue(&mut state, message);
            } else {
                let due = Instant::now() + message.delay;
                state.deferred.insert((due, message.id), message);
                self.arm(&mut state, due);
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    fn enqueue(&self, state: &mut State, message: Message) {
        if !self.is_ephemeral || state.queue.len() < EPHEMERAL_LENGTH {
            state.queue.push_back(message);
        }
    }

    /// The clock must look at this time, if not earlier.
    fn arm(&self, state: &mut State, due: Instant) {
        if state.armed.is_none_or(|armed| due < armed) {
            state.armed = Some(due);
            self.rearm.notify_one();
        }
    }

    /// Gives the client as many messages as it has room for, but leaves the other clients theirs. True if it could have
    /// more at once.
    pub(super) fn deliver(&self, client: &Client, terms: &Terms, out: &mut Vec<u8>) -> bool {
        let room = client.room();
        if room == 0 {
            return false;
        }
        let mut state = self.state();
        if state.is_paused || state.queue.is_empty() || self.closed.is_cancelled() {
            return false;
        }
        let share = state.queue.len().div_ceil(state.clients.len().max(1)).min(room);
        let now = Instant::now();
        let timeout = now + terms.msg_timeout;
        for _ in 0..share {
            let Some(mut message) = state.queue.pop_front() else { break };
            if terms.sample_rate > 0 && fastrand::i32(0..100) > terms.sample_rate {
                continue;
            }
            message.attempts = message.attempts.saturating_add(1);
            message.encode(out);
            client.in_flight.fetch_add(1, Ordering::Relaxed);
            client.messages.fetch_add(1, Ordering::Relaxed);
            state.timeouts.insert((timeout, message.id));
            state.in_flight.insert(message.id, InFlight { message, client: client.id, delivered: now, timeout });
            if out.len() >= FULL_OUTPUT {
                break;
            }
        }
        self.arm(&mut state, timeout);
        let more = !state.queue.is_empty();
        drop(state);
        if more {
            self.ready.notify_one();
        }
        more && client.room() > 0
    }

    pub(super) fn finish(&self, client: &Client, id: Option<u64>) -> Result<(), NotIts> {
        let mut state = self.state();
        let id = state.take(client, id)?.message.id;
        client.finished.fetch_add(1, Ordering::Relaxed);
        self.note(|topic, channel| Record::Finish { topic, channel, id });
        Ok(())
    }

    pub(super) fn requeue(&self, client: &Client, id: Option<u64>, delay: Duration) -> Result<(), NotIts> {
        let mut state = self.state();
        let message = state.take(client, id)?.message;
        client.requeued.fetch_add(1, Ordering::Relaxed);
        state.requeues += 1;
        let (id, attempts) = (message.id, message.attempts);
        let due = if delay.is_zero() { 0 } else { wall_clock() + nanoseconds(delay) };
        self.note(|topic, channel| Record::Requeue { topic, channel, id, attempts, due });
        if delay.is_zero() {
            self.enqueue(&mut state, message);
        } else {
            let due = Instant::now() + delay;
            state.deferred.insert((due, message.id), message);
            self.arm(&mut state, due);
        }
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Gives the client its time-out again, counted from now, but not beyond `longest` after delivery.
    pub(super) fn touch(
        &self,
        client: &Client,
        id: Option<u64>,
        terms: &Terms,
        longest: Duration,
    ) -> Result<(), NotIts> {
        let mut state = self.state();
        let id = state.check(client, id)?;
        let Some(flight) = state.in_flight.get_mut(&id) else { return Err(NotIts::NotInFlight) };
        let before = flight.timeout;
        flight.timeout = (Instant::now() + terms.msg_timeout).min(flight.delivered + longest);
        let after = flight.timeout;
        state.timeouts.remove(&(before, id));
        state.timeouts.insert((after, id));
        self.arm(&mut state, after);
        Ok(())
    }

    /// False if the channel was deleted meanwhile, as an ephemeral one is when its last client leaves.
    pub(super) fn add(&self, client: &Arc<Client>) -> bool {
        let mut state = self.state();
        if self.closed.is_cancelled() {
            return false;
        }
        state.clients.insert(client.id, Arc::clone(client));
        true
    }

    /// The client has gone. What it had in flight waits for its time-out, as in nsqd 1.2.0. True if it was the last.
    pub(super) fn remove(&self, client: &Client) -> bool {
        let mut state = self.state();
        state.clients.remove(&client.id);
        let is_last = state.clients.is_empty();
        drop(state);
        // It may have been woken for a message that it did not take.
        self.ready.notify_one();
        is_last
    }

    pub(super) fn pause(&self, is_paused: bool) {
        let mut state = self.state();
        state.is_paused = is_paused;
        self.note(|topic, channel| Record::Channel { topic, channel, is_paused });
        drop(state);
        self.ready.notify_one();
    }

    /// Discards every message, those in flight as well.
    pub(super) fn empty(&self) {
        let mut state = self.state();
        self.note(|topic, channel| Record::EmptyChannel { topic, channel });
        state.discard();
    }

    /// The end of the channel: its messages go, and the connections of its clients close.
    pub(super) fn close(&self) {
        self.closed.cancel();
        let mut state = self.state();
        state.discard();
        for client in state.clients.values() {
            client.close();
        }
    }

    /// Moves what timed out or is due to the queue, for as long as the channel lives.
    pub(super) async fn run_clock(self: Arc<Self>) {
        loop {
            let next = self.tick(Instant::now());
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.rearm.notified() => {}
                () = self.closed.cancelled() => return,
            }
        }
    }

    fn tick(&self, now: Instant) -> Instant {
        let mut state = self.state();
        let mut moved = false;
        while let Some(&(timeout, id)) = state.timeouts.first().filter(|(timeout, _)| *timeout <= now) {
            state.timeouts.remove(&(timeout, id));
            let Some(flight) = state.in_flight.remove(&id) else { continue };
            state.timed_out += 1;
            if let Some(client) = state.clients.get(&flight.client) {
                client.lost_one();
            }
            self.enqueue(&mut state, flight.message);
            moved = true;
        }
        while let Some(entry) = state.deferred.first_entry().filter(|entry| entry.key().0 <= now) {
            let message = entry.remove();
            self.enqueue(&mut state, message);
            moved = true;
        }
        let due = state.deferred.first_key_value().map(|((due, _), _)| *due);
        let timeout = state.timeouts.first().map(|(timeout, _)| *timeout);
        let next = due.into_iter().chain(timeout).min();
        state.armed = next;
        drop(state);
        if moved {
            self.ready.notify_one();
        }
        next.unwrap_or(now + IDLE)
    }

    pub(super) fn statistics(&self, with_clients: bool) -> Value {
        let state = self.state();
        let mut clients = Value::Null;
        if with_clients {
            clients = state.clients.values().map(|client| client.statistics()).collect();
        }
        json!({
            "channel_name": self.name,
            "depth": state.queue.len(),
            "backend_depth": 0,
            "in_flight_count": state.in_flight.len(),
            "deferred_count": state.deferred.len(),
            "message_count": state.messages,
            "requeue_count": state.requeues,
            "timeout_count": state.timed_out,
            "client_count": state.clients.len(),
            "clients": clients,
            "paused": state.is_paused,
            "e2e_processing_latency": { "count": 0, "percentiles": null },
        })
    }
}

/// What a client negotiated that bears on delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) msg_timeout: Duration,
    /// Percent of the messages that it gets; 0 is all.
    pub(super) sample_rate: i32,
}

impl State {
    fn discard(&mut self) {
        self.queue.clear();
        self.in_flight.clear();
        self.timeouts.clear();
        self.deferred.clear();
        for client in self.clients.values() {
            client.in_flight.store(0, Ordering::Relaxed);
            client.wake.notify_one();
        }
    }

    fn check(&self, client: &Client, id: Option<u64>) -> Result<u64, NotIts> {
        let id = id.ok_or(NotIts::NotInFlight)?;
        let flight = self.in_flight.get(&id).ok_or(NotIts::NotInFlight)?;
        if flight.client == client.id { Ok(id) } else { Err(NotIts::Anothers) }
    }

    fn take(&mut self, client: &Client, id: Option<u64>) -> Result<InFlight, NotIts> {
        let id = self.check(client, id)?;
        let flight = self.in_flight.remove(&id).ok_or(NotIts::NotInFlight)?;
        self.timeouts.remove(&(flight.timeout, id));
        client.in_flight.fetch_sub(1, Ordering::Relaxed);
        Ok(flight)
    }
}
