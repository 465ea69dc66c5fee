//! Texts that depositors, administrators or the Registry read in a WorkItem's `note` and `outcome`. They are matched on,
//! so each stands here once and to the letter.

use crate::{Topic, WorkItem};

/// Note of an item that the bucket reader made.
pub const IN_RECEIVING: &str = "Bag is in receiving bucket";
/// Outcome of an item that the bucket reader made.
pub const PENDING_INGEST: &str = "Item is pending ingest";
/// Outcome of a finished ingest.
pub const INGEST_COMPLETE: &str = "Ingest complete";
/// Outcome of an ingest that was cancelled.
pub const INGEST_CANCELLED: &str = "Ingest cancelled";
/// Outcome of an ingest that no repetition will help.
pub const INGEST_FAILED: &str = "Ingest failed due to fatal error.";
/// Outcome of a restored bag.
pub const BAG_RESTORED: &str = "Bag restoration complete";
/// Outcome of a restored file.
pub const FILE_RESTORED: &str = "File restoration complete";
/// Note and outcome of the item that follows a Glacier restoration.
pub const MOVED_FROM_GLACIER: &str = "Moved from Glacier to S3, awaiting restoration";
/// Appended to the note when the item that follows could not be made.
pub const NEXT_ITEM_FAILED: &str =
    " Object(s) are in S3 but worker was unable to create next restore item. Create it manually.";
/// Glacier has been asked.
pub const GLACIER_PENDING: &str =
    "Initiated restore, but files are not yet available in S3. Requeued for later recheck.";
/// Outcome of a deleted file.
pub const FILE_DELETED: &str = "File deletion complete";
/// Outcome of a deleted object.
pub const OBJECT_DELETED: &str = "Object deletion complete";
/// Wasabi refuses to delete.
pub const WASABI_DENIED: &str = "Access Denied - Note that Wasabi has a minimum storage period of 30 days. \
                                 Deletions before then will be denied.";
/// A deletion that nobody asked for or approved.
pub const DELETION_WITHOUT_APPROVAL: &str = "Deletion requires email of requestor and institutional approver";
/// The item turned out to be ingested: it has an object's id.
pub const ALREADY_INGESTED_BY_ID: &str = "Cleanup succeeded. Ingest complete. (ObjectAlreadyIngested: Has object id.)";
/// The item turned out to be ingested: the Registry has its object and event.
pub const ALREADY_INGESTED_BY_EVENT: &str =
    "Cleanup succeeded. Ingest complete. (ObjectAlreadyIngested: Matched object and event.)";
/// The tar file ends too early.
pub const TRUNCATED_TAR: &str = "Got unexpected EOF while trying to parse bag. Tar file in receiving bucket is \
                                 corrupt or format is invalid.";
/// The tar file is none.
pub const INVALID_TAR_HEADER: &str = "Error parsing bag. Tar file in receiving bucket contains an invalid header.";

/// A worker took the item up.
pub fn started(topic: Topic) -> String {
    format!("Item has started stage {topic}")
}

/// Follows the errors of an ingest or a deletion that used up its attempts.
pub fn given_up_with_data(attempts: i64) -> String {
    format!("{} Interim processing data persists.", given_up(attempts))
}

/// Follows the errors of a restoration that used up its attempts.
pub fn given_up(attempts: i64) -> String {
    format!(" Will not retry: failed {attempts} times.")
}

/// The Registry mails what follows ` restored to `, without the last full stop, as the address to download from.
pub fn object_restored(identifier: &str, url: &str) -> String {
    format!("Object {identifier} restored to {url}.")
}

/// As [`object_restored`], for one file.
pub fn file_restored(identifier: &str, url: &str) -> String {
    format!("File {identifier} restored to {url}.")
}

/// Everything is readable in S3.
pub fn glacier_done(identifier: &str) -> String {
    format!("Object {identifier} restored from Glacier to S3.")
}

/// A deletion is done, at whose request and with whose consent.
pub fn deleted(requested_by: &str, institution: &str, aptrust: &str) -> String {
    let note = format!("Deletion completed at the request of {requested_by}, approved by {institution}.");
    if aptrust.is_empty() { note } else { format!("{note} APTrust approver: {aptrust}.") }
}

/// The item could not be handed on.
pub fn not_queued(item: &WorkItem, topic: &str, cause: &dyn std::fmt::Display) -> String {
    let WorkItem { id, bucket, name, .. } = item;
    format!("Error adding WorkItem {id} ({bucket}/{name}) to NSQ topic {topic}: {cause}")
}

/// Files that were copied to the staging area are not there any more.
pub fn lost_in_staging(count: u64, first: &str) -> String {
    let files = if count == 1 { "file is" } else { "files are" };
    format!("{count} {files} no longer in the staging area and must be copied there again: {first}")
}

/// A newer bag of the same name is waiting.
pub fn superseded(id: i64, newer: i64) -> String {
    format!(
        "Skipping WorkItem {id} because a newer version of this bag is waiting to be ingested in WorkItem {newer}. \
         Staging files and Redis data will remain until APTrust admin cleans them out."
    )
}

/// The bag in the receiving bucket is another one by now.
pub fn bag_changed(item: &WorkItem, etag: &str) -> String {
    let WorkItem { id, bucket, name, etag: ours, .. } = item;
    format!(
        "Stopping work on WorkItem {id} because a newer version of bag {name} was found in {bucket}. \
         WorkItem etag='{ours}', receiving bucket etag='{etag}'"
    )
}

