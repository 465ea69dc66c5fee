//! The fixity check of a bag's files, by `apt_queue_fixity` and `apt_fixity`: the Registry is told that the last one was long ago, and
//! both do what they do then.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::{EventType, GenericFile, IntellectualObject, PremisEvent, State, Time};
use registry::Query;
use serde_json::json;

use super::LOOK;
use crate::AT_ONCE;
use crate::outcome::Found;
use crate::system::System;
use crate::words::counted;

/// Files that are checked; of a larger bag the first ones speak for all.
const MOST_FILES: u16 = 200;
/// Longer than the services let pass between two checks.
const AGO: Duration = Duration::from_hours(24 * 100);
const PAGE: u16 = 1000;

pub(super) async fn check(system: &System, object: &IntellectualObject) -> Result<Found> {
    let query = Query::new().filter("intellectual_object_id", object.id).filter("state", State::Active);
    let query = query.sort("identifier").per_page(MOST_FILES).page(1);
    let page = system.registry.list::<GenericFile>(&query).await.context("asking the Registry for the files")?;
    let before = checks(system, object, 1).await?.0;
    let (files, mut copies) = (page.results.len() as u64, 0);
    let mut aged = Vec::new();
    for file in page.results {
        copies += i64::try_from(file.storage_records.len())?;
        aged.push(GenericFile {
            last_fixity_check: Time::from(Time::now().inner() - AGO),
            checksums: Vec::new().into(),
            premis_events: Vec::new().into(),
            storage_records: Vec::new().into(),
            ..file
        });
    }
    let saved = stream::iter(aged).map(async |file| system.registry.save_file(&file).await.map(drop));
    let saved: Result<(), _> = saved.buffer_unordered(AT_ONCE).try_collect().await;
    saved.context("telling the Registry of a check long ago")?;
    let events = loop {
        system.check()?;
        if checks(system, object, 1).await?.0 >= before + copies {
            let (count, events) = checks(system, object, PAGE).await?;
            let new = usize::try_from(count - before)?;
            break events.into_iter().take(new).collect::<Vec<_>>();
        }
        tokio::time::sleep(LOOK).await;
    };
    let is_bad = |event: &&PremisEvent| event.outcome.as_str() != "Success";
    let wrong: Vec<String> = events.iter().filter(is_bad).map(|event| event.outcome_information.clone()).collect();
    let well = events.len() - wrong.len();
    let of = if page.count > i64::from(MOST_FILES) { format!("{files} of ") } else { String::new() };
    let says = format!(
        "{of}{}, as after {} days: {well} of {} copies read and intact",
        counted(u64::try_from(page.count)?),
        AGO.as_secs() / 86400,
        events.len(),
    );
    Ok(Found { says, facts: json!({ "files": files, "copies": events.len(), "intact": well }), wrong })
}

/// How many fixity checks of an object's files there are, and the newest of them.
async fn checks(system: &System, object: &IntellectualObject, newest: u16) -> Result<(i64, Vec<PremisEvent>)> {
    let query = Query::new().filter("intellectual_object_id", object.id).filter("event_type", EventType::FixityCheck);
    let query = query.sort("id__desc").per_page(newest).page(1);
    let page = system.registry.list::<PremisEvent>(&query).await.context("asking the Registry for fixity checks")?;
    Ok((page.count, page.results.into_iter().collect()))
}
