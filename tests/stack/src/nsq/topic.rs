//! A topic: hands each message to every channel, and keeps it while there is none or while it is paused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use serde_json::{Value, json};

use super::channel::{Channel, EPHEMERAL_LENGTH};
use super::journal::{Journal, Record, Stored, TopicImage};
use super::message::{Budget, Full, Message, Share};
use super::tasks::Tasks;

/// What a topic or channel costs of the budget of memory.
const COST: usize = 2048;

/// A topic of one nsqd.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) is_ephemeral: bool,
    state: Mutex<State>,
    /// Where changes are written, if anywhere.
    journal: Option<Arc<Journal>>,
    _share: Share,
}

#[derive(Debug, Default)]
struct State {
    channels: BTreeMap<String, Arc<Channel>>,
    backlog: VecDeque<Message>,
    /// The channels that nsqlookupd knows exist here as well; until then every message waits.
    is_started: bool,
    is_paused: bool,
    is_deleted: bool,
    messages: u64,
    bytes: u64,
}

/// Why a publication was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the messages held take all memory that they may")]
    Full,
    /// The topic was deleted meanwhile.
    #[error("exiting")]
    Exiting,
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] io::Error),
}

impl From<Full> for Refused {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl Topic {
    /// The topic is written to the journal unless it is ephemeral.
    pub(super) fn new(name: &str, budget: &Arc<Budget>, journal: Option<&Arc<Journal>>) -> Result<Self, Full> {
        let is_ephemeral = name.ends_with("#ephemeral");
        let share = budget.take(COST)?;
        let journal = journal.filter(|_| !is_ephemeral).cloned();
        Ok(Self { name: name.to_owned(), is_ephemeral, state: Mutex::default(), journal, _share: share })
    }

    /// Writes a change to the journal. Under the lock, so that the journal has the changes in their order.
    fn note<'a>(&'a self, record: impl FnOnce(&'a str) -> Record<'a>) {
        if let Some(journal) = &self.journal {
            journal.note(record(&self.name));
        }
    }

    /// Takes back what it held in an earlier run of the server, with its channels.
    pub(super) fn restore(
        &self,
        image: &TopicImage,
        budget: &Arc<Budget>,
        tasks: &Tasks,
        longest_delay: Duration,
    ) -> Result<(), Full> {
        let mut state = self.state();
        state.is_paused = image.is_paused;
        state.is_started = true;
        for (name, image) in &image.channels {
            let channel = Arc::new(Channel::new(name, budget.take(COST)?, self.journal_for_channel()));
            channel.restore(image, budget, longest_delay);
            tasks.spawn(Arc::clone(&channel).run_clock());
            state.channels.insert(name.clone(), channel);
        }
        let message = |stored: &Stored| {
            let mut message = Message::restore(stored, budget);
            message.delay = Duration::from_nanos(u64::try_from(stored.due).unwrap_or_default());
            message
        };
        state.backlog.extend(image.backlog.values().map(message));
        state.pass_on();
        Ok(())
    }

