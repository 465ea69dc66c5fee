//! The commands: their table, as COMMAND shows it, and by subject what they do.

mod connection;
mod hashes;
mod info;
mod introspection;
mod keys;
mod messages;
mod scan;
mod strings;
mod transactions;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::reply::{Failure, integer};
use super::server::Call;

/// What is true of a command.
pub(super) mod flags {
    pub(in super::super) const WRITE: u32 = 1;
    pub(in super::super) const READ_ONLY: u32 = 1 << 1;
    /// Refused when the memory is used up.
    pub(in super::super) const DENY_OOM: u32 = 1 << 2;
    pub(in super::super) const ADMIN: u32 = 1 << 3;
    pub(in super::super) const PUB_SUB: u32 = 1 << 4;
    pub(in super::super) const NO_SCRIPT: u32 = 1 << 5;
    pub(in super::super) const LOADING: u32 = 1 << 6;
    pub(in super::super) const STALE: u32 = 1 << 7;
    pub(in super::super) const SKIP_SLOWLOG: u32 = 1 << 8;
    pub(in super::super) const FAST: u32 = 1 << 9;
    /// Runs before the password is given.
    pub(in super::super) const NO_AUTH: u32 = 1 << 10;
    pub(in super::super) const ALLOW_BUSY: u32 = 1 << 11;
    // The rest is ours, and not shown.
    /// Runs at once even after MULTI.
    pub(in super::super) const IN_TRANSACTION: u32 = 1 << 16;
    /// Gets out of a transaction, so memory is no reason to refuse it.
    pub(in super::super) const ENDS_TRANSACTION: u32 = 1 << 17;
    /// Runs on a RESP2 connection with subscriptions.
    pub(in super::super) const WHILE_SUBSCRIBED: u32 = 1 << 18;
    /// MONITOR does not show it.
    pub(in super::super) const UNSEEN: u32 = 1 << 19;
    /// Its first argument names one of several commands.
    pub(in super::super) const CONTAINER: u32 = 1 << 20;

