//! The PREMIS events that the services write. The Registry and its users read the texts, so they are kept as they have
//! always been, the misspelled one included; only the agent of a digest names the library that really computes it.

use uuid::Uuid;

use crate::{
    Algorithm, ChecksumSource, EventType, GenericFile, IngestChecksum, IngestFile, IngestObject, List, Outcome,
    PremisEvent, StoredCopy, Time,
};

const APTRUST: &str = "APTrust preservation services";
const APTRUST_URL: &str = "https://github.com/APTrust/preservation-services";
const S3_CLIENT_URL: &str = "https://github.com/minio/minio-go v7";
const UUID_LIBRARY: &str = "Go uuid library + Minio S3 library";
const UUID_LIBRARY_URL: &str = "http://github.com/google/uuid";

/// Events cannot be made of an incomplete record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    #[error("This file has no StorageRecords")]
    NoCopy,
    #[error("This file has no md5 checksum")]
    NoMd5,
    #[error("Storage record has not been verified.")]
    NotVerified,
    #[error("Replication record StoredAt cannot be empty")]
    ReplicaNotStored,
    #[error("Replication record VerifiedAt cannot be empty")]
    ReplicaNotVerified,
    #[error("Param identifier cannot be empty.")]
    NoIdentifier,
    #[error("cannot calculate last fixity check date from digest calculation event")]
    NoDigest,
}

/// What a scheduled fixity check found at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixityCheck<'a> {
    pub url: &'a str,
    /// The SHA-256 that the Registry has.
    pub expected: &'a str,
    /// The SHA-256 of the bytes that were read; `None` where there is no such object.
    pub actual: Option<&'a str>,
}

impl IngestObject {
    /// The object's events, made now unless they are there already; the caller must save the record before it sends any.
    pub fn ensure_events(&mut self, now: Time) -> &List<PremisEvent> {
        if self.premis_events.is_empty() {
            let first = if self.is_reingest { vec![] } else { vec![self.creation(now), self.identification(now)] };
            self.premis_events = first.into_iter().chain([self.ingestion(now), self.rights(now)]).collect();
        }
        &self.premis_events
    }

    fn event(&self, event_type: EventType, now: Time) -> PremisEvent {
        PremisEvent {
            agent: APTRUST_URL.into(),
            date_time: now,
            institution_id: self.institution_id,
            intellectual_object_id: self.id,
            object: APTRUST.into(),
            ..successful(event_type, now)
        }
    }

    fn creation(&self, now: Time) -> PremisEvent {
        PremisEvent {
            detail: "Object created".into(),
            outcome_detail: "Intellectual object created".into(),
            outcome_information: "Object created, files copied to preservation storage".into(),
            ..self.event(EventType::Creation, now)
        }
    }

    fn identification(&self, now: Time) -> PremisEvent {
        PremisEvent {
            detail: format!("Assigned object identifier {}", self.identifier()),
            outcome_detail: self.identifier(),
            outcome_information: "Institution domain + tar file name".into(),
            ..self.event(EventType::IdentifierAssignment, now)
        }
    }

    fn ingestion(&self, now: Time) -> PremisEvent {
        PremisEvent {
            agent: S3_CLIENT_URL.into(),
            detail: "Copied files to perservation storage".into(),
            object: "Minio S3 client".into(),
            outcome_detail: format!("{} files copied", self.file_count),
            outcome_information: "Multipart put using s3 etags".into(),
            ..self.event(EventType::Ingestion, now)
        }
    }

    fn rights(&self, now: Time) -> PremisEvent {
        let access = self.access();
        PremisEvent {
            detail: "Assigned object access rights".into(),
            outcome_detail: access.to_string(),
            outcome_information: format!("Set access to {access}"),
            ..self.event(EventType::AccessAssignment, now)
        }
    }
}

