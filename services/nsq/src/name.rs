//! Names of topics and channels, checked before they reach a server. Which ones there are is the caller's business.

use std::fmt;
use std::str::FromStr;

/// The name of a topic or of a channel: 1 to 64 of `.a-zA-Z0-9_-`, where `#ephemeral` may end it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// NSQ would refuse this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of an NSQ topic or channel: 1 to 64 letters, digits, `.`, `_` and `-`")]
pub struct BadName(String);

const LONGEST: usize = 64;
const EPHEMERAL: &str = "#ephemeral";

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let stem = text.strip_suffix(EPHEMERAL).unwrap_or(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if stem.is_empty() || text.len() > LONGEST || !stem.bytes().all(allowed) {
            return Err(BadName(text.chars().take(2 * LONGEST).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_nsqd_takes() {
        for good in ["a", "ingest01_prefetch", "A.b-c_9", "x#ephemeral", &"n".repeat(64)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let long = "n".repeat(65);
        for bad in ["", "#ephemeral", "a b", "a\n", "a/b", "ü", "a#ephemeralx", "a#b", &long, "FIN x\nRDY"] {
            let error = bad.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains("no name of an NSQ topic"), "{error}");
        }
        assert!("n".repeat(100_000).parse::<Name>().unwrap_err().to_string().len() < 300);
    }
}
