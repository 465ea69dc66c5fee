//! Ctrl-C, SIGTERM and a terminal that goes away, as something that one can wait for.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use xtask::exit::Exit;

#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupts {
    /// Takes the signals over; from here on nothing ends the process but itself.
    pub(crate) fn take() -> Result<Self> {
        let take = |kind| signal(kind).context("taking over the signals");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hang_up: take(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; its exit code.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.hang_up.recv() => Exit::Terminated,
        }
    }

    /// Runs `work` unless a signal comes first.
    pub(crate) async fn guard<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            exit = self.next() => Err(stopped(exit)),
        }
    }
}

/// The error of a run that was ended before it started anything.
pub(crate) fn stopped(exit: Exit) -> anyhow::Error {
    exit.stop("stopped on request", "nothing was changed; run it again to go on")
}
