//! What a handler tells the connection about its answer beyond what s3s passes on.

use hyper::StatusCode;

/// The status of the answer, where s3s always writes 200.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status(pub(crate) StatusCode);