impl IngestFile {
    /// The file's events, made now unless they are there already or the file is not saved; all of them or none. The caller
    /// must save the record before it sends any.
    pub fn ensure_events(&mut self, now: Time) -> Result<&List<PremisEvent>, Incomplete> {
        if self.premis_events.is_empty() && self.needs_save {
            let ingestion = self.ingestion(now)?;
            let of = |source| self.checksums.iter().filter(move |checksum| checksum.source == source);
            let mut events: Vec<PremisEvent> =
                of(ChecksumSource::Manifest).map(|c| self.fixity_check(c, now)).collect();
            events.extend(of(ChecksumSource::Ingest).map(|checksum| self.digest(checksum, now)));
            events.push(ingestion);
            if let Some(replica) = self.storage_records.get(1) {
                events.push(self.replication(replica, now)?);
            }
            if !self.is_reingest {
                events.push(self.path_identification(now));
                events.push(self.url_identification(now)?);
            }
            self.premis_events = events.into();
        }
        Ok(&self.premis_events)
    }

    fn event(&self, event_type: EventType, now: Time) -> PremisEvent {
        PremisEvent {
            date_time: now,
            generic_file_identifier: self.identifier(),
            institution_id: self.institution_id,
            intellectual_object_id: self.intellectual_object_id,
            intellectual_object_identifier: self.object_identifier.clone(),
            ..successful(event_type, now)
        }
    }

    fn ingestion(&self, now: Time) -> Result<PremisEvent, Incomplete> {
        let copy = self.storage_records.first().ok_or(Incomplete::NoCopy)?;
        let md5 = self.checksum(&ChecksumSource::Ingest, &Algorithm::Md5).ok_or(Incomplete::NoMd5)?;
        if !copy.verified_at.is_set() {
            return Err(Incomplete::NotVerified);
        }
        Ok(PremisEvent {
            agent: S3_CLIENT_URL.into(),
            date_time: copy.stored_at,
            detail: format!("Completed copy to preservation storage ({})", self.uuid),
            object: "preservation-services + Minio S3 client".into(),
            outcome_detail: format!("md5:{}", md5.digest),
            outcome_information: "Put using md5 checksum".into(),
            ..self.event(EventType::Ingestion, now)
        })
    }

    fn fixity_check(&self, checksum: &IngestChecksum, now: Time) -> PremisEvent {
        PremisEvent {
            detail: "Fixity check against registered hash".into(),
            outcome_information: "Fixity matches".into(),
            ..self.about(checksum, EventType::FixityCheck, now)
        }
    }

    fn digest(&self, checksum: &IngestChecksum, now: Time) -> PremisEvent {
        PremisEvent {
            detail: "Calculated fixity value".into(),
            outcome_information: "Calculated fixity value".into(),
            ..self.about(checksum, EventType::DigestCalculation, now)
        }
    }

    fn about(&self, checksum: &IngestChecksum, event_type: EventType, now: Time) -> PremisEvent {
        let (object, agent) = digest_library(&checksum.algorithm);
        PremisEvent {
            agent,
            date_time: checksum.datetime,
            object,
            outcome_detail: format!("{}:{}", checksum.algorithm, checksum.digest),
            ..self.event(event_type, now)
        }
    }

    fn replication(&self, replica: &StoredCopy, now: Time) -> Result<PremisEvent, Incomplete> {
        if !replica.stored_at.is_set() {
            return Err(Incomplete::ReplicaNotStored);
        }
        if !replica.verified_at.is_set() {
            return Err(Incomplete::ReplicaNotVerified);
        }
        Ok(PremisEvent {
            agent: UUID_LIBRARY_URL.into(),
            date_time: replica.stored_at,
            detail: "Copied to replication storage and assigned replication URL identifier".into(),
            object: UUID_LIBRARY.into(),
            outcome_detail: replica.url.clone(),
            outcome_information: "Replicated to secondary storage".into(),
            ..self.event(EventType::Replication, now)
        })
    }

    fn path_identification(&self, now: Time) -> PremisEvent {
        PremisEvent {
            agent: APTRUST_URL.into(),
            detail: "Assigned new institution.bag/path identifier".into(),
            object: "APTrust exchange/ingest processor".into(),
            outcome_detail: self.identifier(),
            outcome_information: "Assigned bag/filepath identifier".into(),
            ..self.event(EventType::IdentifierAssignment, now)
        }
    }

