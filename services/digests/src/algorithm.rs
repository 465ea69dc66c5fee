//! Which digests: the four algorithms of BagIt that the service knows, and sets of them.

use std::fmt;
use std::str::FromStr;

/// A digest algorithm. Its text is BagIt's: `md5`, `sha1`, `sha256`, `sha512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithms(u8);

/// A word that names none of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no digest algorithm {0:?} here, only md5, sha1, sha256 and sha512")]
pub struct UnknownAlgorithm(String);

impl Algorithm {
    /// In the order of the specification.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(word: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == word)
            .ok_or_else(|| UnknownAlgorithm(word.to_owned()))
    }
}

impl Algorithms {
    pub const ALL: Self = Self(0b1111);

    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Its members, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |set, algorithm| set | algorithm.bit()))
    }
}

impl From<Algorithm> for Algorithms {
    fn from(algorithm: Algorithm) -> Self {
        Self(algorithm.bit())
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_algorithms() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        let unknown = "SHA256".parse::<Algorithm>().unwrap_err();
        assert!(unknown.to_string().contains("\"SHA256\""), "{unknown}");
    }

    #[test]
    fn a_set_has_its_members_once_and_in_order() {
        let set: Algorithms = [Algorithm::Sha512, Algorithm::Md5, Algorithm::Sha512].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Algorithm::Md5, Algorithm::Sha512]);
        assert!(!set.contains(Algorithm::Sha1));
        assert_eq!(Algorithm::ALL.into_iter().collect::<Algorithms>(), Algorithms::ALL);
        assert_eq!(format!("{:?}", Algorithms::from(Algorithm::Sha1)), "{Sha1}");
    }
}
