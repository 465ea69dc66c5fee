//! What a depositor asks back: a file, the whole bag, and the bag out of Glacier. What comes is compared with what was deposited.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use model::{Action, GenericFile, IntellectualObject, Provider, State, Status, WorkItem, note};
use registry::Query;
use serde_json::json;
use stack::settings::restore_bucket;
use storage::Download;

use super::{failure, over};
use crate::outcome::Found;
use crate::system::{INSTITUTION, System};
use crate::tars::{Compared, Deposited};
use crate::words::{counted, size};

/// As long as Glacier's slowest archive takes for what is asked of it.
const THAW: Duration = Duration::from_hours(13);
/// Files among which one of the payload is looked for.
const PAGE: u16 = 100;

/// One file, the first of the payload.
pub(super) async fn file(system: &System, object: &IntellectualObject, deposited: &Deposited) -> Result<Found> {
    let query = Query::new().filter("intellectual_object_id", object.id).filter("state", State::Active);
    let query = query.sort("identifier").per_page(PAGE).page(1);
    let page = system.registry.list::<GenericFile>(&query).await.context("asking the Registry for the files")?;
    let is_payload = |file: &&GenericFile| file.path_in_bag().is_some_and(|path| path.starts_with("data/"));
    let Some(file) = page.results.iter().find(is_payload).or(page.results.first()) else {
        bail!("the Registry has no file of {}", object.identifier);
    };
    let path = file.path_in_bag().unwrap_or_default();
    let asked = system.stack.registry.actions().request_file_restore(file.id, system.depositor()?).await;
    let item = over(system, asked.context("asking the Registry for a file")?.id, |_| ()).await?;
    let mut found = Found { facts: json!({ "file": path, "work_item": item.id }), ..Found::default() };
    if let Some(wrong) = failure(&item, note::FILE_RESTORED) {
        found.wrong.push(wrong);
        return Ok(found);
    }
    match deposited.compare_file(path, restored(system, &file.identifier).await?).await? {
        Ok(bytes) => found.says = format!("{path}, {}: as deposited, byte by byte", size(bytes)),
        Err(wrong) => found.wrong.push(wrong),
    }
    Ok(found)
}

/// Asks for the whole bag.
pub(super) async fn ask(system: &System, object: &IntellectualObject) -> Result<WorkItem> {
    let asked = system.stack.registry.actions().request_object_restore(object.id, system.depositor()?).await;
    Ok(system.registry.work_item(asked.context("asking the Registry for a bag")?.id).await?)
}

/// Waits for the bag and compares it.
pub(super) async fn bag(
    system: &System,
    item: WorkItem,
    object: &IntellectualObject,
    deposited: &Deposited,
) -> Result<Found> {
    let item = over(system, item.id, |_| ()).await?;
    let mut found = Found { facts: json!({ "work_item": item.id }), ..Found::default() };
    if let Some(wrong) = failure(&item, note::BAG_RESTORED) {
        found.wrong.push(wrong);
        return Ok(found);
    }
    let key = format!("{}.tar", object.identifier);
    let compared = deposited.compare_bag(restored(system, &key).await?).await?;
    let Compared { same, bytes, rewritten, wrong } = compared;
    found.facts = json!({
        "work_item": item.id, "key": key, "same_files": same, "same_bytes": bytes, "rewritten": rewritten,
    });
    if wrong.is_empty() {
        let anew = if rewritten.is_empty() {
            String::new()
        } else {
            format!("; {} tells anew of whom and when", rewritten.join(", "))
        };
        found.says = format!("a valid bag; {}, {}: as deposited, byte by byte{anew}", counted(same), size(bytes));
    }
    found.wrong = wrong;
    Ok(found)
}

/// Waits until Glacier has been asked, lets the time pass that it takes, and waits for the item that follows.
pub(super) async fn thaw(system: &System, item: WorkItem, follower: &mut Option<WorkItem>) -> Result<Found> {
    let mut is_asked = false;
    let ended = over(system, item.id, |item| {
        if item.note == note::GLACIER_PENDING && !is_asked {
            is_asked = true;
            system.stack.s3.clock().advance(THAW);
        }
    });
    let ended = ended.await?;
    let mut found =
        Found { facts: json!({ "work_item": ended.id, "hours": THAW.as_secs() / 3600 }), ..Found::default() };
    if ended.status != Status::Success {
        let WorkItem { id, status, note, .. } = &ended;
        found.wrong.push(format!("WorkItem {id} (Glacier Restore) is {status}: {note}"));
        return Ok(found);
    }
    if !is_asked {
        found.wrong.push("what is in Glacier was readable before anybody asked for it".to_owned());
    }
    let query = Query::new()
        .filter("intellectual_object_id", ended.intellectual_object_id)
        .filter("action", Action::RestoreObject)
        .sort("id__desc")
        .per_page(1);
    let page = system.registry.list::<WorkItem>(&query).await.context("looking for the item that follows Glacier's")?;
    *follower = page.results.into_iter().find(|item| item.id > ended.id);
    if follower.is_none() {
        found.wrong.push(format!("no item follows WorkItem {}", ended.id));
    }
    found.says = format!("Glacier was asked and had {} hours, by a clock put forward", THAW.as_secs() / 3600);
    Ok(found)
}

async fn restored(system: &System, key: &str) -> Result<Download> {
    let bucket = system.storage.bucket(&Provider::Aws, &restore_bucket(INSTITUTION))?;
    bucket.get(key).await.with_context(|| format!("fetching what was restored, {key}"))
}
