//! The real servers, as processes on free ports of loopback: nsqlookupd, nsqd, redis-server and `weed server -s3`, found on PATH.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::process::Process;

/// How long a server may take until it answers.
const START: Duration = Duration::from_mins(1);

/// A server and where it listens; NSQ's have a side for HTTP too.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
}

pub(crate) async fn nsqlookupd(folder: &Path) -> Result<Started> {
    let (tcp, http) = (free()?, free()?);
    let mut command = Command::new("nsqlookupd");
    command.args([
        "-broadcast-address=127.0.0.1".to_owned(),
        format!("-tcp-address={tcp}"),
        format!("-http-address={http}"),
    ]);
    started("nsqlookupd", &mut command, folder, tcp, http).await
}

/// At these addresses, so that it comes back where it was. Its messages are kept in `folder`.
pub(crate) async fn nsqd(
    folder: &Path,
    (tcp, http): (SocketAddr, SocketAddr),
    lookupd: SocketAddr,
    msg_timeout: Duration,
) -> Result<Started> {
    let mut command = Command::new("nsqd");
    command
        .arg(format!("-data-path={}", folder.display()))
        .args(["-broadcast-address=127.0.0.1", "-max-req-timeout=3h"]);
    command.args([format!("-tcp-address={tcp}"), format!("-http-address={http}")]);
    command.args([format!("-lookupd-tcp-address={lookupd}"), format!("-msg-timeout={}ms", msg_timeout.as_millis())]);
    started("nsqd", &mut command, folder, tcp, http).await
}

pub(crate) async fn redis(folder: &Path) -> Result<Started> {
    let address = free()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(address.port().to_string());
    started("redis-server", command.current_dir(folder), folder, address, address).await
}

/// SeaweedFS, which makes a bucket when something is first put into it.
pub(crate) async fn weed(folder: &Path, key: &str, secret: &str) -> Result<Started> {
    let keys = format!(
        r#"{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{key}", "secretKey": "{secret}"}}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}}]}}"#
    );
    let config = folder.join("s3.json");
    std::fs::write(&config, keys).context("writing the configuration of SeaweedFS")?;
    let mut command = Command::new("weed");
    command.args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=2000", "-s3.iam=false"]);
    command.args(["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
    command.arg(format!("-dir={}", folder.display())).arg(format!("-s3.config={}", config.display()));
    let mut address = free()?;
    for name in ["master", "volume", "filer", "s3"] {
        let (port, grpc) = (free()?, free()?);
        command.arg(format!("-{name}.port={}", port.port())).arg(format!("-{name}.port.grpc={}", grpc.port()));
        address = port;
    }
    // It puts sockets into the temporary folder.
    started("weed", command.env("TMPDIR", folder), folder, address, address).await
}

/// An address on loopback that nobody uses now.
pub(crate) fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

async fn started(
    name: &str,
    command: &mut Command,
    folder: &Path,
    tcp: SocketAddr,
    http: SocketAddr,
) -> Result<Started> {
    let log = folder.join(format!("{name}.log"));
    let mut process = Process::start(name, command, &log)?;
    let deadline = Instant::now() + START;
    for address in [tcp, http] {
        while let Err(error) = TcpStream::connect(address).await {
            let ended = process.ended()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{name} does not listen on {address} ({error}, {ended:?}); its log: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(Started { process, tcp, http })
}
