//! The words that records may hold, and the small tests of text that validation is made of.

/// Where a member's role stands in what it may do.
pub mod role {
    pub const ADMIN: &str = "admin";
    pub const INSTITUTIONAL_ADMIN: &str = "institutional_admin";
    pub const INSTITUTIONAL_USER: &str = "institutional_user";
    pub const NONE: &str = "none";
}

pub const ACTIVE: &str = "A";
pub const DELETED: &str = "D";

pub const ACCESS: [&str; 3] = ["consortia", "institution", "restricted"];
pub const ACTIONS: [&str; 5] = ["Delete", "Glacier Restore", "Ingest", "Restore File", "Restore Object"];
pub const ALGORITHMS: [&str; 4] = ["md5", "sha1", "sha256", "sha512"];
pub const EVENT_TYPES: [&str; 9] = [
    "access assignment",
    "creation",
    "deletion",
    "message digest calculation",
    "fixity check",
    "identifier assignment",
    "ingestion",
    "replication",
    "validation",
];
pub const GLACIER_ONLY: [&str; 6] =
    ["Glacier-Deep-OH", "Glacier-Deep-OR", "Glacier-Deep-VA", "Glacier-OH", "Glacier-OR", "Glacier-VA"];
pub const OUTCOMES: [&str; 2] = ["Failure", "Success"];
pub const STAGES: [&str; 16] = [
    "Available in S3",
    "Cleanup",
    "Copy To Staging",
    "Fetch",
    "Format Identification",
    "Package",
    "Receive",
    "Record",
    "Reingest Check",
    "Requested",
    "Resolve",
    "Restoring",
    "Storage Validation",
    "Store",
    "Unpack",
    "Validate",
];
pub const STATUSES: [&str; 6] = ["Cancelled", "Failed", "Pending", "Started", "Success", "Suspended"];
/// Statuses of a work item on which nobody works any more.
pub const COMPLETED: [&str; 3] = ["Cancelled", "Failed", "Success"];
/// The stages of an ingest in their order; each has a topic.
pub const INGEST_STAGES: [&str; 9] = [
    "Receive",
    "Validate",
    "Reingest Check",
    "Copy To Staging",
    "Format Identification",
    "Store",
    "Storage Validation",
    "Record",
    "Cleanup",
];
pub const STORAGE_OPTIONS: [&str; 10] = [
    "Glacier-Deep-OH",
    "Glacier-Deep-OR",
    "Glacier-Deep-VA",
    "Glacier-OH",
    "Glacier-OR",
    "Glacier-VA",
    "Standard",
    "Wasabi-OR",
    "Wasabi-TX",
    "Wasabi-VA",
];

/// What an object gets that names no profile. The workers' own default is a later version.
pub const DEFAULT_PROFILE: &str =
    "https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.2.json";

/// The topic that a work item of this action, at this stage, is sent to.
pub fn topic(action: &str, stage: &str) -> Option<&'static str> {
    let topic = match (action, stage) {
        ("Delete", _) => "delete_item",
        ("Restore File", _) => "restore_file",
        ("Restore Object", _) => "restore_object",
        ("Glacier Restore", _) => "restore_glacier",
        ("Ingest", "Receive") => "ingest01_prefetch",
        ("Ingest", "Validate") => "ingest02_bag_validation",
        ("Ingest", "Reingest Check") => "ingest03_reingest_check",
        ("Ingest", "Copy To Staging") => "ingest04_staging",
        ("Ingest", "Format Identification") => "ingest05_format_identification",
        ("Ingest", "Store") => "ingest06_storage",
        ("Ingest", "Storage Validation") => "ingest07_storage_validation",
        ("Ingest", "Record") => "ingest08_record",
        ("Ingest", "Cleanup") => "ingest09_cleanup",
        _ => return None,
    };
    Some(topic)
}

/// 8-4-4-4-12 hexadecimal digits, in either case.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// One `@` with something before it, and a domain with a dot after it. The real server is stricter in ways that no
/// address of its users shows.
pub fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.rsplit_once('@') else { return false };
    let plain = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "@<>\"".contains(c))
    };
    let labels = || domain.split('.');
    plain(name) && plain(domain) && labels().count() > 1 && labels().all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_uuids() {
        assert!(is_email("system@aptrust.org") && is_email("a.b+c@x.example.com"));
        for text in ["", "x", "@example.com", "a@b", "a b@example.com", "a@example..com", "<a@example.com>"] {
            assert!(!is_email(text), "{text}");
        }
        assert!(is_uuid("A966CA54-ee5b-4606-81bd-7653dd5f3a63"));
        assert!(!is_uuid("a966ca54ee5b460681bd7653dd5f3a63") && !is_uuid("5586f292-7a85-45c3-9436-e42675e347155"));
    }
}
