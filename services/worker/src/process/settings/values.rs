//! What a setting's value can be, and what is wrong with one that is not. Which setting holds which kind is decided in
//! `sections.rs`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{duration, sources::Sources};

/// A kind of value.
pub trait Value: Sized {
    /// One word, for the table of `--check-settings`.
    const KIND: &'static str;
    /// What to do when it is missing or wrong; follows the description of the problem.
    const ADVICE: &'static str;

    /// Reads a text that is not empty. The error says what is wrong, without naming the setting. It quotes the text only
    /// if a secret pasted into the wrong setting could not be in it.
    fn parse(text: &str, sources: &Sources) -> Result<Self, String>;

    /// For the table.
    fn show(&self) -> String;
}

/// A text that never shows: neither `Debug` nor the table prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Any printable text on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

/// `http://…` or `https://…`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(String);

/// `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

/// The name of an S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket(String);

/// The six levels of `LOG_LEVEL`, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Secret {
    /// The text itself: for the request that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SET)
    }
}

macro_rules! as_str {
    ($($kind:ident),*) => {$(
        impl $kind {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}
as_str!(Text, HttpUrl, HostPort, Host, Bucket);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What the table shows of a secret.
const SET: &str = "<set>";

impl Value for Secret {
    const KIND: &'static str = "secret";
    const ADVICE: &'static str = "set it to the secret's text";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        printable(text).map(Self)
    }

    fn show(&self) -> String {
        SET.to_owned()
    }
}

impl Value for Text {
    const KIND: &'static str = "text";
    const ADVICE: &'static str = "give it a value on one line";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        printable(text).map(Self)
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for HttpUrl {
    const KIND: &'static str = "url";
    const ADVICE: &'static str = "set it to an address such as `http://host:1234`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest = rest.ok_or("begins with neither `http://` nor `https://`")?;
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return Err("holds a user name, which nobody would send".to_owned());
        }
        host_and_port(host)?;
        if rest.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#')) {
            return Err("holds blanks, `?` or `#`".to_owned());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for HostPort {
    const KIND: &'static str = "host:port";
    const ADVICE: &'static str = "set it to `host:port`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        match host_and_port(text)? {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err("has no port".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for Host {
    const KIND: &'static str = "host";
    const ADVICE: &'static str = "set it to `host` or `host:port`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        host_and_port(text)?;
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for Bucket {
    const KIND: &'static str = "bucket";
    const ADVICE: &'static str = "set it to the name of a bucket";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (3..=255).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err("is not a bucket's name".to_owned())
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for LogLevel {
    const KIND: &'static str = "level";
    const ADVICE: &'static str = "set it to CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "CRITICAL" => Self::Critical,
            "ERROR" => Self::Error,
            "WARNING" => Self::Warning,
            "NOTICE" => Self::Notice,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            _ => return Err("is not a level".to_owned()),
        })
    }

    fn show(&self) -> String {
        format!("{self:?}").to_ascii_uppercase()
    }
}

impl Value for Duration {
    const KIND: &'static str = "duration";
    const ADVICE: &'static str = "set it to a duration such as `90s`, `5m` or `1h30m`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        duration::parse(text)
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "path";
    const ADVICE: &'static str = "set it to the path of a folder";

    fn parse(text: &str, sources: &Sources) -> Result<Self, String> {
        sources.expand(&printable(text)?)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for i64 {
    const KIND: &'static str = "integer";
    const ADVICE: &'static str = "set it to a whole number";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        text.parse().map_err(|_| "is not a whole number".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const KIND: &'static str = i64::KIND;
    const ADVICE: &'static str = i64::ADVICE;

    fn parse(text: &str, sources: &Sources) -> Result<Self, String> {
        Self::try_from(i64::parse(text, sources)?).map_err(|_| format!("is not between 0 and {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Text with invisible parts is a mistake that nobody would see, and such a header or path fails far from its cause.
fn printable(text: &str) -> Result<String, String> {
    if text.trim() != text {
        Err("begins or ends with blanks".to_owned())
    } else if text.contains(char::is_control) {
        Err("holds a line break or another control character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Checks a host with or without a port and returns the port.
fn host_and_port(text: &str) -> Result<Option<u16>, String> {
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address is full of colons, and the brackets tell where it ends.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let legal = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => !host.is_empty() && host.bytes().all(address),
        None => !host.is_empty() && host.bytes().all(name),
    };
    if !legal {
        return Err("holds no proper host name".to_owned());
    }
    match port.map(str::parse::<u16>) {
        None => Ok(None),
        Some(Ok(port)) if port > 0 => Ok(Some(port)),
        Some(_) => Err("holds no proper port".to_owned()),
    }
}
