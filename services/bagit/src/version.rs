//! Versions of BagIt.

use std::str::FromStr;

/// A version as `bagit.txt` gives it: major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

/// A text that is not two numbers with a dot between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form M.N")]
pub struct BadVersion;

impl Version {
    pub const V0_97: Self = Self { major: 0, minor: 97 };
    pub const V1_0: Self = Self { major: 1, minor: 0 };
}

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(BadVersion)
        };
        let (major, minor) = text.split_once('.').ok_or(BadVersion)?;
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!("0.97".parse(), Ok(Version::V0_97));
        assert_eq!("1.0".parse(), Ok(Version::V1_0));
        for text in [".97", "1", "1.", "1.0.0", "+1.0", "a.b", "", "1.0 "] {
            assert_eq!(text.parse::<Version>(), Err(BadVersion), "{text}");
        }
        assert!(Version::V0_97 < Version::V1_0);
    }
}
