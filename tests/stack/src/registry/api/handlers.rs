//! One answer for each call: the ids of path and body compared, the store asked, the record shown.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::list::Envelope;
use super::route::{Call as Asked, Face, Key, List, Show};
use super::{Answer, Call, Context, Fail, input, reply};
use crate::registry::store::{
    Alert, AlertView, Checksum, ChecksumView, DeletionRequest, DeletionRequestView, Error, GenericFile,
    GenericFileView, InstitutionView, IntellectualObject, IntellectualObjectView, Listed, PremisEvent, PremisEventView,
    Query, Record, StorageRecord, Store, Subject, WorkItem, WorkItemView,
};
use crate::registry::vocabulary::{is_uuid, role};

/// Of `objects/init_batch_delete`, whose names are unlike all others.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BatchDelete {
    #[serde(rename = "institutionid")]
    institution: i64,
    #[serde(rename = "requestorid")]
    requestor: i64,
    #[serde(rename = "objectids")]
    objects: Vec<i64>,
    #[serde(rename = "secretkey")]
    key: String,
}

pub(super) async fn answer(context: Arc<Context>, call: Call, body: Body) -> Answer {
    if matches!(call.route.call, Asked::PrepareFileDelete(_) | Asked::PrepareObjectDelete(_))
        && !context.test_environment
    {
        return Err(Error::Unsupported.into());
    }
    let body = if call.route.call.has_body() {
        // What the path names has to be there before the body is read.
        exists(&context, &call.route.call).await?;
        input::body(body).await.map_err(Fail::Unread)?
    } else {
        Vec::new()
    };
    match call.route.call {
        Asked::RestoreObject(id) => {
            exists(&context, &call.route.call).await?;
            let item = context.actions.request_object_restore(id, call.user).await?;
            Ok(reply(StatusCode::CREATED, &item))
        }
        Asked::Requeue(id) => {
            let form = input::params(&String::from_utf8_lossy(&body));
            let stage = form.into_iter().find(|(name, _)| name == "stage").map(|(_, stage)| stage).unwrap_or_default();
            context.actions.requeue(id, &stage).await?;
            Ok(reply(StatusCode::OK, &message(&format!("Requeued WorkItem {id} to {stage}"))))
        }
        Asked::RedisDelete(id) => {
            exists(&context, &call.route.call).await?;
            context.actions.forget_in_redis(id).await?;
            Ok(reply(StatusCode::OK, &message(&format!("Deleted WorkItem {id} from Redis."))))
        }
        Asked::BatchDelete => batch_delete(&context, &body).await,
        _ => {
            let actions = context.actions.clone();
            let work = move |store: &Store| Ok(blocking(store, &call, &body));
            actions.blocking(work).await?
        }
    }
}

fn message(text: &str) -> serde_json::Value {
    json!({ "Message": text, "StatusCode": 200 })
}

async fn exists(context: &Context, call: &Asked) -> Result<(), Fail> {
    use Asked::{RedisDelete, Requeue, RestoreObject, UpdateFile, UpdateItem, UpdateObject};
    let check: fn(&Store, i64) -> Result<bool, Error> = match call {
        UpdateObject(_) | RestoreObject(_) => |store, id| Ok(store.find::<IntellectualObject>(id)?.is_some()),
        UpdateFile(_) => |store, id| Ok(store.find::<GenericFile>(id)?.is_some()),
        UpdateItem(_) | Requeue(_) | RedisDelete(_) => |store, id| Ok(store.find::<WorkItem>(id)?.is_some()),
        _ => return Ok(()),
    };
    let (UpdateObject(id) | RestoreObject(id) | UpdateFile(id) | UpdateItem(id) | Requeue(id) | RedisDelete(id)) =
        *call
    else {
        return Ok(());
    };
    let there = context.actions.blocking(move |store| check(store, id)).await?;
    if there { Ok(()) } else { Err(Fail::NotFound) }
}

