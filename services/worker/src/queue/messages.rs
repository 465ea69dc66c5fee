//! The loop over the messages of one topic: so many in work at a time, each touched, watched and answered. What a message means,
//! its [`Handler`] knows; the loop for messages that are ids of WorkItems is in `items.rs`.
//!
//! * A message in work is touched at a third of the time-out that nsqd announced, whatever its handler does. Before nsqd's
//!   last deadline it is published again, deferred, and finished, while the work goes on (rulings A.6).
//! * As many messages are in flight as can be taken into work: one that waited in a buffer would time out there. Work that
//!   goes on without its message still takes its place, so nsqd is asked for one less; what comes all the same and finds no
//!   place is published again, so that no message climbs to the count at which a Go worker drops it.
//! * A handler that panics loses its message only: that is delivered again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use failing::chain;
use nsq::{Consumer, LONGEST_DEFERRAL, Lookup, Message, Name, Options, Publisher, Source};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::process::ecs::Protection;
use crate::process::health::Heartbeat;
use crate::process::host;
use crate::process::memory::Memory;
use crate::process::metrics::{Metric, Metrics};
use crate::process::program::Context;
use crate::queue::worker::QueuePlan;

/// go-nsq drops a message unseen at its sixth delivery, and Go workers share our topics.
const LAST_DELIVERY: u16 = 5;
/// How long before nsqd's last deadline a message is replaced by a new one.
const BEFORE_LAST: Duration = Duration::from_secs(30);
/// When the new message comes. It finds the work still going on, or takes up what was left.
const REPLACEMENT: Duration = Duration::from_mins(10);
/// When a message comes back that could not be replaced, or for which there was no place.
const SOON: Duration = Duration::from_secs(30);
/// After a panic. The cause is a defect, so there is no hurry.
const AFTER_PANIC: Duration = Duration::from_mins(1);
/// Pauses between tries to publish what no message of nsqd's stands for, and how many there are.
const REPUBLISH: Duration = Duration::from_secs(15);
const REPUBLISHED: u32 = 40;
/// The main loop's signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// How long nsqd may take to hear the last answers.
const CLOSE: Duration = Duration::from_secs(5);
/// How often the backlog is told: cloudformation/README.md.
const TELL_BACKLOG: Duration = Duration::from_mins(1);
/// How much of a message a log line shows, in bytes: what is no id may be a megabyte.
const SHOWN: usize = 100;

/// What a program does with a message.
pub trait Handler: Send + Sync + 'static {
    /// Returns soon after `delivery.cancelled` is, with [`Answer::Later`] if the message is still wanted. It may be handed a
    /// message that another process, or this one, is working on.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Answer> + Send;
}

/// A message, as its handler sees it.
#[derive(Debug)]
pub struct Delivery {
    pub body: Box<[u8]>,
    /// The process is asked to stop.
    pub cancelled: CancellationToken,
    attempts: u16,
    most_attempts: u16,
    held: Arc<AtomicBool>,
}

impl Delivery {
    /// Whether [`Answer::Again`] brings this very message back: nsqd still waits for an answer to it, and has deliveries left.
    pub fn may_be_repeated(&self) -> bool {
        self.attempts < self.most_attempts && self.held.load(Ordering::Relaxed)
    }

    /// What log lines show of the message.
    pub fn shown(&self) -> String {
        shown(&self.body)
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has done its duty.
    Finish,
    /// It failed: deliver it again after this time, at most an hour. The program's attempts bound this, five at most; then it
    /// is given up, which the log says. If nsqd has taken the message back meanwhile, it comes again by itself.
    Again(Duration),
    /// It waits for something: deliver it as a new message after this time, at most an hour.
    Later(Duration),
}

/// What a program over messages stands on. [`run`](Self::run) is its life.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) plan: QueuePlan,
    pub(crate) publisher: Publisher,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) shutdown: CancellationToken,
    /// The executable's name.
    pub(crate) service: &'static str,
    /// What one message in work may take, in bytes, at most.
    pub(crate) memory: u64,
}

