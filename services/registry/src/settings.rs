//! Where the Registry is and who asks, and the refusal of settings that cannot work.

use std::fmt;

/// Where the Registry is, and who asks.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Its address, as `https://repo.aptrust.org`. Everything is sent to its origin and nowhere else.
    pub url: &'a str,
    /// `v3`
    pub version: &'a str,
    /// The email address of an administrator of APTrust.
    pub user: &'a str,
    /// The user's API key. It is never printed.
    pub key: &'a str,
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, version, user, key: _ } = self;
        write!(out, "Settings {{ url: {url:?}, version: {version:?}, user: {user:?}, key: <secret> }}")
    }
}

/// A client cannot be made of these settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub(crate) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}