/// Everything that is done when the database has answered.
fn blocking(store: &Store, call: &Call, body: &[u8]) -> Answer {
    match call.route.call {
        Asked::List(list) => lists(store, call, list),
        Asked::Show(show, ref key) => shows(store, call, show, key),
        Asked::ShowAlert(alert, user) => {
            if call.user.role != role::ADMIN && call.user.id != user {
                return Err(Error::Denied.into());
            }
            existing::<Alert>(store, alert)?;
            Ok(reply(StatusCode::OK, &store.alert(alert, user)?.ok_or(Error::NoRows)?))
        }
        Asked::FailedFixityAlerts => {
            let summaries = store.generate_failed_fixity_alerts()?;
            let failures = summaries.iter().map(|summary| summary.failures).sum();
            let status = if failures > 0 { StatusCode::CREATED } else { StatusCode::OK };
            Ok(reply(status, &Envelope::of_all(failures, summaries)))
        }
        Asked::CreateObject(institution) => {
            let object: IntellectualObject = parse(body)?;
            agree(object.id == 0 && object.institution_id == institution)?;
            Ok(reply(StatusCode::CREATED, &store.save_object(object)?))
        }
        Asked::UpdateObject(id) => {
            let (object, stored): (IntellectualObject, IntellectualObject) = (parse(body)?, existing(store, id)?);
            agree(object.id == id && object.institution_id == stored.institution_id)?;
            Ok(reply(StatusCode::OK, &store.save_object(object)?))
        }
        Asked::DeleteObject(id) => {
            existing::<IntellectualObject>(store, id)?;
            Ok(reply(StatusCode::OK, &store.delete_object(id)?))
        }
        Asked::CreateFile(institution) => {
            let file: GenericFile = parse(body)?;
            agree(file.id == 0 && file.institution_id == institution)?;
            Ok(reply(StatusCode::CREATED, &store.save_file(file)?))
        }
        Asked::CreateFiles(institution) => {
            let files = store.save_files(institution, input::records(body).map_err(Fail::BadJson)?)?;
            Ok(reply(StatusCode::CREATED, &Envelope::of_batch(files)))
        }
        Asked::UpdateFile(id) => {
            let (file, stored): (GenericFile, GenericFile) = (parse(body)?, existing(store, id)?);
            agree(file.id == id && file.institution_id == stored.institution_id)?;
            Ok(reply(StatusCode::OK, &store.save_file(file)?))
        }
        Asked::DeleteFile(id) => {
            existing::<GenericFile>(store, id)?;
            Ok(reply(StatusCode::OK, &store.delete_file(id)?))
        }
        Asked::CreateChecksum(institution) => {
            let checksum: Checksum = parse(body)?;
            Ok(reply(StatusCode::CREATED, &store.create_checksum(institution, checksum)?))
        }
        Asked::CreateStorageRecord(institution) => {
            let record: StorageRecord = parse(body)?;
            Ok(reply(StatusCode::CREATED, &store.create_storage_record(institution, record)?))
        }
        Asked::CreateEvent => {
            // Read by the handler itself, not by the framework: hence another status.
            let event: PremisEvent = input::record(body).map_err(Error::Other)?;
            Ok(reply(StatusCode::CREATED, &store.create_event(event)?))
        }
        Asked::CreateItem(institution) => {
            let item: WorkItem = parse(body)?;
            agree(item.id == 0 && item.institution_id == institution)?;
            Ok(reply(StatusCode::CREATED, &store.save_item(item)?))
        }
        Asked::UpdateItem(id) => {
            let (item, stored): (WorkItem, WorkItem) = (parse(body)?, existing(store, id)?);
            agree(item.id == id && item.institution_id == stored.institution_id)?;
            Ok(reply(StatusCode::OK, &store.save_item(item)?))
        }
        Asked::PrepareFileDelete(id) => {
            existing::<GenericFile>(store, id)?;
            Ok(reply(StatusCode::OK, &store.prepare_file_delete(id)?))
        }
        Asked::PrepareObjectDelete(id) => {
            existing::<IntellectualObject>(store, id)?;
            Ok(reply(StatusCode::OK, &store.prepare_object_delete(id)?))
        }
        // Those that wait for others are answered before.
        Asked::RestoreObject(_) | Asked::Requeue(_) | Asked::RedisDelete(_) | Asked::BatchDelete => Err(Fail::NoRoute),
    }
}

fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Fail> {
    input::record(body).map_err(Fail::BadJson)
}

fn agree(do_they: bool) -> Result<(), Fail> {
    if do_they { Ok(()) } else { Err(Error::Mismatch.into()) }
}

fn existing<R: Record>(store: &Store, id: i64) -> Result<R, Fail> {
    store.find(id)?.ok_or(Fail::NotFound)
}

fn lists(store: &Store, call: &Call, list: List) -> Answer {
    match (list, call.route.face) {
        (List::Institutions, _) => page::<InstitutionView>(store, call),
        (List::Objects, _) => page::<IntellectualObjectView>(store, call),
        (List::Files, Face::Admin) => {
            let query = query::<GenericFile>(call)?;
            let page = store.list_files(&query)?;
            Ok(reply(StatusCode::OK, &Envelope::of_page(page, query.paging(), &call.path, &call.params)))
        }
        (List::Files, Face::Member) => page::<GenericFileView>(store, call),
        (List::Checksums, _) => page::<ChecksumView>(store, call),
        (List::StorageRecords, _) => page::<StorageRecord>(store, call),
        (List::Events, _) => page::<PremisEventView>(store, call),
        (List::Items, _) => page::<WorkItemView>(store, call),
        (List::Deletions, _) => page::<DeletionRequestView>(store, call),
        (List::Alerts, _) => page::<AlertView>(store, call),
    }
}

