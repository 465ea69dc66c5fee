//! A bag deleted as its depositor wants it: one administrator asks, another agrees, and the proof that no copy is left.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::{EventType, GenericFile, IntellectualObject, PremisEvent, Provider, State, note};
use registry::Query;
use serde_json::json;
use stack::registry::store::{self, AlertView, Subject, User};

use super::{failure, over};
use crate::AT_ONCE;
use crate::outcome::Found;
use crate::stored::place;
use crate::system::System;

const PAGE: u16 = 1000;

pub(super) async fn delete(system: &System, object: &IntellectualObject) -> Result<Found> {
    let copies = copies(system, object).await?;
    let [requester, approver] = system.administrators()?;
    let actions = system.stack.registry.actions();
    let (url, subject) = (system.registry_url(), Subject::Object(object.id));
    let request = actions.request_deletion(subject, requester.clone(), url).await.context("asking for a deletion")?;
    let mut found = Found::default();
    let own = actions.approve_deletion(request.id, requester.clone(), token(system, request.id, &requester)?).await;
    if own.is_ok() {
        found.wrong.push(format!("{} asked for the deletion, and could agree to it alone", requester.email));
    }
    let agreed = actions.approve_deletion(request.id, approver.clone(), token(system, request.id, &approver)?).await;
    let (_, items) = agreed.context("agreeing to a deletion")?;
    ensure!(items.len() == 1, "deletion request {} made {} items, not one", request.id, items.len());
    let item = over(system, items[0].id, |_| ()).await?;
    found.wrong.extend(failure(&item, note::OBJECT_DELETED));

    let looks = stream::iter(&copies).map(async |(bucket, key)| -> Result<_> {
        let there = system.storage.bucket(&Provider::Aws, bucket)?.find(key).await?;
        Ok(there.map(|_| format!("{bucket} still has {key}")))
    });
    let left: Vec<String> = looks.buffered(AT_ONCE).try_filter_map(async |left| Ok(left)).try_collect().await?;
    let gone = copies.len() - left.len();
    found.wrong.extend(left);
    let after = system.registry.object(object.id).await.context("asking the Registry for the object")?;
    if after.state != State::Deleted {
        found.wrong.push(format!("the Registry has {} as {} still", object.identifier, after.state));
    }
    let query = Query::new().filter("intellectual_object_id", object.id).filter("event_type", EventType::Deletion);
    let events = system.registry.list::<PremisEvent>(&query.per_page(1)).await.context("asking for events")?.count;
    found.facts = json!({
        "work_item": item.id,
        "deletion_request": request.id,
        "requested_by": requester.email,
        "approved_by": approver.email,
        "copies": copies.len(),
        "gone": gone,
        "events": events,
    });
    found.says = format!(
        "{} asked for it, {} agreed; {gone} of {} copies are gone, and {events} events tell of it",
        requester.email,
        approver.email,
        copies.len()
    );
    Ok(found)
}

/// Buckets and keys, of all files.
async fn copies(system: &System, object: &IntellectualObject) -> Result<Vec<(String, String)>> {
    let query = Query::new().filter("intellectual_object_id", object.id).sort("identifier").per_page(PAGE).page(1);
    let files: Vec<GenericFile> = system.registry.all(query).try_collect().await.context("asking for the files")?;
    let records = files.iter().flat_map(|file| &*file.storage_records);
    records.map(|record| place(&record.url).map(|(bucket, key)| (bucket.to_owned(), key.to_owned()))).collect()
}

/// What an administrator reads in the message about a request.
fn token(system: &System, request: i64, user: &User) -> Result<String> {
    let query = store::Query::new()
        .filter("deletion_request_id", request.to_string())
        .filter("user_id", user.id.to_string())
        .filter("type", "Deletion Requested");
    let alerts = system.stack.registry.store().list::<AlertView>(&query)?.results;
    let token = alerts.first().and_then(|alert| alert.content.rsplit_once("token=")).map(|(_, token)| token.to_owned());
    token.with_context(|| format!("{} was not told of deletion request {request}", user.email))
}
