//! How a request travels: connections, credentials, time-outs, repetition, redirections, the size of answers.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use failing::{Backoff, Streak, chain};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, Url};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::{Error, Kind};
use crate::settings::{Settings, SettingsError};

/// Redirections followed in a row.
const MAX_REDIRECTIONS: usize = 5;
/// Between two tries, whatever [`Limits::pause`] says.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What is kept of the body of an error, in bytes: it goes into notes.
const MAX_ERROR_BODY: usize = 4096;

/// The ends of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For finding the host, connecting and TLS.
    pub connect: Duration,
    /// Between two bytes, and until the first one.
    pub idle: Duration,
    /// For one try, from connecting to the last byte.
    pub whole: Duration,
    /// Tries of a request that may be repeated, at least 1.
    pub tries: u32,
    /// Before the second try; then twice as long each time, 30 s at most, less up to a half at random.
    pub pause: Duration,
    /// The largest answer, in bytes.
    pub answer: usize,
}

impl Default for Limits {
    /// For the services: a batch of a hundred files is one slow transaction, and a page of a thousand files with all their
    /// events is some ten megabytes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            whole: Duration::from_mins(5),
            tries: 5,
            pause: Duration::from_millis(500),
            answer: 64 << 20,
        }
    }
}

/// What happens when a request is made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The same as once.
    Repeatable,
    /// Something else, so it is sent once.
    Once,
}

#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: Arc<str>,
    limits: Limits,
    /// Failures to get an answer of the Registry.
    streak: Arc<Streak>,
}

impl Transport {
    pub(crate) fn new(settings: Settings<'_>, limits: Limits) -> Result<Self, SettingsError> {
        let wrong = |what: &str| SettingsError(what.to_owned());
        let url = Url::parse(settings.url).map_err(|error| wrong(&format!("the Registry's URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the Registry's URL must be like https://repo.aptrust.org"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the Registry's URL must not hold credentials"));
        }
        let base = format!("{}/admin-api/{}", url.as_str().trim_end_matches('/'), settings.version);

        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let user =
            HeaderValue::from_str(settings.user).map_err(|_| wrong("the Registry's user is no email address"))?;
        headers.insert("x-pharos-api-user", user);
        let mut key = HeaderValue::from_str(settings.key)
            .map_err(|_| wrong("the Registry's API key holds characters that no key has"))?;
        key.set_sensitive(true);
        headers.insert("x-pharos-api-key", key);

        install_tls();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(limits.connect)
            .read_timeout(limits.idle)
            .timeout(limits.whole)
            .redirect(Policy::none())
            .no_proxy()
            // A load balancer's addresses change; a connection that rests is not kept for long.
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| SettingsError(format!("a client of the Registry: {}", chain(&error))))?;
        Ok(Self { http, base: base.into(), limits, streak: Arc::default() })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// A request whose answer is JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: &Method,
        url: &str,
        body: Option<&str>,
        effect: Effect,
    ) -> Result<T, Error> {
        self.repeating(method, url, body, effect, |answer| parse(method, url, &answer)).await
    }

    /// A request whose answer does not matter once it is a good one.
    pub(crate) async fn ignoring(&self, method: &Method, url: &str) -> Result<(), Error> {
        self.repeating(method, url, None, Effect::Once, |_| Ok(())).await
    }

    async fn repeating<T>(
        &self,
        method: &Method,
        url: &str,
        body: Option<&str>,
        effect: Effect,
        read: impl Fn(Vec<u8>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tried = 1;
        loop {
            let outcome = self.once(method, url, body).await.and_then(&read);
            match &outcome {
                Err(error) if error.is_of_the_way() => self.streak.failed(),
                _ => self.streak.succeeded(),
            }
            let error = match outcome {
                Err(error) if effect == Effect::Repeatable && error.is_worth_repeating() => error,
                other => return other,
            };
            self.pause(tried, error).await?;
            tried += 1;
        }
    }

    /// Waits before another try, unless so many were enough.
    pub(crate) async fn pause(&self, tried: u32, error: Error) -> Result<(), Error> {
        if tried >= self.limits.tries {
            return Err(error);
        }
        let pause = Backoff { first: self.limits.pause, longest: LONGEST_PAUSE }.after(tried);
        tracing::warn!(tried, pause_ms = pause.as_millis(), "trying again: {error}");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    pub(crate) fn failing_for(&self) -> Option<Duration> {
        self.streak.length()
    }

    /// One try, redirections included.
    async fn once(&self, method: &Method, url: &str, body: Option<&str>) -> Result<Vec<u8>, Error> {
        let start = Instant::now();
        let mut at = address(method, url)?;
        for _ in 0..=MAX_REDIRECTIONS {
            let mut request = self.http.request(method.clone(), at.clone());
            if let Some(body) = body {
                request = request.body(body.to_owned());
            }
            let response = request.send().await.map_err(|error| Error::of_transport(method, url, error))?;
            let status = response.status();
            if status.is_redirection() {
                at = follow(method, url, &at, &response)?;
                continue;
            }
            let answer = if status.is_success() {
                self.read(method, url, response).await
            } else {
                Err(Error::of_status(method, url, status, error_body(response).await))
            };
            tracing::info!(status = status.as_u16(), "{method} {url} completed in {:?}", start.elapsed());
            return answer;
        }
        let cause = format!("more than {MAX_REDIRECTIONS} redirections, the last to {at}");
        Err(Error::new(method, url, Kind::BadAnswer { cause }))
    }

    async fn read(&self, method: &Method, url: &str, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_transport(method, url, error))? {
            if answer.len() + chunk.len() > self.limits.answer {
                let cause = format!("the answer is longer than {} bytes", self.limits.answer);
                return Err(Error::new(method, url, Kind::BadAnswer { cause }));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// The URL as it was meant. A segment such as `..` would be taken away.
fn address(method: &Method, url: &str) -> Result<Url, Error> {
    match Url::parse(url) {
        Ok(parsed) if parsed.as_str() == url => Ok(parsed),
        _ => Err(Error::new(method, url, Kind::NotSent { cause: "no record has such an identifier".into() })),
    }
}

fn parse<T: DeserializeOwned>(method: &Method, url: &str, answer: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(answer).map_err(|error| {
        // Without a length an answer that was cut looks like one that has ended. `error` may speak of a field.
        let cut = serde_json::from_slice::<IgnoredAny>(answer).is_err_and(|error| error.is_eof());
        let kind = if cut {
            Kind::Connection { cause: format!("the answer breaks off after {} bytes", answer.len()) }
        } else {
            let start = text(&answer[..answer.len().min(200)]);
            Kind::BadAnswer { cause: format!("unexpected answer: {error}. It begins: {start}") }
        };
        Error::new(method, url, kind)
    })
}

/// Where a redirection leads, if it may be followed: reading only, and only within the origin that the key is for.
fn follow(method: &Method, url: &str, at: &Url, response: &Response) -> Result<Url, Error> {
    let location = response.headers().get(LOCATION).map(|value| text(value.as_bytes())).unwrap_or_default();
    match at.join(&location) {
        Ok(next) if *method == Method::GET && next.origin() == at.origin() && !location.is_empty() => Ok(next),
        _ => Err(Error::new(method, url, Kind::Redirected { status: response.status(), location })),
    }
}

/// As much of an error's body as is told; that it broke off matters less than the status.
async fn error_body(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() <= MAX_ERROR_BODY
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    if body.len() <= MAX_ERROR_BODY {
        return text(&body);
    }
    format!("{} [cut]", text(&body[..MAX_ERROR_BODY]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// reqwest is built without a TLS provider of its own; whoever comes first in the process chooses.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    });
}
