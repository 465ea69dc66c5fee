//! Addresses of the HTTP sides of NSQ servers, checked before anything is sent there.

use reqwest::Url;

/// An address that is no address.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is no address of an NSQ server: {reason}")]
pub struct BadAddress {
    pub(crate) address: String,
    pub(crate) reason: String,
}

/// `host:port`, with the brackets of an IPv6 address.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The base URL of a server's HTTP side.
pub(crate) fn base(address: &str) -> Result<Url, BadAddress> {
    let refuse = |reason: String| BadAddress { address: address.to_owned(), reason };
    let text = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url = Url::parse(&text).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("it is host:port or an http:// URL".to_owned()));
    }
    Ok(url)
}
