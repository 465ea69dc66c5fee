//! The connection to AWS: clients, credentials, and the one gate through which every call goes.
//!
//! The gate keeps the pace, repeats what was throttled or got lost on the way, and sorts errors into what a person can do about
//! them. Nothing here decides whether a deployment succeeded: a call that fails for lack of speed only takes longer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_types::error::display::DisplayErrorContext;
use xtask::exit::Exit;
use xtask::ui::Ui;

use crate::pace::{Pace, Timing};

/// Everything that talks to AWS.
pub(crate) struct Aws<'a> {
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) ecs: aws_sdk_ecs::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) scaling: aws_sdk_applicationautoscaling::Client,
    pub(crate) scheduler: aws_sdk_scheduler::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) region: String,
    /// When the credentials end, if they do.
    pub(crate) credentials_end: Option<std::time::SystemTime>,
    pub(crate) timing: Timing,
    ui: &'a Ui,
    /// Whom it talks to, in words.
    place: String,
    /// Somebody answered already.
    answered: Cell<bool>,
    pace: RefCell<Pace>,
    last: Cell<Option<Instant>>,
    deadline: Cell<Instant>,
}

impl fmt::Debug for Aws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aws({})", self.region)
    }
}

/// How to reach AWS.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) timing: Timing,
    /// The end of the current phase, after which no call is made any more.
    pub(crate) limit: Duration,
}

impl<'a> Aws<'a> {
    pub(crate) async fn connect(reach: Reach, ui: &'a Ui) -> anyhow::Result<Self> {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            // The gate repeats; a second repeater below it would hide throttling from the pace.
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(Duration::from_secs(30))
                    .build(),
            );
        if let Some(profile) = &reach.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &reach.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = loader.load().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Exit::Refused.stop(
                "no region is given",
                "name it in the configuration file, with --region, or in the AWS profile",
            ));
        };
        // Servers that stand in for S3 have no host name of their own for each bucket.
        let elsewhere = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(|name| std::env::var_os(name).is_some());
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(elsewhere).build();
        Ok(Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            ecs: aws_sdk_ecs::Client::new(&config),
            ecr: aws_sdk_ecr::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            scaling: aws_sdk_applicationautoscaling::Client::new(&config),
            scheduler: aws_sdk_scheduler::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            place: std::env::var("AWS_ENDPOINT_URL")
                .map_or_else(|_| format!("AWS in {region}"), |url| format!("AWS at {url}")),
            region,
            credentials_end: credentials_end(&config).await,
            answered: Cell::new(false),
            timing: reach.timing,
            ui,
            pace: RefCell::new(Pace::new(reach.timing)),
            last: Cell::new(None),
            deadline: Cell::new(Instant::now() + reach.limit),
        })
    }

    /// Tells what does not stop the run.
    pub(crate) fn warn(&self, text: &str) {
        self.ui.warn(text);
    }

    /// Begins a phase that may take this long.
    pub(crate) fn begin_phase(&self, limit: Duration) {
        self.deadline.set(Instant::now() + limit);
    }

    /// One call, whose failure ends the command.
    pub(crate) async fn call<T, E>(
        &self,
        what: &'static str,
        call: impl AsyncFn() -> Result<T, SdkError<E>>,
    ) -> anyhow::Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.attempt(what, call).await.map_err(Trouble::stop)
    }

    /// One call, repeated until it is answered, refused, or the time is over.
    pub(crate) async fn attempt<T, E>(
        &self,
        what: &'static str,
        call: impl AsyncFn() -> Result<T, SdkError<E>>,
    ) -> Result<T, Trouble>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut lost: Option<Instant> = None;
        loop {
            self.keep_pace(what).await?;
            let trouble = match call().await {
                Ok(answer) => {
                    self.answered.set(true);
                    self.pace.borrow_mut().went_through();
                    if lost.is_some() {
                        self.ui.say("  contact with AWS is back");
                    }
                    return Ok(answer);
                }
                Err(error) => Trouble::of(what, &error),
            };
            match trouble.kind {
                Kind::Throttled => {
                    if self.pace.borrow_mut().throttled() {
                        self.ui.say("  AWS asks for fewer calls: going on slowly");
                    }
                }
                Kind::Lost => {
                    let since = *lost.get_or_insert_with(|| {
                        self.ui.say(&format!("  no contact with {} ({}): trying again", self.place, trouble.message));
                        Instant::now()
                    });
                    // Where nothing ever answered, the address is wrong rather than the line down.
                    let patience =
                        if self.answered.get() { self.timing.patience() } else { self.timing.first_contact() };
                    if since.elapsed() > patience {
                        return Err(Trouble { message: format!("{} ({})", trouble.message, self.place), ..trouble });
                    }
                    self.pause(self.timing.poll).await;
                }
                _ => return Err(trouble),
            }
        }
    }

    async fn keep_pace(&self, what: &'static str) -> Result<(), Trouble> {
        if Instant::now() >= self.deadline.get() {
            return Err(Trouble {
                what,
                kind: Kind::TimedOut,
                code: String::new(),
                message: "the time limit ran out".to_owned(),
            });
        }
        let gap = jittered(self.pace.borrow().gap());
        if let Some(last) = self.last.get() {
            self.pause(gap.saturating_sub(last.elapsed())).await;
        }
        self.last.set(Some(Instant::now()));
        Ok(())
    }

    pub(crate) async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The usual time between two looks, never twice the same so that several deployers do not march in step.
    pub(crate) async fn between_looks(&self) {
        self.pause(jittered(self.timing.poll)).await;
    }
}

