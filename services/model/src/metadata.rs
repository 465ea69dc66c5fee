//! What a copy in S3 says about itself: the user metadata of its object.

use crate::{Algorithm, ChecksumSource, IngestFile, Provider};

/// S3 takes no more user metadata with an object, names and values together, in bytes.
pub const LIMIT: usize = 2048;

/// User metadata, each name without its prefix `x-amz-meta-`.
pub type Metadata = Vec<(&'static str, String)>;

/// Where the object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    Staging,
    Preservation(&'a Provider),
}

/// Without both digests a file is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} has no ingest {algorithm} checksum")]
pub struct NoChecksum {
    file: String,
    algorithm: Algorithm,
}

/// The metadata of a file's object. Its path goes into `bagpath`, or where white space would not survive the way into
/// `bagpath-encoded`; a reader tries both.
pub fn metadata(file: &IngestFile, destination: Destination<'_>) -> Result<Metadata, NoChecksum> {
    let digest = |algorithm: Algorithm| match file.checksum(&ChecksumSource::Ingest, &algorithm) {
        Some(checksum) => Ok(checksum.digest.clone()),
        None => Err(NoChecksum { file: file.identifier(), algorithm }),
    };
    let (md5, sha256) = (digest(Algorithm::Md5)?, digest(Algorithm::Sha256)?);
    let wasabi = matches!(destination, Destination::Preservation(provider) if provider.is_wasabi());
    let path = if wasabi || has_unusual_space(&file.path_in_bag) {
        ("bagpath-encoded", query_escape(&file.path_in_bag))
    } else {
        ("bagpath", file.path_in_bag.clone())
    };
    Ok(vec![
        ("institution", file.institution().into()),
        ("bag", file.object_identifier.clone()),
        path,
        ("md5", md5),
        ("sha256", sha256),
    ])
}

/// What S3 counts against [`LIMIT`].
pub fn size(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Whether a text holds white space other than U+0020, or U+0020 at either end or twice in a row: SDKs and servers fold it
/// differently when they sign (07 J.74).
pub fn has_unusual_space(text: &str) -> bool {
    text.chars().any(|c| c.is_whitespace() && c != ' ')
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.contains("  ")
}

/// Go's `QueryEscape`: every byte but letters, digits and `-_.~` as `%XX`, and a space as `+`.
pub fn query_escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IngestChecksum, Time};

    fn file(path: &str) -> IngestFile {
        let mut file = IngestFile::new("example.edu/photos", path);
        for (algorithm, digest) in [(Algorithm::Md5, "11"), (Algorithm::Sha256, "22")] {
            file.set_checksum(IngestChecksum::new(ChecksumSource::Ingest, algorithm, digest, Time::UNSET));
        }
        file
    }

    fn path_of(path: &str, destination: Destination<'_>) -> (&'static str, String) {
        metadata(&file(path), destination).unwrap()[2].clone()
    }

    #[test]
    fn an_object_says_where_it_belongs() {
        let found = metadata(&file("data/a b.txt"), Destination::Staging).unwrap();
        let expected = [
            ("institution", "example.edu"),
            ("bag", "example.edu/photos"),
            ("bagpath", "data/a b.txt"),
            ("md5", "11"),
            ("sha256", "22"),
        ];
        assert_eq!(found.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(size(&found), 11 + 11 + 3 + 18 + 7 + 12 + 3 + 2 + 6 + 2);
    }

    #[test]
    fn wasabi_and_unusual_space_take_the_encoded_path() {
        let encoded = ("bagpath-encoded", "data%2Fa++b.txt".to_owned());
        for provider in [Provider::WasabiOr, Provider::WasabiTx, Provider::WasabiVa] {
            assert_eq!(path_of("data/a  b.txt", Destination::Preservation(&provider)), encoded);
        }
        let plain = ("bagpath", "data/a b .txt".to_owned());
        assert_eq!(path_of("data/a b .txt", Destination::Preservation(&Provider::Aws)), plain);
        for path in ["data/a  b.txt", " data/a", "data/a "] {
            assert_eq!(path_of(path, Destination::Staging).0, "bagpath-encoded", "{path:?}");
        }
        for space in ['\u{202f}', '\u{2028}', '\u{a0}', '\t', '\u{3000}'] {
            assert_eq!(path_of(&format!("data/a{space}b"), Destination::Staging).0, "bagpath-encoded", "{space:?}");
        }
    }

    #[test]
    fn a_file_without_digests_is_not_stored() {
        let mut file = file("data/a");
        file.checksums.as_vec().pop();
        let error = metadata(&file, Destination::Staging).unwrap_err().to_string();
        assert_eq!(error, "example.edu/photos/data/a has no ingest sha256 checksum");
        file.checksums = crate::List::new();
        let error = metadata(&file, Destination::Staging).unwrap_err().to_string();
        assert_eq!(error, "example.edu/photos/data/a has no ingest md5 checksum");
    }

    #[test]
    fn escaping_is_go_s_and_not_that_of_forms() {
        assert_eq!(query_escape("a b/c~d*e-f_g.h"), "a+b%2Fc~d%2Ae-f_g.h");
        assert_eq!(query_escape("é\u{202f}+%&=?"), "%C3%A9%E2%80%AF%2B%25%26%3D%3F");
        assert_eq!(query_escape(""), "");
    }
}