/// The bag in the receiving bucket is gone.
pub fn bag_gone(item: &WorkItem) -> String {
    let WorkItem { id, bucket, name, .. } = item;
    format!(
        "Stopping work on WorkItem {id} because bag {name} was deleted from {bucket}. \
         If this item was successfully ingested, push to cleanup."
    )
}

/// No worker can read the receiving bucket.
pub fn no_s3_client(item: &WorkItem, provider: &str) -> String {
    let WorkItem { bucket, name, .. } = item;
    format!("Can't check S3 for {bucket}/{name} because there's no S3 provider for {provider}")
}

/// What an ingest needs is not in Redis.
pub fn not_in_redis(id: i64, cause: &dyn std::fmt::Display, tar: Tar) -> String {
    let gone = match tar {
        Tar::Gone => {
            "Also, the bag is no longer in the receiving bucket. It may have been deleted due to validation failure or \
             completed ingest, or the depositor may have deleted it."
        }
        Tar::InReceiving => "",
    };
    format!("WorkItem {id}: Ingest object not found in Redis: {cause}. {gone}")
}

/// Whether the tar file is still in the receiving bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tar {
    InReceiving,
    Gone,
}

/// Appended to the note when the process is told to stop.
pub fn killed(host: &str) -> String {
    format!(" - Waiting for new worker because container {host} was killed")
}

/// A path in a tar file that does not begin with the bag's name.
pub fn no_top_directory(path: &str, expected: &str) -> String {
    format!(
        "Illegal path, '{path}'. Should start with '{expected}'. - Bag may be missing top-level directory. \
         See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification."
    )
}

/// A path that S3 cannot keep among an object's metadata.
pub fn name_too_long(path: &str) -> String {
    format!("File name '{path}' is too long to store")
}

/// A path that [`crate::identifier::has_control_character`] objects to.
pub fn illegal_name(path: &str) -> String {
    format!("File name '{path}' contains one or more illegal control characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_put_together_to_the_letter() {
        let item = WorkItem {
            id: 7,
            bucket: "receiving".into(),
            name: "bag.tar".into(),
            etag: "abc".into(),
            ..WorkItem::default()
        };
        for (text, expected) in [
            (started(Topic::IngestStaging), "Item has started stage ingest04_staging"),
            (given_up(3), " Will not retry: failed 3 times."),
            (given_up_with_data(3), " Will not retry: failed 3 times. Interim processing data persists."),
            (object_restored("e.edu/b", "https://x/e.edu/b.tar"), "Object e.edu/b restored to https://x/e.edu/b.tar."),
            (file_restored("e.edu/b/f", "https://x/f"), "File e.edu/b/f restored to https://x/f."),
            (glacier_done("e.edu/b"), "Object e.edu/b restored from Glacier to S3."),
            (deleted("a", "b", ""), "Deletion completed at the request of a, approved by b."),
            (deleted("a", "b", "c"), "Deletion completed at the request of a, approved by b. APTrust approver: c."),
            (
                not_queued(&item, "ingest01_prefetch", &"refused"),
                "Error adding WorkItem 7 (receiving/bag.tar) to NSQ topic ingest01_prefetch: refused",
            ),
            (
                superseded(7, 9),
                "Skipping WorkItem 7 because a newer version of this bag is waiting to be ingested in WorkItem 9. Staging files and Redis data will remain until APTrust admin cleans them out.",
            ),
            (
                bag_changed(&item, "def"),
                "Stopping work on WorkItem 7 because a newer version of bag bag.tar was found in receiving. WorkItem etag='abc', receiving bucket etag='def'",
            ),
            (
                bag_gone(&item),
                "Stopping work on WorkItem 7 because bag bag.tar was deleted from receiving. If this item was successfully ingested, push to cleanup.",
            ),
            (no_s3_client(&item, "AWS"), "Can't check S3 for receiving/bag.tar because there's no S3 provider for AWS"),
            (not_in_redis(7, &"nil", Tar::InReceiving), "WorkItem 7: Ingest object not found in Redis: nil. "),
            (
                not_in_redis(7, &"nil", Tar::Gone),
                "WorkItem 7: Ingest object not found in Redis: nil. Also, the bag is no longer in the receiving bucket. It may have been deleted due to validation failure or completed ingest, or the depositor may have deleted it.",
            ),
            (
                lost_in_staging(1, "e.edu/b/f"),
                "1 file is no longer in the staging area and must be copied there again: e.edu/b/f",
            ),
            (
                lost_in_staging(2, "e.edu/b/f"),
                "2 files are no longer in the staging area and must be copied there again: e.edu/b/f",
            ),
            (killed("h"), " - Waiting for new worker because container h was killed"),
            (
                no_top_directory("x", "bag/"),
                "Illegal path, 'x'. Should start with 'bag/'. - Bag may be missing top-level directory. See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification.",
            ),
            (name_too_long("p"), "File name 'p' is too long to store"),
            (
                illegal_name(r"data/datastream\u007f.txt"),
                r"File name 'data/datastream\u007f.txt' contains one or more illegal control characters",
            ),
            (
                WASABI_DENIED.into(),
                "Access Denied - Note that Wasabi has a minimum storage period of 30 days. Deletions before then will be denied.",
            ),
            (
                TRUNCATED_TAR.into(),
                "Got unexpected EOF while trying to parse bag. Tar file in receiving bucket is corrupt or format is invalid.",
            ),
        ] {
            assert_eq!(text, expected);
        }
    }
}
