//! All that one nsqd holds: topics, clients, limits and memory. TCP, HTTP and the registration with nsqlookupd act on it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::Options;
use super::channel::Channel;
use super::client::Client;
use super::command::Limits;
use super::journal::{Image, Journal, Record, TopicImage};
use super::message::{Budget, Full, Ids, Message, wall_clock};
use super::peer;
use super::tasks::Tasks;
use super::topic::{Refused, Topic};

/// A topic and, if it is about one, a channel: what nsqlookupd is told.
pub(super) type Registration = (String, Option<String>);

/// The state of one nsqd.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) options: Options,
    pub(super) limits: Limits,
    pub(super) tcp: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) tasks: Tasks,
    pub(super) budget: Arc<Budget>,
    /// Seconds since 1970.
    pub(super) started: i64,
    pub(super) started_at: Instant,
    /// The HTTP address of each nsqlookupd that answered.
    pub(super) lookups: Mutex<BTreeMap<SocketAddr, String>>,
    /// Changes whenever a topic or channel comes or goes.
    pub(super) changes: watch::Sender<()>,
    journal: Option<Arc<Journal>>,
    ids: Ids,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_client: AtomicU64,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Broker {
    /// Opens the data folder, if one is given, and takes back what it holds.
    pub(super) fn new(options: Options, tcp: SocketAddr, http: SocketAddr, tasks: Tasks) -> anyhow::Result<Self> {
        let (journal, image) = match &options.data {
            Some(folder) => {
                let (journal, image) = Journal::open(folder)?;
                (Some(Arc::new(journal)), image)
            }
            None => (None, Image::default()),
        };
        let limits = Limits {
            msg_size: options.max_msg_size,
            body_size: options.max_body_size,
            rdy_count: options.max_rdy_count,
            req_timeout: options.max_req_timeout,
        };
        let broker = Self {
            limits,
            tcp,
            http,
            tasks,
            budget: Budget::new(options.max_memory),
            started: wall_clock() / 1_000_000_000,
            started_at: Instant::now(),
            lookups: Mutex::default(),
            changes: watch::Sender::default(),
            journal,
            ids: Ids::default(),
            clients: Mutex::default(),
            last_client: AtomicU64::new(0),
            topics: RwLock::default(),
            options,
        };
        for (name, image) in &image.topics {
            broker.restore(name, image).map_err(|_| anyhow::anyhow!("nsqd's data folder holds too many topics"))?;
        }
        Ok(broker)
    }

    fn restore(&self, name: &str, image: &TopicImage) -> Result<(), Full> {
        let topic = Topic::new(name, &self.budget, self.journal.as_ref())?;
        topic.restore(image, &self.budget, &self.tasks, self.options.max_req_timeout)?;
        let held = image.channels.values().map(|channel| &channel.messages).chain([&image.backlog]);
        for (id, _) in held.filter_map(|messages| messages.last_key_value()) {
            self.ids.pass(*id);
        }
        self.topics.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::new(topic));
        Ok(())
    }

    pub(super) fn existing_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// The topic, made if it is not there. A new one gets the channels that the nsqlookupds know before its first
    /// message goes anywhere.
    pub(super) async fn topic(self: &Arc<Self>, name: &str) -> Result<Arc<Topic>, Full> {
        if let Some(topic) = self.existing_topic(name) {
            return Ok(topic);
        }
        let (topic, is_new) = self.make_topic(name)?;
        if is_new {
            if self.options.lookupd.is_empty() {
                topic.start();
            } else {
                // A task of its own: were it part of the caller, a client that hangs up would leave the topic unstarted.
                let (broker, topic) = (Arc::clone(self), Arc::clone(&topic));
                let starting = self.tasks.spawn(async move {
                    for channel in peer::known_channels(&broker, &topic.name).await {
                        if !channel.ends_with("#ephemeral") {
                            let _ = broker.channel(&topic, &channel);
                        }
                    }
                    topic.start();
                });
                let _ = starting.await;
            }
        }
        Ok(topic)
    }

    fn make_topic(&self, name: &str) -> Result<(Arc<Topic>, bool), Full> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Ok((Arc::clone(topic), false));
        }
        let topic = Arc::new(Topic::new(name, &self.budget, self.journal.as_ref())?);
        self.note(&topic, Record::Topic { topic: name, is_paused: false });
        topics.insert(name.to_owned(), Arc::clone(&topic));
        drop(topics);
        self.changes.send_replace(());
        Ok((topic, true))
    }

    pub(super) fn channel(&self, topic: &Topic, name: &str) -> Result<Arc<Channel>, Full> {
        let (channel, is_new) = topic.channel(name, &self.budget, &self.tasks)?;
        if is_new {
            self.changes.send_replace(());
        }
        Ok(channel)
    }

    /// False if there is none.
    pub(super) fn delete_topic(&self, name: &str) -> bool {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = topics.remove(name) else { return false };
        self.note(&topic, Record::DropTopic { topic: name });
        drop(topics);
        topic.close();
        self.changes.send_replace(());
        true
    }

    /// False if there is none. An ephemeral topic goes with its last channel.
    pub(super) fn delete_channel(&self, topic: &Topic, name: &str) -> bool {
        let Some((channel, left)) = topic.remove_channel(name) else { return false };
        channel.close();
        self.changes.send_replace(());
        if left == 0 && topic.is_ephemeral {
            self.delete_topic(&topic.name);
        }
        true
    }

    /// Publishes the bodies, all or none.
    pub(super) fn publish<'a>(
        &self,
        topic: &Topic,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        delay: Duration,
    ) -> Result<(), Refused> {
        let message = |body| Message::new(self.ids.next(), body, delay, &self.budget);
        let messages = bodies.into_iter().map(message).collect::<Result<Vec<_>, Full>>()?;
        topic.publish(messages)
    }

    /// Writes a change to the journal. Under the lock of the topics, so that the journal has the changes in their order.
    fn note(&self, topic: &Topic, record: Record<'_>) {
        if let Some(journal) = self.journal.as_ref().filter(|_| !topic.is_ephemeral) {
            journal.note(record);
        }
    }

    /// Not well while publishing is refused: the budget is spent, or the journal cannot be written.
    pub(super) fn health(&self) -> Result<(), String> {
        if self.budget.used() >= self.options.max_memory {
            return Err(Refused::Full.to_string());
        }
        self.journal.as_ref().and_then(|journal| journal.trouble()).map_or(Ok(()), Err)
    }

    pub(super) fn admit(&self, address: SocketAddr) -> Arc<Client> {
        let id = self.last_client.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client::new(id, address));
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&client));
        client
    }

    /// The client has gone; with the last one its ephemeral channel goes.
    pub(super) fn leave(&self, client: &Client, subscription: Option<&(Arc<Topic>, Arc<Channel>)>) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(&client.id);
        if let Some((topic, channel)) = subscription
            && channel.remove(client)
            && channel.is_ephemeral
        {
            self.delete_channel(topic, &channel.name);
        }
    }

    /// What the nsqlookupds should know.
    pub(super) fn registrations(&self) -> BTreeSet<Registration> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = BTreeSet::new();
        for topic in topics.values() {
            all.insert((topic.name.clone(), None));
            all.extend(topic.channel_names().into_iter().map(|channel| (topic.name.clone(), Some(channel))));
        }
        all
    }

    /// By topic, as `/stats` filters them.
    pub(super) fn statistics(&self, topic: Option<&str>, channel: Option<&str>, with_clients: bool) -> Vec<Value> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = topics.values().filter(|candidate| topic.is_none_or(|name| name == candidate.name));
        wanted.filter_map(|topic| topic.statistics(channel, with_clients)).collect()
    }

    /// The clients that have published.
    pub(super) fn producers(&self) -> Vec<Value> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let all = clients.values().map(|client| client.statistics());
        all.filter(|client| client.get("pub_counts").is_some()).collect()
    }
}
