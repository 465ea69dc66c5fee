//! What of an ingest goes into the Registry: the object with what its tags say, and each file with its events.

use crate::event::Incomplete;
use crate::{
    Access, Checksum, ChecksumSource, EventType, GenericFile, IngestChecksum, IngestFile, IngestObject,
    IntellectualObject, Profile, State, StorageRecord, Time,
};

const APTRUST_INFO: &str = "aptrust-info.txt";
const BAG_INFO: &str = "bag-info.txt";

impl IngestObject {
    /// Who may see it: the tag's value in lower case, `institution` without one.
    pub fn access(&self) -> Access {
        self.tag_value(APTRUST_INFO, "Access").map_or(Access::Institution, |access| access.to_lowercase().into())
    }

    /// The first title that is given, in the end the name of the tar file.
    pub fn title(&self) -> String {
        let tags = [(APTRUST_INFO, "Title"), (BAG_INFO, "Internal-Identifier"), (BAG_INFO, "External-Identifier")];
        self.first(&tags).map_or_else(|| without_extension(&self.s3_key).to_owned(), str::to_owned)
    }

    /// The first description that is given.
    pub fn description(&self) -> &str {
        let tags = [
            (APTRUST_INFO, "Description"),
            (BAG_INFO, "Internal-Sender-Description"),
            (BAG_INFO, "External-Description"),
        ];
        self.first(&tags).unwrap_or_default()
    }

    /// Its record in the Registry. What the Registry makes itself is left out.
    pub fn to_intellectual_object(&self) -> IntellectualObject {
        let tag = |name| self.tag_value(BAG_INFO, name).unwrap_or_default().to_owned();
        let profile = self.tag_value(BAG_INFO, "BagIt-Profile-Identifier").unwrap_or(Profile::APTRUST_IDENTIFIER);
        IntellectualObject {
            access: self.access(),
            alt_identifier: tag("Internal-Sender-Identifier"),
            bag_group_identifier: tag("Bag-Group-Identifier"),
            bagit_profile_identifier: profile.into(),
            bag_name: self.bag_name().into(),
            description: self.description().into(),
            etag: self.etag.clone(),
            file_count: self.file_count,
            size: self.size,
            id: self.id,
            identifier: self.identifier(),
            internal_sender_description: tag("Internal-Sender-Description"),
            internal_sender_identifier: tag("Internal-Sender-Identifier"),
            institution_identifier: self.institution.clone(),
            institution_id: self.institution_id,
            source_organization: tag("Source-Organization"),
            state: State::Active,
            storage_option: self.storage_option.clone(),
            title: self.title(),
            ..IntellectualObject::default()
        }
    }

    fn first(&self, tags: &[(&str, &str)]) -> Option<&str> {
        tags.iter().find_map(|(file, name)| self.tag_value(file, name))
    }
}

impl IngestFile {
    /// Its record in the Registry, with its events (see [`IngestFile::ensure_events`]), the digests computed at ingest and
    /// the copies that the Registry does not have yet.
    pub fn to_generic_file(&mut self, now: Time) -> Result<GenericFile, Incomplete> {
        let premis_events = self.ensure_events(now)?.clone();
        let mut digests = premis_events.iter().filter(|event| event.event_type == EventType::DigestCalculation);
        let last_fixity_check = digests.next_back().map(|event| event.date_time).filter(|time| time.is_set());
        let computed = self.checksums.iter().filter(|checksum| checksum.source == ChecksumSource::Ingest);
        let copies = self.storage_records.iter().filter(|copy| !self.registry_urls.contains(&copy.url));
        Ok(GenericFile {
            checksums: computed.map(|checksum| checksum.to_checksum(self.id)).collect(),
            file_format: self.file_format.clone(),
            file_modified: self.file_modified,
            id: self.id,
            identifier: self.identifier(),
            institution_id: self.institution_id,
            intellectual_object_id: self.intellectual_object_id,
            last_fixity_check: last_fixity_check.ok_or(Incomplete::NoDigest)?,
            premis_events,
            size: self.size,
            state: State::Active,
            storage_option: self.storage_option.clone(),
            storage_records: copies
                .map(|copy| StorageRecord { url: copy.url.clone(), ..StorageRecord::default() })
                .collect(),
            uuid: self.uuid.clone(),
            mtime: self.mtime,
            ..GenericFile::default()
        })
    }
}

impl IngestChecksum {
    fn to_checksum(&self, file: i64) -> Checksum {
        Checksum {
            algorithm: self.algorithm.clone(),
            digest: self.digest.clone(),
            datetime: self.datetime,
            generic_file_id: file,
            created_at: self.datetime,
            updated_at: self.datetime,
            ..Checksum::default()
        }
    }
}