impl Messages {
    /// Works until the process is asked to stop and what is in work has been put away.
    pub(crate) async fn run(self, handler: impl Handler) -> Result<()> {
        let Self { plan, publisher, heartbeat, shutdown, service, memory } = self;
        let topic: Name = plan.topic.as_str().parse().context("the topic's name")?;
        let channel: Name = plan.topic.channel().parse().context("the channel's name")?;
        let lookup = plan.nsq.lookup()?;
        let asked_for = plan.numbers.workers.min(plan.numbers.buffer_size);
        let at_a_time = asked_for.min(Memory::of_this_task().room_for(memory));
        if at_a_time < asked_for {
            tracing::warn!(at_a_time, asked_for, "this task's memory is enough for fewer messages at a time");
        }
        let mut consumer = Consumer::start(Options {
            max_in_flight: at_a_time,
            client_id: host::name(),
            ..Options::new(topic.clone(), channel.clone(), Source::Lookupd(lookup.clone()))
        });
        let backlog = tokio::spawn(tell_backlog(service, lookup, topic.clone(), channel));
        let protection = Protection::from_environment();
        let most_attempts = u16::try_from(plan.numbers.max_attempts).unwrap_or(u16::MAX).min(LAST_DELIVERY);
        let places = Arc::new(Semaphore::new(at_a_time as usize));
        let alone = Arc::new(Alone::default());
        let shared = Arc::new(Shared { handler, publisher, topic, heartbeat, shutdown, most_attempts, places, alone });
        let mut tasks = JoinSet::new();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shared.shutdown.cancelled() => break,
                _ = beat.tick() => shared.heartbeat.beat(),
                Some(_) = tasks.join_next() => {}
                alone = shared.alone.changed() => consumer.set_max_in_flight(at_a_time.saturating_sub(alone)),
                message = consumer.next() => {
                    let Some(message) = message else { break };
                    let (shared, protected) = (Arc::clone(&shared), protection.hold());
                    tasks.spawn(async move {
                        shared.receive(message).await;
                        drop(protected);
                    });
                }
            }
        }
        // No new work; what is in work sees the cancellation and is waited for. The deadline is `main`'s.
        consumer.stop();
        loop {
            tokio::select! {
                _ = beat.tick() => shared.heartbeat.beat(),
                ended = tasks.join_next() => if ended.is_none() { break },
            }
        }
        backlog.abort();
        let closed = consumer.close(CLOSE).await;
        if closed.unanswered > 0 {
            tracing::warn!(messages = closed.unanswered, "nsqd did not take all answers in time and delivers again");
        }
        protection.end().await;
        Ok(())
    }
}

/// How much is in work whose message nsqd does not count as ours any more.
#[derive(Debug, Default)]
struct Alone {
    count: AtomicU32,
    changed: Notify,
}

/// Something in work without its message, until it is dropped.
struct GoesOn(Arc<Alone>);

impl Alone {
    fn one(self: &Arc<Self>) -> GoesOn {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        GoesOn(Arc::clone(self))
    }

