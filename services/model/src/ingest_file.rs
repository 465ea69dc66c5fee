//! A file of a bag while it is ingested, as Redis holds it in `file:<identifier>`; what of it goes into the Registry is
//! made in `to_registry.rs`.

use crate::identifier;
use crate::json::document;
use crate::{Algorithm, ChecksumSource, FileType, FormatSource, List, PremisEvent, StorageOption, Time};

document! {
    /// A file, found in the tar file or only in a manifest (then its size is 0 and it has no checksum of the ingest).
    pub struct IngestFile {
        checksums: List<IngestChecksum> = "checksums",
        /// Set when it is in staging; a repetition skips it then.
        copied_to_staging_at: Time = "copied_to_staging_at",
        error_message: String = "error_message" if set,
        /// MIME type.
        file_format: String = "file_format" if set,
        file_modified: Time = "file_modified",
        format_identified_at: Time = "format_identified_at",
        format_identified_by: FormatSource = "format_identified_by" if set,
        /// `extension`, or whatever the identifier gives as its basis.
        format_match_type: String = "format_match_type" if set,
        /// In the Registry; 0 until it is known.
        id: i64 = "id" if set,
        institution_id: i64 = "institution_id" if set,
        intellectual_object_id: i64 = "intellectual_object_id" if set,
        is_reingest: bool = "is_reingest",
        /// The tar header's time, as `file_modified`.
        mtime: Time = "mtime",
        /// False for a file that did not change since it was ingested before.
        needs_save: bool = "needs_save",
        object_identifier: String = "object_identifier",
        path_in_bag: String = "path_in_bag",
        /// Made once, so that a repetition records them under the same UUIDs.
        premis_events: List<PremisEvent> = "premis_events" if set,
        /// URLs of copies that the Registry has already.
        registry_urls: List<String> = "registry_urls",
        /// Set when it is recorded.
        saved_to_registry_at: Time = "saved_to_registry_at",
        /// In bytes.
        size: i64 = "size",
        storage_option: StorageOption = "storage_option",
        storage_records: List<StoredCopy> = "storage_records",
        /// The key in staging and in preservation storage.
        uuid: String = "uuid",
        ..unknown
    }
}

document! {
    /// A digest of a file. Compared exactly, so it is kept in lower case: see [`IngestChecksum::new`].
    pub struct IngestChecksum {
        algorithm: Algorithm = "algorithm",
        datetime: Time = "datetime",
        digest: String = "digest",
        source: ChecksumSource = "source",
        ..unknown
    }
}

document! {
    /// A copy in preservation storage; Redis calls it a storage record, which is something else in the Registry. One for
    /// each provider and bucket.
    pub struct StoredCopy {
        bucket: String = "bucket",
        error: String = "error",
        etag: String = "etag",
        provider: String = "provider",
        /// As the verifier found it, in bytes.
        size: i64 = "size",
        stored_at: Time = "stored_at",
        url: String = "url",
        /// Set when the verifier found it whole.
        verified_at: Time = "verified_at",
        ..unknown
    }
}

/// A manifest at the root of a bag, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// `manifest-<algorithm>.txt`
    Payload(Algorithm),
    /// `tagmanifest-<algorithm>.txt`
    Tag(Algorithm),
}

/// What a manifest and a bag disagree in. The texts reach depositors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumMismatch {
    #[error("File {file} in {manifest} is missing from bag")]
    MissingFromBag { file: String, manifest: String },
    #[error("File {file} is not in manifest {manifest}")]
    NotInManifest { file: String, manifest: String },
    #[error("File {file}: ingest {algorithm} checksum {found} doesn't match manifest checksum {expected}")]
    Differs { file: String, algorithm: Algorithm, found: String, expected: String },
}

impl Manifest {
    /// What a name at the root of the bag stands for.
    pub fn named(name: &str) -> Option<Self> {
        let (kind, rest): (fn(Algorithm) -> Self, _) = match name.strip_prefix("manifest-") {
            Some(rest) => (Self::Payload, rest),
            None => (Self::Tag, name.strip_prefix("tagmanifest-")?),
        };
        let algorithm = rest.strip_suffix(".txt").filter(|text| !text.is_empty() && !text.contains(['.', '/']))?;
        Some(kind(algorithm.into()))
    }

    fn algorithm(&self) -> &Algorithm {
        match self {
            Self::Payload(algorithm) | Self::Tag(algorithm) => algorithm,
        }
    }

