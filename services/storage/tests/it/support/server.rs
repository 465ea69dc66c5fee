//! S3 servers that keep what they are given: ours, and SeaweedFS where it is installed.

use std::fmt;
use std::process::{Child, Command, Stdio};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use stack::s3::{Options, S3};
use storage::{Bucket, Limits};

use super::{KEY, SECRET, wait_for};

/// A running server.
pub(crate) struct Server {
    /// `127.0.0.1:1234`
    pub(crate) address: String,
    pub(crate) kind: Kind,
    /// The SDK's own client, for what ours does not do: making buckets, looking at uploads.
    pub(crate) sdk: aws_sdk_s3::Client,
    _running: Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    Weed,
}

#[expect(dead_code, reason = "held for their drop")]
enum Running {
    Embedded(S3),
    Weed(Weed),
}

struct Weed {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Ours.
    pub(crate) async fn embedded() -> Self {
        let (access_key, secret_key) = (KEY.to_owned(), SECRET.to_owned());
        let s3 = S3::start(Options { access_key, secret_key, ..Options::default() }).await.unwrap();
        Self::at(s3.address().to_string(), Kind::Embedded, Running::Embedded(s3))
    }

    /// SeaweedFS, or `None` and a note.
    pub(crate) async fn weed(test: &str) -> Option<Self> {
        let found = Command::new("weed").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            super::skip(test, "weed (SeaweedFS) is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users.json");

        std::fs::write(&users, users_file()).unwrap();
        // Its unix sockets are named by port, and lie in the temporary folder.
        let [master, volume, filer, s3, grpc1, grpc2, grpc3, grpc4] = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("weed")
            .arg("server")
            .arg("-s3")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=200", "-master.volumeSizeLimitMB=64"])
            .args([format!("-master.port={master}"), format!("-master.port.grpc={grpc1}")])
            .args([format!("-volume.port={volume}"), format!("-volume.port.grpc={grpc2}")])
            .args([format!("-filer.port={filer}"), format!("-filer.port.grpc={grpc3}")])
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={grpc4}")])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-s3.autoCreateBucket=false"])
            .arg(format!("-s3.config={}", users.display()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let weed = Weed { child, _folder: folder };
        let address = format!("127.0.0.1:{s3}");
        let server = Self::at(address, Kind::Weed, Running::Weed(weed));
        wait_for("weed to take objects", async || {
            let made = server.sdk.create_bucket().bucket("ready").send().await;
            made.map(drop).or_else(|error| match error.into_service_error() {
                error if error.is_bucket_already_owned_by_you() || error.is_bucket_already_exists() => Ok(()),
                error => Err(format!("{error:?}")),
            })?;
            let put = server.sdk.put_object().bucket("ready").key("ready").body(vec![1].into()).send().await;
            put.map(drop).map_err(|error| format!("{error:?}"))
        })
        .await;
        Some(server)
    }

    fn at(address: String, kind: Kind, running: Running) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(KEY, SECRET, None, None, "test"))
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{address}"))
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self { address, kind, sdk: aws_sdk_s3::Client::from_conf(config), _running: running }
    }

    /// Makes a bucket and gives our client for it.
    pub(crate) async fn bucket(&self, name: &str, limits: Limits) -> Bucket {
        self.sdk.create_bucket().bucket(name).send().await.unwrap();
        super::bucket(&self.address, limits, name).await
    }

    /// How many uploads in parts are under way in a bucket.
    pub(crate) async fn uploads(&self, bucket: &str) -> usize {
        self.sdk.list_multipart_uploads().bucket(bucket).send().await.unwrap().uploads().len()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.address)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn users_file() -> String {
    format!(
        r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],
        "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    )
}

/// Ports that nobody had a moment ago. All are held until the last is found, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|n| listeners[n].local_addr().unwrap().port())
}
