//! What may be done with a stack in each of its states, and what a state says about an operation that is watched.
//!
//! Decided on the enum, value by value: CDK once took every status with "ROLLBACK" in it for a failure, and Ansible for none.

use aws_sdk_cloudformation::types::StackStatus;
use xtask::exit::Exit;

/// Before an update: what the state of the stack allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Proceed,
    /// The last operation failed and was rolled back: show why, then proceed.
    ProceedAfterFailure,
    /// An operation is going on.
    Busy,
    /// Not there; `--create` makes it.
    Absent,
    /// Nothing but change sets of a creation that was never executed.
    InReview,
    /// A person must act first; the text says how.
    Needs(&'static str),
}

/// The table E.4.1. `None` is a stack that does not exist.
pub(crate) fn before(status: Option<&StackStatus>) -> Before {
    use StackStatus as S;
    match status {
        None | Some(S::DeleteComplete) => Before::Absent,
        Some(S::CreateComplete | S::UpdateComplete | S::ImportComplete) => Before::Proceed,
        Some(S::UpdateRollbackComplete | S::ImportRollbackComplete) => Before::ProceedAfterFailure,
        Some(
            S::CreateInProgress
            | S::DeleteInProgress
            | S::ImportInProgress
            | S::ImportRollbackInProgress
            | S::RollbackInProgress
            | S::UpdateInProgress
            | S::UpdateCompleteCleanupInProgress
            | S::UpdateRollbackInProgress
            | S::UpdateRollbackCompleteCleanupInProgress,
        ) => Before::Busy,
        Some(S::ReviewInProgress) => Before::InReview,
        Some(S::RollbackComplete) => Before::Needs(
            "its creation failed, and such a stack can only be deleted. Delete it in the console, remove or import the log \
             group, which stays behind, and run deploy --create again; this program never deletes a stack",
        ),
        Some(S::CreateFailed | S::RollbackFailed | S::DeleteFailed | S::ImportRollbackFailed) => Before::Needs(
            "see to the resources above; then delete the stack in the console and run deploy --create, or ask AWS support",
        ),
        Some(S::UpdateFailed) => Before::Needs(
            "its last update failed with rollback disabled. Roll back (aws cloudformation rollback-stack) or retry that \
             update in the console, then deploy again",
        ),
        Some(S::UpdateRollbackFailed) => Before::Needs(
            "see to the resources above, then run deploy --continue-rollback; --skip <LOGICAL_ID> gives one up, after which \
             state and template differ",
        ),
        // A status that this program does not know must not be guessed at.
        Some(_) => Before::Needs("this program does not know the status: look at the stack in the console"),
    }
}

/// While watching: whether the operation is over, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Going,
    /// The way forward is done; whether ECS runs what was shipped is still to be seen.
    Complete,
    /// It failed and everything is as before.
    RolledBack,
    /// It failed and a person must act.
    Stuck,
}

/// The table E.4.3, for the states that an operation can end in.
pub(crate) fn phase(status: &StackStatus) -> Phase {
    use StackStatus as S;
    match status {
        S::CreateComplete | S::UpdateComplete | S::ImportComplete => Phase::Complete,
        S::UpdateRollbackComplete | S::RollbackComplete | S::ImportRollbackComplete => Phase::RolledBack,
        S::UpdateRollbackFailed
        | S::UpdateFailed
        | S::RollbackFailed
        | S::CreateFailed
        | S::DeleteFailed
        | S::DeleteComplete
        | S::ImportRollbackFailed => Phase::Stuck,
        // The clean-up states are not the end: CloudFormation still removes what the update replaced.
        _ => Phase::Going,
    }
}

impl Phase {
    /// The exit code of an operation that ended so; a complete one is still to be verified.
    pub(crate) fn exit(self) -> Option<Exit> {
        match self {
            Phase::Going | Phase::Complete => None,
            Phase::RolledBack => Some(Exit::RolledBack),
            Phase::Stuck => Some(Exit::Stuck),
        }
    }
}

/// An update in this state can be cancelled.
pub(crate) fn can_cancel(status: &StackStatus) -> bool {
    *status == StackStatus::UpdateInProgress
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value that the SDK knows, with what the table says: before an update, and while watching.
    #[test]
    fn every_status_has_its_row() {
        use Phase::{Complete, Going, RolledBack, Stuck};
        let table = [
            ("CREATE_COMPLETE", "proceed", Complete),
            ("CREATE_FAILED", "needs", Stuck),
            ("CREATE_IN_PROGRESS", "busy", Going),
            ("DELETE_COMPLETE", "absent", Stuck),
            ("DELETE_FAILED", "needs", Stuck),
            ("DELETE_IN_PROGRESS", "busy", Going),
            ("IMPORT_COMPLETE", "proceed", Complete),
            ("IMPORT_IN_PROGRESS", "busy", Going),
            ("IMPORT_ROLLBACK_COMPLETE", "after failure", RolledBack),
            ("IMPORT_ROLLBACK_FAILED", "needs", Stuck),
            ("IMPORT_ROLLBACK_IN_PROGRESS", "busy", Going),
            ("REVIEW_IN_PROGRESS", "review", Going),
            ("ROLLBACK_COMPLETE", "needs", RolledBack),
            ("ROLLBACK_FAILED", "needs", Stuck),
            ("ROLLBACK_IN_PROGRESS", "busy", Going),
            ("UPDATE_COMPLETE", "proceed", Complete),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "busy", Going),
            ("UPDATE_FAILED", "needs", Stuck),
            ("UPDATE_IN_PROGRESS", "busy", Going),
            ("UPDATE_ROLLBACK_COMPLETE", "after failure", RolledBack),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "busy", Going),
            ("UPDATE_ROLLBACK_FAILED", "needs", Stuck),
            ("UPDATE_ROLLBACK_IN_PROGRESS", "busy", Going),
        ];
        let mut rows: Vec<&str> = table.iter().map(|(name, ..)| *name).collect();
        let mut values = StackStatus::values().to_vec();
        rows.sort_unstable();
        values.sort_unstable();
        assert_eq!(rows, values, "the SDK knows other statuses than this table");
        for (name, expected, expected_phase) in table {
            let status = StackStatus::from(name);
            let word = match before(Some(&status)) {
                Before::Proceed => "proceed",
                Before::ProceedAfterFailure => "after failure",
                Before::Busy => "busy",
                Before::Absent => "absent",
                Before::InReview => "review",
                Before::Needs(_) => "needs",
            };
            assert_eq!((word, phase(&status)), (expected, expected_phase), "{name}");
            assert_eq!(can_cancel(&status), name == "UPDATE_IN_PROGRESS", "{name}");
        }
        assert_eq!(before(None), Before::Absent);
        assert!(matches!(before(Some(&StackStatus::from("NEW_STATUS"))), Before::Needs(_)));
    }
}
