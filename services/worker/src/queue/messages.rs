//! The loop over the messages of one topic: so many in work at a time, each touched, watched and answered. What a message means,
//! its [`Handler`] knows; the loop for messages that are ids of WorkItems is in `items.rs`.
//!
//! * A message in work is touched at a third of the time-out that nsqd announced, whatever its handler does. Before nsqd's
//!   last deadline it is published again, deferred, and finished, while the work goes on (rulings A.6).
//! * As many messages are in flight as can be in work: one that waited in a buffer would time out there.
//! * A handler that panics loses its message only: that is delivered again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nsq::{Consumer, LONGEST_DEFERRAL, Lookup, Message, Name, Options, Publisher, Source};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::process::ecs::Protection;
use crate::process::health::Heartbeat;
use crate::process::host;
use crate::process::memory;
use crate::process::metrics::{Metric, Metrics};
use crate::queue::worker::QueuePlan;
use tokio_util::sync::CancellationToken;

/// go-nsq drops a message unseen at its sixth delivery, and Go workers share our topics.
const LAST_REQUEUE: u16 = 5;
/// How long before nsqd's last deadline a message is replaced by a new one.
const BEFORE_LAST: Duration = Duration::from_secs(30);
/// When the new message comes. It finds the work still going on, or takes up what was left.
const REPLACEMENT: Duration = Duration::from_mins(10);
/// When a message comes back that could not be replaced.
const UNPUBLISHED: Duration = Duration::from_secs(30);
/// After a panic. The cause is a defect, so there is no hurry.
const AFTER_PANIC: Duration = Duration::from_mins(1);
/// The main loop's signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// How long nsqd may take to hear the last answers.
const CLOSE: Duration = Duration::from_secs(5);
/// How often the backlog is told: cloudformation/README.md.
const TELL_BACKLOG: Duration = Duration::from_mins(1);

/// What a program does with a message.
pub trait Handler: Send + Sync + 'static {
    /// Returns soon after `delivery.cancelled` is, with [`Verdict::Later`] if the message is still wanted. It may be handed a
    /// message that another process, or this one, is working on.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Verdict> + Send;
}

/// A message, as its handler sees it.
#[derive(Debug)]
pub struct Delivery {
    pub body: Box<[u8]>,
    /// How often nsqd has handed it out, this time included. A message that was published again starts at 1.
    pub attempts: u16,
    /// The process is asked to stop.
    pub cancelled: CancellationToken,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has done its duty.
    Finish,
    /// It failed: deliver it again after this time, at most an hour.
    Again(Duration),
    /// It waits for something: deliver it as a new message after this time, at most an hour.
    Later(Duration),
}

/// What a program over messages stands on. [`run`](Self::run) is its life.
#[derive(Debug)]
pub struct Messages {
    pub plan: QueuePlan,
    pub publisher: Publisher,
    pub heartbeat: Heartbeat,
    pub shutdown: CancellationToken,
    /// The executable's name.
    pub service: &'static str,
    /// What one message in work may take, in bytes, at most.
    pub memory: u64,
}

