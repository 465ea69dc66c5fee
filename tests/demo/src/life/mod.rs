//! What is done with a bag once it is preserved, one thing after the other: its copies are checked, a file and the whole of it are
//! asked back, and it is deleted where that is its end. Each part is a module; here is their order.

mod deletion;
mod fixity;
mod restoration;

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Status, WorkItem};
use xtask::ui::Ui;

use crate::deposits::{Bag, Ending};
use crate::outcome::{Found, Step};
use crate::phase::{Phase, Span};
use crate::stored::Stored;
use crate::system::System;
use crate::tars::Deposited;

/// How often the Registry is asked.
const LOOK: Duration = Duration::from_millis(100);

/// Lives the rest of a bag's life.
pub(crate) async fn live(system: &System, bag: &Bag, stored: &Stored, ui: &Ui) -> Result<Vec<Step>> {
    let mut deposited = Deposited::default();
    for version in &bag.versions {
        deposited.add(&version.tar).await?;
    }
    let object = &stored.object;
    let mut story = Story::new(system, bag, stored, ui);
    if !stored.is_archived() {
        story.next(Phase::Checked, fixity::check(system, object)).await?;
        story.next(Phase::FileBack, restoration::file(system, object, &deposited)).await?;
    }
    let mut item = restoration::ask(system, object).await?;
    if stored.is_archived() {
        let mut follower = None;
        story.next(Phase::Thawed, restoration::thaw(system, item, &mut follower)).await?;
        let Some(next) = follower else { return Ok(story.steps) };
        item = next;
    }
    let back = Box::pin(restoration::bag(system, item, object, &deposited));
    story.next(Phase::BagBack, back).await?;
    if bag.ending == Ending::Deleted {
        story.next(Phase::Deleted, deletion::delete(system, object)).await?;
    }
    Ok(story.steps)
}

/// The steps so far.
struct Story<'a> {
    system: &'a System,
    name: &'a str,
    bar: xtask::ui::Progress<'a>,
    steps: Vec<Step>,
}

impl<'a> Story<'a> {
    fn new(system: &'a System, bag: &'a Bag, stored: &Stored, ui: &'a Ui) -> Self {
        let steps = if stored.is_archived() { 2 } else { 3 } + u64::from(bag.ending == Ending::Deleted);
        let bar = ui.progress(bag.name.clone(), steps);
        Self { system, name: &bag.name, bar, steps: Vec::new() }
    }

    async fn next(&mut self, phase: Phase, work: impl Future<Output = Result<Found>>) -> Result<()> {
        let from = self.system.began.elapsed();
        let found = work.await.with_context(|| format!("{}, to be {}", self.name, phase.label()))?;
        let to = self.system.began.elapsed();
        self.steps.push(Step { span: Span { phase, from, to }, found });
        self.bar.at(self.steps.len() as u64, phase.label());
        Ok(())
    }
}

/// An item when nobody works on it any more; `look` sees it each time before.
async fn over(system: &System, id: i64, mut look: impl FnMut(&WorkItem)) -> Result<WorkItem> {
    loop {
        system.check()?;
        let item = system.registry.work_item(id).await.context("asking the Registry how a request stands")?;
        if item.is_completed() || !item.retry {
            return Ok(item);
        }
        look(&item);
        tokio::time::sleep(LOOK).await;
    }
}

/// What is wrong with an item that should have ended with this outcome.
fn failure(item: &WorkItem, outcome: &str) -> Option<String> {
    let is_well = item.status == Status::Success && item.outcome == outcome;
    let WorkItem { id, action, status, note, .. } = item;
    (!is_well).then(|| format!("WorkItem {id} ({action}) is {status}: {note}"))
}
