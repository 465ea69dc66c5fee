//! Bags on their way through the stages, as the Registry's WorkItems tell it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Action, Stage, Status, WorkItem};
use registry::Query;
use serde_json::json;
use xtask::ui::{Progress, Ui};

use crate::deposits::{Bag, Version};
use crate::phase::{Phase, Span};
use crate::system::System;

/// How often the Registry is asked.
const LOOK: Duration = Duration::from_millis(100);
/// More bags than one deposits with a command line.
const MOST: u16 = 1000;

/// The stages of an ingest, in their order.
const STAGES: [Stage; 9] = [
    Stage::Receive,
    Stage::Validate,
    Stage::ReingestCheck,
    Stage::CopyToStaging,
    Stage::FormatIdentification,
    Stage::Store,
    Stage::StorageValidation,
    Stage::Record,
    Stage::Cleanup,
];

/// A bag for which nothing more is done.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) item: WorkItem,
    /// Since it was deposited.
    pub(crate) after: Duration,
    /// What it went through.
    pub(crate) spans: Vec<Span>,
}

/// Deposits a version of each, and shows it until nothing more is done for it. `last` is the newest WorkItem that is not of these.
pub(crate) async fn follow(system: &System, deposits: &[(&Bag, &Version)], last: i64, ui: &Ui) -> Result<Vec<Ended>> {
    let width = deposits.iter().map(|(bag, _)| bag.name.chars().count()).max().unwrap_or(0);
    let mut bags = Vec::new();
    for (bag, version) in deposits {
        let bar = ui.progress(format!("{:<width$}", bag.name), STAGES.len() as u64);
        bar.at(0, "deposited");
        bags.push(OnItsWay { bag, version, bar, since: Duration::ZERO, at: None, spans: Vec::new(), ended: None });
    }
    for bag in &mut bags {
        system.deposit(&bag.key(), &bag.version.tar).await?;
        bag.since = system.began.elapsed();
    }
    let query = Query::new().filter("action", Action::Ingest).sort("id__desc").per_page(MOST).page(1);
    while bags.iter().any(|bag| bag.ended.is_none()) {
        system.check()?;
        let page =
            system.registry.list::<WorkItem>(&query).await.context("asking the Registry how far the bags are")?;
        let items: Vec<WorkItem> = page.results.into_iter().filter(|item| item.id > last).collect();
        for bag in bags.iter_mut().filter(|bag| bag.ended.is_none()) {
            if let Some(item) = items.iter().find(|item| item.name == bag.key()) {
                bag.look(item, system.began.elapsed(), ui);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(bags.into_iter().filter_map(|bag| bag.ended).collect())
}

struct OnItsWay<'a> {
    bag: &'a Bag,
    version: &'a Version,
    bar: Progress<'a>,
    since: Duration,
    at: Option<(Stage, Status)>,
    spans: Vec<Span>,
    ended: Option<Ended>,
}

impl OnItsWay<'_> {
    fn key(&self) -> String {
        format!("{}.tar", self.bag.name)
    }

    fn look(&mut self, item: &WorkItem, now: Duration, ui: &Ui) {
        let phase = Phase::of(&item.stage);
        match self.spans.last_mut() {
            Some(span) if span.phase == phase => span.to = now,
            Some(span) => {
                span.to = now;
                self.spans.push(Span { phase, from: now, to: now });
            }
            None => self.spans.push(Span { phase, from: self.since, to: now }),
        }
        self.see(item, now, ui);
    }

    fn see(&mut self, item: &WorkItem, now: Duration, ui: &Ui) {
        let stands = (item.stage.clone(), item.status.clone());
        if self.at.as_ref() == Some(&stands) && item.retry {
            return;
        }
        let stage = STAGES.iter().position(|stage| *stage == item.stage).unwrap_or(0) as u64;
        let is_new = self.at.as_ref().is_none_or(|(before, _)| *before != item.stage);
        if item.status == Status::Success {
            self.bar.at(STAGES.len() as u64, "preserved");
        } else if item.status == Status::Failed {
            self.bar.at(stage, "refused");
        } else if !item.retry {
            self.bar.at(stage, "given up");
        } else if is_new {
            self.bar.at(stage, item.stage.as_str());
        }
        ui.record(
            "moved",
            &json!({
                "bag": self.bag.name,
                "work_item": item.id,
                "stage": item.stage.as_str(),
                "status": item.status.as_str(),
                "note": item.note,
            }),
        );
        if item.is_completed() || !item.retry {
            let spans = std::mem::take(&mut self.spans);
            self.ended = Some(Ended { item: item.clone(), after: now.saturating_sub(self.since), spans });
        }
        self.at = Some(stands);
    }
}
