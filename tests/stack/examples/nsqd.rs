//! nsqd or nsqlookupd (by the name that it is called by, or the first argument) with the real one's flags, for the test
//! suites of clients that start these programs from PATH. Flags that mean nothing here are accepted and ignored.

#![expect(clippy::print_stderr, reason = "the real ones write their log there, and suites wait for its lines")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use stack::nsq::{Lookupd, LookupdOptions, Nsqd, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().collect();
    let called = Path::new(&arguments[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_lookupd = called == "nsqlookupd" || arguments.get(1).is_some_and(|name| name == "nsqlookupd");
    arguments.remove(0);
    let flags = Flags::of(&arguments);
    if flags.0.contains_key("version") {
        eprintln!("nsqd v1.2.0 (the embedded one of tests/stack)");
        return Ok(());
    }
    let (server, tcp, http): (Box<dyn std::any::Any>, SocketAddr, SocketAddr) = if is_lookupd {
        let server = Lookupd::start(lookupd_options(&flags)?).await?;
        let (tcp, http) = (server.tcp(), server.http());
        (Box::new(server), tcp, http)
    } else {
        let server = Nsqd::start(nsqd_options(&flags)?).await?;
        let (tcp, http) = (server.tcp(), server.http());
        (Box::new(server), tcp, http)
    };
    eprintln!("[{called}] INFO: TCP: listening on {tcp}\n[{called}] INFO: HTTP: listening on {http}");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    drop(server);
    Ok(())
}

fn nsqd_options(flags: &Flags) -> anyhow::Result<Options> {
    let defaults = Options::default();
    Ok(Options {
        tcp: flags.address("tcp-address", "127.0.0.1:4150")?,
        http: flags.address("http-address", "127.0.0.1:4151")?,
        broadcast_address: flags.last("broadcast-address").unwrap_or("127.0.0.1").to_owned(),
        lookupd: flags.all("lookupd-tcp-address").iter().map(|text| address(text)).collect::<anyhow::Result<_>>()?,
        msg_timeout: flags.duration("msg-timeout", defaults.msg_timeout)?,
        max_msg_timeout: flags.duration("max-msg-timeout", defaults.max_msg_timeout)?,
        max_req_timeout: flags.duration("max-req-timeout", defaults.max_req_timeout)?,
        max_heartbeat_interval: flags.duration("max-heartbeat-interval", defaults.max_heartbeat_interval)?,
        max_msg_size: flags.number("max-msg-size", defaults.max_msg_size)?,
        max_body_size: flags.number("max-body-size", defaults.max_body_size)?,
        max_rdy_count: flags.number("max-rdy-count", defaults.max_rdy_count)?,
        ..defaults
    })
}

fn lookupd_options(flags: &Flags) -> anyhow::Result<LookupdOptions> {
    let defaults = LookupdOptions::default();
    Ok(LookupdOptions {
        tcp: flags.address("tcp-address", "127.0.0.1:4160")?,
        http: flags.address("http-address", "127.0.0.1:4161")?,
        broadcast_address: flags.last("broadcast-address").unwrap_or("127.0.0.1").to_owned(),
        inactive_producer_timeout: flags.duration("inactive-producer-timeout", defaults.inactive_producer_timeout)?,
        tombstone_lifetime: flags.duration("tombstone-lifetime", defaults.tombstone_lifetime)?,
    })
}

/// Go's flags: one dash or two, the value behind `=` or as the next word.
struct Flags(BTreeMap<String, Vec<String>>);

impl Flags {
    fn of(arguments: &[String]) -> Self {
        let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-') else { continue };
            let flag = flag.trim_start_matches('-');
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (flag, words.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_default()),
            };
            flags.entry(name.to_owned()).or_default().push(value);
        }
        Self(flags)
    }

    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    fn address(&self, name: &str, default: &str) -> anyhow::Result<SocketAddr> {
        address(self.last(name).unwrap_or(default))
    }

    fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
        default: T,
    ) -> anyhow::Result<T> {
        self.last(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("-{name}={text}")))
    }

    fn duration(&self, name: &str, default: Duration) -> anyhow::Result<Duration> {
        self.last(name)
            .map_or(Ok(default), |text| humantime::parse_duration(text).with_context(|| format!("-{name}={text}")))
    }
}

/// Every interface becomes loopback, the only one that the embedded servers listen on.
fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let text = text.replace("0.0.0.0:", "127.0.0.1:");
    let mut found = text.to_socket_addrs().with_context(|| text.clone())?;
    found.find(SocketAddr::is_ipv4).with_context(|| format!("{text} has no IPv4 address"))
}