    fn source(&self) -> ChecksumSource {
        match self {
            Self::Payload(_) => ChecksumSource::Manifest,
            Self::Tag(_) => ChecksumSource::TagManifest,
        }
    }

    /// Whether a file of this type must be listed: payload in payload manifests, payload manifests in tag manifests.
    pub fn must_list(&self, file: &FileType) -> bool {
        match self {
            Self::Payload(_) => *file == FileType::Payload,
            Self::Tag(_) => *file == FileType::Manifest,
        }
    }
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Payload(algorithm) => write!(out, "manifest-{algorithm}.txt"),
            Self::Tag(algorithm) => write!(out, "tagmanifest-{algorithm}.txt"),
        }
    }
}

impl IngestFile {
    /// A file that was just found, with a new UUID.
    pub fn new(object_identifier: &str, path_in_bag: &str) -> Self {
        Self {
            checksums: List::new(),
            needs_save: true,
            object_identifier: object_identifier.into(),
            path_in_bag: path_in_bag.into(),
            registry_urls: List::new(),
            storage_option: StorageOption::Standard,
            storage_records: List::new(),
            uuid: uuid::Uuid::new_v4().to_string(),
            ..Self::default()
        }
    }

    /// `<institution>/<bag name>/<path in the bag>`
    pub fn identifier(&self) -> String {
        format!("{}/{}", self.object_identifier, self.path_in_bag)
    }

    /// The institution's identifier.
    pub fn institution(&self) -> &str {
        identifier::institution(&self.object_identifier)
    }

    /// What it is to the bag, by its path. A manifest is one by its whole name: `manifest-notes.pdf` is a tag file, and preserved,
    /// where upstream loses it (02 §16, 16).
    pub fn file_type(&self) -> FileType {
        let path = self.path_in_bag.as_str();
        match Manifest::named(path) {
            Some(Manifest::Payload(_)) => FileType::Manifest,
            Some(Manifest::Tag(_)) => FileType::TagManifest,
            None if path == "fetch.txt" => FileType::FetchTxt,
            None if path.starts_with("data/") => FileType::Payload,
            None => FileType::Tag,
        }
    }

    /// A tag file whose tags are read.
    pub fn is_parsable_tag_file(&self) -> bool {
        matches!(self.path_in_bag.as_str(), "bagit.txt" | "bag-info.txt" | "aptrust-info.txt")
    }

    /// Whether its path may be stored: see [`identifier::has_control_character`].
    pub fn has_legal_name(&self) -> bool {
        !identifier::has_control_character(&self.identifier())
    }

    /// Whether files of this name are preserved: all but `bagit.txt`, `fetch.txt` and manifests of both kinds.
    pub fn is_preservable(&self) -> bool {
        self.path_in_bag != "bagit.txt" && matches!(self.file_type(), FileType::Payload | FileType::Tag)
    }

    /// Whether it must still be copied there. Whether it belongs there at all, its storage option says.
    pub fn needs_save_at(&self, provider: &str, bucket: &str) -> bool {
        let stored = self.stored_copy(provider, bucket).is_some_and(|copy| copy.stored_at.is_set());
        self.is_preservable() && self.needs_save && !stored
    }

    /// The digest of this source and algorithm.
    pub fn checksum(&self, source: &ChecksumSource, algorithm: &Algorithm) -> Option<&IngestChecksum> {
        self.checksums.iter().find(|checksum| checksum.is(source, algorithm))
    }

    /// Puts a digest in the place of the one of the same source and algorithm, or behind the last.
    pub fn set_checksum(&mut self, checksum: IngestChecksum) {
        match self.checksums.iter_mut().find(|known| known.is(&checksum.source, &checksum.algorithm)) {
            Some(known) => *known = checksum,
            None => self.checksums.push(checksum),
        }
    }

    /// The copy in this bucket.
    pub fn stored_copy(&self, provider: &str, bucket: &str) -> Option<&StoredCopy> {
        self.storage_records.iter().find(|copy| copy.is_at(provider, bucket))
    }

    /// Puts a copy in the place of the one in the same bucket, or behind the last.
    pub fn set_stored_copy(&mut self, copy: StoredCopy) {
        match self.storage_records.iter_mut().find(|known| known.is_at(&copy.provider, &copy.bucket)) {
            Some(known) => *known = copy,
            None => self.storage_records.push(copy),
        }
    }

