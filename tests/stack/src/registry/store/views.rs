//! What the lists show: views that join names and identifiers to the tables, and for each list its default order and
//! the filters it takes (spec 05 §5.4).

use super::record::{Record, record};
use super::records::{GenericFile, StorageRecord};
use crate::registry::time::Time;

/// A record that can be listed.
pub trait Listed: Record {
    /// Parameters that a list takes beside `page`, `per_page` and `sort`.
    const FILTERS: &'static [&'static str];
    /// The column, and whether it falls.
    const ORDER: (&'static str, bool);
}

record! {
    pub struct InstitutionView in "institutions_view" {
        id: i64,
        name: String,
        identifier: String,
        state: String,
        r#type: String as "type",
        deactivated_at: Time,
        otp_enabled: bool,
        spot_restore_frequency: i64,
        last_spot_restore_work_item_id: i64,
        receiving_bucket: String,
        restore_bucket: String,
        created_at: Time,
        updated_at: Time,
        parent_id: i64,
        parent_name: String,
        parent_identifier: String,
        parent_state: String,
        parent_deactivated_at: Time,
    }
}

impl Listed for InstitutionView {
    const FILTERS: &'static [&'static str] = &["name__contains", "type"];
    const ORDER: (&'static str, bool) = ("name", false);
}

record! {
    pub struct IntellectualObjectView in "intellectual_objects_view" {
        id: i64,
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
        created_at: Time,
        updated_at: Time,
        institution_name: String,
        institution_identifier: String,
        institution_type: String,
        institution_parent_id: i64,
        file_count: i64,
        size: i64,
        payload_file_count: i64,
        payload_size: i64,
    }
}

impl Listed for IntellectualObjectView {
    const FILTERS: &'static [&'static str] = &[
        "access",
        "alt_identifier",
        "alt_identifier__starts_with",
        "bag_group_identifier",
        "bag_group_identifier__starts_with",
        "bag_name",
        "bagit_profile_identifier",
        "created_at__gteq",
        "created_at__lteq",
        "etag",
        "file_count__gteq",
        "file_count__lteq",
        "identifier",
        "identifier__starts_with",
        "institution_id",
        "institution_parent_id",
        "internal_sender_description",
        "internal_sender_identifier",
        "size__gteq",
        "size__lteq",
        "source_organization",
        "state",
        "storage_option",
        "updated_at__gteq",
        "updated_at__lteq",
    ];
    const ORDER: (&'static str, bool) = ("updated_at", true);
}

impl Listed for GenericFile {
    const FILTERS: &'static [&'static str] = FILE_FILTERS;
    const ORDER: (&'static str, bool) = ("updated_at", true);
}

const FILE_FILTERS: &[&str] = &[
    "created_at__gteq",
    "created_at__lteq",
    "identifier",
    "institution_id",
    "intellectual_object_id",
    "last_fixity_check__gteq",
    "last_fixity_check__lteq",
    "size__gteq",
    "size__lteq",
    "state",
    "storage_option",
    "storage_option__in",
    "updated_at__gteq",
    "updated_at__lteq",
    "uuid",
];

record! {
    pub struct ChecksumView in "checksums_view" {
        id: i64,
        created_at: Time,
        updated_at: Time,
        algorithm: String,
        datetime: Time,
        digest: String,
        generic_file_id: i64,
        state: String,
        generic_file_identifier: String,
        intellectual_object_id: i64,
        institution_id: i64,
    }
}

impl Listed for ChecksumView {
    const FILTERS: &'static [&'static str] = &[
        "algorithm",
        "datetime__gteq",
        "datetime__lteq",
        "digest",
        "generic_file_id",
        "generic_file_identifier",
        "institution_id",
        "intellectual_object_id",
        "state",
    ];
    const ORDER: (&'static str, bool) = ("datetime", true);
}

impl Listed for StorageRecord {
    const FILTERS: &'static [&'static str] = &["generic_file_id"];
    const ORDER: (&'static str, bool) = ("id", true);
}

record! {
    pub struct PremisEventView in "premis_events_view" {
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
        institution_name: String,
        intellectual_object_identifier: String,
        generic_file_identifier: String,
    }
}

