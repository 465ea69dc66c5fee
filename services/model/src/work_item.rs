//! WorkItems: the Registry's record of one thing to do for a depositor, and the rules for changing it. Which item is
//! taken up, and when, is decided by `worker`.

use crate::json::document;
use crate::topic::NoTopic;
use crate::{Action, RestorationType, Stage, Status, Time, Topic, note};

document! {
    /// A request, from the moment it is seen until it is done. An update replaces the whole row in the Registry, so what
    /// was read must be sent back: change fields of an item that was read, and save that.
    pub struct WorkItem {
        aptrust_approver: String = "aptrust_approver",
        action: Action = "action",
        bag_date: Time = "bag_date",
        bucket: String = "bucket",
        created_at: Time = "created_at",
        date_processed: Time = "date_processed",
        deletion_request_id: i64 = "deletion_request_id",
        etag: String = "etag",
        id: i64 = "id" if set,
        inst_approver: String = "inst_approver",
        institution_id: i64 = "institution_id",
        /// For an ingest the key of the tar file in the receiving bucket.
        name: String = "name",
        needs_admin_review: bool = "needs_admin_review",
        /// Host name of the worker that has it in work; empty when none has.
        node: String = "node",
        note: String = "note",
        outcome: String = "outcome",
        /// Process id of that worker, or 0.
        pid: i64 = "pid",
        queued_at: Time = "queued_at",
        retry: bool = "retry",
        size: i64 = "size",
        stage: Stage = "stage",
        stage_started_at: Time = "stage_started_at",
        status: Status = "status",
        updated_at: Time = "updated_at",
        user: String = "user",
        /// Only in answers to show and list; ignored on save.
        generic_file_identifier: String = "generic_file_identifier",
        generic_file_id: i64 = "generic_file_id",
        intellectual_object_id: i64 = "intellectual_object_id",
        /// Only in answers to show and list; ignored on save.
        object_identifier: String = "object_identifier",
        /// Only in answers to show and list; ignored on save.
        storage_option: String = "storage_option",
    }
}

impl WorkItem {
    /// Nothing more is done for it.
    pub fn is_completed(&self) -> bool {
        self.status.is_completed()
    }

    /// Whether a worker says that it has it in work.
    pub fn is_claimed(&self) -> bool {
        !self.node.is_empty() || self.pid != 0
    }

    /// Where it is queued.
    pub fn topic(&self) -> Result<Topic, NoTopic> {
        Topic::of(&self.action, &self.stage)
    }

    /// Whether a restoration or deletion is about one file of the object.
    pub fn restoration_type(&self) -> RestorationType {
        if self.generic_file_identifier.is_empty() { RestorationType::Object } else { RestorationType::File }
    }

    /// A worker of `topic` takes it up.
    pub fn mark_started(&mut self, node: &str, pid: i64, topic: Topic, now: Time) {
        node.clone_into(&mut self.node);
        self.pid = pid;
        self.status = Status::Started;
        self.note = note::started(topic);
        self.stage_started_at = now;
    }

    /// The worker lets go of it. The caller sets `retry` and `needs_admin_review` where they change.
    pub fn mark_no_longer_in_progress(&mut self, stage: Stage, status: Status, note: impl Into<String>) {
        self.release();
        self.stage = stage;
        self.status = status;
        self.note = note.into();
    }

    /// Nobody has it in work.
    pub fn release(&mut self) {
        self.node.clear();
        self.pid = 0;
    }

    /// What takes the place of a finished Glacier restoration.
    #[must_use]
    pub fn after_glacier(&self) -> Self {
        let action = if self.generic_file_id > 0 { Action::RestoreFile } else { Action::RestoreObject };
        Self {
            action,
            bag_date: self.bag_date,
            bucket: self.bucket.clone(),
            date_processed: self.date_processed,
            etag: self.etag.clone(),
            generic_file_id: self.generic_file_id,
            institution_id: self.institution_id,
            intellectual_object_id: self.intellectual_object_id,
            name: self.name.clone(),
            note: note::MOVED_FROM_GLACIER.into(),
            object_identifier: self.object_identifier.clone(),
            outcome: note::MOVED_FROM_GLACIER.into(),
            retry: true,
            size: self.size,
            stage: Stage::Requested,
            status: Status::Pending,
            user: self.user.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_sets_who_and_when_and_letting_go_clears_it() {
        let mut item = WorkItem { stage: Stage::Store, status: Status::Pending, ..WorkItem::default() };
        let now = "2026-03-04T05:06:07Z".parse().unwrap();
        item.mark_started("host-1", 17, Topic::IngestStorage, now);
        assert!(item.is_claimed());
        assert_eq!((item.node.as_str(), item.pid, item.stage_started_at), ("host-1", 17, now));
        assert_eq!((&item.stage, &item.status), (&Stage::Store, &Status::Started));
        assert_eq!(item.note, "Item has started stage ingest06_storage");
        item.mark_no_longer_in_progress(Stage::StorageValidation, Status::Pending, "Done");
        assert!(!item.is_claimed());
        assert_eq!((item.note.as_str(), &item.stage), ("Done", &Stage::StorageValidation));
        item.pid = 3;
        assert!(item.is_claimed(), "a pid without a node is a claim too");
    }

    #[test]
    fn what_follows_glacier_is_a_new_item() {
        let item = WorkItem {
            id: 4,
            action: Action::GlacierRestore,
            generic_file_id: 12,
            name: "bag.tar".into(),
            user: "a@example.edu".into(),
            node: "host".into(),
            aptrust_approver: "b@example.edu".into(),
            needs_admin_review: true,
            ..WorkItem::default()
        };
        let next = item.after_glacier();
        assert_eq!((next.id, &next.action, next.generic_file_id), (0, &Action::RestoreFile, 12));
        assert_eq!((&next.stage, &next.status, next.retry), (&Stage::Requested, &Status::Pending, true));
        assert_eq!((next.name.as_str(), next.user.as_str(), next.node.as_str()), ("bag.tar", "a@example.edu", ""));
        assert!(!next.needs_admin_review && next.aptrust_approver.is_empty() && !next.queued_at.is_set());
        assert_eq!(next.topic(), Ok(Topic::RestoreFile));
        assert_eq!(WorkItem { generic_file_id: 0, ..item }.after_glacier().action, Action::RestoreObject);
    }
}
