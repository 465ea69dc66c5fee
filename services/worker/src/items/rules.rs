//! Which items a service takes up, and what it says of them when it is done. The order of the questions is that of 01 §4.4, with
//! the amendments of rulings A.5, A.7 and A.11. What needs a look at
//! anything else is asked by the service's [`Admission`](super::admission::Admission).

use crate::items::admission::Admit;
use crate::items::task::Done;
use model::{Action, Stage, Status, Topic, WorkItem, note};

/// What makes one service's items different from another's.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    topic: Topic,
    takes: Takes,
    /// What the item's note says then, unless the stage says something else.
    success_note: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Items of any action at the topic's stage.
    Ingest,
    /// Items of the topic's action.
    Restoration,
    Deletion,
}

impl Rules {
    /// A stage of ingest. Its items go on to the next one.
    pub const fn ingest(topic: Topic, success_note: &'static str) -> Self {
        Self { topic, takes: Takes::Ingest, success_note }
    }

    /// A restoration, of `restore_object`, `restore_file` or `restore_glacier`.
    pub const fn restoration(topic: Topic) -> Self {
        Self { topic, takes: Takes::Restoration, success_note: "" }
    }

    /// A deletion. Only items with an approver are taken up.
    pub const fn deletion() -> Self {
        Self { topic: Topic::DeleteItem, takes: Takes::Deletion, success_note: "" }
    }

    pub const fn topic(&self) -> Topic {
        self.topic
    }

    /// Where the item goes when the work is done; `None` where it ends.
    pub(crate) fn next(&self) -> Option<Topic> {
        self.topic.next()
    }

    /// Whether the lock on the object stays with an item that goes on to its next stage or attempt.
    pub(crate) fn keeps_lock(&self) -> bool {
        self.takes == Takes::Ingest && self.topic != Topic::IngestRecord
    }

    /// Whether this item is taken up, as far as the item itself says.
    pub(crate) fn admit(&self, item: &WorkItem) -> Admit {
        let done = Admit::No;
        let id = item.id;
        if !item.retry {
            return done(format!("Rejecting WorkItem {id} because retry = false"));
        }
        if item.is_completed() {
            return done(format!("Rejecting WorkItem {id} because status = {}", item.status));
        }
        match self.takes {
            Takes::Ingest if self.topic.stage().as_ref() != Some(&item.stage) => self.stands_elsewhere(item),
            Takes::Restoration | Takes::Deletion if !self.takes_action(&item.action) => done(format!(
                "Rejecting WorkItem {id} because action is {}, which belongs to another queue than {}",
                item.action, self.topic
            )),
            Takes::Restoration if self.topic == Topic::RestoreFile && item.generic_file_identifier.is_empty() => done(
                format!("Rejecting WorkItem {id} because it is an object restoration, and this queue is for files"),
            ),
            Takes::Restoration if self.topic == Topic::RestoreObject && !item.generic_file_identifier.is_empty() => {
                done(format!("Rejecting WorkItem {id} because it is a file restoration, and this queue is for objects"))
            }
            Takes::Deletion if item.inst_approver.is_empty() => {
                done(format!("Rejecting WorkItem {id} because institutional approver is missing"))
            }
            Takes::Ingest | Takes::Restoration | Takes::Deletion => Admit::Yes,
        }
    }

    fn takes_action(&self, action: &Action) -> bool {
        Topic::of(action, &Stage::Requested).ok() == Some(self.topic)
    }

    /// An ingest that is not at our stage. If it stands at the next one and waits, the worker that put it there may have been
    /// killed before it published (rulings A.7).
    fn stands_elsewhere(&self, item: &WorkItem) -> Admit {
        let waits = item.status == Status::Pending && !item.is_claimed();
        match self.next() {
            Some(next) if waits && next.stage().as_ref() == Some(&item.stage) => Admit::PublishTo(next),
            _ => Admit::No(format!(
                "Rejecting WorkItem {} because it is at stage {}, not that of {}",
                item.id, item.stage, self.topic
            )),
        }
    }

