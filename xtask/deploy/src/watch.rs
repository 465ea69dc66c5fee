//! An operation on the stack, watched to its end: events as they come, ECS beside them, and what to do on Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_cloudformation::types::StackStatus;
use serde_json::json;
use xtask::exit::Exit;
use xtask::ui::Paint;

use crate::aws::{Kind, Trouble};
use crate::confirm;
use crate::events::{Event, Events};
use crate::interrupt::Interrupts;
use crate::observe::Observer;
use crate::session::Session;
use crate::stack;
use crate::state::{self, Phase};

/// How long a second Ctrl-C is waited for.
const SECOND_THOUGHT: Duration = Duration::from_secs(5);

/// How the watching ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The operation is over.
    Over(Phase),
    /// The user left; it goes on.
    Left(Exit),
    /// Contact was lost for good; nobody knows.
    Lost(Trouble),
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) stack_id: String,
    pub(crate) events: Events,
    pub(crate) observer: Observer,
    pub(crate) status: Option<StackStatus>,
    /// Marks the events of our request.
    token: Option<String>,
    /// For a watch that comes later: read back to where the operation began.
    from_opening: bool,
    /// When the stack changed last before our request; until that changes, its status is of the past.
    changed_before: Option<String>,
    has_begun: bool,
    /// Resources that the change set touches; 0 if unknown.
    total: usize,
    abort_after: u32,
    once: Once,
    /// Why the update was cancelled from here, which is then the cause of everything that follows.
    cancelled_because: Option<String>,
    since: Instant,
}

/// What is done at most once.
#[derive(Debug, Default)]
struct Once {
    cancelled: bool,
    told_events_trouble: bool,
    told_long: bool,
}

impl Watch {
    /// Watches what a request of ours begins: everything after `events` is of it.
    pub(crate) fn of_request(
        stack_id: &str,
        token: String,
        events: Events,
        observer: Observer,
        changed_before: Option<String>,
    ) -> Self {
        let mut watch = Self::new(stack_id, events, observer);
        watch.token = Some(token);
        watch.changed_before = changed_before;
        watch
    }

    /// Watches what is going on already, or was last.
    pub(crate) fn attached(stack_id: &str, observer: Observer) -> Self {
        let mut watch = Self::new(stack_id, Events::default(), observer);
        watch.from_opening = true;
        watch.has_begun = true;
        watch
    }

    fn new(stack_id: &str, events: Events, observer: Observer) -> Self {
        Self {
            stack_id: stack_id.to_owned(),
            events,
            observer,
            status: None,
            token: None,
            from_opening: false,
            changed_before: None,
            has_begun: false,
            total: 0,
            abort_after: 0,
            once: Once::default(),
            cancelled_because: None,
            since: Instant::now(),
        }
    }

    pub(crate) fn expecting(mut self, resources: usize) -> Self {
        self.total = resources;
        self
    }

    pub(crate) fn aborting_after(mut self, failures: u32) -> Self {
        self.abort_after = failures;
        self
    }

    /// Watches to the end.
    pub(crate) async fn follow(&mut self, session: &Session<'_>, interrupts: &mut Interrupts) -> Result<End> {
        session.aws.begin_phase(session.limit);
        self.since = Instant::now();
        let total = u64::try_from(self.total).unwrap_or(0);
        let progress = session.ui.progress("resources", total);
        loop {
            let exit = tokio::select! {
                step = self.step(session) => match step {
                    Ok(Phase::Going) => {
                        let done = u64::try_from(self.events.finished_resources(&self.stack_id)).unwrap_or(0);
                        let (stable, services) = self.observer.stable();
                        progress.set(done, total.max(done), &format!("services stable {stable}/{services}"));
                        continue;
                    }
                    Ok(phase) => return Ok(End::Over(phase)),
                    Err(trouble) => return Ok(End::Lost(trouble)),
                },
                exit = interrupts.next() => exit,
            };
            if !self.leaving_is_taken_back(session, interrupts, exit).await? {
                return Ok(End::Left(exit));
            }
        }
    }

    /// The cause of a failure, in one line: what made us cancel, else the first event that failed by itself.
    pub(crate) fn cause(&self) -> String {
        match (&self.cancelled_because, self.events.root_cause(&self.stack_id)) {
            (Some(reason), _) => reason.clone(),
            (None, Some(event)) => format!("{} {}: {}", event.logical_id, event.status, event.reason),
            (None, None) => "no event tells why".to_owned(),
        }
    }

    /// The stack's last status that was seen.
    pub(crate) fn status_word(&self) -> String {
        self.status.as_ref().map(|status| status.as_str().to_owned()).unwrap_or_default()
    }

    /// One look at everything.
    async fn step(&mut self, session: &Session<'_>) -> Result<Phase, Trouble> {
        session.aws.between_looks().await;
        self.read_events(session).await?;
        let found = stack::describe(&session.aws, &self.stack_id).await?;
        let Some(found) = found else {
            // A stack that this program watches by its id goes away only by somebody else's hand.
            return Ok(Phase::Stuck);
        };
        let phase = state::phase(&found.status);
        self.has_begun |= phase == Phase::Going && found.status != StackStatus::ReviewInProgress
            || found.changed != self.changed_before
            || !self.events.all().is_empty();
        self.status = Some(found.status);
        if !self.has_begun {
            return Ok(Phase::Going);
        }
        if phase == Phase::Going {
            self.observer.look(session).await;
            self.abort_if_hopeless(session).await;
            self.tell_if_long(session);
            return Ok(Phase::Going);
        }
        // The last events may come after the last status. What cannot be had any more is not worth the verdict.
        session.aws.between_looks().await;
        let _ = self.read_events(session).await;
        Ok(phase)
    }

