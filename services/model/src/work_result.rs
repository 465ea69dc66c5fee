//! What became of an attempt, as Redis holds it in `workresult:<topic>`; when an attempt counts, `worker` decides.

use crate::json::document;
use crate::{List, Time};

/// Errors that may be repeated are kept up to this number; fatal ones always.
const KEPT_ERRORS: usize = 30;

document! {
    /// The latest attempt of one operation on a WorkItem.
    pub struct WorkResult {
        /// 1 while the first attempt runs.
        attempt: i64 = "attempt",
        /// The topic's name.
        operation: String = "operation",
        host: String = "host",
        pid: i64 = "pid",
        started_at: Time = "started_at",
        /// Not set while it runs.
        finished_at: Time = "finished_at",
        errors: List<ProcessingError> = "errors",
        ..unknown
    }
}

document! {
    /// Something that went wrong. Its names in JSON are capitalised.
    pub struct ProcessingError {
        /// Of the object or file.
        identifier: String = "Identifier",
        /// No repetition will help.
        is_fatal: bool = "IsFatal",
        message: String = "Message",
        /// `file:line`
        source: String = "Source",
        stack: String = "Stack",
        work_item_id: i64 = "WorkItemID",
        ..unknown
    }
}

impl WorkResult {
    /// Before the first attempt.
    pub fn new(operation: &str) -> Self {
        Self { operation: operation.into(), errors: List::new(), ..Self::default() }
    }

    /// The next attempt begins: it is counted, and what is left of the one before is cleared.
    pub fn start(&mut self, host: &str, pid: i64, now: Time) {
        self.reset();
        self.attempt += 1;
        host.clone_into(&mut self.host);
        self.pid = pid;
        self.started_at = now;
    }

    /// The attempt is over.
    pub fn finish(&mut self, now: Time) {
        self.finished_at = now;
    }

    /// Clears everything but attempt and operation.
    pub fn reset(&mut self) {
        self.host.clear();
        self.pid = 0;
        self.started_at = Time::UNSET;
        self.finished_at = Time::UNSET;
        self.errors = List::new();
    }

    /// Over, without an error.
    pub fn has_succeeded(&self) -> bool {
        self.finished_at.is_set() && self.errors.is_empty()
    }

    pub fn has_fatal_errors(&self) -> bool {
        self.errors.iter().any(|error| error.is_fatal)
    }

    /// Notes an error, unless it may be repeated and there are 30 already.
    pub fn add_error(&mut self, error: ProcessingError) {
        if error.is_fatal || self.errors.len() < KEPT_ERRORS {
            self.errors.push(error);
        }
    }

    /// The fatal errors' messages, in one line.
    pub fn fatal_messages(&self) -> String {
        self.messages(true)
    }

    /// The other errors' messages, in one line.
    pub fn other_messages(&self) -> String {
        self.messages(false)
    }

    fn messages(&self, fatal: bool) -> String {
        let chosen = self.errors.iter().filter(|error| error.is_fatal == fatal);
        chosen.map(|error| error.message.as_str()).collect::<Vec<_>>().join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str, is_fatal: bool) -> ProcessingError {
        ProcessingError { message: message.into(), is_fatal, ..ProcessingError::default() }
    }

    #[test]
    fn an_attempt_starts_clean_and_is_counted() {
        let mut result = WorkResult::new("ingest01_prefetch");
        assert_eq!((result.attempt, result.has_succeeded()), (0, false));
        result.start("host", 5, Time::now());
        result.add_error(error("no", false));
        result.finish(Time::now());
        assert_eq!((result.attempt, result.has_succeeded()), (1, false));
        result.start("other", 6, Time::now());
        assert_eq!((result.attempt, result.host.as_str(), result.pid, result.errors.len()), (2, "other", 6, 0));
        assert!(!result.finished_at.is_set());
        result.finish(Time::now());
        assert!(result.has_succeeded());
        result.reset();
        assert_eq!(result, WorkResult { attempt: 2, ..WorkResult::new("ingest01_prefetch") });
    }

    #[test]
    fn thirty_errors_are_kept_and_every_fatal_one() {
        let mut result = WorkResult::new("x");
        (0..40).for_each(|_| result.add_error(error("again", false)));
        assert_eq!((result.errors.len(), result.has_fatal_errors()), (30, false));
        result.add_error(error("worst", true));
        result.add_error(error("end", true));
        assert_eq!((result.errors.len(), result.fatal_messages().as_str()), (32, "worst | end"));
        assert_eq!(result.other_messages(), ["again"; 30].join(" | "));
    }

    #[test]
    fn errors_have_capitalised_names() {
        let json = r#"{"attempt":1,"operation":"o","host":"h","pid":1,"started_at":"0001-01-01T00:00:00Z","finished_at":"0001-01-01T00:00:00Z","errors":[{"Identifier":"a/b","IsFatal":true,"Message":"m","Source":"x.go:1","Stack":"s\n\u003c","WorkItemID":9}]}"#;
        let result: WorkResult = serde_json::from_str(json).unwrap();
        assert_eq!((result.errors[0].work_item_id, result.errors[0].stack.as_str()), (9, "s\n<"));
        assert_eq!(crate::to_json(&result).unwrap(), json);
    }
}
