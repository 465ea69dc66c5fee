//! The servers that the protocol suite runs against, and the SDK's client for them.

use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use stack::s3::{Options, S3};

use crate::support::{http_client, wait_for};

pub(crate) const ACCESS: &str = "minioadmin";
pub(crate) const SECRET: &str = "minioadmin";

/// A server to try, and a bucket on it of the check's own.
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    pub(crate) bucket: String,
    /// Ours lives as long as its target.
    server: Option<S3>,
}

impl Target {
    pub(crate) async fn ours() -> Self {
        Self::start(Options::default()).await
    }

    pub(crate) async fn start(options: Options) -> Self {
        let server = S3::start(options).await.unwrap();
        let mut target = Self::at(&server.endpoint(), "bucket").await;
        target.server = Some(server);
        target
    }

    /// A new bucket on the server at this endpoint.
    pub(crate) async fn at(endpoint: &str, bucket: &str) -> Self {
        let client = client(endpoint, SECRET, RequestChecksumCalculation::WhenRequired);
        client.create_bucket().bucket(bucket).send().await.unwrap();
        Self { endpoint: endpoint.to_owned(), client, bucket: bucket.to_owned(), server: None }
    }

    pub(crate) fn server(&self) -> &S3 {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn into_server(self) -> S3 {
        self.server.unwrap()
    }

    /// The SDK as it comes: checksums wherever it can.
    pub(crate) fn checking_client(&self) -> Client {
        client(&self.endpoint, SECRET, RequestChecksumCalculation::WhenSupported)
    }

    /// Puts, and gives back the ETag.
    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body.into().into());
        put.send().await.unwrap().e_tag.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(&self.bucket).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }
}

pub(crate) fn client(endpoint: &str, secret: &str, checksums: RequestChecksumCalculation) -> Client {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
    let responses = match checksums {
        RequestChecksumCalculation::WhenSupported => ResponseChecksumValidation::WhenSupported,
        _ => ResponseChecksumValidation::WhenRequired,
    };
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS, secret, None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(http)
        .region(Region::new("us-east-1"))
        .request_checksum_calculation(checksums)
        .response_checksum_validation(responses)
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// The code of S3 and the status of a failure. An answer without a body has no code.
pub(crate) fn failure<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, SdkError<E>>,
) -> (String, u16) {
    let error = result.expect_err("it must fail");
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (error.code().unwrap_or_default().to_owned(), status)
}

/// SeaweedFS, ended by its process id when this is dropped.
pub(crate) struct Weed {
    child: Child,
    pub(crate) endpoint: String,
    _folder: tempfile::TempDir,
}

impl Weed {
    pub(crate) async fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = serde_json::json!({"identities": [{
            "name": "test",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let config = folder.path().join("s3.json");
        std::fs::write(&config, keys.to_string()).unwrap();
        // Its gRPC ports are 10,000 above the others, so both must be free.
        let ports: Vec<u16> = (0..4).map(|_| port_pair()).collect();
        let mut command = Command::new(program);
        command.arg("server").arg("-s3").args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=2000"]);
        command.arg("-master.volumeSizeLimitMB=64").arg(format!("-dir={}", folder.path().display()));
        command.arg(format!("-s3.config={}", config.display()));
        for (name, port) in ["master", "volume", "filer", "s3"].iter().zip(&ports) {
            command.arg(format!("-{name}.port={port}")).arg(format!("-{name}.port.grpc={}", port + 10_000));
        }
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]);
        // As Amazon does it.
        command.args(["-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"]);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        // It puts sockets into the temporary folder.
        command.env("TMPDIR", folder.path());
        let child = command.spawn().unwrap();
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        let weed = Self { child, endpoint, _folder: folder };
        let client = client(&weed.endpoint, SECRET, RequestChecksumCalculation::WhenRequired);
        let bucket = client.create_bucket().bucket("first");
        wait_for("SeaweedFS", || ready(&client, bucket.clone())).await;
        weed
    }
}

/// It takes objects some time after it takes connections.
fn ready(
    client: &Client,
    bucket: aws_sdk_s3::operation::create_bucket::builders::CreateBucketFluentBuilder,
) -> impl Future<Output = Result<(), String>> + use<> {
    let put = client.put_object().bucket("first").key("first").body(b"first".to_vec().into());
    async move {
        let _ = tokio::time::timeout(Duration::from_secs(10), bucket.send()).await;
        match tokio::time::timeout(Duration::from_secs(10), put.send()).await {
            Ok(Ok(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}

/// A port that is free now, as the one 10,000 above it is.
fn port_pair() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // What the system gives out begins high; below it there is room for both.
        let low = 10_000 + port % 10_000;
        if [low, low + 10_000].into_iter().all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return low;
        }
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests without the SDK, such as those of presigned URLs.
pub(crate) fn plain() -> reqwest::Client {
    http_client()
}
