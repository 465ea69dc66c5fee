//! How many requests of each operation came in, so that a benchmark can tell what a file costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::http::request::Parts;

use super::operation::Operation;

/// Requests so far, refused and failed ones too. Copies share the numbers.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<Operation, u64>>>);

impl Requests {
    /// By operation; what this server does not have is not among them.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, request: &Parts) {
        if let Some(operation) = Operation::of(request) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_counted_by_itself() {
        let requests = Requests::default();
        for (method, uri) in [("PUT", "/b/k"), ("GET", "/b/k"), ("GET", "/b/k"), ("PATCH", "/b/k")] {
            let request = hyper::Request::builder().method(method).uri(uri).body(()).unwrap();
            requests.count(&request.into_parts().0);
        }
        let counted: Vec<(Operation, u64)> = requests.counts().into_iter().collect();
        assert_eq!(counted, [(Operation::GetObject, 2), (Operation::PutObject, 1)]);
    }
}
