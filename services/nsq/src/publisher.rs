//! Publishing over nsqd's HTTP interface, as upstream does (01 §8.1), with what that lacks: a time-out, retries, and
//! deferral.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use failing::{Backoff, Streak};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use tokio::time::sleep;

use crate::address::{BadAddress, base};
use crate::frame;
use crate::http::{self, HttpError, Patience};
use crate::name::Name;

/// Publishes to one nsqd. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Publisher {
    client: Client,
    url: Url,
    streak: Arc<Streak>,
}

/// A message that was not published, as far as is known: an answer can be lost after nsqd took the message.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// nsqd refuses a message without a byte.
    #[error("an empty message cannot be published to {0}")]
    Empty(Name),
    /// Trying again later may help.
    #[error("nsqd could not be reached to publish to {topic}, {TRIES} times in a row")]
    Unavailable {
        topic: Name,
        #[source]
        source: HttpError,
    },
    /// Trying again would not help.
    #[error("nsqd refused a message for {topic}")]
    Refused {
        topic: Name,
        #[source]
        source: HttpError,
    },
}

/// The longest delay that nsqd takes with its default settings, and that we ask for (07 A.5).
pub const LONGEST_DEFERRAL: Duration = Duration::from_hours(1);
const TRIES: u32 = 4;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(2) };
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(5) };

impl Publisher {
    /// nsqd's HTTP side, as `host:port` or `http://host:port`.
    pub fn new(address: &str) -> Result<Self, BadAddress> {
        Ok(Self { client: http::client(PATIENCE), url: base(address)?, streak: Arc::default() })
    }

    /// For how long nsqd has not been reached: from the first failure to the latest. `None` when the last publish got an
    /// answer, or there was none.
    pub fn failing_for(&self) -> Option<Duration> {
        self.streak.length()
    }

    /// Publishes a message. One that is tried again may be published twice.
    pub async fn publish(&self, topic: &Name, body: impl Into<Bytes>) -> Result<(), PublishError> {
        self.publish_deferred(topic, body, Duration::ZERO).await
    }

    /// Publishes a message that nsqd hands out after the delay, [`LONGEST_DEFERRAL`] at most.
    pub async fn publish_deferred(
        &self,
        topic: &Name,
        body: impl Into<Bytes>,
        delay: Duration,
    ) -> Result<(), PublishError> {
        let body = body.into();
        if body.is_empty() {
            return Err(PublishError::Empty(topic.clone()));
        }
        let mut tries = 0;
        loop {
            let source = match self.try_once(topic, body.clone(), delay).await {
                Ok(()) => {
                    self.streak.succeeded();
                    return Ok(());
                }
                Err(source) => source,
            };
            if !may_pass(&source) {
                self.streak.succeeded();
                return Err(PublishError::Refused { topic: topic.clone(), source });
            }
            self.streak.failed();
            tries += 1;
            if tries == TRIES {
                return Err(PublishError::Unavailable { topic: topic.clone(), source });
            }
            sleep(BACKOFF.after(tries)).await;
        }
    }

    async fn try_once(&self, topic: &Name, body: Bytes, delay: Duration) -> Result<(), HttpError> {
        let mut url = self.url.clone();
        url.set_path("pub");
        let mut request = self.client.post(url).query(&[("topic", topic.as_str())]);
        if !delay.is_zero() {
            request = request.query(&[("defer", frame::milliseconds(delay.min(LONGEST_DEFERRAL)))]);
        }
        http::ask(request.header(CONTENT_TYPE, "text/html").body(body)).await?;
        Ok(())
    }
}

fn may_pass(error: &HttpError) -> bool {
    match error {
        HttpError::Unavailable { source, .. } => !source.is_builder(),
        HttpError::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        HttpError::Address(_) | HttpError::TooLong { .. } | HttpError::Malformed { .. } => false,
    }
}
