//! One provider's connection to the SDK: endpoints, regions, credentials, time-outs and retries. What is asked of S3 is elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, ReconnectMode, RetryAction, RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::budget::Budget;
use crate::config::{Limits, Provider, Scheme};
use crate::error::{Error, Kind, Target};

/// What all buckets share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    /// Uploads that were dropped half-way and are being aborted.
    pub(crate) cleanups: TaskTracker,
}

/// One provider.
pub(crate) struct Connection {
    pub(crate) name: model::Provider,
    host: Host,
    settings: Builder,
    known: HashMap<String, String>,
    looked_up: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    /// By region.
    clients: Mutex<HashMap<String, Client>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// The SDK derives the endpoint from the bucket and its region (ruling D.25).
    Amazon {
        region: String,
    },
    Other {
        endpoint: String,
        region: String,
    },
}

/// Where a bucket is when neither the settings nor its host tell, and where one asks for the region of a bucket of Amazon's.
const FIRST_REGION: &str = "us-east-1";

/// What speaks HTTP for all providers.
pub(crate) fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(Duration::from_secs(15)) // less than the 20 s after which Amazon closes a connection
        .pool_max_idle_per_host(128)
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

impl Connection {
    /// `known` are the buckets whose region is known.
    pub(crate) async fn new(
        provider: &Provider,
        known: HashMap<String, String>,
        limits: &Limits,
        http: SharedHttpClient,
    ) -> Result<Self, Error> {
        let settings = settings(provider, limits, http).await?;
        let (name, host) = (provider.name.clone(), Host::of(provider));
        Ok(Self { name, host, settings, known, looked_up: Mutex::default(), clients: Mutex::default() })
    }

    /// The client for a bucket, whose region may have to be asked for first.
    pub(crate) async fn client(&self, bucket: &str) -> Result<Client, Error> {
        let region = match (self.known.get(bucket), &self.host) {
            (Some(known), _) => known.clone(),
            (None, Host::Other { region, .. }) => region.clone(),
            (None, Host::Amazon { region }) => Box::pin(self.region_of(bucket, region)).await?,
        };
        Ok(self.client_in(&region))
    }

    /// Asks once per bucket, however many callers there are; a failure is not remembered.
    async fn region_of(&self, bucket: &str, default: &str) -> Result<String, Error> {
        let cell = {
            let mut looked_up = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(looked_up.entry(bucket.to_owned()).or_default())
        };
        cell.get_or_try_init(|| look_up_region(self.client_in(default), bucket, default)).await.cloned()
    }

    fn client_in(&self, region: &str) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let made = clients.entry(region.to_owned()).or_insert_with(|| {
            let settings = self.settings.clone().region(aws_sdk_s3::config::Region::new(region.to_owned()));
            Client::from_conf(match &self.host {
                Host::Amazon { .. } => settings.build(),
                Host::Other { endpoint, .. } => settings.endpoint_url(endpoint).force_path_style(true).build(),
            })
        });
        made.clone()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({:?} at {:?})", self.name, self.host)
    }
}

impl Shared {
    /// Settings of a request that may take longer than others by so much.
    pub(crate) fn patient(&self, longer: Duration) -> Builder {
        Builder::new().timeout_config(timeouts(&self.limits, self.limits.answer.saturating_add(longer)))
    }
}

/// How long it may take to send this much: 256 KiB/s is slower than any network that the services run in. An upload that does
/// not move at all is given up much earlier.
pub(crate) fn sending(bytes: u64) -> Duration {
    Duration::from_secs(bytes >> 18)
}

/// How long S3 may take to copy this much by itself: at 4 MiB/s.
pub(crate) fn copying(bytes: u64) -> Duration {
    Duration::from_secs(bytes >> 22)
}

impl Host {
    fn of(provider: &Provider) -> Self {
        let host = provider.host.to_ascii_lowercase();
        let name = host.split(':').next().unwrap_or_default();
        let region = region_in(name).unwrap_or(FIRST_REGION).to_owned();
        if name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn") {
            return Self::Amazon { region };
        }
        let scheme = match provider.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        Self::Other { endpoint: format!("{scheme}://{host}"), region }
    }
}

/// The region in a host name such as `s3.us-west-1.wasabisys.com`.
fn region_in(host: &str) -> Option<&str> {
    let region = host.strip_prefix("s3.")?.split('.').next()?;
    let mut parts = region.split('-');
    let (area, number) = (parts.next()?, parts.next_back()?);
    let is_region = area.len() == 2 && parts.next().is_some() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_region.then_some(region)
}

async fn look_up_region(client: Client, bucket: &str, default: &str) -> Result<String, Error> {
    const HEADER: &str = "x-amz-bucket-region";
    match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => Ok(answer.bucket_region().unwrap_or(default).to_owned()),
        // A redirection, and even a refusal, name the region.
        Err(error) => match error.raw_response().and_then(|response| response.headers().get(HEADER)) {
            Some(region) => Ok(region.to_owned()),
            None => Err(Error::of_sdk(Target::new("HEAD", bucket, None), error)),
        },
    }
}

