//! Lines for stdout of another form than the log's, in one queue with those of the log.

use std::sync::Arc;

use tracing::{Subscriber, dispatcher};
use tracing_subscriber::Layer;

use crate::process::lines::Lines;

/// The way to stdout. It changes nothing of the log; as a part of the process's subscriber it is found by those who have a line.
#[derive(Debug, Clone)]
pub(crate) struct Stdout(pub(crate) Arc<Lines>);

impl<S: Subscriber> Layer<S> for Stdout {}

/// Writes a line. Nobody reads it where no log was started.
pub(crate) fn write(line: &str) {
    dispatcher::get_default(|subscriber| {
        if let Some(Stdout(lines)) = subscriber.downcast_ref::<Stdout>() {
            lines.push(format!("{line}\n").as_bytes());
        }
    });
}
