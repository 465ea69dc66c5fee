//! From settings to the SDK's clients: endpoints, regions, credentials, time-outs and retries. What is asked of S3 is elsewhere.

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

use crate::bucket::Bucket;
use crate::buffers::Buffers;
use crate::config::{Config, Limits, Provider, Scheme};
use crate::error::{Error, Kind, Target};

/// All of S3. Cheap to clone; the clones share connections, credentials and the account of buffers.
#[derive(Debug, Clone)]
pub struct Storage {
    connections: Arc<[Arc<Connection>]>,
    shared: Arc<Shared>,
}

/// What all buckets share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) buffers: Buffers,
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

impl Storage {
    /// Makes the clients. Nothing is sent to S3 yet.
    pub async fn new(config: &Config) -> Result<Self, Error> {
        let http = aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(Duration::from_secs(15)) // less than the 20 s after which Amazon closes a connection
            .pool_max_idle_per_host(128)
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut connections = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let known = config.regions.iter().filter(|known| known.provider == provider.name);
            connections.push(Arc::new(Connection {
                name: provider.name.clone(),
                host: Host::of(provider),
                settings: settings(provider, &config.limits, http.clone()).await?,
                known: known.map(|known| (known.bucket.clone(), known.region.clone())).collect(),
                looked_up: Mutex::default(),
                clients: Mutex::default(),
            }));
        }
        let shared = Shared {
            limits: config.limits.clone(),
            buffers: Buffers::new(config.limits.buffers),
            cleanups: TaskTracker::new(),
        };
        Ok(Self { connections: connections.into(), shared: Arc::new(shared) })
    }

    /// A bucket of the provider of that name. Nothing is sent.
    pub fn bucket(&self, provider: &model::Provider, name: &str) -> Result<Bucket, Error> {
        let found = self.connections.iter().find(|connection| connection.name == *provider);
        let Some(connection) = found else {
            let message = format!("no S3 client for provider {} or bucket {name}", provider.as_str());
            return Err(Target::new("use", name, None).fails(Kind::Settings, message));
        };
        Ok(Bucket::new(Arc::clone(connection), Arc::clone(&self.shared), name))
    }

    /// The most bytes that uploads ever held in memory at once.
    pub fn peak_buffered(&self) -> usize {
        self.shared.buffers.peak()
    }

    /// Waits until the uploads that were given up half-way are aborted, each of which is bounded in time. Call it before the
    /// process ends; otherwise their parts stay until the bucket's own rules remove them.
    pub async fn close(&self) {
        self.shared.cleanups.close();
        self.shared.cleanups.wait().await;
    }
}

impl Connection {
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
mod tests {
    use aws_sdk_s3::presigning::PresigningConfig;
    use model::Provider::{Aws, Local, WasabiOr, WasabiTx, WasabiVa};
    use model::bucket::PreservationBuckets;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::config::Region;

    fn provider(name: model::Provider, host: &str, scheme: Scheme) -> Provider {
        let secret = || Some("test".to_owned());
        Provider { name, host: host.to_owned(), scheme, key: secret(), secret: secret() }
    }

    /// The production's names.
    fn buckets() -> PreservationBuckets {
        let name = |setting: &'static str| -> Result<String, std::convert::Infallible> {
            Ok(match setting {
                "S3_AWS_HOST" => "s3.amazonaws.com",
                "S3_NEWSTORAGEOPTION_HOST_OR" => "s3.us-west-1.wasabisys.com",
                "S3_NEWSTORAGEOPTION_HOST_TX" => "s3.us-central-1.wasabisys.com",
                "S3_NEWSTORAGEOPTION_HOST_VA" => "s3.us-east-1.wasabisys.com",
                "BUCKET_STANDARD_VA" => "aptrust.preservation.storage",
                "BUCKET_STANDARD_OR" => "aptrust.preservation.oregon",
                "BUCKET_GLACIER_OH" => "aptrust.preservation.glacier.oh",
                "BUCKET_GLACIER_OR" => "aptrust.preservation.glacier.or",
                "BUCKET_GLACIER_VA" => "aptrust.preservation.glacier.va",
                "BUCKET_GLACIER_DEEP_OH" => "aptrust.preservation.glacier-deep.oh",
                "BUCKET_GLACIER_DEEP_OR" => "aptrust.preservation.glacier-deep.or",
                "BUCKET_GLACIER_DEEP_VA" => "dotless-bucket",
                "BUCKET_WASABI_OR" => "aptrust-production-wasabi-or",
                "BUCKET_WASABI_TX" => "aptrust-production-wasabi-tx",
                "BUCKET_WASABI_VA" => "aptrust-production-wasabi-va",
                other => unreachable!("{other}"),
            }
            .to_owned())
        };
        PreservationBuckets::new(name).unwrap()
    }