async fn settings(provider: &Provider, limits: &Limits, http: SharedHttpClient) -> Result<Builder, Error> {
    let retries = RetryConfig::standard()
        .with_max_attempts(limits.attempts.max(1))
        .with_initial_backoff(Duration::from_millis(200).min(limits.pause))
        .with_max_backoff(limits.pause)
        .with_reconnect_mode(ReconnectMode::ReconnectOnTransientError);
    // Tries are bounded per request. The SDK's quota over all requests would let the outage of one bucket take the second
    // tries away from the others.
    let partition =
        RetryPartition::custom(provider.name.as_str().to_owned()).token_bucket(TokenBucket::unlimited()).build();
    // What is sent carries Content-MD5 everywhere. What Amazon sends is checked as well where it was stored with a checksum;
    // others answer such requests in their own ways (ruling D.28).
    let validation = match Host::of(provider) {
        Host::Amazon { .. } => ResponseChecksumValidation::WhenSupported,
        Host::Other { .. } => ResponseChecksumValidation::WhenRequired,
    };
    // A stalled upload shows in how the SDK's connection takes the body. Downloads are watched by `Download`, which resumes.
    let stalls = StalledStreamProtectionConfig::enabled().download_enabled(false).grace_period(limits.stall).build();
    Ok(Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials(provider, http.clone()).await?)
        .http_client(http)
        .retry_config(retries)
        .retry_partition(partition)
        .retry_classifier(MoreStatuses)
        .timeout_config(timeouts(limits, limits.answer))
        .stalled_stream_protection(stalls)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(validation))
}

fn timeouts(limits: &Limits, attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(limits.connect).operation_attempt_timeout(attempt).build()
}

async fn credentials(provider: &Provider, http: SharedHttpClient) -> Result<SharedCredentialsProvider, Error> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let fails = |message: String| Error::new(Target::new("use", provider.name.as_str(), None), Kind::Settings, message);
    match (given(&provider.key), given(&provider.secret)) {
        (Some(key), Some(secret)) => {
            Ok(SharedCredentialsProvider::new(Credentials::new(key, secret, None, None, "settings")))
        }
        (None, None) => {
            let config = aws_config::defaults(BehaviorVersion::latest())
                .region(aws_sdk_s3::config::Region::new(FIRST_REGION))
                .http_client(http)
                .load()
                .await;
            config.credentials_provider().ok_or_else(|| fails("the SDK knows of no credentials".to_owned()))
        }
        (Some(_), None) => Err(fails(format!("provider {} has a key but no secret", provider.name.as_str()))),
        (None, Some(_)) => Err(fails(format!("provider {} has a secret but no key", provider.name.as_str()))),
    }
}

/// Statuses that are worth another try beyond those of the SDK's standard (specification 01 §6.1).
#[derive(Debug)]
struct MoreStatuses;

impl ClassifyRetry for MoreStatuses {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(408 | 499 | 520..=599) => RetryAction::transient_error(),
            Some(429) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "more statuses"
    }
}

#[cfg(test)]
impl Connection {
    /// Checks checksums of answers as for Amazon, which cannot be had in a test.
    pub(crate) fn checking(self) -> Self {
        Self { settings: self.settings.response_checksum_validation(ResponseChecksumValidation::WhenSupported), ..self }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    pub(crate) fn provider(name: model::Provider, host: &str, scheme: Scheme) -> Provider {
        let secret = || Some("test".to_owned());
        Provider { name, host: host.to_owned(), scheme, key: secret(), secret: secret() }
    }

    /// Answers the first request only, and gives it back.
    pub(crate) async fn answering(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, server)
    }
}

#[cfg(test)]
mod tests {
    use model::Provider::{Aws, Local};

    use super::testing::{answering, provider};
    use super::*;

    #[test]
    fn hosts_are_amazon_s_or_not() {
        let amazon = |region: &str| Host::Amazon { region: region.to_owned() };
        let other =
            |endpoint: &str, region: &str| Host::Other { endpoint: endpoint.to_owned(), region: region.to_owned() };
        for (host, expected) in [
            ("s3.amazonaws.com", amazon("us-east-1")),
            ("S3.US-West-2.AmazonAWS.com", amazon("us-west-2")),
            ("s3.amazonaws.com:443", amazon("us-east-1")),
            ("s3.us-central-1.wasabisys.com", other("https://s3.us-central-1.wasabisys.com", "us-central-1")),
            ("s3.wasabisys.com", other("https://s3.wasabisys.com", "us-east-1")),
            ("127.0.0.1:9899", other("https://127.0.0.1:9899", "us-east-1")),
            ("amazonaws.com.example.org", other("https://amazonaws.com.example.org", "us-east-1")),
        ] {
            assert_eq!(Host::of(&provider(Aws, host, Scheme::Https)), expected, "{host}");
        }
    }

    #[tokio::test]
    async fn a_bucket_s_region_is_asked_for_once() {
        for (status, header, expected) in [
            ("200 OK", "x-amz-bucket-region: us-west-2\r\n", Some("us-west-2")),
            ("200 OK", "", Some("us-east-1")),
            ("301 Moved Permanently", "x-amz-bucket-region: us-east-2\r\n", Some("us-east-2")),
            ("403 Forbidden", "x-amz-bucket-region: eu-central-1\r\n", Some("eu-central-1")),
            ("400 Bad Request", "x-amz-bucket-region: us-west-1\r\n", Some("us-west-1")),
            ("403 Forbidden", "", None),
            ("404 Not Found", "", None),
        ] {
            let answer = format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n");
            let (address, server) = answering(answer).await;
            let provider = provider(Local, &address, Scheme::Http);
            let connection = Connection::new(&provider, HashMap::new(), &Limits::default(), http()).await.unwrap();
            let region = connection.region_of("some.bucket", "us-east-1").await;
            if let Err(error) = &region {
                let kind = if status.starts_with("404") { Kind::NoBucket } else { Kind::Denied };
                assert_eq!(error.kind(), kind, "{error}");
            }
            assert_eq!(region.ok().as_deref(), expected, "{status} {header}");
            if expected.is_some() {
                // The server has answered its only request: the region is remembered.
                assert_eq!(connection.region_of("some.bucket", "us-east-1").await.ok().as_deref(), expected);
            }
            assert!(server.await.unwrap().starts_with("HEAD /some.bucket"), "{status} {header}");
        }
    }
}