    /// The names that COMMAND shows, in its order.
    pub(super) const NAMES: [(u32, &str); 12] = [
        (WRITE, "write"),
        (READ_ONLY, "readonly"),
        (DENY_OOM, "denyoom"),
        (ADMIN, "admin"),
        (PUB_SUB, "pubsub"),
        (NO_SCRIPT, "noscript"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// One command, or one of those that share a first word: `client|list`.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// The number of arguments with the name; negative: at least so many.
    arity: i32,
    flags: u32,
    /// Where keys are: the first, the last (from the end if negative), the step.
    keys: (i32, i32, i32),
    pub(super) run: fn(&mut Call<'_>) -> Result<(), Failure>,
}

impl Command {
    const fn new(name: &'static str, arity: i32, flags: u32, run: fn(&mut Call<'_>) -> Result<(), Failure>) -> Self {
        Self { name, arity, flags, keys: (0, 0, 0), run }
    }

    const fn keys(mut self, first: i32, last: i32, step: i32) -> Self {
        self.keys = (first, last, step);
        self
    }

    pub(super) fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn check_arity(&self, count: usize) -> Result<(), Failure> {
        let wanted = self.arity.unsigned_abs() as usize;
        if count == wanted || (self.arity < 0 && count > wanted) {
            return Ok(());
        }
        Err(Failure::from(format!("ERR wrong number of arguments for '{}' command", self.name)))
    }
}

static COMMANDS: LazyLock<HashMap<&'static str, &'static Command>> = LazyLock::new(|| {
    let groups = [
        connection::COMMANDS,
        hashes::COMMANDS,
        info::COMMANDS,
        introspection::COMMANDS,
        keys::COMMANDS,
        messages::COMMANDS,
        scan::COMMANDS,
        strings::COMMANDS,
        transactions::COMMANDS,
    ];
    groups.into_iter().flatten().map(|command| (command.name, command)).collect()
});

/// The longest name of a command, with both words.
const LONGEST_NAME: usize = 32;

/// The command that a request names.
pub(super) fn find(name: &[u8], arguments: &[&[u8]]) -> Result<&'static Command, Failure> {
    let command = get(name).ok_or_else(|| unknown(name, arguments))?;
    match arguments.get(1) {
        Some(second) if command.is(flags::CONTAINER) => get(&[name, second].join(&b'|')).ok_or_else(|| {
            let (second, name) = (shown(second, 128), command.name.to_uppercase());
            Failure::from(format!("ERR unknown subcommand '{second}'. Try {name} HELP."))
        }),
        _ => Ok(command),
    }
}

fn get(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; LONGEST_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    COMMANDS.get(std::str::from_utf8(lower).ok()?).copied()
}

/// Shows the beginning of the request, as the real server does.
fn unknown(name: &[u8], arguments: &[&[u8]]) -> Failure {
    let mut text = format!("ERR unknown command '{}', with args beginning with: ", shown(name, 128));
    let before = text.len();
    for argument in &arguments[1..] {
        let used = text.len() - before;
        if used >= 128 {
            break;
        }
        let _ = write!(text, "'{}' ", shown(argument, 128 - used));
    }
    Failure::from(text)
}

/// At most `length` bytes, up to a zero byte; as text, since errors are lines.
fn shown(bytes: &[u8], length: usize) -> String {
    let bytes = &bytes[..bytes.len().min(length)];
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whether an argument is this word, in any case.
fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

impl Call<'_> {
    fn database(&self) -> usize {
        self.client.database
    }

    fn integer(&self, index: usize) -> Result<i64, Failure> {
        integer(self.arguments[index]).ok_or(Failure::NOT_AN_INTEGER)
    }

    /// Counts for INFO whether what was asked for was there.
    fn note_lookup(&mut self, found: bool) {
        if found {
            self.server.hits += 1;
        } else {
            self.server.misses += 1;
        }
    }
}

/// What expiry options and EXPIRE have in common.
mod expiry {
    use super::super::reply::{Failure, integer};

    /// The unit of a time, and what it counts from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Clock {
        Seconds,
        Milliseconds,
        UnixSeconds,
        UnixMilliseconds,
    }

    impl Clock {
        /// The option of SET and GETEX.
        pub(super) fn of(word: &[u8]) -> Option<Self> {
            let words = [
                ("ex", Self::Seconds),
                ("px", Self::Milliseconds),
                ("exat", Self::UnixSeconds),
                ("pxat", Self::UnixMilliseconds),
            ];
            words.into_iter().find(|(name, _)| super::is_word(word, name)).map(|(_, clock)| clock)
        }

        /// Milliseconds since 1970, which may lie in the past; `None` when there is no such time.
        pub(super) fn time(self, number: i64, now: u64) -> Option<i64> {
            let milliseconds = match self {
                Self::Seconds | Self::UnixSeconds => number.checked_mul(1000)?,
                Self::Milliseconds | Self::UnixMilliseconds => number,
            };
            match self {
                Self::Seconds | Self::Milliseconds => milliseconds.checked_add(i64::try_from(now).ok()?),
                Self::UnixSeconds | Self::UnixMilliseconds => Some(milliseconds),
            }
        }

        /// The time of an option, which must be positive.
        pub(super) fn option(self, number: &[u8], now: u64, command: &str) -> Result<u64, Failure> {
            let number = integer(number).ok_or(Failure::NOT_AN_INTEGER)?;
            let time = if number > 0 { self.time(number, now) } else { None };
            let time = time.and_then(|time| u64::try_from(time).ok());
            time.ok_or_else(|| invalid(command))
        }
    }

    pub(super) fn invalid(command: &str) -> Failure {
        Failure::from(format!("ERR invalid expire time in '{command}' command"))
    }
}
