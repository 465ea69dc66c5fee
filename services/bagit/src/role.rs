//! What a file is in a bag, by its path alone.

/// The role of a file. Case counts, and a manifest's whole name has to match: `manifest-notes.pdf` is a tag file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// Below `data/`.
    Payload,
    /// `manifest-<algorithm>.txt`
    PayloadManifest { algorithm: &'a str },
    /// `tagmanifest-<algorithm>.txt`
    TagManifest { algorithm: &'a str },
    /// `fetch.txt`
    Fetch,
    /// Everything else, `bagit.txt` and `bag-info.txt` among it.
    Tag,
}

impl<'a> Role<'a> {
    /// `path` is that in the bag, without the bag's own folder.
    pub fn of<P: AsRef<[u8]> + ?Sized>(path: &'a P) -> Self {
        let path = path.as_ref();
        if path.starts_with(b"data/") {
            Self::Payload
        } else if path == b"fetch.txt" {
            Self::Fetch
        } else if let Some(algorithm) = algorithm(path, b"manifest-") {
            Self::PayloadManifest { algorithm }
        } else if let Some(algorithm) = algorithm(path, b"tagmanifest-") {
            Self::TagManifest { algorithm }
        } else {
            Self::Tag
        }
    }
}

/// The length of a digest in bytes, of the algorithms that are known here. Others may be used; their digests' length is
/// not checked.
pub fn digest_length(algorithm: &str) -> Option<usize> {
    Some(match algorithm {
        "md5" => 16,
        "sha1" => 20,
        "sha224" => 28,
        "sha256" => 32,
        "sha384" => 48,
        "sha512" => 64,
        _ => return None,
    })
}

/// A dot or a slash is no part of an algorithm's name: `manifest-sha.256.txt` and `manifest-x/y.txt` are tag files.
fn algorithm<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    let name = path.strip_prefix(prefix)?.strip_suffix(b".txt")?;
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && !name.contains(['.', '/'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_follows_from_the_path() {
        for (path, role) in [
            ("data/a", Role::Payload),
            ("data/manifest-md5.txt", Role::Payload),
            ("manifest-md5.txt", Role::PayloadManifest { algorithm: "md5" }),
            ("manifest-SHA256.txt", Role::PayloadManifest { algorithm: "SHA256" }),
            ("tagmanifest-sha512.txt", Role::TagManifest { algorithm: "sha512" }),
            ("fetch.txt", Role::Fetch),
            ("sub/fetch.txt", Role::Tag),
            ("bagit.txt", Role::Tag),
            ("data", Role::Tag),
            ("data.csv", Role::Tag),
            ("database/schema.sql", Role::Tag),
            ("manifest-notes.pdf", Role::Tag),
            ("manifest-foo/x.dat", Role::Tag),
            ("manifest-x/y.txt", Role::Tag),
            ("manifest-.txt", Role::Tag),
            ("manifest-sha.256.txt", Role::Tag),
            ("tagmanifest-.txt", Role::Tag),
            ("Manifest-md5.txt", Role::Tag),
            ("sub/manifest-md5.txt", Role::Tag),
            ("*data/a", Role::Tag),
            ("", Role::Tag),
        ] {
            assert_eq!(Role::of(path), role, "{path}");
        }
        assert_eq!(Role::of(b"manifest-\xff.txt"), Role::Tag);
    }
}