    /// Whether the manifest and the bag agree about this file.
    pub fn check_against(&self, manifest: &Manifest) -> Result<(), ChecksumMismatch> {
        let found = self.checksum(&ChecksumSource::Ingest, manifest.algorithm());
        let expected = self.checksum(&manifest.source(), manifest.algorithm());
        match (found, expected) {
            (Some(found), Some(expected)) if found.digest != expected.digest => Err(ChecksumMismatch::Differs {
                file: self.identifier(),
                algorithm: manifest.algorithm().clone(),
                found: found.digest.clone(),
                expected: expected.digest.clone(),
            }),
            (None, Some(_)) => {
                Err(ChecksumMismatch::MissingFromBag { file: self.identifier(), manifest: manifest.to_string() })
            }
            (_, None) if manifest.must_list(&self.file_type()) => {
                Err(ChecksumMismatch::NotInManifest { file: self.identifier(), manifest: manifest.to_string() })
            }
            _ => Ok(()),
        }
    }
}

impl IngestChecksum {
    /// A digest in lower case.
    pub fn new(source: ChecksumSource, algorithm: Algorithm, digest: &str, datetime: Time) -> Self {
        Self { algorithm, datetime, digest: digest.to_ascii_lowercase(), source, ..Self::default() }
    }

    fn is(&self, source: &ChecksumSource, algorithm: &Algorithm) -> bool {
        self.source == *source && self.algorithm == *algorithm
    }
}