    /// The item when its work is done.
    pub(crate) fn complete(&self, item: &mut WorkItem, done: &Done) {
        let note = done.note.as_deref().unwrap_or(self.success_note).to_owned();
        item.needs_admin_review = false;
        item.retry = self.next().is_some();
        if let Some(next) = self.next() {
            let stage = next.stage().unwrap_or_else(|| item.stage.clone());
            item.mark_no_longer_in_progress(stage, Status::Pending, note);
        } else {
            let stage = if self.takes == Takes::Ingest { Stage::Cleanup } else { Stage::Resolve };
            item.mark_no_longer_in_progress(stage, Status::Success, note);
        }
        if let Some(outcome) = &done.outcome {
            item.outcome.clone_from(outcome);
        }
        if let Some(id) = done.intellectual_object_id {
            item.intellectual_object_id = id;
        }
    }

    /// The item when it goes back to an earlier stage of its ingest, or to another's.
    pub(crate) fn send_back(item: &mut WorkItem, stage: Stage, note: String) {
        item.mark_no_longer_in_progress(stage, Status::Pending, note);
        item.needs_admin_review = false;
    }

    /// The item after an error that no repetition mends.
    pub(crate) fn fail(&self, item: &mut WorkItem, messages: String) {
        let stage = item.stage.clone();
        item.mark_no_longer_in_progress(stage, Status::Failed, messages);
        item.retry = false;
        item.needs_admin_review = true;
        if self.takes == Takes::Ingest {
            note::INGEST_FAILED.clone_into(&mut item.outcome);
        }
    }