impl Messages {
    /// Works until the process is asked to stop and what is in work has been put away.
    pub async fn run(self, handler: impl Handler) -> Result<()> {
        let Self { plan, publisher, heartbeat, shutdown, service, memory } = self;
        let topic: Name = plan.topic.parse().context("the topic's name")?;
        let channel: Name = plan.channel.parse().context("the channel's name")?;
        let lookup = Lookup::new([plan.nsq.lookupd.as_str()]).context("the address of nsqlookupd")?;
        let asked_for = plan.numbers.workers.min(plan.numbers.buffer_size);
        let at_a_time = asked_for.min(memory::room_for(memory));
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
        let places = Arc::new(Semaphore::new(at_a_time as usize));
        let shared = Arc::new(Shared { handler, publisher, topic, heartbeat, shutdown });
        let mut tasks = JoinSet::new();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((place, consumer.next().await?))
            };
            tokio::select! {
                () = shared.shutdown.cancelled() => break,
                _ = beat.tick() => shared.heartbeat.beat(),
                Some(_) = tasks.join_next() => {}
                next = next => {
                    let Some((place, message)) = next else { break };
                    let (shared, protected) = (Arc::clone(&shared), protection.hold());
                    tasks.spawn(async move {
                        shared.work(message).await;
                        drop((place, protected));
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

/// What the tasks of all messages share.
struct Shared<H> {
    handler: H,
    publisher: Publisher,
    topic: Name,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
}

impl<H: Handler> Shared<H> {
    async fn work(self: &Arc<Self>, message: Message) {
        let body = message.body.clone();
        let touch_interval = message.touch_interval();
        let name = String::from_utf8_lossy(&body).into_owned();
        let in_work = self.heartbeat.in_work(&name, 3 * touch_interval);
        let delivery =
            Delivery { body: body.clone(), attempts: message.attempts, cancelled: self.shutdown.child_token() };
        let shared = Arc::clone(self);
        // A task of its own, so that a panic ends there.
        let mut handling = tokio::spawn(async move { shared.handler.handle(delivery).await });
        let mut touch = interval(touch_interval);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touch.reset();
        let replace_at = message.final_deadline().checked_sub(BEFORE_LAST).unwrap_or_else(Instant::now);
        // None once nsqd has an answer, or waits for none any more.
        let mut held = Some(message);
        let handled = loop {
            tokio::select! {
                handled = &mut handling => break handled,
                _ = touch.tick() => {
                    if let Some(lost) = held.as_ref().and_then(|message| message.touch().err()) {
                        tracing::info!(message = name, "the work goes on without its message: {lost}");
                        held = None;
                    }
                    in_work.touched(3 * touch_interval);
                }
                () = sleep_until(replace_at), if held.is_some() => {
                    if let Some(message) = held.take() {
                        self.replace(message, REPLACEMENT).await;
                    }
                }
            }
        };
        let verdict = handled.unwrap_or_else(|error| {
            // The panic itself was logged where it happened.
            tracing::error!(message = name, "the work on this message was cut short: {error}");
            Verdict::Again(AFTER_PANIC)
        });
        self.answer(held, &body, verdict).await;
    }

    async fn answer(&self, held: Option<Message>, body: &[u8], verdict: Verdict) {
        match (verdict, held) {
            (Verdict::Finish, Some(message)) => finish(message),
            (Verdict::Finish, None) => {}
            (Verdict::Again(delay), Some(message)) if message.attempts < LAST_REQUEUE => {
                // A refusal is expected where the time-out came first: the new message takes its place (rulings A.5).
                match message.requeue(delay.min(LONGEST_DEFERRAL)).await {
                    Ok(()) | Err(nsq::Lost::Disconnected) => {}
                    Err(_) => self.publish(body, delay).await,
                }
            }
            (Verdict::Again(delay) | Verdict::Later(delay), Some(message)) => self.replace(message, delay).await,
            (Verdict::Again(delay) | Verdict::Later(delay), None) => self.publish(body, delay).await,
        }
    }

    /// A new message, and only when it stands is the old one finished. If it cannot be published, the old one comes back.
    async fn replace(&self, message: Message, delay: Duration) {
        if self.published(&message.body, delay).await {
            finish(message);
        } else if let Err(lost) = message.requeue(UNPUBLISHED).await {
            tracing::info!("a message that could not be replaced comes back by itself: {lost}");
        }
    }

    async fn publish(&self, body: &[u8], delay: Duration) {
        self.published(body, delay).await;
    }

    async fn published(&self, body: &[u8], delay: Duration) -> bool {
        match self.publisher.publish_deferred(&self.topic, body.to_vec(), delay.min(LONGEST_DEFERRAL)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(topic = self.topic.as_str(), "cannot publish {}: {error}", body.escape_ascii());
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

/// Tells every minute how much waits, for scaling. Outside ECS nobody wants to know.
async fn tell_backlog(service: &'static str, lookup: Lookup, topic: Name, channel: Name) {
    let Some(metrics) = Metrics::of(service).await else { return };
    loop {
        sleep(TELL_BACKLOG).await;
        match lookup.backlog_per_client(&topic, &channel).await {
            Ok(value) => metrics.write(Metric::BacklogPerTask(value)),
            // No line: a false zero would scale in.
            Err(error) => tracing::warn!(topic = topic.as_str(), "the backlog cannot be found out: {error}"),
        }
    }
}