impl StoredCopy {
    fn is_at(&self, provider: &str, bucket: &str) -> bool {
        self.provider == provider && self.bucket == bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> IngestFile {
        IngestFile::new("example.edu/bag", path)
    }

    fn digest(source: ChecksumSource, digest: &str) -> IngestChecksum {
        IngestChecksum::new(source, Algorithm::Md5, digest, Time::UNSET)
    }

    #[test]
    fn a_new_file_is_to_be_saved_in_standard_storage() {
        let file = file("data/a.txt");
        assert!(file.needs_save && uuid::Uuid::parse_str(&file.uuid).is_ok());
        assert_eq!((file.identifier().as_str(), file.institution()), ("example.edu/bag/data/a.txt", "example.edu"));
        let expected = concat!(
            r#"{"checksums":[],"copied_to_staging_at":"0001-01-01T00:00:00Z","file_modified":"0001-01-01T00:00:00Z","#,
            r#""format_identified_at":"0001-01-01T00:00:00Z","is_reingest":false,"mtime":"0001-01-01T00:00:00Z","#,
            r#""needs_save":true,"object_identifier":"example.edu/bag","path_in_bag":"data/a.txt","registry_urls":[],"#,
            r#""saved_to_registry_at":"0001-01-01T00:00:00Z","size":0,"storage_option":"Standard","#,
            r#""storage_records":[],"uuid":"U"}"#
        );
        assert_eq!(crate::to_json(&IngestFile { uuid: "U".into(), ..file }).unwrap(), expected);
    }

    #[test]
    fn the_path_tells_the_type_and_whether_it_is_preserved() {
        for (path, file_type, preserved) in [
            ("data/a.txt", FileType::Payload, true),
            ("data/manifest-md5.txt", FileType::Payload, true),
            ("manifest-md5.txt", FileType::Manifest, false),
            ("tagmanifest-md5.txt", FileType::TagManifest, false),
            ("fetch.txt", FileType::FetchTxt, false),
            ("bagit.txt", FileType::Tag, false),
            ("bag-info.txt", FileType::Tag, true),
            ("custom/fetch.txt", FileType::Tag, true),
            ("database.txt", FileType::Tag, true),
            ("manifest-notes.pdf", FileType::Tag, true),
            ("manifest-foo/x.dat", FileType::Tag, true),
            ("tagmanifest-x/y.txt", FileType::Tag, true),
            ("manifest-.txt", FileType::Tag, true),
            ("tagmanifest-sha.256.txt", FileType::Tag, true),
        ] {
            let file = file(path);
            assert_eq!((file.file_type(), file.is_preservable()), (file_type, preserved), "{path}");
        }
        let parsable = |path: &str| file(path).is_parsable_tag_file();
        assert!(parsable("bagit.txt") && parsable("bag-info.txt") && parsable("aptrust-info.txt"));
        assert!(!parsable("data/bagit.txt") && !parsable("other.txt"));
    }

    #[test]
    fn names_with_control_characters_are_illegal() {
        assert!(!file("data/a\u{6}.txt").has_legal_name() && !file(r"data/x\u007f.txt").has_legal_name());
        assert!(file("data/a b.txt").has_legal_name());
    }

    #[test]
    fn checksums_and_copies_replace_their_like() {
        let mut file = file("data/a.txt");
        file.set_checksum(digest(ChecksumSource::Ingest, "AB01"));
        file.set_checksum(digest(ChecksumSource::Manifest, "cd"));
        file.set_checksum(digest(ChecksumSource::Ingest, "EF"));
        let digests: Vec<&str> = file.checksums.iter().map(|checksum| checksum.digest.as_str()).collect();
        assert_eq!(digests, ["ef", "cd"]);
        let copy = |bucket: &str, url: &str| StoredCopy {
            provider: "AWS".into(),
            bucket: bucket.into(),
            url: url.into(),
            ..StoredCopy::default()
        };
        file.set_stored_copy(copy("va", "1"));
        file.set_stored_copy(copy("or", "2"));
        file.set_stored_copy(copy("va", "3"));
        let urls: Vec<&str> = file.storage_records.iter().map(|copy| copy.url.as_str()).collect();
        assert_eq!(urls, ["3", "2"]);
    }

    #[test]
    fn a_file_is_saved_where_it_is_not_stored_yet() {
        let mut file = file("data/a.txt");
        assert!(file.needs_save_at("AWS", "va"));
        let mut copy = StoredCopy { provider: "AWS".into(), bucket: "va".into(), ..StoredCopy::default() };
        file.set_stored_copy(copy.clone());
        assert!(file.needs_save_at("AWS", "va"));
        copy.stored_at = Time::now();
        file.set_stored_copy(copy);
        assert!(!file.needs_save_at("AWS", "va") && file.needs_save_at("AWS", "or"));
        file.needs_save = false;
        assert!(!file.needs_save_at("AWS", "or"));
        assert!(!self::file("bagit.txt").needs_save_at("AWS", "or"));
    }

    #[test]
    fn manifests_are_known_by_name() {
        assert_eq!(Manifest::named("manifest-sha256.txt"), Some(Manifest::Payload(Algorithm::Sha256)));
        assert_eq!(Manifest::named("tagmanifest-md5.txt"), Some(Manifest::Tag(Algorithm::Md5)));
        for name in ["data/manifest-md5.txt", "manifest-md5", "manifest-.txt", "manifest-md5.txt.bak", "bagit.txt"] {
            assert_eq!(Manifest::named(name), None, "{name}");
        }
    }

    #[test]
    fn manifests_and_bag_must_agree() {
        let payload = Manifest::Payload(Algorithm::Md5);
        let tag = Manifest::Tag(Algorithm::Md5);
        let mut file = file("data/a.txt");
        let error = |file: &IngestFile, manifest: &Manifest| file.check_against(manifest).unwrap_err().to_string();
        file.set_checksum(digest(ChecksumSource::Ingest, "1111"));
        assert_eq!(error(&file, &payload), "File example.edu/bag/data/a.txt is not in manifest manifest-md5.txt");
        assert_eq!(file.check_against(&tag), Ok(()));
        file.set_checksum(digest(ChecksumSource::Manifest, "1111"));
        assert_eq!(file.check_against(&payload), Ok(()));
        file.set_checksum(digest(ChecksumSource::Manifest, "2222"));
        assert_eq!(
            error(&file, &payload),
            "File example.edu/bag/data/a.txt: ingest md5 checksum 1111 doesn't match manifest checksum 2222"
        );
        file.checksums.as_vec().remove(0);
        assert_eq!(error(&file, &payload), "File example.edu/bag/data/a.txt in manifest-md5.txt is missing from bag");

        let mut manifest = self::file("manifest-md5.txt");
        manifest.set_checksum(digest(ChecksumSource::Ingest, "1111"));
        assert!(error(&manifest, &tag).ends_with("is not in manifest tagmanifest-md5.txt"));
        let mut tag_file = self::file("custom.txt");
        tag_file.set_checksum(digest(ChecksumSource::Ingest, "1111"));
        assert_eq!(tag_file.check_against(&tag), Ok(()), "tag manifests need not list tag files");
        tag_file.set_checksum(digest(ChecksumSource::TagManifest, "2222"));
        assert!(tag_file.check_against(&tag).is_err());
    }
}