    /// The item when attempts are used up. Its status stays `Started`: administrators find it by `needs_admin_review`
    /// (rulings A.9).
    pub(crate) fn give_up(&self, item: &mut WorkItem, messages: &str, attempts: i64) {
        item.release();
        let restores = self.takes == Takes::Restoration;
        let ending = if restores { note::given_up(attempts) } else { note::given_up_with_data(attempts) };
        item.note = messages.to_owned() + &ending;
        item.retry = false;
        item.needs_admin_review = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(action: Action, stage: Stage) -> WorkItem {
        WorkItem { id: 7, action, stage, retry: true, status: Status::Pending, ..WorkItem::default() }
    }

    fn reason(admit: Admit) -> String {
        match admit {
            Admit::No(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn items_that_are_over_are_not_taken_up() {
        let rules = Rules::ingest(Topic::IngestRecord, "");
        let good = item(Action::Ingest, Stage::Record);
        assert_eq!(rules.admit(&good), Admit::Yes);
        assert!(reason(rules.admit(&WorkItem { retry: false, ..good.clone() })).contains("retry = false"));
        for status in [Status::Cancelled, Status::Failed, Status::Success, Status::Suspended] {
            assert!(
                reason(rules.admit(&WorkItem { status: status.clone(), ..good.clone() })).contains(status.as_str())
            );
        }
    }

    #[test]
    fn rule_a7_an_item_at_the_next_stage_is_published_there_again() {
        let rules = Rules::ingest(Topic::IngestStaging, "");
        let next = item(Action::Ingest, Stage::FormatIdentification);
        assert_eq!(rules.admit(&next), Admit::PublishTo(Topic::IngestFormatIdentification));
        for taken in [
            WorkItem { node: "host".to_owned(), ..next.clone() },
            WorkItem { status: Status::Started, ..next },
            item(Action::Ingest, Stage::Store),
            item(Action::Ingest, Stage::Receive),
        ] {
            assert!(reason(rules.admit(&taken)).contains("at stage"));
        }
        assert!(
            reason(Rules::ingest(Topic::IngestCleanup, "").admit(&item(Action::Ingest, Stage::Record)))
                .contains("Record")
        );
    }

    #[test]
    fn restorers_and_the_deleter_look_at_the_action() {
        let object = item(Action::RestoreObject, Stage::Requested);
        let file =
            WorkItem { generic_file_identifier: "a/b/c".to_owned(), ..item(Action::RestoreFile, Stage::Requested) };
        let restorer = |topic| Rules::restoration(topic);
        assert_eq!(restorer(Topic::RestoreObject).admit(&object), Admit::Yes);
        assert_eq!(restorer(Topic::RestoreFile).admit(&file), Admit::Yes);
        assert!(reason(restorer(Topic::RestoreFile).admit(&object)).contains("action"));
        let without = WorkItem { generic_file_identifier: String::new(), ..file.clone() };
        assert!(reason(restorer(Topic::RestoreFile).admit(&without)).contains("object restoration"));
        let with = WorkItem { generic_file_identifier: "a/b/c".to_owned(), ..object.clone() };
        assert!(reason(restorer(Topic::RestoreObject).admit(&with)).contains("file restoration"));
        let glacier =
            WorkItem { generic_file_identifier: "a/b/c".to_owned(), ..item(Action::GlacierRestore, Stage::Requested) };
        assert_eq!(restorer(Topic::RestoreGlacier).admit(&glacier), Admit::Yes);
        let deletion = item(Action::Delete, Stage::Requested);
        assert!(reason(Rules::deletion().admit(&deletion)).contains("approver is missing"));
        let approved = WorkItem { inst_approver: "a@example.edu".to_owned(), ..deletion };
        assert_eq!(Rules::deletion().admit(&approved), Admit::Yes);
    }

    #[test]
    fn success_moves_an_ingest_on_and_ends_the_others() {
        let mut moved = WorkItem {
            node: "host".to_owned(),
            pid: 3,
            outcome: "as was".to_owned(),
            ..item(Action::Ingest, Stage::Store)
        };
        Rules::ingest(Topic::IngestStorage, "Copied").complete(&mut moved, &Done::default());
        assert_eq!((&moved.stage, &moved.status, moved.retry), (&Stage::StorageValidation, &Status::Pending, true));
        assert_eq!((moved.note.as_str(), moved.outcome.as_str(), moved.is_claimed()), ("Copied", "as was", false));
        let mut ended = item(Action::Ingest, Stage::Cleanup);
        let done =
            Done { outcome: Some("Ingest complete".to_owned()), intellectual_object_id: Some(9), ..Done::default() };
        Rules::ingest(Topic::IngestCleanup, "Finished").complete(&mut ended, &done);
        assert_eq!((&ended.stage, &ended.status, ended.retry), (&Stage::Cleanup, &Status::Success, false));
        assert_eq!((ended.outcome.as_str(), ended.intellectual_object_id), ("Ingest complete", 9));
        let mut deleted = item(Action::Delete, Stage::Requested);
        Rules::deletion().complete(&mut deleted, &Done { note: Some("gone".to_owned()), ..Done::default() });
        assert_eq!((&deleted.stage, deleted.note.as_str()), (&Stage::Resolve, "gone"));
    }

    #[test]
    fn rule_a9_a_fatal_error_fails_the_item_and_used_up_attempts_leave_it_started() {
        let started =
            |action| WorkItem { status: Status::Started, node: "host".to_owned(), ..item(action, Stage::Requested) };
        let mut failed = started(Action::RestoreFile);
        Rules::restoration(Topic::RestoreFile).fail(&mut failed, "broken".to_owned());
        assert_eq!((&failed.status, failed.retry, failed.needs_admin_review), (&Status::Failed, false, true));
        assert_eq!((failed.note.as_str(), failed.outcome.as_str(), failed.is_claimed()), ("broken", "", false));
        for (rules, action, note) in [
            (Rules::restoration(Topic::RestoreFile), Action::RestoreFile, "slow Will not retry: failed 3 times."),
            (
                Rules::deletion(),
                Action::Delete,
                "slow Will not retry: failed 3 times. Interim processing data persists.",
            ),
        ] {
            let mut given_up = started(action);
            rules.give_up(&mut given_up, "slow", 3);
            assert_eq!(
                (&given_up.status, given_up.retry, given_up.needs_admin_review),
                (&Status::Started, false, true)
            );
            assert_eq!((given_up.note.as_str(), given_up.is_claimed()), (note, false));
        }
    }
}
