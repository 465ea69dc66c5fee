//! What any S3 server does: each check runs against ours as a test of its own, and against SeaweedFS in one go.

mod buckets;
mod conditions;
mod copies;
mod integrity;
mod lists;
mod multipart;
mod objects;
mod signing;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::target::{Target, Weed};
use crate::support::{program, skip};

/// A check by its name.
type Check = (&'static str, fn(Target) -> BoxFuture<'static, ()>);

/// A test for ours of each check, and the list of all of them.
macro_rules! suite {
    ($($module:ident { $($name:ident)+ })+) => {
        mod ours {
            use super::super::target::Target;
            $($(
                #[tokio::test]
                async fn $name() {
                    super::$module::$name(&Target::ours().await).await;
                }
            )+)+
        }

        const CHECKS: &[Check] =
            &[$($((stringify!($name), |target| async move { $module::$name(&target).await }.boxed()),)+)+];
    };
}

suite! {
    buckets {
        a_bucket_is_created_listed_and_deleted
        a_bucket_says_where_it_is
        a_bucket_is_created_once
        a_bucket_with_objects_is_not_deleted
        a_missing_bucket_is_told
        a_name_against_the_rules_is_refused
    }
    objects {
        an_object_comes_back
        an_empty_object_comes_back
        a_second_object_replaces_the_first
        metadata_and_headers_come_back
        metadata_beyond_ascii_comes_back
        ranges_are_cut_out
        a_range_beyond_the_end_is_refused
        keys_of_every_kind_are_kept
        a_key_of_1024_bytes_is_kept
        a_longer_key_is_refused
        a_missing_key_is_told
        a_storage_class_is_kept
        an_unknown_storage_class_is_refused
        deleting_is_repeatable
        many_are_deleted_at_once
        too_much_metadata_is_refused
    }
    integrity {
        a_content_md5_is_verified
        a_content_md5_that_is_none_is_refused
        an_empty_content_md5_is_refused
        the_content_md5_of_a_document_is_verified
        checksums_are_verified
        checksums_come_back
        a_checksum_behind_the_body_is_verified
        the_hash_of_the_body_is_verified
        signed_chunks_are_taken
        a_changed_chunk_is_refused
        a_missing_last_chunk_is_refused
    }
    conditions {
        reads_by_etag
        reads_by_time
        a_put_that_must_not_replace
        a_put_that_must_replace
        copies_by_the_state_of_the_source
        copies_by_the_state_of_the_destination
        deletes_by_what_is_there
        many_deletes_by_what_is_there
        an_upload_is_aborted_by_its_time
    }
    copies {
        a_copy_keeps_what_describes_it
        a_copy_may_describe_it_anew
        a_copy_of_nothing_is_refused
        a_copy_to_itself_must_change_something
        a_copy_may_be_described_anew_in_place
        parts_are_copied_from_ranges
    }
    multipart {
        parts_become_an_object
        a_part_is_replaced_by_its_number
        parts_in_the_wrong_order_are_refused
        parts_that_are_not_there_are_refused
        small_parts_are_refused
        an_aborted_upload_is_gone
        a_completed_upload_is_gone
        a_completion_is_answered_again
        parts_are_listed_in_pages
        uploads_are_listed
        a_part_number_out_of_range_is_refused
        checksums_of_parts_make_one_of_the_whole
    }
    lists {
        pages_add_up
        pages_of_the_first_version_add_up
        common_prefixes_count_as_entries
        a_list_begins_after_a_key
        lists_show_what_the_bucket_reader_needs
        keys_are_encoded_on_request
        a_prefix_comes_back_as_it_was_given
        versions_are_listed_in_pages
        what_was_listed_with_versions_can_be_deleted
        a_version_marker_needs_a_key
        a_list_of_a_missing_bucket_is_refused
    }
    signing {
        a_wrong_secret_is_refused
        an_unknown_key_is_refused
        an_unsigned_request_is_refused
        a_changed_header_is_refused
        a_presigned_get_needs_no_key
        a_presigned_put_needs_no_key
        a_presigned_url_of_something_else_is_refused
        a_presigned_url_for_more_than_a_week_is_refused
        a_presigned_url_that_is_not_whole_is_refused
        an_old_request_is_refused
        refusals_say_why
    }
}

/// Checks that SeaweedFS 4.48 does not pass, and what it does instead. The README of the stack lists them.
const DIFFERENCES: &[(&str, &str)] = &[
    ("a_bucket_says_where_it_is", "its LocationConstraint is wrapped in another element, which the SDK cannot read"),
    ("a_name_against_the_rules_is_refused", "creates buckets whose names have labels that begin with a hyphen"),
    ("keys_of_every_kind_are_kept", "refuses keys with `..`, `//` and the like: its keys are paths"),
    ("a_key_of_1024_bytes_is_kept", "refuses long keys that are shorter than 1,024 bytes"),
    ("too_much_metadata_is_refused", "takes more than 2 KiB of metadata"),
    ("a_content_md5_that_is_none_is_refused", "answers BadDigest instead of InvalidDigest"),
    ("a_checksum_behind_the_body_is_verified", "keeps `aws-chunked` as the object's Content-Encoding"),
    ("the_content_md5_of_a_document_is_verified", "does not verify the md5 of a list of keys to delete"),
    ("the_hash_of_the_body_is_verified", "stores a body that does not match x-amz-content-sha256"),
    ("signed_chunks_are_taken", "keeps `aws-chunked` as the object's Content-Encoding"),
    ("a_changed_chunk_is_refused", "answers 500 instead of SignatureDoesNotMatch"),
    ("a_put_that_must_replace", "answers 412 instead of 404 when If-Match finds nothing"),
    ("deletes_by_what_is_there", "does not look at the size and the time in a DELETE"),
    ("many_deletes_by_what_is_there", "does not look at the size and the time in a DeleteObjects"),
    ("an_upload_is_aborted_by_its_time", "does not look at the time in an abort"),
    ("a_copy_keeps_what_describes_it", "answers a copy with an ETag without quotes"),
    ("a_part_is_replaced_by_its_number", "completes with the ETag of a part that was replaced"),
    (
        "parts_that_are_not_there_are_refused",
        "answers an empty list of parts with NoSuchUpload instead of MalformedXML",
    ),
    ("an_aborted_upload_is_gone", "aborts what is not there"),
    ("uploads_are_listed", "lists uploads by their ids instead of their keys"),
    ("a_part_number_out_of_range_is_refused", "answers InvalidPart instead of InvalidArgument"),
    ("what_was_listed_with_versions_can_be_deleted", "does not say which version it deleted"),
    ("a_version_marker_needs_a_key", "takes a version marker without a key"),
    ("a_presigned_url_that_is_not_whole_is_refused", "answers AccessDenied or MalformedDate, by what is missing"),
];

/// One server for all, since it takes seconds to start.
#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_passes_the_suite_but_for_known_differences() {
    let Some(weed) = program("weed") else {
        skip("s3::protocol", "there is no `weed` on PATH");
        return;
    };
    let weed = Weed::start(&weed).await;
    let mut surprises = Vec::new();
    for (number, (name, check)) in CHECKS.iter().enumerate() {
        let target = Target::at(&weed.endpoint, &format!("check-{number}")).await;
        let failed = AssertUnwindSafe(check(target)).catch_unwind().await.is_err();
        let known = DIFFERENCES.iter().any(|(it, _)| it == name);
        match (failed, known) {
            (true, false) => surprises.push(format!("{name} fails")),
            (false, true) => surprises.push(format!("{name} passes, and is no difference any more")),
            _ => {}
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}