impl Listed for PremisEventView {
    const FILTERS: &'static [&'static str] = &[
        "date_time__gteq",
        "date_time__lteq",
        "event_type",
        "generic_file_id",
        "generic_file_id__is_null",
        "generic_file_identifier",
        "identifier",
        "institution_id",
        "intellectual_object_id",
        "intellectual_object_identifier",
        "outcome",
    ];
    const ORDER: (&'static str, bool) = ("date_time", true);
}

record! {
    pub struct WorkItemView in "work_items_view" {
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
        institution_name: String,
        institution_identifier: String,
        object_identifier: String,
        alt_identifier: String,
        bag_group_identifier: String,
        storage_option: String,
        bagit_profile_identifier: String,
        source_organization: String,
        internal_sender_identifier: String,
        generic_file_identifier: String,
    }
}

impl Listed for WorkItemView {
    const FILTERS: &'static [&'static str] = &[
        "action",
        "action__in",
        "alt_identifier",
        "bag_date__gteq",
        "bag_date__lteq",
        "bag_group_identifier",
        "bagit_profile_identifier",
        "bucket",
        "date_processed__gteq",
        "date_processed__lteq",
        "etag",
        "generic_file_id",
        "generic_file_id__is_null",
        "generic_file_identifier",
        "institution_id",
        "intellectual_object_id",
        "intellectual_object_id__is_null",
        "name",
        "needs_admin_review",
        "node__is_null",
        "node__not_null",
        "object_identifier",
        "queued_at__is_null",
        "queued_at__not_null",
        "retry",
        "size__gteq",
        "size__lteq",
        "stage",
        "stage__in",
        "status",
        "status__in",
        "storage_option",
        "user",
    ];
    const ORDER: (&'static str, bool) = ("updated_at", true);
}

record! {
    pub struct DeletionRequestView in "deletion_requests_view" {
        id: i64,
        institution_id: i64,
        institution_name: String,
        institution_identifier: String,
        requested_by_id: i64,
        requested_by_name: String,
        requested_by_email: String,
        requested_at: Time,
        confirmed_by_id: i64,
        confirmed_by_name: String,
        confirmed_by_email: String,
        confirmed_at: Time,
        cancelled_by_id: i64,
        cancelled_by_name: String,
        cancelled_by_email: String,
        cancelled_at: Time,
        file_count: i64,
        object_count: i64,
    }
}

impl Listed for DeletionRequestView {
    /// `stage` and `status` are no columns of the view: naming them is an error of the database, as on the real server.
    const FILTERS: &'static [&'static str] =
        &["institution_id", "requested_at__gteq", "requested_at__lteq", "stage", "status"];
    const ORDER: (&'static str, bool) = ("requested_at", true);
}

record! {
    /// One row for each recipient.
    pub struct AlertView in "alerts_view" {
        id: i64,
        institution_id: i64,
        institution_name: String,
        institution_identifier: String,
        r#type: String as "type",
        subject: String,
        content: String,
        deletion_request_id: i64,
        created_at: Time,
        user_id: i64,
        user_name: String,
        user_email: String,
        sent_at: Time,
        read_at: Time,
    }
}

impl Listed for AlertView {
    const FILTERS: &'static [&'static str] =
        &["created_at__gteq", "created_at__lteq", "institution_id", "type", "user_id"];
    const ORDER: (&'static str, bool) = ("created_at", true);
}

record! {
    /// A file as the member API lists it: flat, with its newest digests.
    pub struct GenericFileView in "generic_files_view" {
        id: i64,
        file_format: String,
        size: i64,
        identifier: String,
        intellectual_object_id: i64,
        object_identifier: String,
        access: String,
        state: String,
        last_fixity_check: Time,
        institution_id: i64,
        institution_name: String,
        institution_identifier: String,
        storage_option: String,
        uuid: String,
        #[serde(rename = "mtime")]
        mod_time: Time,
        md5: String,
        sha1: String,
        sha256: String,
        sha512: String,
        created_at: Time,
        updated_at: Time,
    }
}

impl Listed for GenericFileView {
    const FILTERS: &'static [&'static str] = FILE_FILTERS;
    const ORDER: (&'static str, bool) = ("updated_at", true);
}