    fn url_identification(&self, now: Time) -> Result<PremisEvent, Incomplete> {
        let url = self.storage_records.first().map(|copy| copy.url.clone()).filter(|url| !url.is_empty());
        Ok(PremisEvent {
            agent: UUID_LIBRARY_URL.into(),
            detail: "Assigned new storage URL identifier".into(),
            object: UUID_LIBRARY.into(),
            outcome_detail: url.ok_or(Incomplete::NoIdentifier)?,
            outcome_information: "Assigned url identifier".into(),
            ..self.event(EventType::IdentifierAssignment, now)
        })
    }
}

impl FixityCheck<'_> {
    /// Whether the bytes are what they were.
    pub fn matches(&self) -> bool {
        self.actual.is_some_and(|actual| self.expected.eq_ignore_ascii_case(actual))
    }

    /// The event of a scheduled check. The Registry sets when it was recorded.
    pub fn event(&self, file: &GenericFile, now: Time) -> PremisEvent {
        let Self { url, expected, actual } = self;
        let actual = actual.unwrap_or("no object");
        let (outcome, outcome_information) = if self.matches() {
            (Outcome::Success, format!("Fixity matches at {url}: {actual}"))
        } else {
            (Outcome::Failed, format!("Fixity did not match at {url}. Expected {expected}, got {actual}"))
        };
        let (object, agent) = digest_library(&Algorithm::Sha256);
        PremisEvent {
            agent,
            created_at: Time::UNSET,
            date_time: now,
            detail: "Fixity check against registered hash".into(),
            generic_file_id: file.id,
            generic_file_identifier: file.identifier.clone(),
            institution_id: file.institution_id,
            intellectual_object_id: file.intellectual_object_id,
            object,
            outcome,
            outcome_detail: format!("sha256:{actual}"),
            outcome_information,
            updated_at: Time::UNSET,
            ..successful(EventType::FixityCheck, now)
        }
    }
}

fn successful(event_type: EventType, now: Time) -> PremisEvent {
    PremisEvent {
        created_at: now,
        event_type,
        identifier: Uuid::new_v4().to_string(),
        outcome: Outcome::Success,
        updated_at: now,
        ..PremisEvent::default()
    }
}

