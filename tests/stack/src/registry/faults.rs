//! What goes wrong on purpose, for tests of clients: an error status, a delay, a connection that is cut. By a prefix of
//! the path and for so many requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status; the Registry never sees it.
    Status(u16),
    /// Answered, but later.
    Delay(Duration),
    /// The connection is closed without an answer; the Registry never sees the request.
    CutBefore,
    /// The request is carried out, and then the connection is closed without an answer.
    CutAfter,
}

/// Faults in waiting. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

#[derive(Debug)]
struct Rule {
    method: Option<String>,
    prefix: String,
    fault: Fault,
    times: usize,
}

impl Faults {
    /// Adds a fault for the next `times` requests whose path starts with `prefix`. The first that fits is taken.
    pub fn add(&self, prefix: &str, fault: Fault, times: usize) {
        self.push(Rule { method: None, prefix: prefix.to_owned(), fault, times });
    }

    /// As `add`, for one method only.
    pub fn add_for(&self, method: &str, prefix: &str, fault: Fault, times: usize) {
        self.push(Rule { method: Some(method.to_owned()), prefix: prefix.to_owned(), fault, times });
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn push(&self, rule: Rule) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub(super) fn take(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |rule: &Rule| {
            path.starts_with(&rule.prefix) && rule.method.as_deref().is_none_or(|wanted| wanted == method)
        };
        rules.retain(|rule| rule.times > 0);
        let rule = rules.iter_mut().find(|rule| fits(rule))?;
        rule.times -= 1;
        Some(rule.fault)
    }
}
