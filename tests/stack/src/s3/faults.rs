//! Faults on request: what goes wrong, for which requests, from which one on and how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::operation::{Operation, split};

/// More faults than this at once are a mistake of the test's.
const MOST: usize = 1000;

/// One thing that goes wrong. What is left out does not narrow it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The bucket that the request is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// How many such requests pass unharmed first.
    #[serde(default)]
    pub after: u64,
    /// How many are struck then; all of them if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The request is looked at so much later. Other faults may strike it too.
    Latency {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// The request is not carried out and gets this answer.
    Status {
        /// An HTTP status from 400 on.
        status: u16,
        /// The code of S3, such as `SlowDown`.
        code: String,
    },
    /// The connection is cut after so many bytes of the body, of the request if it has one and otherwise of the answer.
    /// A body of a request that is shorter is taken in, and its request carried out, but the answer never comes.
    Cut {
        /// Bytes.
        after_bytes: u64,
    },
    /// Nothing comes until the client gives up or the faults are reset, which cuts the connection.
    Stall,
}

impl Fault {
    /// Strikes every request.
    pub fn new(kind: FaultKind) -> Self {
        Self { bucket: None, method: None, operation: None, after: 0, times: None, kind }
    }

    /// Only requests for this bucket.
    #[must_use]
    pub fn bucket(self, bucket: impl Into<String>) -> Self {
        Self { bucket: Some(bucket.into()), ..self }
    }

    /// Only this operation.
    #[must_use]
    pub fn operation(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Only from the request after so many.
    #[must_use]
    pub fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    /// Only so often.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    fn concerns(&self, request: &Parts) -> bool {
        let bucket = || split(request.uri.path()).0;
        self.bucket.as_deref().is_none_or(|wanted| wanted == bucket())
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(request.method.as_str()))
            && self.operation.is_none_or(|wanted| Operation::of(request) == Some(wanted))
    }
}

/// The faults of one server.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Present>>);

#[derive(Debug, Default)]
struct Present {
    faults: Vec<Armed>,
    /// Ends what the present faults stall.
    reset: CancellationToken,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
}

/// What is to happen to one request.
#[derive(Debug, Default)]
pub(crate) struct Strike {
    pub(crate) latency: Duration,
    pub(crate) kind: Option<FaultKind>,
    pub(crate) reset: CancellationToken,
}

impl Faults {
    /// Adds one. Of several that strike a request, all latencies add up and the oldest of the others counts.
    pub fn add(&self, fault: Fault) -> anyhow::Result<()> {
        if let FaultKind::Status { status, .. } = &fault.kind
            && !(400..600).contains(status)
        {
            bail!("the status of a fault is from 400 to 599, not {status}");
        }
        if fault.times == Some(0) {
            bail!("a fault that strikes 0 times is none");
        }
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if present.faults.len() >= MOST {
            bail!("there are {MOST} faults already; reset them");
        }
        present.faults.push(Armed { fault, seen: 0 });
        Ok(())
    }

    /// Forgets all of them, and cuts the connections that are stalled.
    pub fn reset(&self) {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        present.reset.cancel();
        *present = Present::default();
    }

    /// Those that may still strike.
    pub fn list(&self) -> Vec<Fault> {
        let present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        present.faults.iter().map(|armed| armed.fault.clone()).collect()
    }

    pub(crate) fn strike(&self, request: &Parts) -> Strike {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut strike = Strike { reset: present.reset.clone(), ..Strike::default() };
        present.faults.retain_mut(|armed| {
            if !armed.fault.concerns(request) {
                return true;
            }
            armed.seen += 1;
            let nth = armed.seen.saturating_sub(armed.fault.after);
            if nth == 0 {
                return true;
            }
            match &armed.fault.kind {
                FaultKind::Latency { milliseconds } => strike.latency += Duration::from_millis(*milliseconds),
                kind if strike.kind.is_none() => strike.kind = Some(kind.clone()),
                // It waits for its turn.
                _ => {
                    armed.seen -= 1;
                    return true;
                }
            }
            armed.fault.times.is_none_or(|times| nth < times)
        });
        strike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> Parts {
        hyper::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn after_and_times_count_only_what_the_fault_concerns() {
        let faults = Faults::default();
        let fault = Fault::new(FaultKind::Stall).bucket("b").operation(Operation::PutObject).after(1).times(2);
        faults.add(fault).unwrap();
        let strikes = |method, uri| faults.strike(&request(method, uri)).kind.is_some();
        assert!(!strikes("PUT", "/other/k"));
        assert!(!strikes("GET", "/b/k"));
        let struck: Vec<bool> = (0..5).map(|_| strikes("PUT", "/b/k")).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.list().is_empty(), "what can strike no more is forgotten");
    }

    #[test]
    fn latencies_add_up_and_the_oldest_other_fault_counts() {
        let faults = Faults::default();
        faults.add(Fault::new(FaultKind::Latency { milliseconds: 5 })).unwrap();
        faults.add(Fault::new(FaultKind::Latency { milliseconds: 6 })).unwrap();
        faults.add(Fault::new(FaultKind::Cut { after_bytes: 1 }).times(1)).unwrap();
        faults.add(Fault::new(FaultKind::Stall).times(1)).unwrap();
        let strike = faults.strike(&request("GET", "/b/k"));
        assert_eq!(strike.latency, Duration::from_millis(11));
        assert!(matches!(strike.kind, Some(FaultKind::Cut { after_bytes: 1 })));
        assert!(matches!(faults.strike(&request("GET", "/b/k")).kind, Some(FaultKind::Stall)));
        faults.reset();
        assert!(strike.reset.is_cancelled());
        assert!(faults.strike(&request("GET", "/b/k")).kind.is_none());
    }

    #[test]
    fn a_status_that_is_no_failure_is_refused() {
        let fault = Fault::new(FaultKind::Status { status: 200, code: "OK".into() });
        assert!(Faults::default().add(fault).is_err());
    }
}
