//! What a journal amounts to: topics, channels and messages, by the same rules as the live ones. Pure.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::record::Record;

/// A message as the journal has it.
#[derive(Debug, Clone)]
pub(in super::super) struct Stored {
    pub(in super::super) id: u64,
    pub(in super::super) timestamp: i64,
    pub(in super::super) attempts: u16,
    /// In a topic the delay that a channel will give it; in a channel the time of the wall clock until which it is held
    /// back. Nanoseconds; 0 is none.
    pub(in super::super) due: i64,
    pub(in super::super) body: Arc<[u8]>,
}

/// Messages by id, which is the order in which they came.
pub(in super::super) type Messages = BTreeMap<u64, Stored>;

#[derive(Debug, Default)]
pub(in super::super) struct Image {
    pub(in super::super) topics: BTreeMap<String, TopicImage>,
}

#[derive(Debug, Default)]
pub(in super::super) struct TopicImage {
    pub(in super::super) is_paused: bool,
    pub(in super::super) backlog: Messages,
    pub(in super::super) channels: BTreeMap<String, ChannelImage>,
}

#[derive(Debug, Default)]
pub(in super::super) struct ChannelImage {
    pub(in super::super) is_paused: bool,
    pub(in super::super) messages: Messages,
}

impl Image {
    /// A record about what is not there any more says nothing.
    pub(super) fn apply(&mut self, record: &Record<'_>) {
        match record {
            Record::Topic { topic, is_paused } => {
                let topic = self.topics.entry((*topic).to_owned()).or_default();
                topic.is_paused = *is_paused;
                topic.pass_on();
            }
            Record::Channel { topic, channel, is_paused } => {
                let Some(topic) = self.topics.get_mut(*topic) else { return };
                topic.channels.entry((*channel).to_owned()).or_default().is_paused = *is_paused;
                topic.pass_on();
            }
            Record::DropTopic { topic } => drop(self.topics.remove(*topic)),
            Record::DropChannel { topic, channel } => {
                if let Some(topic) = self.topics.get_mut(*topic) {
                    topic.channels.remove(*channel);
                }
            }
            Record::EmptyTopic { topic } => {
                if let Some(topic) = self.topics.get_mut(*topic) {
                    topic.backlog.clear();
                }
            }
            Record::Publish { topic, message } => {
                if let Some(topic) = self.topics.get_mut(*topic) {
                    topic.backlog.insert(message.id, message.clone());
                    topic.pass_on();
                }
            }
            Record::EmptyChannel { topic, channel } => {
                if let Some(messages) = self.messages(topic, channel) {
                    messages.clear();
                }
            }
            Record::Held { topic, channel, message } => {
                if let Some(messages) = self.messages(topic, channel) {
                    messages.insert(message.id, message.clone());
                }
            }
            Record::Finish { topic, channel, id } => {
                if let Some(messages) = self.messages(topic, channel) {
                    messages.remove(id);
                }
            }
            Record::Requeue { topic, channel, id, attempts, due } => {
                let message = self.messages(topic, channel).and_then(|messages| messages.get_mut(id));
                if let Some(message) = message {
                    (message.attempts, message.due) = (*attempts, *due);
                }
            }
        }
    }

    fn messages(&mut self, topic: &str, channel: &str) -> Option<&mut Messages> {
        Some(&mut self.topics.get_mut(topic)?.channels.get_mut(channel)?.messages)
    }

    /// The shortest list of records that amounts to the same.
    pub(super) fn records(&self, mut each: impl FnMut(Record<'_>) -> io::Result<()>) -> io::Result<()> {
        for (topic, image) in &self.topics {
            each(Record::Topic { topic, is_paused: image.is_paused })?;
            for (channel, image) in &image.channels {
                each(Record::Channel { topic, channel, is_paused: image.is_paused })?;
                for message in image.messages.values() {
                    each(Record::Held { topic, channel, message: message.clone() })?;
                }
            }
            // A backlog beside channels is that of a paused topic.
            for message in image.backlog.values() {
                each(Record::Publish { topic, message: message.clone() })?;
            }
        }
        Ok(())
    }
}

impl TopicImage {
    fn pass_on(&mut self) {
        if self.is_paused || self.channels.is_empty() {
            return;
        }
        for (id, mut message) in std::mem::take(&mut self.backlog) {
            if message.due > 0 {
                message.due = message.due.saturating_add(message.timestamp);
            }
            for channel in self.channels.values_mut() {
                channel.messages.insert(id, message.clone());
            }
        }
    }
}