    /// Waits for a change and tells how much it is now.
    async fn changed(&self) -> u32 {
        self.changed.notified().await;
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl<S> Context<QueuePlan, S> {
    /// The life of a program whose messages are no WorkItems. One message in work takes `memory` bytes at most.
    pub async fn run(self, handler: impl Handler, memory: u64) -> Result<()> {
        let Self { service, plan, shutdown, heartbeat, .. } = self;
        let publisher = plan.nsq.publisher.publisher()?;
        Messages { plan, publisher, heartbeat, shutdown, service, memory }.run(handler).await
    }
}

/// What the tasks of all messages share.
struct Shared<H> {
    handler: H,
    publisher: Publisher,
    topic: Name,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
    most_attempts: u16,
    places: Arc<Semaphore>,
    alone: Arc<Alone>,
}

impl<H: Handler> Shared<H> {
    /// Takes a message into work, if there is a place before nsqd gets impatient.
    async fn receive(self: Arc<Self>, message: Message) {
        let place = tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.ok(),
            () = sleep(message.touch_interval()) => None,
            () = self.shutdown.cancelled() => None,
        };
        match place {
            Some(place) => self.work(message, place).await,
            None if self.shutdown.is_cancelled() => self.replace(message, Duration::ZERO).await,
            None => self.replace(message, SOON).await,
        }
    }

    async fn work(self: &Arc<Self>, message: Message, place: OwnedSemaphorePermit) {
        let body = message.body.clone();
        let name = shown(&body);
        let attempts = message.attempts;
        let touch_interval = message.touch_interval();
        let in_work = self.heartbeat.in_work(&name, 3 * touch_interval);
        let is_held = Arc::new(AtomicBool::new(true));
        let delivery = Delivery {
            body: body.clone(),
            cancelled: self.shutdown.child_token(),
            attempts,
            most_attempts: self.most_attempts,
            held: Arc::clone(&is_held),
        };
        let shared = Arc::clone(self);
        // A task of its own, so that a panic ends there.
        let mut handling = tokio::spawn(async move { shared.handler.handle(delivery).await });
        let mut touch = interval(touch_interval);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touch.reset();
        let replace_at = message.final_deadline().checked_sub(BEFORE_LAST).unwrap_or_else(Instant::now);
        // None once nsqd has an answer, or waits for none any more.
        let mut held = Some(message);
        let mut goes_on = None;
        let handled = loop {
            tokio::select! {
                handled = &mut handling => break handled,
                _ = touch.tick() => {
                    if let Some(lost) = held.as_ref().and_then(|message| message.touch().err()) {
                        tracing::info!(message = name, "the work goes on without its message: {lost}");
                        is_held.store(false, Ordering::Relaxed);
                        goes_on = Some(self.alone.one());
                        held = None;
                    }
                    in_work.touched(3 * touch_interval);
                }
                () = sleep_until(replace_at), if held.is_some() => {
                    // Its place among what nsqd may send goes before the message does.
                    is_held.store(false, Ordering::Relaxed);
                    goes_on = Some(self.alone.one());
                    if let Some(message) = held.take() {
                        self.replace(message, REPLACEMENT).await;
                    }
                }
            }
        };
        let answer = handled.unwrap_or_else(|error| {
            // The panic itself was logged where it happened.
            tracing::error!(message = name, "the work on this message was cut short: {error}");
            Answer::Again(AFTER_PANIC)
        });
        // The next message, which an answer brings about, finds the place free.
        drop((place, goes_on));
        self.answer(held, attempts, &body, answer).await;
    }

    async fn answer(&self, held: Option<Message>, attempts: u16, body: &[u8], answer: Answer) {
        match (answer, held) {
            (Answer::Finish, Some(message)) => finish(message),
            // Where it was replaced or lost, it is delivered again in any case.
            (Answer::Finish | Answer::Again(_), None) => {}
            (Answer::Again(_), Some(message)) if attempts >= self.most_attempts => {
                tracing::error!(message = shown(body), attempts, "a message is given up after {attempts} deliveries");
                finish(message);
            }
            (Answer::Again(delay), Some(message)) => {
                // A refusal is expected where the time-out came first: the new message takes its place (rulings A.5).
                match message.requeue(delay.min(LONGEST_DEFERRAL)).await {
                    Ok(()) | Err(nsq::Lost::Disconnected) => {}
                    Err(_) => self.publish(body, delay).await,
                }
            }
            (Answer::Later(delay), Some(message)) => self.replace(message, delay).await,
            (Answer::Later(delay), None) => self.publish(body, delay).await,
        }
    }

    /// A new message, and only when it stands is the old one finished. If it cannot be published, the old one comes back.
    async fn replace(&self, message: Message, delay: Duration) {
        if self.published(&message.body, delay).await {
            finish(message);
        } else if let Err(lost) = message.requeue(SOON).await {
            tracing::info!("a message that could not be replaced comes back by itself: {lost}");
        }
    }

    /// A message that stands for what no message of nsqd's does: tried for some minutes, then left to the sweep.
    async fn publish(&self, body: &[u8], delay: Duration) {
        for _ in 0..REPUBLISHED {
            if self.published(body, delay).await || self.shutdown.is_cancelled() {
                return;
            }
            tokio::select! {
                () = sleep(REPUBLISH) => {}
                // Once more, and no more.
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    async fn published(&self, body: &[u8], delay: Duration) -> bool {
        match self.publisher.publish_deferred(&self.topic, body.to_vec(), delay.min(LONGEST_DEFERRAL)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(topic = self.topic.as_str(), "cannot publish {}: {}", shown(body), chain(&error));
                false
            }
        }
    }
}

fn finish(message: Message) {
    if let Err(lost) = message.finish() {
        tracing::info!("a finished message will be delivered again: {lost}");
    }
}

fn shown(body: &[u8]) -> String {
    match body.get(..SHOWN) {
        Some(start) if body.len() > SHOWN => format!("{}… ({} bytes)", start.escape_ascii(), body.len()),
        _ => body.escape_ascii().to_string(),
    }
}

/// Tells every minute how much waits, for scaling. Outside ECS nobody wants to know.
async fn tell_backlog(service: &'static str, lookup: Lookup, topic: Name, channel: Name) {
    let Some(metrics) = Metrics::of(service).await else { return };
    loop {
        sleep(TELL_BACKLOG).await;
        match lookup.backlog_per_client(&topic, &channel).await {
            Ok(value) => metrics.write(Metric::BacklogPerTask(value)),
            // No line: a false zero would scale in.
            Err(error) => {
                tracing::warn!(topic = topic.as_str(), "the backlog cannot be found out: {}", chain(&error));
            }
        }
    }
}
