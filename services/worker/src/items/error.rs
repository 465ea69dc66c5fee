//! What goes wrong in the loop itself, and whether it may pass: only then is it tried again soon. The rest is a person's business.

use anyhow::Error;

/// Why an item is not worked on now.
#[derive(Debug)]
pub(super) enum Aside {
    /// Its message gets this answer.
    Answer(crate::queue::messages::Answer),
    Error(Error),
}

impl From<Error> for Aside {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Whether the same may succeed later. What no client says anything about is a defect, or a document that nobody can read.
pub(super) fn may_pass(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<registry::Error>().is_some_and(registry::Error::is_transient)
            || cause.downcast_ref::<redis_store::Error>().is_some_and(redis_store::Error::is_transient)
            || cause.is::<nsq::PublishError>()
            || cause.is::<redis_store::Loss>()
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn only_what_a_client_calls_transient_may_pass() {
        let corrupt = || redis_store::Error::Corrupt { key: "7".into(), field: "x".into(), reason: "cut".into() };
        let contended = || redis_store::Error::Contended { key: "7".into(), doing: "claim".into() };
        assert!(may_pass(&Error::new(contended())));
        assert!(may_pass(&Err::<(), _>(contended()).context("it could not be claimed").unwrap_err()));
        assert!(may_pass(&Error::new(redis_store::Loss::NotRenewed)));
        assert!(!may_pass(&Err::<(), _>(corrupt()).context("its object could not be read").unwrap_err()));
        assert!(!may_pass(&anyhow!("a defect")));
    }
}
