//! The tables' records, with the JSON of spec 05 §6. What the lists show instead is in `views`.

use super::record::record;
use crate::registry::time::Time;

record! {
    pub struct Institution in "institutions" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        name: String,
        identifier: String,
        state: String,
        r#type: String as "type",
        member_institution_id: i64,
        deactivated_at: Time,
        otp_enabled: bool,
        spot_restore_frequency: i64,
        last_spot_restore_work_item_id: i64,
        receiving_bucket: String,
        restore_bucket: String,
    }
}

record! {
    /// Never sent to anyone as a whole.
    pub struct User in "users" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        name: String,
        email: String,
        institution_id: i64,
        role: String,
        deactivated_at: Time,
        #[serde(skip)]
        encrypted_password: String,
        #[serde(skip)]
        encrypted_api_secret_key: String,
    }
}

record! {
    pub struct IntellectualObject in "intellectual_objects" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        title: String,
        description: String,
        identifier: String,
        alt_identifier: String,
        access: String,
        bag_name: String,
        institution_id: i64,
        state: String,
        etag: String,
        bag_group_identifier: String,
        storage_option: String,
        bagit_profile_identifier: String,
        source_organization: String,
        internal_sender_identifier: String,
        internal_sender_description: String,
    }
    with {
        #[serde(skip_deserializing)]
        institution: Option<Institution>,
        /// Never filled.
        #[serde(skip_deserializing)]
        generic_files: Option<Vec<GenericFile>>,
        /// Never filled.
        #[serde(skip_deserializing)]
        premis_events: Option<Vec<PremisEvent>>,
    }
}

record! {
    pub struct GenericFile in "generic_files" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        file_format: String,
        size: i64,
        identifier: String,
        intellectual_object_id: i64,
        state: String,
        last_fixity_check: Time,
        institution_id: i64,
        storage_option: String,
        uuid: String,
        #[serde(rename = "mtime")]
        mod_time: Time,
    }
    with {
        premis_events: Option<Vec<PremisEvent>>,
        checksums: Option<Vec<Checksum>>,
        storage_records: Option<Vec<StorageRecord>>,
    }
}

record! {
    pub struct Checksum in "checksums" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        algorithm: String,
        datetime: Time,
        digest: String,
        generic_file_id: i64,
    }
}

record! {
    pub struct StorageRecord in "storage_records" {
        id: i64,
        generic_file_id: i64,
        url: String,
    }
}

record! {
    pub struct PremisEvent in "premis_events" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        agent: String,
        date_time: Time,
        detail: String,
        event_type: String,
        generic_file_id: i64,
        identifier: String,
        institution_id: i64,
        intellectual_object_id: i64,
        object: String,
        old_uuid: String,
        outcome: String,
        outcome_detail: String,
        outcome_information: String,
    }
}

record! {
    pub struct WorkItem in "work_items" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        name: String,
        etag: String,
        institution_id: i64,
        intellectual_object_id: i64,
        generic_file_id: i64,
        bucket: String,
        user: String,
        note: String,
        action: String,
        stage: String,
        status: String,
        outcome: String,
        bag_date: Time,
        date_processed: Time,
        retry: bool,
        node: String,
        pid: i64,
        needs_admin_review: bool,
        queued_at: Time,
        size: i64,
        stage_started_at: Time,
        aptrust_approver: String,
        inst_approver: String,
        deletion_request_id: i64,
    }
}

record! {
    pub struct DeletionRequest in "deletion_requests" {
        id: i64,
        institution_id: i64,
        #[serde(skip)]
        requested_by_id: i64,
        requested_at: Time,
        #[serde(skip)]
        encrypted_confirmation_token: String,
        #[serde(skip)]
        confirmed_by_id: i64,
        confirmed_at: Time,
        #[serde(skip)]
        cancelled_by_id: i64,
        cancelled_at: Time,
    }
    with {
        requested_by: Option<Person>,
        confirmed_by: Option<Person>,
        cancelled_by: Option<Person>,
        generic_files: Option<Vec<GenericFile>>,
        intellectual_objects: Option<Vec<IntellectualObject>>,
    }
}

record! {
    pub struct Alert in "alerts" {
        id: i64,
        institution_id: i64,
        r#type: String as "type",
        subject: String,
        content: String,
        deletion_request_id: i64,
        created_at: Time,
    }
}

/// What others may know of a user.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    pub id: i64,
    pub name: String,
    pub email: String,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        Self { id: user.id, name: user.name, email: user.email }
    }
}