    fn journal_for_channel(&self) -> Option<(Arc<Journal>, String)> {
        self.journal.clone().map(|journal| (journal, self.name.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts messages: they stand in all channels, or in the backlog, when this returns.
    pub(super) fn publish(&self, messages: Vec<Message>) -> Result<(), Refused> {
        let mut state = self.state();
        if state.is_deleted {
            return Err(Refused::Exiting);
        }
        if let Some(journal) = &self.journal {
            let record = |message: &Message| Record::Publish { topic: &self.name, message: message.stored() };
            journal.write(messages.iter().map(record))?;
        }
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            count += 1;
            bytes += message.body.len() as u64;
            if !self.is_ephemeral || state.backlog.len() < EPHEMERAL_LENGTH {
                state.backlog.push_back(message);
            }
        }
        state.messages += count;
        state.bytes += bytes;
        state.pass_on();
        Ok(())
    }

    /// The channel, made if it is not there, and whether it was made.
    pub(super) fn channel(
        &self,
        name: &str,
        budget: &Arc<Budget>,
        tasks: &Tasks,
    ) -> Result<(Arc<Channel>, bool), Full> {
        let mut state = self.state();
        if let Some(channel) = state.channels.get(name) {
            return Ok((Arc::clone(channel), false));
        }
        let channel = Arc::new(Channel::new(name, budget.take(COST)?, self.journal_for_channel()));
        if !channel.is_ephemeral {
            self.note(|topic| Record::Channel { topic, channel: name, is_paused: false });
        }
        state.channels.insert(name.to_owned(), Arc::clone(&channel));
        tasks.spawn(Arc::clone(&channel).run_clock());
        state.pass_on();
        Ok((channel, true))
    }

    pub(super) fn existing_channel(&self, name: &str) -> Option<Arc<Channel>> {
        self.state().channels.get(name).map(Arc::clone)
    }

    /// Takes the channel away; the caller closes it. The number says how many are left.
    pub(super) fn remove_channel(&self, name: &str) -> Option<(Arc<Channel>, usize)> {
        let mut state = self.state();
        let channel = state.channels.remove(name)?;
        self.note(|topic| Record::DropChannel { topic, channel: name });
        Some((channel, state.channels.len()))
    }

    pub(super) fn channel_names(&self) -> Vec<String> {
        self.state().channels.keys().cloned().collect()
    }

    /// From now on messages go to the channels.
    pub(super) fn start(&self) {
        let mut state = self.state();
        state.is_started = true;
        state.pass_on();
    }

    pub(super) fn pause(&self, is_paused: bool) {
        let mut state = self.state();
        state.is_paused = is_paused;
        self.note(|topic| Record::Topic { topic, is_paused });
        state.pass_on();
    }

    /// Discards what waits in the topic itself.
    pub(super) fn empty(&self) {
        let mut state = self.state();
        self.note(|topic| Record::EmptyTopic { topic });
        state.backlog.clear();
    }

    /// Discards what the channel holds. Under the lock of the topic, so that the journal does not have it before a
    /// message that it discards.
    pub(super) fn empty_channel(&self, channel: &Channel) {
        let state = self.state();
        channel.empty();
        drop(state);
    }

    /// The end of the topic, with its channels.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_deleted = true;
        state.backlog.clear();
        let channels = mem::take(&mut state.channels);
        drop(state);
        for channel in channels.values() {
            channel.close();
        }
    }

    /// `only` names the one channel that is asked for; none if the topic does not have it.
    pub(super) fn statistics(&self, only: Option<&str>, with_clients: bool) -> Option<Value> {
        let state = self.state();
        if only.is_some_and(|name| !state.channels.contains_key(name)) {
            return None;
        }
        let wanted = state.channels.values().filter(|channel| only.is_none_or(|name| name == channel.name));
        let channels: Vec<Value> = wanted.map(|channel| channel.statistics(with_clients)).collect();
        Some(json!({
            "topic_name": self.name,
            "channels": channels,
            "depth": state.backlog.len(),
            "backend_depth": 0,
            "message_count": state.messages,
            "message_bytes": state.bytes,
            "paused": state.is_paused,
            "e2e_processing_latency": { "count": 0, "percentiles": null },
        }))
    }
}

impl State {
    fn flows(&self) -> bool {
        self.is_started && !self.is_paused && !self.channels.is_empty()
    }

    /// Moves the backlog to the channels, if it may go.
    fn pass_on(&mut self) {
        if !self.flows() || self.backlog.is_empty() {
            return;
        }
        let mut channels = self.channels.values();
        let first = channels.next();
        for channel in channels {
            channel.put(self.backlog.iter().map(Message::copy));
        }
        if let Some(first) = first {
            first.put(self.backlog.drain(..));
        }
    }
}
