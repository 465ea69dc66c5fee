//! Exit codes, and the error that carries one.
//!
//! Most code returns plain `anyhow` errors, which end in [`Exit::Failed`]. Where the code must be another one, the
//! error is a [`Stop`], made with [`Exit::stop`].

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command, as the README's table lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The work itself failed: a build, a test, a verification.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A safety check refused: dirty tree, immutable tag, missing image.
    Refused = 3,
    /// A tool is missing, or a login failed.
    Unavailable = 4,
    /// A deployment failed and was rolled back cleanly.
    RolledBack = 5,
    /// A deployment failed and needs a person: the rollback failed, or the stack is stuck.
    Stuck = 6,
    /// A time limit ran out, or contact was lost: what was started may still be going on.
    TimedOut = 7,
    /// Another run, or another operation on the stack, holds the lock.
    Busy = 8,
    /// CloudFormation says complete, but ECS does not run what was shipped.
    NotRunning = 9,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// An error that ends the process with this code: what happened to which thing, and what to do next.
    pub fn stop(self, what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
        Stop { exit: self, what: what.into(), next: next.into() }.into()
    }

    /// The code that an error asks for, wherever in its chain the [`Stop`] stands.
    pub fn of(error: &anyhow::Error) -> Exit {
        error.chain().find_map(|cause| cause.downcast_ref::<Stop>()).map_or(Exit::Failed, |stop| stop.exit)
    }

    /// The word for machines in `result.status`.
    pub fn status(self) -> &'static str {
        match self {
            Exit::Done => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Refused => "refused",
            Exit::Unavailable => "unavailable",
            Exit::RolledBack => "rolled_back",
            Exit::Stuck => "stuck",
            Exit::TimedOut => "timed_out",
            Exit::Busy => "busy",
            Exit::NotRunning => "not_running",
            Exit::Interrupted => "interrupted",
            Exit::Terminated => "terminated",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with an exit code and the next step for the user.
#[derive(Debug)]
pub struct Stop {
    exit: Exit,
    what: String,
    next: String,
}

impl Stop {
    /// What the user can do about an error, if it says so.
    pub fn next(error: &anyhow::Error) -> Option<&str> {
        let stop = error.chain().find_map(|cause| cause.downcast_ref::<Self>())?;
        Some(stop.next.as_str()).filter(|next| !next.is_empty())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Stop {}
