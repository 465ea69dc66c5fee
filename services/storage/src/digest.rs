//! Digests of what is sent: the one that a caller expects, and the md5 that every request carries.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::error::{Error, Kind, Target};

/// What all bytes of an upload must have as their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

/// More than this is hashed beside the runtime's threads, not on them.
const HASHED_AT_ONCE: usize = 128 << 10;

impl Digest {
    /// The digest as records have it, in hex. `None` for another algorithm, and for what is no digest.
    pub fn new(algorithm: &model::Algorithm, text: &str) -> Option<Self> {
        match algorithm {
            model::Algorithm::Md5 => bytes(text).map(Self::Md5),
            model::Algorithm::Sha256 => bytes(text).map(Self::Sha256),
            _ => None,
        }
    }
}

/// Compares the bytes that pass with a digest.
#[derive(Debug)]
pub(crate) struct Check {
    expected: Digest,
    hasher: Hasher,
}

#[derive(Debug)]
enum Hasher {
    Md5(Md5),
    Sha256(Sha256),
}

impl Check {
    pub(crate) fn new(expected: Digest) -> Self {
        let hasher = match expected {
            Digest::Md5(_) => Hasher::Md5(Md5::new()),
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
        };
        Self { expected, hasher }
    }

    pub(crate) async fn after(mut self, bytes: &Bytes) -> Result<Self, Error> {
        let bytes = bytes.clone();
        beside(bytes.len(), move || {
            match &mut self.hasher {
                Hasher::Md5(hasher) => hasher.update(&bytes),
                Hasher::Sha256(hasher) => hasher.update(&bytes),
            }
            self
        })
        .await
    }

    /// Says whether the bytes were those that were expected.
    pub(crate) fn finish(self, target: &Target) -> Result<(), Error> {
        let (expected, found, algorithm) = match (self.expected, self.hasher) {
            (Digest::Md5(expected), Hasher::Md5(hasher)) => (expected.to_vec(), hasher.finalize().to_vec(), "md5"),
            (Digest::Sha256(expected), Hasher::Sha256(hasher)) => {
                (expected.to_vec(), hasher.finalize().to_vec(), "sha256")
            }
            _ => unreachable!("made together"),
        };
        if expected == found {
            return Ok(());
        }
        let (expected, found) = (hex::encode(expected), hex::encode(found));
        Err(target
            .fails(Kind::Changed, format!("the bytes have {algorithm} {found}, not {expected}; nothing was stored")))
    }
}

pub(crate) async fn md5_of(bytes: Bytes) -> Result<[u8; 16], Error> {
    beside(bytes.len(), move || Md5::digest(&bytes).into()).await
}

/// Hashes on a thread of its own what would keep the runtime's waiting.
async fn beside<T: Send + 'static>(length: usize, hash: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    if length <= HASHED_AT_ONCE {
        return Ok(hash());
    }
    match tokio::task::spawn_blocking(hash).await {
        Ok(hashed) => Ok(hashed),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Target::new("hash", "bytes", None).fails(Kind::Unavailable, "the process is ending")),
        },
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use model::Algorithm;

    use super::*;

    #[test]
    fn a_digest_is_read_from_hex() {
        let of_nothing = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(Digest::new(&Algorithm::Md5, of_nothing), Some(Digest::Md5(Md5::digest(b"").into())));
        let upper = of_nothing.to_uppercase();
        assert_eq!(Digest::new(&Algorithm::Md5, &upper), Digest::new(&Algorithm::Md5, of_nothing));
        for (algorithm, text) in [
            (Algorithm::Sha256, of_nothing),
            (Algorithm::Sha512, of_nothing),
            (Algorithm::Md5, ""),
            (Algorithm::Md5, "d41d8cd98f00b204e9800998ecf8427"),
            (Algorithm::Md5, "g41d8cd98f00b204e9800998ecf8427e"),
        ] {
            assert_eq!(Digest::new(&algorithm, text), None, "{algorithm:?} {text}");
        }
    }

    #[tokio::test]
    async fn bytes_are_compared_however_they_are_cut() {
        let bytes = Bytes::from(vec![7; 300_000]);
        let (md5, sha256) = (Md5::digest(&bytes).into(), Sha256::digest(&bytes).into());
        for expected in [Digest::Md5(md5), Digest::Sha256(sha256), Digest::Md5([0; 16]), Digest::Sha256([0; 32])] {
            let is_right = matches!(expected, Digest::Md5(digest) if digest == md5)
                || matches!(expected, Digest::Sha256(digest) if digest == sha256);
            for cut in [1, 150_000, 299_999] {
                let check = Check::new(expected).after(&bytes.slice(..cut)).await.unwrap();
                let ended = check.after(&bytes.slice(cut..)).await.unwrap().finish(&Target::new("PUT", "b", None));
                assert_eq!(ended.is_ok(), is_right, "{expected:?} {cut}");
            }
        }
    }
}
