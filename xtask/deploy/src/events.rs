//! Stack events: each shown once and in order, and among them the one that everything else followed from.

use std::collections::HashSet;

use serde::Serialize;

/// One event of a stack, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// RFC 3339.
    pub(crate) time: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: String,
    pub(crate) kind: String,
    /// A resource status, such as `UPDATE_FAILED`.
    pub(crate) status: String,
    pub(crate) reason: String,
    /// The client's token of the operation that it belongs to.
    pub(crate) token: Option<String>,
}

impl Event {
    /// It is about the stack as a whole.
    pub(crate) fn is_of_stack(&self, stack_id: &str) -> bool {
        self.physical_id == stack_id
    }

    /// It opens an operation: what comes before belongs to an earlier one.
    pub(crate) fn opens_operation(&self, stack_id: &str) -> bool {
        const OPENING: [&str; 5] = [
            "CREATE_IN_PROGRESS",
            "UPDATE_IN_PROGRESS",
            "DELETE_IN_PROGRESS",
            "IMPORT_IN_PROGRESS",
            "REVIEW_IN_PROGRESS",
        ];
        self.is_of_stack(stack_id) && OPENING.contains(&self.status.as_str())
    }

    fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// It failed only because something else did, or because it was asked to stop.
    fn is_consequence(&self) -> bool {
        let reason = self.reason.to_ascii_lowercase();
        reason.contains("cancelled") || reason.contains("canceled") || reason.contains("rollback requested")
    }
}

/// The events of one operation that were seen so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// What was there before; nothing behind it is asked for.
    before: HashSet<String>,
    seen: HashSet<String>,
    all: Vec<Event>,
}

/// The events of one reading, which goes page by page from the newest back to what is known.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    newest_first: Vec<Event>,
    ids: HashSet<String>,
}

impl Events {
    /// Takes these, the newest that are there, as the end of what was before: readings stop at them.
    pub(crate) fn forget_before(&mut self, ids: impl IntoIterator<Item = String>) {
        self.before.extend(ids);
    }

    /// Takes a page into the reading; true when the next page is worth asking for: this one had something new, and reached neither
    /// what was before nor the opening of the operation.
    pub(crate) fn take(
        &self,
        reading: &mut Reading,
        page: Vec<Event>,
        opening: Option<&dyn Fn(&Event) -> bool>,
    ) -> bool {
        let mut found = false;
        for event in page {
            if self.before.contains(&event.id) {
                return false;
            }
            if self.seen.contains(&event.id) || !reading.ids.insert(event.id.clone()) {
                continue;
            }
            let opens = opening.is_some_and(|opening| opening(&event));
            reading.newest_first.push(event);
            if opens {
                return false;
            }
            found = true;
        }
        found
    }

    /// Ends a reading; returns what is new, oldest first.
    pub(crate) fn close(&mut self, reading: Reading) -> &[Event] {
        let first_new = self.all.len();
        for event in reading.newest_first.into_iter().rev() {
            if self.seen.insert(event.id.clone()) {
                self.all.push(event);
            }
        }
        &self.all[first_new..]
    }

    pub(crate) fn all(&self) -> &[Event] {
        &self.all
    }

    /// The earliest failure that is not the consequence of another.
    pub(crate) fn root_cause(&self, stack_id: &str) -> Option<&Event> {
        let mut failures = self.all.iter().filter(|event| event.failed() && !event.is_of_stack(stack_id));
        let first = failures.clone().next();
        failures.find(|event| !event.is_consequence()).or(first)
    }

    /// Resources that failed last, each once; what stands in the way of a rollback or a deletion.
    pub(crate) fn failed_resources(&self, stack_id: &str) -> Vec<&Event> {
        let mut latest: Vec<&Event> = Vec::new();
        for event in self.all.iter().rev().filter(|event| !event.is_of_stack(stack_id)) {
            if !latest.iter().any(|known| known.logical_id == event.logical_id) {
                latest.push(event);
            }
        }
        latest.retain(|event| event.failed());
        latest.reverse();
        latest
    }

    /// Resources that reached the end of their part, for the progress line.
    pub(crate) fn finished_resources(&self, stack_id: &str) -> usize {
        let done = |event: &&Event| event.status.ends_with("_COMPLETE") && !event.is_of_stack(stack_id);
        self.all.iter().filter(done).map(|event| &event.logical_id).collect::<HashSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "arn:stack";

    fn event(id: &str, logical: &str, status: &str, reason: &str) -> Event {
        Event {
            id: id.to_owned(),
            time: String::new(),
            logical_id: logical.to_owned(),
            physical_id: if logical == "stack" { STACK.to_owned() } else { String::new() },
            kind: String::new(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            token: None,
        }
    }

    fn numbered(ids: std::ops::Range<usize>) -> Vec<Event> {
        ids.rev().map(|id| event(&id.to_string(), "A", "UPDATE_COMPLETE", "")).collect()
    }

    #[test]
    fn ten_thousand_events_over_pages_come_once_and_in_order() {
        let mut events = Events::default();
        // Of the fifty that were there before, only the newest were read.
        events.forget_before((40..50).map(|id| id.to_string()));
        let mut shown = Vec::new();
        let mut there = 50;
        while there < 10_050 {
            there = (there + 730).min(10_050);
            // Each reading sees everything from the newest back, in pages that overlap by ten.
            let list = numbered(0..there);
            let mut reading = Reading::default();
            let mut from = 0;
            while from < list.len()
                && events.take(&mut reading, list[from..(from + 100).min(list.len())].to_vec(), None)
            {
                from += 90;
            }
            shown.extend(events.close(reading).iter().map(|event| event.id.parse::<usize>().unwrap()));
        }
        assert_eq!(shown, (50..10_050).collect::<Vec<_>>());
    }

    #[test]
    fn an_attached_reading_begins_with_the_operation() {
        let list = [
            event("4", "A", "UPDATE_COMPLETE", ""),
            event("3", "stack", "UPDATE_IN_PROGRESS", "User Initiated"),
            event("2", "stack", "UPDATE_COMPLETE", ""),
        ];
        let mut events = Events::default();
        let mut reading = Reading::default();
        let opens = |event: &Event| event.opens_operation(STACK);
        assert!(!events.take(&mut reading, list.to_vec(), Some(&opens)));
        assert_eq!(events.close(reading).iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["3", "4"]);
    }

    #[test]
    fn the_root_cause_is_the_first_failure_that_is_no_consequence() {
        let list = vec![
            event("5", "stack", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [A, B]."),
            event("4", "B", "UPDATE_FAILED", "Circuit breaker"),
            event("3", "A", "UPDATE_FAILED", "Resource update cancelled"),
            event("2", "A", "UPDATE_IN_PROGRESS", ""),
        ];
        let mut events = Events::default();
        let mut reading = Reading::default();
        events.take(&mut reading, list, None);
        events.close(reading);
        assert_eq!(events.root_cause(STACK).unwrap().logical_id, "B");
        let stuck: Vec<&str> = events.failed_resources(STACK).iter().map(|event| event.logical_id.as_str()).collect();
        assert_eq!(stuck, ["A", "B"]);
    }
}