/// Which library computes digests of this algorithm, and where it is at home: what `services/digests` uses.
fn digest_library(algorithm: &Algorithm) -> (String, String) {
    let (name, home) = match algorithm {
        Algorithm::Md5 => ("RustCrypto md-5", "https://github.com/RustCrypto/hashes"),
        Algorithm::Sha1 => ("RustCrypto sha1", "https://github.com/RustCrypto/hashes"),
        Algorithm::Sha512 => ("ring", "https://github.com/briansmith/ring"),
        _ => ("RustCrypto sha2", "https://github.com/RustCrypto/hashes"),
    };
    (format!("{name} ({algorithm})"), home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tag;

    type Breaks = fn(&mut IngestFile);

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn texts(event: &PremisEvent) -> [&str; 5] {
        [&event.detail, &event.outcome_detail, &event.object, &event.agent, &event.outcome_information]
    }

    fn object() -> IngestObject {
        let mut object = IngestObject::new("receiving", "bag.tar", "1", "example.edu", 7, 1);
        object.id = 12;
        object.file_count = 16;
        object.tags.push(Tag::new("aptrust-info.txt", "Access", "Consortia"));
        object
    }

    fn file() -> IngestFile {
        let mut file = IngestFile::new("example.edu/bag", "data/a.txt");
        (file.institution_id, file.intellectual_object_id, file.uuid) = (7, 12, "UUID".into());
        for (source, algorithm, digest) in [
            (ChecksumSource::Ingest, Algorithm::Md5, "11"),
            (ChecksumSource::Ingest, Algorithm::Sha1, "22"),
            (ChecksumSource::Ingest, Algorithm::Sha256, "33"),
            (ChecksumSource::Ingest, Algorithm::Sha512, "55"),
            (ChecksumSource::Manifest, Algorithm::Md5, "11"),
            (ChecksumSource::Manifest, Algorithm::Sha256, "33"),
            (ChecksumSource::TagManifest, Algorithm::Md5, "44"),
        ] {
            file.set_checksum(IngestChecksum::new(source, algorithm, digest, at("2026-01-01T00:00:00Z")));
        }
        for (bucket, day) in [("va", "02"), ("or", "03")] {
            file.set_stored_copy(StoredCopy {
                provider: "AWS".into(),
                bucket: bucket.into(),
                url: format!("https://s3/{bucket}/UUID"),
                stored_at: at(&format!("2026-01-{day}T00:00:00Z")),
                verified_at: at("2026-01-04T00:00:00Z"),
                ..StoredCopy::default()
            });
        }
        file
    }

    #[test]
    fn an_object_has_four_events_at_first_and_two_afterwards() {
        let mut object = object();
        let now = at("2026-01-05T00:00:00Z");
        let events = object.ensure_events(now).clone();
        let aptrust = "https://github.com/APTrust/preservation-services";
        let services = "APTrust preservation services";
        let expected = [
            (
                EventType::Creation,
                [
                    "Object created",
                    "Intellectual object created",
                    services,
                    aptrust,
                    "Object created, files copied to preservation storage",
                ],
            ),
            (
                EventType::IdentifierAssignment,
                [
                    "Assigned object identifier example.edu/bag",
                    "example.edu/bag",
                    services,
                    aptrust,
                    "Institution domain + tar file name",
                ],
            ),
            (
                EventType::Ingestion,
                [
                    "Copied files to perservation storage",
                    "16 files copied",
                    "Minio S3 client",
                    "https://github.com/minio/minio-go v7",
                    "Multipart put using s3 etags",
                ],
            ),
            (
                EventType::AccessAssignment,
                ["Assigned object access rights", "consortia", services, aptrust, "Set access to consortia"],
            ),
        ];
        assert_eq!(events.len(), expected.len());
        for (event, (event_type, expected)) in events.iter().zip(expected) {
            assert_eq!((&event.event_type, texts(event)), (&event_type, expected));
            assert_eq!((event.institution_id, event.intellectual_object_id), (7, 12));
            assert_eq!((&event.outcome, event.date_time, event.created_at), (&Outcome::Success, now, now));
            assert!(event.generic_file_identifier.is_empty());
        }
        assert_eq!(object.ensure_events(Time::now()), &events, "they are made once");
        let mut again = IngestObject { is_reingest: true, premis_events: List::new(), ..object };
        let types: Vec<EventType> = again.ensure_events(now).iter().map(|event| event.event_type.clone()).collect();
        assert_eq!(types, [EventType::Ingestion, EventType::AccessAssignment]);
    }

    #[test]
    fn a_new_file_with_four_digests_two_manifests_and_two_copies_has_ten_events() {
        let mut file = file();
        let now = at("2026-01-05T00:00:00Z");
        let events = file.ensure_events(now).unwrap().clone();
        let (hashes, uuids) = ("https://github.com/RustCrypto/hashes", "http://github.com/google/uuid");
        let ring = "https://github.com/briansmith/ring";
        let check = "Fixity check against registered hash";
        let value = "Calculated fixity value";
        let uuid_library = "Go uuid library + Minio S3 library";
        let expected = [
            (EventType::FixityCheck, [check, "md5:11", "RustCrypto md-5 (md5)", hashes, "Fixity matches"]),
            (EventType::FixityCheck, [check, "sha256:33", "RustCrypto sha2 (sha256)", hashes, "Fixity matches"]),
            (EventType::DigestCalculation, [value, "md5:11", "RustCrypto md-5 (md5)", hashes, value]),
            (EventType::DigestCalculation, [value, "sha1:22", "RustCrypto sha1 (sha1)", hashes, value]),
            (EventType::DigestCalculation, [value, "sha256:33", "RustCrypto sha2 (sha256)", hashes, value]),
            (EventType::DigestCalculation, [value, "sha512:55", "ring (sha512)", ring, value]),
            (
                EventType::Ingestion,
                [
                    "Completed copy to preservation storage (UUID)",
                    "md5:11",
                    "preservation-services + Minio S3 client",
                    "https://github.com/minio/minio-go v7",
                    "Put using md5 checksum",
                ],
            ),
            (
                EventType::Replication,
                [
                    "Copied to replication storage and assigned replication URL identifier",
                    "https://s3/or/UUID",
                    uuid_library,
                    uuids,
                    "Replicated to secondary storage",
                ],
            ),
            (
                EventType::IdentifierAssignment,
                [
                    "Assigned new institution.bag/path identifier",
                    "example.edu/bag/data/a.txt",
                    "APTrust exchange/ingest processor",
                    "https://github.com/APTrust/preservation-services",
                    "Assigned bag/filepath identifier",
                ],
            ),
            (
                EventType::IdentifierAssignment,
                [
                    "Assigned new storage URL identifier",
                    "https://s3/va/UUID",
                    uuid_library,
                    uuids,
                    "Assigned url identifier",
                ],
            ),
        ];
        assert_eq!(events.len(), expected.len());
        for (event, (event_type, expected)) in events.iter().zip(expected) {
            assert_eq!((&event.event_type, texts(event)), (&event_type, expected));
            assert_eq!((event.institution_id, event.intellectual_object_id), (7, 12));
            assert_eq!(event.intellectual_object_identifier, "example.edu/bag");
            assert_eq!(event.generic_file_identifier, "example.edu/bag/data/a.txt");
        }
        let days: Vec<u8> = events.iter().map(|event| event.date_time.inner().day()).collect();
        assert_eq!(days, [1, 1, 1, 1, 1, 1, 2, 3, 5, 5], "of the checksums, the copies, and now");
        assert_eq!(file.ensure_events(Time::now()).unwrap(), &events, "they are made once");
    }

    #[test]
    fn files_that_are_not_saved_or_not_new_have_fewer_events() {
        let now = Time::now();
        let mut unchanged = IngestFile { needs_save: false, ..file() };
        assert!(unchanged.ensure_events(now).unwrap().is_empty());
        let mut again = IngestFile { is_reingest: true, ..file() };
        let events = again.ensure_events(now).unwrap();
        assert!(events.iter().all(|event| event.event_type != EventType::IdentifierAssignment));
        assert_eq!(events.len(), 8);
    }

    #[test]
    fn an_incomplete_file_has_no_event_at_all() {
        let now = Time::now();
        let unset = Time::UNSET;
        let broken: [(Breaks, Incomplete); 5] = [
            (|file| file.storage_records = List::new(), Incomplete::NoCopy),
            (|file| file.checksums = List::new(), Incomplete::NoMd5),
            (|file| file.storage_records[0].verified_at = Time::UNSET, Incomplete::NotVerified),
            (|file| file.storage_records[1].stored_at = Time::UNSET, Incomplete::ReplicaNotStored),
            (|file| file.storage_records[0].url.clear(), Incomplete::NoIdentifier),
        ];
        for (breaks, expected) in broken {
            let mut file = file();
            breaks(&mut file);
            assert_eq!(file.ensure_events(now).unwrap_err(), expected);
            assert!(file.premis_events.is_empty());
        }
        let mut file = file();
        file.storage_records[1].verified_at = unset;
        assert_eq!(file.ensure_events(now).unwrap_err().to_string(), "Replication record VerifiedAt cannot be empty");
    }

    #[test]
    fn a_scheduled_check_says_where_and_what() {
        let file = GenericFile {
            id: 3,
            identifier: "example.edu/bag/data/a.txt".into(),
            institution_id: 7,
            intellectual_object_id: 12,
            ..GenericFile::default()
        };
        let now = Time::now();
        let good = FixityCheck { url: "https://s3/va/U", expected: "aa", actual: Some("aa") }.event(&file, now);
        assert_eq!(
            (&good.outcome, good.outcome_information.as_str()),
            (&Outcome::Success, "Fixity matches at https://s3/va/U: aa")
        );
        assert_eq!((good.outcome_detail.as_str(), good.generic_file_id, good.date_time), ("sha256:aa", 3, now));
        assert!(!good.created_at.is_set() && !good.updated_at.is_set());
        let bad = FixityCheck { url: "https://s3/va/U", expected: "aa", actual: Some("bb") }.event(&file, now);
        assert_eq!(bad.outcome.as_str(), "Failed");
        assert_eq!(bad.outcome_information, "Fixity did not match at https://s3/va/U. Expected aa, got bb");
    }
}