fn without_extension(key: &str) -> &str {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.rfind('.').map_or(key, |dot| &key[..key.len() - name.len() + dot])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, StorageOption, StoredCopy, Tag};

    fn object(tags: &[(&str, &str, &str)]) -> IngestObject {
        let mut object = IngestObject::new("receiving", "bag.b1.of2.tar", "abc", "example.edu", 7, 40960);
        object.tags = tags.iter().map(|(file, name, value)| Tag::new(file, name, value)).collect();
        object
    }

    #[test]
    fn title_and_description_fall_back() {
        let all = [
            ("aptrust-info.txt", "Title", "t1"),
            ("bag-info.txt", "Internal-Identifier", "t2"),
            ("bag-info.txt", "External-Identifier", "t3"),
            ("aptrust-info.txt", "Description", "d1"),
            ("bag-info.txt", "Internal-Sender-Description", "d2"),
            ("bag-info.txt", "External-Description", "d3"),
        ];
        let both = |tags: &[(&str, &str, &str)]| (object(tags).title(), object(tags).description().to_owned());
        assert_eq!(both(&all), ("t1".into(), "d1".into()));
        assert_eq!(both(&[all[1], all[2], all[4], all[5]]), ("t2".into(), "d2".into()));
        assert_eq!(both(&[all[2], all[5]]), ("t3".into(), "d3".into()));
        assert_eq!(both(&[]), ("bag.b1.of2".into(), String::new()));
        assert_eq!(both(&[("aptrust-info.txt", "Title", ""), all[2]]).0, "t3");
    }

    #[test]
    fn an_object_takes_its_record_from_its_tags() {
        let mut object = object(&[
            ("aptrust-info.txt", "Access", "Restricted"),
            ("bag-info.txt", "Source-Organization", "Example University"),
            ("bag-info.txt", "Internal-Sender-Identifier", "sender-1"),
            ("bag-info.txt", "Bag-Group-Identifier", "group"),
        ]);
        (object.id, object.file_count, object.storage_option) = (9, 16, StorageOption::GlacierOh);
        let record = object.to_intellectual_object();
        let expected = IntellectualObject {
            access: Access::Restricted,
            alt_identifier: "sender-1".into(),
            bag_group_identifier: "group".into(),
            bagit_profile_identifier: Profile::APTRUST_IDENTIFIER.into(),
            bag_name: "bag".into(),
            etag: "abc".into(),
            file_count: 16,
            size: 40960,
            id: 9,
            identifier: "example.edu/bag".into(),
            internal_sender_identifier: "sender-1".into(),
            institution_identifier: "example.edu".into(),
            institution_id: 7,
            source_organization: "Example University".into(),
            state: State::Active,
            storage_option: StorageOption::GlacierOh,
            title: "bag.b1.of2".into(),
            ..IntellectualObject::default()
        };
        assert_eq!(record, expected);
        assert_eq!(self::object(&[]).access(), Access::Institution);
    }

    #[test]
    fn a_file_takes_digests_of_the_ingest_and_copies_that_are_new() {
        let mut file = IngestFile::new("example.edu/bag", "data/a.txt");
        let when: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        (file.id, file.size) = (5, 100);
        file.set_checksum(IngestChecksum::new(ChecksumSource::Manifest, Algorithm::Md5, "11", when));
        file.set_checksum(IngestChecksum::new(ChecksumSource::Ingest, Algorithm::Md5, "11", when));
        for bucket in ["va", "or"] {
            file.set_stored_copy(StoredCopy {
                provider: "AWS".into(),
                bucket: bucket.into(),
                url: format!("https://s3/{bucket}/1"),
                stored_at: when,
                verified_at: when,
                ..StoredCopy::default()
            });
        }
        file.registry_urls.push("https://s3/va/1".into());
        let record = file.to_generic_file(Time::now()).unwrap();
        assert_eq!((record.id, record.size, &record.state, record.last_fixity_check), (5, 100, &State::Active, when));
        assert_eq!((record.checksums.len(), record.checksums[0].generic_file_id), (1, 5));
        assert_eq!((record.checksums[0].created_at, record.checksums[0].updated_at), (when, when));
        let urls: Vec<&str> = record.storage_records.iter().map(|copy| copy.url.as_str()).collect();
        assert_eq!(urls, ["https://s3/or/1"]);
        assert_eq!(record.premis_events, file.premis_events);
        file.needs_save = false;
        file.premis_events = crate::List::new();
        assert_eq!(file.to_generic_file(Time::now()).unwrap_err(), Incomplete::NoDigest);
    }

    #[test]
    fn only_the_last_extension_of_a_key_goes() {
        for (key, expected) in [("a.b.tar", "a.b"), ("x.y/bag", "x.y/bag"), ("x/bag.tar", "x/bag"), ("bag", "bag")] {
            assert_eq!(without_extension(key), expected);
        }
    }
}
