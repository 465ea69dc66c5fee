//! The Registry's other records: institutions, objects, files, checksums, storage records, and its lists. Fields that we do
//! not know are ignored, as the Registry ignores them from us.

use serde::{Deserialize, Serialize};

use crate::identifier;
use crate::json::document;
use crate::{Access, Algorithm, List, Manifest, PremisEvent, State, StorageOption, Time};

document! {
    /// A depositor.
    pub struct Institution {
        created_at: Time = "created_at",
        deactivated_at: Time = "deactivated_at",
        id: i64 = "id",
        /// Its domain.
        identifier: String = "identifier",
        member_institution_id: i64 = "member_institution_id",
        name: String = "name",
        otp_enabled: bool = "otp_enabled",
        receiving_bucket: String = "receiving_bucket",
        restore_bucket: String = "restore_bucket",
        state: State = "state",
        r#type: String = "type",
        updated_at: Time = "updated_at",
    }
}

document! {
    /// A bag once it is recorded. Counts, sizes and `institution_identifier` are only in answers to show and list, and
    /// ignored on save.
    pub struct IntellectualObject {
        access: Access = "access",
        alt_identifier: String = "alt_identifier",
        bag_group_identifier: String = "bag_group_identifier",
        bagit_profile_identifier: String = "bagit_profile_identifier",
        bag_name: String = "bag_name",
        created_at: Time = "created_at",
        description: String = "description",
        etag: String = "etag",
        file_count: i64 = "file_count",
        size: i64 = "size",
        id: i64 = "id",
        /// `<institution>/<bag name>`
        identifier: String = "identifier",
        internal_sender_description: String = "internal_sender_description",
        internal_sender_identifier: String = "internal_sender_identifier",
        institution_identifier: String = "institution_identifier",
        institution_id: i64 = "institution_id",
        payload_file_count: i64 = "payload_file_count",
        payload_size: i64 = "payload_size",
        source_organization: String = "source_organization",
        state: State = "state",
        storage_option: StorageOption = "storage_option",
        title: String = "title",
        updated_at: Time = "updated_at",
    }
}

document! {
    /// A file of an object.
    pub struct GenericFile {
        checksums: List<Checksum> = "checksums",
        created_at: Time = "created_at",
        file_format: String = "file_format",
        /// Sent, and not stored.
        file_modified: Time = "file_modified",
        id: i64 = "id",
        /// `<institution>/<bag name>/<path in the bag>`
        identifier: String = "identifier",
        institution_id: i64 = "institution_id",
        intellectual_object_id: i64 = "intellectual_object_id",
        last_fixity_check: Time = "last_fixity_check",
        premis_events: List<PremisEvent> = "premis_events",
        size: i64 = "size",
        state: State = "state",
        storage_option: StorageOption = "storage_option",
        storage_records: List<StorageRecord> = "storage_records",
        /// The key of its copies in preservation storage.
        uuid: String = "uuid",
        updated_at: Time = "updated_at",
        mtime: Time = "mtime",
    }
}

document! {
    /// A digest of a file.
    pub struct Checksum {
        id: i64 = "id" if set,
        algorithm: Algorithm = "algorithm",
        digest: String = "digest",
        datetime: Time = "datetime",
        generic_file_id: i64 = "generic_file_id",
        created_at: Time = "created_at",
        updated_at: Time = "updated_at",
        /// Read only, as the two after it.
        generic_file_identifier: String = "generic_file_identifier",
        intellectual_object_id: i64 = "intellectual_object_id",
        institution_id: i64 = "institution_id",
    }
}

document! {
    /// A copy of a file, as the Registry knows it; see [`crate::StoredCopy`] for Redis.
    pub struct StorageRecord {
        generic_file_id: i64 = "generic_file_id",
        id: i64 = "id" if set,
        url: String = "url",
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Page<T> {
    /// How many there are on all pages.
    #[serde(default)]
    pub count: i64,
    /// The relative URL of the next page, whose query is what counts; absent or empty on the last.
    #[serde(default)]
    pub next: Option<String>,
    #[serde(default)]
    pub previous: Option<String>,
    /// Never absent: another document must not pass for an empty list. (A list read this way may be `null`, not absent.)
    #[serde(deserialize_with = "List::deserialize")]
    pub results: List<T>,
}

impl<T> Page<T> {
    /// The query with which the next page is asked for.
    pub fn next_query(&self) -> Option<&str> {
        self.next.as_deref()?.split_once('?').map(|(_, query)| query).filter(|query| !query.is_empty())
    }
}

impl GenericFile {
    /// The newest digest of an algorithm.
    pub fn latest_checksum(&self, algorithm: &Algorithm) -> Option<&Checksum> {
        let dated = self.checksums.iter().filter(|checksum| checksum.algorithm == *algorithm);
        // The first of those that are equally new, where `max_by_key` would take the last.
        dated.reduce(|newest, checksum| if checksum.datetime > newest.datetime { checksum } else { newest })
    }

    /// `data/file.txt` of `example.edu/bag/data/file.txt`.
    pub fn path_in_bag(&self) -> Option<&str> {
        identifier::path_in_bag(&self.identifier)
    }

    /// Whether it is neither payload nor a manifest.
    pub fn is_tag_file(&self) -> bool {
        self.path_in_bag().is_some_and(|path| !path.starts_with("data/") && Manifest::named(path).is_none())
    }
}

impl StorageRecord {
    /// The key of the copy: the last segment of its URL.
    pub fn key(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_checksum_is_found() {
        let checksum = |algorithm: Algorithm, digest: &str, at: &str| Checksum {
            algorithm,
            digest: digest.into(),
            datetime: at.parse().unwrap(),
            ..Checksum::default()
        };
        let file = GenericFile {
            checksums: vec![
                checksum(Algorithm::Md5, "new", "2026-03-04T05:06:07Z"),
                checksum(Algorithm::Md5, "old", "2025-03-04T05:06:07Z"),
                checksum(Algorithm::Sha256, "other", "2027-03-04T05:06:07Z"),
            ]
            .into(),
            ..GenericFile::default()
        };
        assert_eq!(file.latest_checksum(&Algorithm::Md5).unwrap().digest, "new");
        assert_eq!(file.latest_checksum(&Algorithm::Sha512), None);
    }

    #[test]
    fn tag_files_are_outside_data_and_no_manifests() {
        let is_tag = |path: &str| {
            GenericFile { identifier: format!("example.edu/bag/{path}"), ..GenericFile::default() }.is_tag_file()
        };
        assert!(is_tag("bag-info.txt") && is_tag("custom/notes.txt") && is_tag("manifest-of-goods.pdf"));
        assert!(!is_tag("data/bag-info.txt") && !is_tag("manifest-md5.txt") && !is_tag("tagmanifest-md5.txt"));
    }

    #[test]
    fn pages_are_read_with_null_and_nothing() {
        let page: Page<StorageRecord> =
            serde_json::from_str(r#"{"count":1,"next":null,"previous":"","results":null}"#).unwrap();
        assert_eq!((page.next_query(), page.results.len()), (None, 0));
        let page: Page<StorageRecord> = serde_json::from_str(
            r#"{"count":3,"next":"/admin-api/v3/files?page=2&per_page=1","results":[{"url":"https://s3/b/k-1"}]}"#,
        )
        .unwrap();
        assert_eq!(page.next_query(), Some("page=2&per_page=1"));
        assert_eq!(page.results[0].key(), "k-1");
        let error = serde_json::from_str::<Page<StorageRecord>>(r#"{"error":"no"}"#).unwrap_err();
        assert!(error.to_string().starts_with("missing field `results`"), "{error}");
    }
}
