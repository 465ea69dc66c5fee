//! What the end of a stage means for the item, for its attempts, and for what is published next (01 §4.5, rulings A.4, A.5, A.9).
//! Pure: who writes it, and when, is `settle.rs`'s.

use std::time::Duration;

use model::{List, ProcessingError, Stage, Status, Time, Topic, WorkItem, note};

use super::Record;
use super::rules::Rules;
use crate::items::task::{Done, Stop};

/// How the work on an item ended.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The stage said so, by itself.
    Returned(Result<Done, Stop>),
    /// The stage was stopped, since the process is, or since claim or lock were lost.
    PutAway,
    /// The item is not this worker's any more, for this reason.
    TakenAway(String),
    /// The stage was not run: the system was out of order.
    NotBegun(String),
    /// Neither the stage nor another attempt can mend this.
    Refused(String),
    /// Too many processes died over the item, one after the other.
    TooDeadly(u32),
}

/// What does not change from item to item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) rules: &'a Rules,
    pub(super) node: &'a str,
    pub(super) max_attempts: i64,
    pub(super) requeue_delay: Duration,
    pub(super) system_patience: Duration,
}

/// An item at its end, or at the end of an attempt.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) item: WorkItem,
    pub(super) record: Record,
    pub(super) follows: Follows,
    /// For the log.
    pub(super) text: String,
    pub(super) level: Level,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing: it is over, well or badly.
    End,
    /// It is over, and nothing of it stays in Redis.
    CleanEnd,
    /// Another stage.
    Stage(Topic),
    /// Another attempt after a failure of its own, in this time.
    Attempt(Duration),
    /// The same stage again, in this time.
    Wait(Duration),
    /// The same stage again, by another process.
    Process,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

/// Bounds of the pause after a failure of the system, which grows with the time that it has lasted.
const SHORTEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

impl Outcome {
    /// Applied to the item as the Registry has it now. It does not look at how often that was done.
    pub(super) fn apply(&self, terms: Terms<'_>, item: WorkItem, record: Record) -> Settled {
        let mut settled = Settled { item, record, follows: Follows::End, text: String::new(), level: Level::Info };
        match self {
            Self::Returned(Ok(done)) => settled.done(terms, done),
            Self::Returned(Err(Stop::Waiting { note, delay })) => settled.wait(note, *delay),
            Self::Returned(Err(Stop::Back { stage, note })) => settled.back(terms, stage, note),
            Self::Returned(Err(Stop::System(message))) | Self::NotBegun(message) => settled.system(terms, message),
            Self::Returned(Err(Stop::Failed(errors))) => settled.fail(terms, errors.clone()),
            Self::Returned(Err(Stop::Cancelled)) => settled.system(terms, "The work was cancelled by itself."),
            // Nothing is written where it was taken away.
            Self::PutAway | Self::TakenAway(_) => settled.put_away(terms.node),
            Self::Refused(reason) => settled.refuse(terms, reason),
            Self::TooDeadly(deaths) => {
                settled.refuse(terms, &format!("{deaths} workers in a row died while they worked on this item."));
            }
        }
        settled.item.release();
        settled.record.result.finish(Time::now());
        settled.record.trouble.deaths = 0;
        settled
    }
}

impl Settled {
    fn done(&mut self, Terms { rules, .. }: Terms<'_>, done: &Done) {
        rules.complete(&mut self.item, done);
        self.record.result.errors = List::new();
        self.record.trouble.failing_since = Time::UNSET;
        self.text.clone_from(&self.item.note);
        self.follows = rules.next().map_or(Follows::CleanEnd, Follows::Stage);
    }

    fn wait(&mut self, note: &str, delay: Duration) {
        self.give_back();
        self.record.result.errors = List::new();
        self.record.trouble.failing_since = Time::UNSET;
        note.clone_into(&mut self.item.note);
        self.text = format!("waits for {} s: {note}", delay.as_secs());
        self.follows = Follows::Wait(delay);
    }

    fn back(&mut self, terms: Terms<'_>, stage: &Stage, note: &str) {
        let Ok(topic) = Topic::of(&self.item.action, stage) else {
            return self.give_up(terms, &format!("It cannot go back to {stage}, which no worker waits for. {note}"));
        };
        self.record.result.errors = List::new();
        self.record.trouble.failing_since = Time::UNSET;
        Rules::send_back(&mut self.item, stage.clone(), note.to_owned());
        self.text = format!("goes back to {stage}: {note}");
        self.level = Level::Warning;
        self.follows = Follows::Stage(topic);
    }

    /// Nothing is said about the work: another process takes it up.
    fn put_away(&mut self, node: &str) {
        self.give_back();
        self.item.status = Status::Pending;
        if !self.item.note.contains(node) {
            self.item.note.push_str(&note::killed(node));
        }
        "is released".clone_into(&mut self.text);
        self.follows = Follows::Process;
    }

    fn fail(&mut self, terms: Terms<'_>, errors: Vec<ProcessingError>) {
        self.record.trouble.failing_since = Time::UNSET;
        let result = &mut self.record.result;
        result.errors = List::new();
        for error in errors {
            result.add_error(ProcessingError { work_item_id: self.item.id, ..error });
        }
        if result.has_fatal_errors() {
            let messages = result.fatal_messages();
            result.attempt = 0;
            self.text = format!("failed for good: {messages}");
            self.level = Level::Error;
            terms.rules.fail(&mut self.item, messages);
            return;
        }
        let messages = result.other_messages();
        if result.attempt >= terms.max_attempts {
            self.give_up(terms, &messages);
            return;
        }
        self.text = format!("failed and is tried again: {messages}");
        self.level = Level::Warning;
        self.item.note = messages;
        self.follows = Follows::Attempt(terms.requeue_delay);
    }

    /// The system failed, not the item. The attempt is given back, until patience is at its end.
    fn system(&mut self, terms: Terms<'_>, message: &str) {
        let now = Time::now();
        let since = &mut self.record.trouble.failing_since;
        if !since.is_set() {
            *since = now;
        }
        let lasted = Duration::try_from(now.inner() - since.inner()).unwrap_or_default();
        if lasted >= terms.system_patience {
            self.record.result.attempt = terms.max_attempts.max(self.record.result.attempt);
            return self
                .fail(terms, vec![ProcessingError { message: message.to_owned(), ..ProcessingError::default() }]);
        }
        self.give_back();
        self.text = format!("was failed by the system, and is tried again: {message}");
        self.level = Level::Warning;
        message.clone_into(&mut self.item.note);
        self.follows = Follows::Wait((lasted / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    }

    fn refuse(&mut self, terms: Terms<'_>, reason: &str) {
        self.record.trouble.failing_since = Time::UNSET;
        self.give_up(terms, reason);
    }

    /// An administrator's requeue starts with a fresh set of attempts.
    fn give_up(&mut self, terms: Terms<'_>, reason: &str) {
        self.text = format!("is given up: {reason}");
        self.level = Level::Error;
        terms.rules.give_up(&mut self.item, reason, self.record.result.attempt);
        self.record.result.attempt = 0;
    }

    fn give_back(&mut self) {
        let result = &mut self.record.result;
        result.attempt = (result.attempt - 1).max(0);
    }
}

impl Follows {
    /// When the message is due that the item waits for, where it waits.
    pub(super) fn wakes(self) -> Option<Duration> {
        match self {
            Self::Attempt(delay) | Self::Wait(delay) => Some(delay.min(nsq::LONGEST_DEFERRAL)),
            Self::End | Self::CleanEnd | Self::Stage(_) | Self::Process => None,
        }
    }
}