    async fn production() -> Storage {
        let buckets = buckets();
        let regions = buckets.iter().map(|bucket| Region {
            provider: bucket.row().provider.clone(),
            bucket: bucket.name().to_owned(),
            region: bucket.row().region.to_owned(),
        });
        let providers = vec![
            provider(Aws, "s3.amazonaws.com", Scheme::Https),
            provider(WasabiOr, "s3.us-west-1.wasabisys.com", Scheme::Https),
            provider(WasabiTx, "s3.us-central-1.wasabisys.com", Scheme::Https),
            provider(WasabiVa, "S3.us-east-1.WasabiSys.com", Scheme::Https),
            provider(Local, "localhost:9899", Scheme::Http),
        ];
        Storage::new(&Config { providers, regions: regions.collect(), limits: Limits::default() }).await.unwrap()
    }

    /// The URL that a request goes to, and the region that it is signed for.
    async fn url(storage: &Storage, provider: &model::Provider, bucket: &str) -> (String, String) {
        let client = storage.bucket(provider, bucket).unwrap().client().await.unwrap();
        let presigning = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
        let signed = client.get_object().bucket(bucket).key("a/key").presigned(presigning).await.unwrap();
        let (url, query) = signed.uri().split_once('?').unwrap();
        let region = query.split("%2F").nth(2).unwrap();
        (url.to_owned(), region.to_owned())
    }

    #[tokio::test]
    async fn every_preservation_bucket_has_its_url() {
        let storage = production().await;
        let expected = [
            "https://s3.us-east-1.amazonaws.com/aptrust.preservation.storage/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.oregon/a/key",
            "https://s3.us-east-2.amazonaws.com/aptrust.preservation.glacier.oh/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.glacier.or/a/key",
            "https://s3.us-east-1.amazonaws.com/aptrust.preservation.glacier.va/a/key",
            "https://s3.us-east-2.amazonaws.com/aptrust.preservation.glacier-deep.oh/a/key",
            "https://s3.us-west-2.amazonaws.com/aptrust.preservation.glacier-deep.or/a/key",
            "https://dotless-bucket.s3.us-east-1.amazonaws.com/a/key",
            "https://s3.us-west-1.wasabisys.com/aptrust-production-wasabi-or/a/key",
            "https://s3.us-central-1.wasabisys.com/aptrust-production-wasabi-tx/a/key",
            "https://s3.us-east-1.wasabisys.com/aptrust-production-wasabi-va/a/key",
        ];
        let buckets = buckets();
        assert_eq!(buckets.iter().count(), expected.len());
        for (bucket, expected) in buckets.iter().zip(expected) {
            let (url, region) = url(&storage, &bucket.row().provider, bucket.name()).await;
            assert_eq!((url.as_str(), region.as_str()), (expected, bucket.row().region));
        }
        let local = url(&storage, &Local, "some.bucket").await;
        assert_eq!(local, ("http://localhost:9899/some.bucket/a/key".to_owned(), "us-east-1".to_owned()));
    }

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

    /// Answers the first request only, and gives it back.
    async fn answering(answer: String) -> (String, tokio::task::JoinHandle<String>) {
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

    #[tokio::test]
    async fn a_checksum_that_came_along_is_compared() {
        for (checksum, is_right) in [("NhCmhg==", true), ("AAAAAA==", false)] {
            let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 5";
            let (address, server) = answering(format!("{head}\r\nx-amz-checksum-crc32: {checksum}\r\n\r\nhello")).await;
            let local = provider(Local, &address, Scheme::Http);
            let config = Config { providers: vec![local.clone()], regions: vec![], limits: Limits::default() };
            let storage = Storage::new(&config).await.unwrap();
            // As for Amazon, which cannot be had here.
            let http = aws_smithy_http_client::Builder::new().build_http();
            let settings = settings(&local, &Limits::default(), http).await.unwrap();
            let connection = Connection {
                name: Local,
                host: Host::of(&local),
                settings: settings.response_checksum_validation(ResponseChecksumValidation::WhenSupported),
                known: HashMap::new(),
                looked_up: Mutex::default(),
                clients: Mutex::default(),
            };
            let bucket = Bucket::new(Arc::new(connection), Arc::clone(&storage.shared), "bucket");
            let mut download = bucket.get("key").await.unwrap();
            assert_eq!(download.chunk().await.unwrap().as_deref(), Some(&b"hello"[..]));
            let end = download.chunk().await;
            assert_eq!(end.as_ref().err().map(Error::kind), (!is_right).then_some(Kind::Unavailable), "{end:?}");
            assert!(server.await.unwrap().contains("x-amz-checksum-mode: ENABLED"));
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
            let config = Config { providers: vec![provider], regions: vec![], limits: Limits::default() };
            let storage = Storage::new(&config).await.unwrap();
            let connection = &storage.connections[0];
            let region = connection.region_of("some.bucket", "us-east-1").await;
            assert_eq!(region.ok().as_deref(), expected, "{status} {header}");
            if expected.is_some() {
                // The server has answered its only request: the region is remembered.
                assert_eq!(connection.region_of("some.bucket", "us-east-1").await.ok().as_deref(), expected);
            }
            assert!(server.await.unwrap().starts_with("HEAD /some.bucket"), "{status} {header}");
        }
    }
}
