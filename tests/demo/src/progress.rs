//! Bags on their way through the stages, as the Registry's WorkItems tell it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Action, Stage, Status, WorkItem};
use registry::Query;
use serde_json::json;
use tokio::time::Instant;
use xtask::ui::{Progress, Ui};

use crate::deposits::Deposit;
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
}

/// Deposits all of them, and shows each until nothing more is done for it. `last` is the newest WorkItem that is not of these.
pub(crate) async fn follow(system: &System, deposits: &[Deposit], last: i64, ui: &Ui) -> Result<Vec<Ended>> {
    let width = deposits.iter().map(|deposit| deposit.name.chars().count()).max().unwrap_or(0);
    let mut bags = Vec::new();
    for deposit in deposits {
        let bar = ui.progress(format!("{:<width$}", deposit.name), STAGES.len() as u64);
        bar.at(0, "deposited");
        bags.push(OnItsWay { deposit, bar, since: Instant::now(), at: None, ended: None });
    }
    for bag in &mut bags {
        system.deposit(&key(bag.deposit), &bag.deposit.tar).await?;
        bag.since = Instant::now();
        if bag.deposit.tar.starts_with(system.folder()) {
            let tar = &bag.deposit.tar;
            fs::remove_file(tar).with_context(|| format!("removing {}", tar.display()))?;
        }
    }
    let query = Query::new().filter("action", Action::Ingest).sort("id__desc").per_page(MOST).page(1);
    while bags.iter().any(|bag| bag.ended.is_none()) {
        system.check()?;
        let page =
            system.registry.list::<WorkItem>(&query).await.context("asking the Registry how far the bags are")?;
        let items: Vec<WorkItem> = page.results.into_iter().filter(|item| item.id > last).collect();
        for bag in &mut bags {
            if let Some(item) = items.iter().find(|item| item.name == key(bag.deposit)) {
                bag.look(item, ui);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(bags.into_iter().filter_map(|bag| bag.ended).collect())
}

fn key(deposit: &Deposit) -> String {
    format!("{}.tar", deposit.name)
}

struct OnItsWay<'a> {
    deposit: &'a Deposit,
    bar: Progress<'a>,
    since: Instant,
    at: Option<(Stage, Status)>,
    ended: Option<Ended>,
}

impl OnItsWay<'_> {
    fn look(&mut self, item: &WorkItem, ui: &Ui) {
        let now = (item.stage.clone(), item.status.clone());
        if self.ended.is_some() || self.at.as_ref() == Some(&now) && item.retry {
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
                "bag": self.deposit.name,
                "work_item": item.id,
                "stage": item.stage.as_str(),
                "status": item.status.as_str(),
                "note": item.note,
            }),
        );
        if item.is_completed() || !item.retry {
            self.ended = Some(Ended { item: item.clone(), after: self.since.elapsed() });
        }
        self.at = Some(now);
    }
}
