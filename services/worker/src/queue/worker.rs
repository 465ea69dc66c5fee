//! The kind of program that takes messages from an NSQ topic. What it does with one is its stage's.

use std::time::Duration;

use model::Topic;

use crate::process::command_line::{Arguments, Flag, Operand, Takes};
use crate::process::identity::Identity;
use crate::process::program::{Kind, Plan};
use crate::process::settings::{Nsq, Reader, Reported, Section as _, names};

/// A program that consumes one topic. Its three numbers are settings named after the executable.
#[derive(Debug)]
#[must_use]
pub struct QueueWorker {
    topic: Topic,
    requeue_delay: Duration,
    least_attempts: u32,
    under_audit: UnderAudit,
}

/// What a queue worker was told to do.
#[derive(Debug, Clone)]
pub struct QueuePlan {
    pub topic: Topic,
    pub nsq: Nsq,
    pub numbers: Numbers,
    /// How long a message waits after a failure that may pass.
    pub requeue_delay: Duration,
}

/// How much a queue worker does at a time, and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Messages in flight, for the whole process.
    pub buffer_size: u32,
    /// Items in work at a time.
    pub workers: u32,
    /// Attempts at an item before a person must look at it.
    pub max_attempts: u32,
}

/// Whether a worker may run where `APT_ENV=audit` says that only the auditor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderAudit {
    Refused,
    Allowed,
}

const BUFSIZE: Flag = Flag {
    name: "bufsize",
    takes: Takes::Number,
    help: "messages in flight, instead of the setting <NAME>_BUFFER_SIZE",
};
const WORKERS: Flag = Flag {
    name: "workers",
    takes: Takes::Number,
    help: "items in work at a time, instead of the setting <NAME>_WORKERS",
};
const MAX_ATTEMPTS: Flag = Flag {
    name: "max-attempts",
    takes: Takes::Number,
    help: "attempts at an item, instead of the setting <NAME>_MAX_ATTEMPTS",
};
const REQUEUE_TIMEOUT: Flag = Flag {
    name: "requeue-timeout",
    takes: Takes::Duration,
    help: "how long a message waits after a failure that may pass, such as 90s",
};

impl QueueWorker {
    /// With a delay of a minute after a failure that may pass.
    pub const fn new(topic: Topic) -> Self {
        let requeue_delay = Duration::from_mins(1);
        Self { topic, requeue_delay, least_attempts: 1, under_audit: UnderAudit::Refused }
    }

    pub const fn requeue_delay(self, requeue_delay: Duration) -> Self {
        Self { requeue_delay, ..self }
    }

    /// Fewer attempts than these are raised to them, whoever asked.
    pub const fn least_attempts(self, least_attempts: u32) -> Self {
        Self { least_attempts, ..self }
    }

    /// Runs under `APT_ENV=audit` too.
    pub const fn allowed_under_audit(self) -> Self {
        Self { under_audit: UnderAudit::Allowed, ..self }
    }
}

impl Kind for QueueWorker {
    type Plan = QueuePlan;

    const FLAGS: &'static [Flag] = &[BUFSIZE, WORKERS, MAX_ATTEMPTS, REQUEUE_TIMEOUT];

    fn operand(&self) -> Option<Operand> {
        None
    }

    fn describe(&self) -> String {
        format!("Consumes the NSQ topic {} (channel {}).", self.topic, self.topic.channel())
    }

    fn plan(&self, name: &str, arguments: &Arguments, reader: &mut Reader<'_>) -> Result<QueuePlan, Reported> {
        let nsq = Nsq::read(reader);
        let numbers = self.numbers(name, arguments, reader);
        if self.under_audit == UnderAudit::Refused && reader.environment_name() == Some("audit") {
            return Err(
                reader.refuse(format!("{} is `audit`, where queue workers must not run; unset it", names::APT_ENV))
            );
        }
        Ok(QueuePlan {
            topic: self.topic,
            nsq: nsq?,
            numbers: numbers?,
            requeue_delay: arguments.duration(REQUEUE_TIMEOUT).unwrap_or(self.requeue_delay),
        })
    }
}

impl QueueWorker {
    /// The command line, else the setting, else the default; each counts only if it is greater than zero.
    fn numbers(&self, name: &str, arguments: &Arguments, reader: &mut Reader<'_>) -> Result<Numbers, Reported> {
        let prefix = name.to_ascii_uppercase();
        let mut number = |suffix: &str, flag, default: u32| {
            let setting = reader.setting::<i64>(format!("{prefix}{suffix}")).check(countable).or(i64::from(default))?;
            let setting = u32::try_from(setting).ok().filter(|number| *number > 0);
            Ok(arguments.number(flag).or(setting).unwrap_or(default))
        };
        let buffer_size = number(names::BUFFER_SIZE, BUFSIZE, 4);
        let workers = number(names::WORKERS, WORKERS, 2);
        let max_attempts = number(names::MAX_ATTEMPTS, MAX_ATTEMPTS, 3);
        let max_attempts = max_attempts.map(|attempts| attempts.max(self.least_attempts));
        Ok(Numbers { buffer_size: buffer_size?, workers: workers?, max_attempts: max_attempts? })
    }
}