    async fn read_events(&mut self, session: &Session<'_>) -> Result<(), Trouble> {
        let id = self.stack_id.clone();
        let opens = |event: &Event| event.opens_operation(&id);
        let opening: Option<&dyn Fn(&Event) -> bool> = if self.from_opening { Some(&opens) } else { None };
        match stack::read_events(&session.aws, &id, &mut self.events, opening).await {
            Ok(fresh) => {
                for event in &fresh {
                    self.tell(session, event);
                }
                Ok(())
            }
            Err(trouble) if matches!(trouble.kind, Kind::Denied | Kind::Refused) => {
                if !std::mem::replace(&mut self.once.told_events_trouble, true) {
                    session.ui.warn(&format!("no events can be shown: {trouble}; the status still is watched"));
                }
                Ok(())
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn tell(&self, session: &Session<'_>, event: &Event) {
        let ui = session.ui;
        let clock = event.time.get(11..19).unwrap_or(&event.time);
        let paint = match event.status.as_str() {
            status if status.ends_with("_FAILED") => Paint::Red,
            status if status.contains("ROLLBACK") => Paint::Yellow,
            status if status.ends_with("_COMPLETE") => Paint::Green,
            _ => Paint::Dim,
        };
        let reason = if event.reason.is_empty() { String::new() } else { format!("  {}", event.reason) };
        let foreign = match (&self.token, &event.token) {
            (Some(ours), Some(theirs)) if ours != theirs => "  (of another request)",
            _ => "",
        };
        let status = ui.paint(paint, &format!("{:<28}", event.status));
        ui.say(&format!("  {clock}  {status} {:<36} {}{reason}{foreign}", event.logical_id, event.kind));
        let mut record = serde_json::to_value(event).unwrap_or_default();
        record["is_ours"] = json!(self.token.is_some() && event.token == self.token);
        ui.record("event", &record);
    }

    /// Too many tasks failed: the update cannot succeed, and hours are saved by saying so.
    async fn abort_if_hopeless(&mut self, session: &Session<'_>) {
        let Some((executable, failures)) = self.observer.hopeless(self.abort_after) else { return };
        let executable = executable.to_owned();
        if self.once.cancelled {
            return;
        }
        self.once.cancelled = true;
        let ui = session.ui;
        if !self.status.as_ref().is_some_and(state::can_cancel) {
            ui.warn(&format!(
                "{failures} tasks of {executable} failed; in this state CloudFormation cannot be asked to cancel"
            ));
            return;
        }
        ui.warn(&format!(
            "{failures} tasks of {executable} failed (--abort-after {}): asking CloudFormation to roll back",
            self.abort_after
        ));
        let reason = self.observer.last_reason(&executable);
        match cancel(session, &self.stack_id).await {
            Ok(()) => {
                self.cancelled_because =
                    Some(format!("{failures} tasks of {executable} failed, the last one: {reason}"));
            }
            Err(trouble) => ui.warn(&format!("it could not be asked: {trouble}")),
        }
    }

    fn tell_if_long(&mut self, session: &Session<'_>) {
        if self.since.elapsed() > session.aws.timing.long() && !std::mem::replace(&mut self.once.told_long, true) {
            session.ui.warn("this takes longer than the ten minutes that are usual; a service that does not become stable is the usual reason");
        }
    }

    /// Ctrl-C: the update goes on without us. A second one soon after, on a terminal, asks whether to cancel it.
    async fn leaving_is_taken_back(
        &mut self,
        session: &Session<'_>,
        interrupts: &mut Interrupts,
        exit: Exit,
    ) -> Result<bool> {
        let ui = session.ui;
        ui.say("The update goes on in AWS; this program only stops watching it.");
        ui.say(&format!("Follow it again: {}", session.attach_command()));
        if exit != Exit::Interrupted || session.access.no_input || !confirm::can_ask() {
            return Ok(false);
        }
        ui.say("Ctrl-C once more within five seconds to ask for its cancellation.");
        let again = tokio::time::timeout(SECOND_THOUGHT, interrupts.next()).await.is_ok();
        if !again || !confirm::agrees("Cancel the update and roll back?", ui).await {
            return Ok(false);
        }
        cancel(session, &self.stack_id).await.map_err(Trouble::stop)?;
        self.once.cancelled = true;
        self.cancelled_because = Some("cancelled from this terminal".to_owned());
        Ok(true)
    }
}

/// Asks CloudFormation to cancel an update; it then rolls back.
pub(crate) async fn cancel(session: &Session<'_>, stack_id: &str) -> Result<(), Trouble> {
    let aws = &session.aws;
    aws.attempt("cancelling the update", async || {
        aws.cloudformation.cancel_update_stack().stack_name(stack_id).send().await
    })
    .await?;
    Ok(())
}
