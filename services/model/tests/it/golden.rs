//! Every document in the order and spelling of its contract, read and written again byte for byte. The documents are
//! made here, by the tables of fields; nothing is copied from another implementation.

use model::{
    Checksum, GenericFile, IngestFile, IngestObject, Institution, IntellectualObject, PremisEvent, RestorationObject,
    StorageRecord, WorkItem, WorkResult, to_json,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    Time,
    Texts,
    /// Documents, each of these fields.
    List(&'static [Field]),
}

/// Name, kind, and whether a zero is left out.
type Field = (&'static str, Kind, Zero);

#[derive(Clone, Copy, PartialEq)]
enum Zero {
    Written,
    Omitted,
}

use Kind::{Flag, List, Number, Text, Texts, Time};
use Zero::{Omitted, Written};

const TAG: &[Field] = &[("tag_file", Text, Written), ("tag_name", Text, Written), ("value", Text, Written)];

const EVENT: &[Field] = &[
    ("agent", Text, Written),
    ("created_at", Time, Written),
    ("date_time", Time, Written),
    ("detail", Text, Written),
    ("event_type", Text, Written),
    ("generic_file_id", Number, Omitted),
    ("generic_file_identifier", Text, Omitted),
    ("id", Number, Omitted),
    ("identifier", Text, Written),
    ("institution_id", Number, Written),
    ("intellectual_object_id", Number, Written),
    ("intellectual_object_identifier", Text, Written),
    ("object", Text, Written),
    ("outcome_detail", Text, Written),
    ("outcome_information", Text, Written),
    ("outcome", Text, Written),
    ("updated_at", Time, Written),
];

const INGEST_OBJECT: &[Field] = &[
    ("copied_to_staging_at", Time, Written),
    ("deleted_from_receiving_at", Time, Written),
    ("etag", Text, Omitted),
    ("error_message", Text, Omitted),
    ("file_count", Number, Written),
    ("has_fetch_txt", Flag, Written),
    ("id", Number, Omitted),
    ("institution", Text, Omitted),
    ("institution_id", Number, Omitted),
    ("is_reingest", Flag, Written),
    ("manifests", Texts, Written),
    ("parsable_tag_files", Texts, Written),
    ("premis_events", List(EVENT), Omitted),
    ("recheck_registry_identifiers", Flag, Written),
    ("s3_bucket", Text, Omitted),
    ("s3_key", Text, Omitted),
    ("saved_to_registry_at", Time, Written),
    ("serialization", Text, Omitted),
    ("should_delete_from_receiving", Flag, Written),
    ("size", Number, Omitted),
    ("storage_option", Text, Written),
    ("tag_files", Texts, Written),
    ("tag_manifests", Texts, Written),
    ("tags", List(TAG), Written),
];

const INGEST_CHECKSUM: &[Field] =
    &[("algorithm", Text, Written), ("datetime", Time, Written), ("digest", Text, Written), ("source", Text, Written)];

const STORED_COPY: &[Field] = &[
    ("bucket", Text, Written),
    ("error", Text, Written),
    ("etag", Text, Written),
    ("provider", Text, Written),
    ("size", Number, Written),
    ("stored_at", Time, Written),
    ("url", Text, Written),
    ("verified_at", Time, Written),
];

const INGEST_FILE: &[Field] = &[
    ("checksums", List(INGEST_CHECKSUM), Written),
    ("copied_to_staging_at", Time, Written),
    ("error_message", Text, Omitted),
    ("file_format", Text, Omitted),
    ("file_modified", Time, Written),
    ("format_identified_at", Time, Written),
    ("format_identified_by", Text, Omitted),
    ("format_match_type", Text, Omitted),
    ("id", Number, Omitted),
    ("institution_id", Number, Omitted),
    ("intellectual_object_id", Number, Omitted),
    ("is_reingest", Flag, Written),
    ("mtime", Time, Written),
    ("needs_save", Flag, Written),
    ("object_identifier", Text, Written),
    ("path_in_bag", Text, Written),
    ("premis_events", List(EVENT), Omitted),
    ("registry_urls", Texts, Written),
    ("saved_to_registry_at", Time, Written),
    ("size", Number, Written),
    ("storage_option", Text, Written),
    ("storage_records", List(STORED_COPY), Written),
    ("uuid", Text, Written),
];

const PROCESSING_ERROR: &[Field] = &[
    ("Identifier", Text, Written),
    ("IsFatal", Flag, Written),
    ("Message", Text, Written),
    ("Source", Text, Written),
    ("Stack", Text, Written),
    ("WorkItemID", Number, Written),
];

const WORK_RESULT: &[Field] = &[
    ("attempt", Number, Written),
    ("operation", Text, Written),
    ("host", Text, Written),
    ("pid", Number, Written),
    ("started_at", Time, Written),
    ("finished_at", Time, Written),
    ("errors", List(PROCESSING_ERROR), Written),
];

const RESTORATION_OBJECT: &[Field] = &[
    ("all_files_restored", Flag, Written),
    ("BagItProfileIdentifier", Text, Written),
    ("error_message", Text, Written),
    ("identifier", Text, Written),
    ("item_id", Number, Written),
    ("object_size", Number, Written),
    ("restoration_source", Text, Written),
    ("restoration_target", Text, Written),
    ("restoration_type", Text, Written),
    ("restored_at", Time, Written),
    ("url", Text, Written),
];

const CHECKSUM: &[Field] = &[
    ("id", Number, Omitted),
    ("algorithm", Text, Written),
    ("digest", Text, Written),
    ("datetime", Time, Written),
    ("generic_file_id", Number, Written),
    ("created_at", Time, Written),
    ("updated_at", Time, Written),
    ("generic_file_identifier", Text, Written),
    ("intellectual_object_id", Number, Written),
    ("institution_id", Number, Written),
];

const STORAGE_RECORD: &[Field] =
    &[("generic_file_id", Number, Written), ("id", Number, Omitted), ("url", Text, Written)];

const GENERIC_FILE: &[Field] = &[
    ("checksums", List(CHECKSUM), Written),
    ("created_at", Time, Written),
    ("file_format", Text, Written),
    ("file_modified", Time, Written),
    ("id", Number, Written),
    ("identifier", Text, Written),
    ("institution_id", Number, Written),
    ("intellectual_object_id", Number, Written),
    ("last_fixity_check", Time, Written),
    ("premis_events", List(EVENT), Written),
    ("size", Number, Written),
    ("state", Text, Written),
    ("storage_option", Text, Written),
    ("storage_records", List(STORAGE_RECORD), Written),
    ("uuid", Text, Written),
    ("updated_at", Time, Written),
    ("mtime", Time, Written),
];

const INSTITUTION: &[Field] = &[
    ("created_at", Time, Written),
    ("deactivated_at", Time, Written),
    ("id", Number, Written),
    ("identifier", Text, Written),
    ("member_institution_id", Number, Written),
    ("name", Text, Written),
    ("otp_enabled", Flag, Written),
    ("receiving_bucket", Text, Written),
    ("restore_bucket", Text, Written),
    ("state", Text, Written),
    ("type", Text, Written),
    ("updated_at", Time, Written),
];

const INTELLECTUAL_OBJECT: &[Field] = &[
    ("access", Text, Written),
    ("alt_identifier", Text, Written),
    ("bag_group_identifier", Text, Written),
    ("bagit_profile_identifier", Text, Written),
    ("bag_name", Text, Written),
    ("created_at", Time, Written),
    ("description", Text, Written),
    ("etag", Text, Written),
    ("file_count", Number, Written),
    ("size", Number, Written),
    ("id", Number, Written),
    ("identifier", Text, Written),
    ("internal_sender_description", Text, Written),
    ("internal_sender_identifier", Text, Written),
    ("institution_identifier", Text, Written),
    ("institution_id", Number, Written),
    ("payload_file_count", Number, Written),
    ("payload_size", Number, Written),
    ("source_organization", Text, Written),
    ("state", Text, Written),
    ("storage_option", Text, Written),
    ("title", Text, Written),
    ("updated_at", Time, Written),
];

const WORK_ITEM: &[Field] = &[
    ("aptrust_approver", Text, Written),
    ("action", Text, Written),
    ("bag_date", Time, Written),
    ("bucket", Text, Written),
    ("created_at", Time, Written),
    ("date_processed", Time, Written),
    ("deletion_request_id", Number, Written),
    ("etag", Text, Written),
    ("id", Number, Omitted),
    ("inst_approver", Text, Written),
    ("institution_id", Number, Written),
    ("name", Text, Written),
    ("needs_admin_review", Flag, Written),
    ("node", Text, Written),
    ("note", Text, Written),
    ("outcome", Text, Written),
    ("pid", Number, Written),
    ("queued_at", Time, Written),
    ("retry", Flag, Written),
    ("size", Number, Written),
    ("stage", Text, Written),
    ("stage_started_at", Time, Written),
    ("status", Text, Written),
    ("updated_at", Time, Written),
    ("user", Text, Written),
    ("generic_file_identifier", Text, Written),
    ("generic_file_id", Number, Written),
    ("intellectual_object_id", Number, Written),
    ("object_identifier", Text, Written),
    ("storage_option", Text, Written),
];

/// Values for a document, picked by an endless supply of choices, as Go would write them.
fn document(fields: &[Field], choice: &mut impl FnMut(usize) -> usize) -> String {
    const TEXTS: [&str; 6] = [
        "",
        "Standard",
        "Z\u{fc}rich \u{1f4e6} \u{202f}",
        r"\u003cb\u003e \u0026 \u2028\u2029",
        r#"\"\\/\n\u0000\b"#,
        "md5",
    ];
    const TIMES: [&str; 4] = [
        "0001-01-01T00:00:00Z",
        "1904-06-16T15:04:05Z",
        "2026-03-04T05:06:07.123456789-05:00",
        "2026-03-04T05:06:07.5Z",
    ];
    let mut out = Vec::new();
    for (name, kind, zero) in fields {
        let value = match kind {
            Text => format!("\"{}\"", TEXTS[choice(TEXTS.len())]),
            Number => ["0", "1", "-7", "9223372036854775807"][choice(4)].to_owned(),
            Flag => ["false", "true"][choice(2)].to_owned(),
            Time => format!("\"{}\"", TIMES[choice(TIMES.len())]),
            Texts => ["null", "[]", r#"["a"]"#, r#"["a","","\u003e"]"#][choice(4)].to_owned(),
            List(fields) => match choice(4) {
                0 => "null".to_owned(),
                1 => "[]".to_owned(),
                n => format!("[{}]", (1..n).map(|_| document(fields, choice)).collect::<Vec<_>>().join(",")),
            },
        };
        let is_zero = matches!(value.as_str(), "\"\"" | "0" | "null" | "[]");
        if *zero == Written || !is_zero {
            out.push(format!("\"{name}\":{value}"));
        }
    }
    format!("{{{}}}", out.join(","))
}

fn survives<T: Serialize + DeserializeOwned>(fields: &[Field], mut choice: impl FnMut(usize) -> usize) {
    let text = document(fields, &mut choice);
    let value: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    assert_eq!(to_json(&value).unwrap(), text);
}

fn all_survive(mut choice: impl FnMut(usize) -> usize) {
    survives::<IngestObject>(INGEST_OBJECT, &mut choice);
    survives::<IngestFile>(INGEST_FILE, &mut choice);
    survives::<WorkResult>(WORK_RESULT, &mut choice);
    survives::<RestorationObject>(RESTORATION_OBJECT, &mut choice);
    survives::<PremisEvent>(EVENT, &mut choice);
    survives::<Checksum>(CHECKSUM, &mut choice);
    survives::<StorageRecord>(STORAGE_RECORD, &mut choice);
    survives::<GenericFile>(GENERIC_FILE, &mut choice);
    survives::<Institution>(INSTITUTION, &mut choice);
    survives::<IntellectualObject>(INTELLECTUAL_OBJECT, &mut choice);
    survives::<WorkItem>(WORK_ITEM, &mut choice);
}

#[test]
fn documents_of_zeros_and_of_last_choices_survive() {
    all_survive(|_| 0);
    all_survive(|choices| choices - 1);
}

fn check<T: Serialize + DeserializeOwned>(text: &str) {
    assert_eq!(to_json(&serde_json::from_str::<T>(text).unwrap()).unwrap(), text);
}

#[test]
fn redis_documents_keep_what_a_newer_program_wrote() {
    let newer = |fields: &[Field]| {
        let text = document(fields, &mut |choices| choices - 1);
        format!(
            "{},\"future\":{{\"b\":[1.50,null],\"a\":\"\\u003c\"}},\"another\":12345678901234567890}}",
            &text[..text.len() - 1]
        )
    };
    check::<IngestObject>(&newer(INGEST_OBJECT));
    check::<IngestFile>(&newer(INGEST_FILE));
    check::<WorkResult>(&newer(WORK_RESULT));
    check::<RestorationObject>(&newer(RESTORATION_OBJECT));
    let nested =
        document(INGEST_FILE, &mut |choices| choices - 1).replace("\"source\":\"md5\"", "\"source\":\"md5\",\"new\":1");
    assert!(nested.contains("\"new\":1"));
    check::<IngestFile>(&nested);
}

#[test]
fn the_registrys_extra_fields_and_nulls_are_taken() {
    let item: WorkItem = serde_json::from_str(
        r#"{"id":5,"action":"Ingest","queued_at":null,"node":null,"pid":null,"institution_name":"Example","bag_date":"2026-03-04T05:06:07Z"}"#,
    )
    .unwrap();
    assert_eq!((item.id, item.queued_at.is_set(), item.node.as_str(), item.pid), (5, false, "", 0));
    assert!(!to_json(&item).unwrap().contains("institution_name"));
}

proptest! {
    #[test]
    fn documents_of_any_values_survive(seed in prop::collection::vec(any::<u8>(), 1..200)) {
        let mut supply = seed.iter().cycle();
        all_survive(|choices| supply.next().map_or(0, |byte| usize::from(*byte) % choices));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = serde_json::from_slice::<IngestFile>(&bytes);
        let _ = serde_json::from_slice::<WorkItem>(&bytes);
    }

    #[test]
    fn a_torn_document_is_an_error(cut in 0usize..1000) {
        let whole = document(INGEST_FILE, &mut |choices| choices - 1);
        let mut at = cut % whole.len();
        while !whole.is_char_boundary(at) { at -= 1; }
        prop_assert!(serde_json::from_str::<IngestFile>(&whole[..at]).is_err());
    }
}