impl Plan for QueuePlan {
    fn announce(&self, identity: &Identity) {
        let Identity { name, version, sha256 } = identity;
        let Numbers { buffer_size, workers, max_attempts } = self.numbers;
        tracing::info!(
            service = name,
            version,
            sha256,
            topic = self.topic.as_str(),
            channel = self.topic.channel(),
            buffer_size,
            workers,
            max_attempts,
            requeue_delay_seconds = self.requeue_delay.as_secs_f64(),
            "{name} {version} starts"
        );
    }
}

fn countable(number: i64) -> Result<i64, String> {
    if number <= i64::from(u32::MAX) {
        Ok(number)
    } else {
        Err("is too large; set it to a number such as 4".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::process::command_line::{Request, parse};
    use crate::process::settings::{Environment, Sources};

    fn plan(worker: &QueueWorker, arguments: &[&str], variables: &[(&str, &str)]) -> QueuePlan {
        let Ok(Request::Work(arguments)) = parse(QueueWorker::FLAGS, None, arguments.iter().map(OsString::from)) else {
            panic!("{arguments:?}");
        };
        let nsq = [("NSQ_LOOKUPD", "l:4161"), ("NSQ_URL", "http://n:4151")];
        let environment: Environment = nsq.iter().chain(variables).copied().collect();
        let sources = Sources::load(environment, Path::new("/no such folder"));
        worker.plan("some_worker", &arguments, &mut Reader::new(&sources)).unwrap()
    }

    #[test]
    fn the_command_line_wins_over_the_setting_and_that_over_the_default() {
        let worker = QueueWorker::new(Topic::FixityCheck);
        for (argument, setting, expected) in [
            (None, None, (4, 2, 3)),
            (None, Some("7"), (7, 7, 7)),
            (Some("9"), Some("7"), (9, 9, 9)),
            (Some("9"), None, (9, 9, 9)),
            (Some("0"), Some("7"), (7, 7, 7)),
            (Some("-1"), Some("0"), (4, 2, 3)),
            (None, Some("-5"), (4, 2, 3)),
        ] {
            let arguments = argument.map(|number| ["-bufsize", number, "-workers", number, "-max-attempts", number]);
            let names = ["SOME_WORKER_BUFFER_SIZE", "SOME_WORKER_WORKERS", "SOME_WORKER_MAX_ATTEMPTS"];
            let variables = setting.map(|number| names.map(|name| (name, number)));
            let arguments = arguments.as_ref().map_or(&[][..], |arguments| arguments);
            let variables = variables.as_ref().map_or(&[][..], |variables| variables);
            let Numbers { buffer_size, workers, max_attempts } = plan(&worker, arguments, variables).numbers;
            assert_eq!((buffer_size, workers, max_attempts), expected, "{argument:?} {setting:?}");
        }
    }

    /// Upstream raised the flag before it looked at the setting, which therefore never counted.
    #[test]
    fn the_least_attempts_are_applied_last() {
        let worker = QueueWorker::new(Topic::FixityCheck).least_attempts(4);
        for (setting, expected) in [(None, 4), (Some("3"), 4), (Some("6"), 6)] {
            let variables = setting.map(|number| [("SOME_WORKER_MAX_ATTEMPTS", number)]);
            let variables = variables.as_ref().map_or(&[][..], |variables| variables);
            assert_eq!(plan(&worker, &[], variables).numbers.max_attempts, expected, "{setting:?}");
        }
        assert_eq!(plan(&worker, &["-max-attempts", "1"], &[]).numbers.max_attempts, 4);
    }

    /// Upstream read this flag and ignored it.
    #[test]
    fn the_requeue_timeout_is_applied() {
        let worker = QueueWorker::new(Topic::FixityCheck).requeue_delay(Duration::from_secs(20));
        for (arguments, seconds) in [(&[][..], 20), (&["-requeue-timeout", "2m"], 120), (&["-requeue-timeout=0"], 20)] {
            assert_eq!(plan(&worker, arguments, &[]).requeue_delay, Duration::from_secs(seconds), "{arguments:?}");
        }
    }

    #[test]
    fn only_some_workers_run_for_the_auditor() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env.audit"), "NSQ_LOOKUPD=l:4161\nNSQ_URL=http://n:4151\n").unwrap();
        let sources = Sources::load([("APT_ENV", "audit")].into_iter().collect(), folder.path());
        let run = |worker: QueueWorker| worker.plan("w", &Arguments::default(), &mut Reader::new(&sources)).is_ok();
        assert!(!run(QueueWorker::new(Topic::FixityCheck)));
        assert!(run(QueueWorker::new(Topic::FixityCheck).allowed_under_audit()));
    }
}