fn page<R: Listed + Serialize>(store: &Store, call: &Call) -> Answer {
    let query = query::<R>(call)?;
    let page = store.list::<R>(&query)?;
    Ok(reply(StatusCode::OK, &Envelope::of_page(page, query.paging(), &call.path, &call.params)))
}

/// The query that a request asks for; a member's goes no further than the member's institution.
fn query<R: Listed>(call: &Call) -> Result<Query, Fail> {
    let query = Query::from_params::<R>(&call.params)?;
    if call.user.role == role::ADMIN {
        return Ok(query);
    }
    let own = call.user.institution_id.to_string();
    let named = call.params.iter().find(|(name, value)| name == "institution_id" && !value.is_empty() && *value != own);
    if let Some((_, other)) = named {
        return Err(denied(call, other));
    }
    let query = query.filter("institution_id", &own);
    Ok(if R::TABLE == AlertView::TABLE { query.filter("user_id", call.user.id.to_string()) } else { query })
}

fn denied(call: &Call, institution: impl std::fmt::Display) -> Fail {
    Fail::Denied(format!("Permission denied for {} (institution {institution}).", call.route.pattern))
}

fn shows(store: &Store, call: &Call, show: Show, key: &Key) -> Answer {
    match show {
        Show::Institution => {
            // Institutions are the one kind whose ids nobody looks up before the handler does.
            if let Key::Id(id) = *key
                && store.find::<InstitutionView>(id)?.is_none()
            {
                return Err(Error::NoRows.into());
            }
            one::<InstitutionView>(store, call, key, |institution| institution.id)
        }
        Show::Object => one::<IntellectualObjectView>(store, call, key, |object| object.institution_id),
        Show::File => {
            let file: GenericFile = found(store, key)?;
            own(call, file.institution_id)?;
            Ok(reply(StatusCode::OK, &store.fill_file(file)?))
        }
        Show::Checksum => one::<ChecksumView>(store, call, key, |checksum| checksum.institution_id),
        Show::StorageRecord => one::<StorageRecord>(store, call, key, |_| 0),
        Show::Event => one::<PremisEventView>(store, call, key, |event| event.institution_id),
        Show::Item => one::<WorkItemView>(store, call, key, |item| item.institution_id),
        Show::Deletion if call.route.face == Face::Member => {
            one::<DeletionRequestView>(store, call, key, |request| request.institution_id)
        }
        Show::Deletion => {
            let Key::Id(id) = *key else { return Err(Fail::NotFound) };
            Ok(reply(StatusCode::OK, &store.deletion_request(id)?.ok_or(Fail::NotFound)?))
        }
    }
}

fn one<R: Record + Serialize>(store: &Store, call: &Call, key: &Key, institution: fn(&R) -> i64) -> Answer {
    let record: R = found(store, key)?;
    own(call, institution(&record))?;
    Ok(reply(StatusCode::OK, &record))
}

fn found<R: Record>(store: &Store, key: &Key) -> Result<R, Fail> {
    let record = match key {
        Key::Id(id) => store.find(*id)?,
        Key::Identifier(identifier) => store.find_by_identifier(identifier)?,
    };
    record.ok_or(Fail::NotFound)
}

fn own(call: &Call, institution: i64) -> Result<(), Fail> {
    let may = call.user.role == role::ADMIN || call.user.institution_id == institution;
    if may { Ok(()) } else { Err(denied(call, institution)) }
}

async fn batch_delete(context: &Context, body: &[u8]) -> Answer {
    let asked: BatchDelete = input::record(body).map_err(Error::Other)?;
    if !is_uuid(&context.batch_deletion_key) {
        return Err(Error::other("Configuration setting for BatchDeletionKey is missing or invalid").into());
    }
    if asked.key != context.batch_deletion_key {
        return Err(Error::Token.into());
    }
    let requester = context.actions.blocking(move |store| store.find(asked.requestor)?.ok_or(Error::NoRows)).await?;
    let subject = Subject::Objects { institution: asked.institution, ids: asked.objects };
    let request: DeletionRequest = context.actions.request_deletion(subject, requester, context.url.clone()).await?;
    // Under a singular name, and always empty: no item exists before somebody agrees.
    let mut shown = serde_json::to_value(&request).map_err(|error| Error::other(error.to_string()))?;
    shown["work_item"] = serde_json::Value::Null;
    Ok(reply(StatusCode::CREATED, &shown))
}
