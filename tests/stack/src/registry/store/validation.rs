//! What a record must hold before it is saved: one line for each field that is wrong (spec 05 §6).

use super::record::Record;
use super::records::{Checksum, GenericFile, IntellectualObject, PremisEvent, StorageRecord, WorkItem};
use super::{Error, Result};
use crate::registry::vocabulary::{
    ACCESS, ACTIONS, ACTIVE, ALGORITHMS, DELETED, EVENT_TYPES, OUTCOMES, STAGES, STATUSES, STORAGE_OPTIONS, is_email,
    is_uuid,
};

pub(super) trait Validate: Record {
    /// What must hold, and what is said when it does not.
    fn rules(&self) -> Vec<(bool, &'static str)>;

    fn validate(&self) -> Result<()> {
        let broken: Vec<String> =
            self.rules().into_iter().filter(|(holds, _)| !holds).map(|(_, text)| text.to_owned()).collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::Invalid(broken)) }
    }
}

fn is_state(state: &str) -> bool {
    state == ACTIVE || state == DELETED
}

impl Validate for IntellectualObject {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        vec![
            (!self.title.is_empty(), "Title: Title is required"),
            (!self.identifier.is_empty(), "Identifier: Identifier is required"),
            (is_state(&self.state), "State: State must be 'A' or 'D'."),
            (ACCESS.contains(&&*self.access), "Access: Invalid access value"),
            (self.institution_id > 0, "InstitutionID: Invalid institution id"),
            (STORAGE_OPTIONS.contains(&&*self.storage_option), "StorageOption: Invalid storage option"),
        ]
    }
}

impl Validate for GenericFile {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        vec![
            (!self.file_format.is_empty(), "FileFormat: FileFormat is required"),
            (!self.identifier.is_empty(), "Identifier: Identifier is required"),
            (is_state(&self.state), "State: State must be 'A' or 'D'."),
            (self.size >= 0, "Size: Size cannot be negative"),
            (self.institution_id > 0, "InstitutionID: Invalid institution id"),
            (self.intellectual_object_id > 0, "IntellectualObjectID: Intellectual object ID is required"),
            (STORAGE_OPTIONS.contains(&&*self.storage_option), "StorageOption: Invalid storage option"),
            (is_uuid(&self.uuid), "UUID: Valid UUID required"),
        ]
    }
}

impl Validate for Checksum {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        vec![
            (!self.digest.is_empty(), "Digest: Checksum Digest cannot be empty"),
            (!self.datetime.is_none(), "DateTime: Checksum DateTime is required"),
            (ALGORITHMS.contains(&&*self.algorithm), "Algorithm: Checksum requires a valid algorithm"),
            (self.generic_file_id > 0, "GenericFileID: Checksum requires a valid file id"),
        ]
    }
}

impl Validate for StorageRecord {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        vec![
            (self.generic_file_id > 0, "GenericFileID: Storage record requires a valid file id"),
            (is_url(&self.url), "URL: Storage record requires a valid URL"),
        ]
    }
}

/// A scheme and a host. The real server's library takes a little more and a little less.
fn is_url(url: &str) -> bool {
    let host = url.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, rest)| rest);
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !url.contains(char::is_whitespace))
}

impl Validate for PremisEvent {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        vec![
            (!self.agent.is_empty(), "Agent: Event Agent cannot be empty"),
            (!self.date_time.is_none(), "DateTime: Event DateTime is required"),
            (!self.detail.is_empty(), "Detail: Event Detail cannot be empty"),
            (EVENT_TYPES.contains(&&*self.event_type), "EventType: Event requires a valid EventType"),
            (is_uuid(&self.identifier), "Identifier: Event identifier should be a UUID"),
            (self.institution_id > 0, "InstitutionID: Event requires a valid institution id"),
            (self.intellectual_object_id > 0, "IntellectualObjectID: Event requires a valid intellectual object id"),
            (!self.object.is_empty(), "Object: Event Object cannot be empty"),
            (OUTCOMES.contains(&&*self.outcome), "Outcome: Event requires a valid Outcome value"),
            (!self.outcome_detail.is_empty(), "OutcomeDetail: Event OutcomeDetail cannot be empty"),
            (!self.outcome_information.is_empty(), "OutcomeInformation: Event OutcomeInformation cannot be empty"),
        ]
    }
}

impl Validate for WorkItem {
    fn rules(&self) -> Vec<(bool, &'static str)> {
        let named = (1..=1000).contains(&self.name.len());
        vec![
            (named, "Name: Name is required."),
            ((32..=40).contains(&self.etag.len()), "ETag: ETag is required (32-40 bytes)."),
            (!self.bag_date.is_none(), "BagDate: BagDate is required."),
            ((1..=1000).contains(&self.bucket.len()), "Bucket: Bucket is required."),
            (is_email(&self.user), "User: User must be a valid email address."),
            (self.institution_id > 0, "InstitutionID: InstitutionID is required."),
            (!self.date_processed.is_none(), "DateProcessed: DateProcessed is required."),
            // These two test the name by mistake on the real server: an empty note or outcome is taken.
            ((1..=10_000).contains(&self.name.len()), "Note: Note cannot be empty."),
            (ACTIONS.contains(&&*self.action), "Action: Action is missing or invalid."),
            (STAGES.contains(&&*self.stage), "Stage: Stage is missing or invalid."),
            (STATUSES.contains(&&*self.status), "Status: Status is missing or invalid."),
            (named, "Outcome: Outcome cannot be empty."),
        ]
    }
}