async fn credentials_end(config: &aws_config::SdkConfig) -> Option<std::time::SystemTime> {
    use aws_sdk_sts::config::ProvideCredentials;
    // Their absence is reported by the first call, with its reason.
    config.credentials_provider()?.provide_credentials().await.ok()?.expiry()
}

/// Between 80 and 120 percent.
fn jittered(time: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0) % 41;
    time * (80 + u32::try_from(random).unwrap_or(20)) / 100
}

/// A call that failed for good.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    what: &'static str,
    pub(crate) kind: Kind,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What kind of trouble, by what one does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Too many calls: slower.
    Throttled,
    /// No answer, or AWS had a fault of its own: again.
    Lost,
    /// The phase's time is over.
    TimedOut,
    /// No credentials, or they ended: log in.
    Login,
    /// Not allowed: ask for the right.
    Denied,
    /// The clocks differ.
    Clock,
    /// Everything else: AWS understood and refuses.
    Refused,
}

impl Trouble {
    fn of<E>(what: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default().to_owned();
        let message = match error.message() {
            Some(message) => message.to_owned(),
            None => brief(&DisplayErrorContext(error).to_string()),
        };
        let status = error.raw_response().map(|response| response.status().as_u16());
        let kind = match error {
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => of_answer(&code, &message, status),
            SdkError::DispatchFailure(_) if message.to_lowercase().contains("credential") => Kind::Login,
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Kind::Lost,
            _ => Kind::Refused,
        };
        Self { what, kind, code, message }
    }

    /// AWS says that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        let missing = ["NotFound", "NoSuch", "DoesNotExist"];
        self.kind == Kind::Refused
            && (self.message.contains("does not exist") || missing.iter().any(|word| self.code.contains(word)))
    }

    /// Somebody else made it first.
    pub(crate) fn is_taken(&self) -> bool {
        self.kind == Kind::Refused && self.code.contains("AlreadyExists")
    }

    /// The change set is at something that must end first.
    pub(crate) fn is_untimely(&self) -> bool {
        self.kind == Kind::Refused && self.code.contains("InvalidChangeSetStatus")
    }

    /// The error that ends the command before anything was started.
    pub(crate) fn stop(self) -> anyhow::Error {
        let (exit, next) = match self.kind {
            Kind::Login => (Exit::Unavailable, "log in (aws sso login, or fresh keys) and run it again"),
            Kind::Denied => (Exit::Unavailable, "ask for this permission, or use --profile with a role that has it"),
            Kind::Clock => (Exit::Unavailable, "set this machine's clock: AWS refuses requests that are minutes off"),
            Kind::Throttled | Kind::Lost | Kind::TimedOut => {
                (Exit::TimedOut, "run status to see how things stand, then run it again")
            }
            Kind::Refused => (Exit::Failed, ""),
        };
        exit.stop(self.to_string(), next)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { String::new() } else { format!(" ({})", self.code) };
        write!(f, "{}: {}{code}", self.what, self.message)
    }
}

fn of_answer(code: &str, message: &str, status: Option<u16>) -> Kind {
    let contains = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if contains(&["Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown"]) || status == Some(429) {
        return Kind::Throttled;
    }
    let off = ["RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"].contains(&code)
        || message.contains("Signature expired")
        || message.contains("Signature not yet current");
    if off {
        return Kind::Clock;
    }
    if contains(&[
        "ExpiredToken",
        "TokenRefreshRequired",
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "InvalidAccessKeyId",
        "MissingAuthentication",
        "AuthFailure",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
        "InvalidSignature",
    ]) {
        return Kind::Login;
    }
    if contains(&["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"]) || status == Some(403) {
        return Kind::Denied;
    }
    if contains(&["InternalFailure", "InternalError", "ServiceUnavailable", "ServerException"])
        || status.is_some_and(|status| status >= 500 && status != 501)
    {
        return Kind::Lost;
    }
    Kind::Refused
}

/// The SDK's chain of causes without what it says twice.
fn brief(chain: &str) -> String {
    let text = chain.split(" (").next().unwrap_or(chain);
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_one_does_about_them() {
        let table = [
            ("Throttling", "Rate exceeded", 400, Kind::Throttled),
            ("ThrottlingException", "", 400, Kind::Throttled),
            ("SlowDown", "", 503, Kind::Throttled),
            ("", "", 429, Kind::Throttled),
            ("ExpiredToken", "", 403, Kind::Login),
            ("ExpiredTokenException", "", 400, Kind::Login),
            ("InvalidClientTokenId", "", 403, Kind::Login),
            ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier than", 403, Kind::Clock),
            ("RequestTimeTooSkewed", "", 403, Kind::Clock),
            ("AccessDenied", "", 403, Kind::Denied),
            ("AccessDeniedException", "", 400, Kind::Denied),
            ("InternalFailure", "", 500, Kind::Lost),
            ("", "", 503, Kind::Lost),
            ("ValidationError", "Stack with id x does not exist", 400, Kind::Refused),
        ];
        for (code, message, status, kind) in table {
            assert_eq!(of_answer(code, message, Some(status)), kind, "{code} {status}");
        }
        let missing = |code: &str, message: &str| {
            Trouble { what: "x", kind: Kind::Refused, code: code.to_owned(), message: message.to_owned() }.is_missing()
        };
        assert!(missing("ValidationError", "Stack with id x does not exist"));
        assert!(missing("ChangeSetNotFound", ""));
        assert!(!missing("ValidationError", "something else"));
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        for _ in 0..1000 {
            let time = jittered(Duration::from_secs(10));
            assert!((8..=12).contains(&time.as_secs()), "{time:?}");
        }
    }
}
