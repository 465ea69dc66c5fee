//! A bag while it is ingested, as Redis holds it in `object:<identifier>`; what of it goes into the Registry is made in
//! `to_registry.rs`.

use crate::json::document;
use crate::{List, PremisEvent, Profile, StorageOption, Time, identifier};

document! {
    /// A bag on its way from the receiving bucket to preservation storage.
    pub struct IngestObject {
        /// When all files were in staging.
        copied_to_staging_at: Time = "copied_to_staging_at",
        deleted_from_receiving_at: Time = "deleted_from_receiving_at",
        /// Of the tar file, without quotes.
        etag: String = "etag" if set,
        error_message: String = "error_message" if set,
        /// Regular files in the tar file, manifests and `bagit.txt` included.
        file_count: i64 = "file_count",
        has_fetch_txt: bool = "has_fetch_txt",
        /// In the Registry; 0 until it is known.
        id: i64 = "id" if set,
        institution: String = "institution" if set,
        institution_id: i64 = "institution_id" if set,
        is_reingest: bool = "is_reingest",
        /// The algorithms of the payload manifests found, not their names.
        manifests: List<String> = "manifests",
        parsable_tag_files: List<String> = "parsable_tag_files",
        /// Events of the object, made once, so that a repetition records them under the same UUIDs.
        premis_events: List<PremisEvent> = "premis_events" if set,
        recheck_registry_identifiers: bool = "recheck_registry_identifiers",
        /// The receiving bucket.
        s3_bucket: String = "s3_bucket" if set,
        /// The tar file.
        s3_key: String = "s3_key" if set,
        saved_to_registry_at: Time = "saved_to_registry_at",
        serialization: String = "serialization" if set,
        should_delete_from_receiving: bool = "should_delete_from_receiving",
        /// Of the tar file, in bytes.
        size: i64 = "size" if set,
        storage_option: StorageOption = "storage_option",
        /// Paths in the bag: everything but payload, manifests and `fetch.txt`.
        tag_files: List<String> = "tag_files",
        /// The algorithms of the tag manifests found.
        tag_manifests: List<String> = "tag_manifests",
        /// In the order of the files that they stand in. Names may repeat.
        tags: List<Tag> = "tags",
        ..unknown
    }
}

document! {
    /// A line of a tag file.
    pub struct Tag {
        /// Path in the bag.
        tag_file: String = "tag_file",
        tag_name: String = "tag_name",
        value: String = "value",
        ..unknown
    }
}

impl IngestObject {
    /// How a bag is serialized. Maps of MIME types say `application/x-tar`; the profiles list this.
    pub const SERIALIZATION: &str = "application/tar";

    /// A bag that was just seen. Quotes around the etag are dropped.
    pub fn new(bucket: &str, key: &str, etag: &str, institution: &str, institution_id: i64, size: i64) -> Self {
        Self {
            etag: etag.replace('"', ""),
            institution: institution.into(),
            institution_id,
            manifests: List::new(),
            parsable_tag_files: List::new(),
            premis_events: List::new(),
            s3_bucket: bucket.into(),
            s3_key: key.into(),
            size,
            storage_option: StorageOption::Standard,
            tag_files: List::new(),
            tag_manifests: List::new(),
            tags: List::new(),
            ..Self::default()
        }
    }

    /// The key without `.tar` and without the suffix of a part.
    pub fn bag_name(&self) -> &str {
        identifier::clean_bag_name(&self.s3_key)
    }

    /// `<institution>/<bag name>`
    pub fn identifier(&self) -> String {
        identifier::of_object(&self.institution, &self.s3_key)
    }

    /// `<institution>/<bag name>/<path>`
    pub fn file_identifier(&self, path_in_bag: &str) -> String {
        format!("{}/{path_in_bag}", self.identifier())
    }

    /// The first tag of this name, whose case does not count, in this file.
    pub fn tag(&self, file: &str, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.tag_file == file && tag.tag_name.to_lowercase() == name.to_lowercase())
    }

    /// The value of [`IngestObject::tag`], unless it is empty.
    pub fn tag_value(&self, file: &str, name: &str) -> Option<&str> {
        self.tag(file, name).map(|tag| tag.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Which profile it is validated against.
    pub fn profile(&self) -> Profile {
        Profile::for_ingest(self.tag_value("bag-info.txt", "BagIt-Profile-Identifier").unwrap_or_default())
    }
}

impl Tag {
    pub fn new(tag_file: &str, tag_name: &str, value: &str) -> Self {
        Self { tag_file: tag_file.into(), tag_name: tag_name.into(), value: value.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_object_has_empty_lists_and_standard_storage() {
        let object = IngestObject::new("receiving", "bag.b1.of2.tar", "\"123\"", "example.edu", 7, 40960);
        assert_eq!((object.etag.as_str(), object.bag_name()), ("123", "bag"));
        assert_eq!(object.identifier(), "example.edu/bag");
        assert_eq!(object.file_identifier("data/a.txt"), "example.edu/bag/data/a.txt");
        let json = crate::to_json(&object).unwrap();
        let expected = concat!(
            r#"{"copied_to_staging_at":"0001-01-01T00:00:00Z","deleted_from_receiving_at":"0001-01-01T00:00:00Z","#,
            r#""etag":"123","file_count":0,"has_fetch_txt":false,"institution":"example.edu","institution_id":7,"#,
            r#""is_reingest":false,"manifests":[],"parsable_tag_files":[],"recheck_registry_identifiers":false,"#,
            r#""s3_bucket":"receiving","s3_key":"bag.b1.of2.tar","saved_to_registry_at":"0001-01-01T00:00:00Z","#,
            r#""should_delete_from_receiving":false,"size":40960,"storage_option":"Standard","tag_files":[],"#,
            r#""tag_manifests":[],"tags":[]}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn the_first_tag_of_a_name_counts_whatever_its_case() {
        let mut object = IngestObject::new("b", "k.tar", "", "example.edu", 1, 1);
        object.tags.push(Tag::new("bag-info.txt", "title", "one"));
        object.tags.push(Tag::new("aptrust-info.txt", "TITLE", "two"));
        object.tags.push(Tag::new("aptrust-info.txt", "Title", "three"));
        assert_eq!(object.tag_value("aptrust-info.txt", "Title"), Some("two"));
        assert_eq!(object.tag_value("Aptrust-info.txt", "Title"), None);
        object.tags.push(Tag::new("bag-info.txt", "BagIt-Profile-Identifier", Profile::BTR_IDENTIFIER));
        assert_eq!(object.profile(), Profile::Btr);
    }
}
