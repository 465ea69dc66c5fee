//! Marking files and objects as deleted when the delete worker says that their copies are gone (spec 05 §8). Who may
//! ask for that, and who has to agree, is in `requests`.

use rusqlite::{Connection, params};

use super::record::{by_id, find, insert, update};
use super::records::{GenericFile, Institution, IntellectualObject, PremisEvent, User, WorkItem};
use super::saving::{latest_object_event, mark_deleted, stamp};
use super::validation::Validate as _;
use super::{DeletionRequest, Error, Result, Store, files, number};
use crate::registry::time::Time;
use crate::registry::vocabulary::DELETED;

impl Store {
    /// Marks a file as deleted, records the event and drops its storage records, if all that must come before did.
    pub fn delete_file(&self, id: i64) -> Result<GenericFile> {
        let retention = self.retention();
        self.change(|db| {
            let mut file: GenericFile = by_id(db, id)?.ok_or(Error::NoRows)?;
            if file.state == DELETED {
                return Err(Error::other("File is already in deleted state"));
            }
            if !has_passed(file.created_at, retention.days(&file.storage_option)) {
                return Err(Error::other("File has not passed minimum retention period"));
            }
            // An item for any other file of the object does as well: the real server asks for one or the other.
            let started = find(
                db,
                "WHERE action = 'Delete' AND status = 'Started' \
                 AND (generic_file_id = ? OR intellectual_object_id = ?) ORDER BY updated_at DESC LIMIT 1",
                &[number(file.id), number(file.intellectual_object_id)],
            )?;
            let (requester, approver) = approval(db, started)?;
            mark_deleted(&mut file.state, &mut file.updated_at);
            file.validate()?;
            let mut event = event(&requester);
            "All copies of this file have been deleted from preservation storage".clone_into(&mut event.detail);
            event.outcome_information = format!(
                "File deleted at the request of {requester}. Institutional approver: {approver}. \
                 This event confirms all preservation copies have been deleted."
            );
            event.institution_id = file.institution_id;
            event.intellectual_object_id = file.intellectual_object_id;
            event.generic_file_id = file.id;
            // The reply shows the nested records as they were before.
            files::fill(db, std::slice::from_mut(&mut file), files::Nested::Newest)?;
            save(db, event)?;
            update(db, &file)?;
            db.execute("DELETE FROM storage_records WHERE generic_file_id = ?", params![file.id])?;
            Ok(file)
        })
    }

    /// Marks an object as deleted and records the event, if all that must come before did.
    pub fn delete_object(&self, id: i64) -> Result<IntellectualObject> {
        let retention = self.retention();
        self.change(|db| {
            let mut object: IntellectualObject = by_id(db, id)?.ok_or(Error::NoRows)?;
            let rest = "WHERE intellectual_object_id = ? AND state = 'A' LIMIT 1";
            if find::<GenericFile>(db, rest, &[number(id)])?.is_some() {
                return Err(Error::other("cannot delete object with active files"));
            }
            if object.state == DELETED {
                return Err(Error::other("Object is already in deleted state"));
            }
            if latest_object_event(db, id, "ingestion")?.is_none() {
                return Err(Error::other("Error checking for last ingest event: pg: no rows in result set"));
            }
            if !has_passed(object.created_at, retention.days(&object.storage_option)) {
                return Err(Error::other("Object has not passed minimum retention period"));
            }
            let started = find(
                db,
                "WHERE action = 'Delete' AND status = 'Started' AND intellectual_object_id = ? \
                 AND generic_file_id IS NULL ORDER BY updated_at DESC LIMIT 1",
                &[number(id)],
            )?;
            let (requester, approver) = approval(db, started)?;
            mark_deleted(&mut object.state, &mut object.updated_at);
            object.validate()?;
            let mut event = event(&requester);
            "Object deleted from preservation storage".clone_into(&mut event.detail);
            event.outcome_information =
                format!("Object deleted at the request of {requester}. Institutional approver: {approver}.");
            event.institution_id = object.institution_id;
            event.intellectual_object_id = object.id;
            save(db, event)?;
            update(db, &object)?;
            object.institution = by_id::<Institution>(db, object.institution_id)?;
            Ok(object)
        })
    }
}

fn has_passed(created_at: Time, days: i64) -> bool {
    created_at.get() + time::Duration::days(days) < Time::now().get()
}

/// The addresses of who asked for the deletion and who agreed.
fn approval(db: &Connection, started: Option<WorkItem>) -> Result<(String, String)> {
    let item = started.ok_or_else(|| Error::other("Missing deletion request work item"))?;
    if item.inst_approver.is_empty() {
        return Err(Error::other("Deletion work item is missing institutional approver"));
    }
    let request: Option<DeletionRequest> = by_id(db, item.deletion_request_id)?;
    let request = request.ok_or_else(|| Error::other(format!("No deletion request for work item {}", item.id)))?;
    let email = |id, who| {
        let user: Option<User> = if id == 0 { None } else { by_id(db, id)? };
        user.map(|user| user.email).ok_or_else(|| Error::other(format!("Deletion request {} has no {who}", request.id)))
    };
    Ok((email(request.requested_by_id, "requestor")?, email(request.confirmed_by_id, "approver")?))
}

fn event(requester: &str) -> PremisEvent {
    PremisEvent {
        agent: "APTrust preservation services".to_owned(),
        date_time: Time::now(),
        event_type: "deletion".to_owned(),
        identifier: uuid::Uuid::new_v4().to_string(),
        object: "Minio S3 library".to_owned(),
        outcome: "Success".to_owned(),
        outcome_detail: requester.to_owned(),
        ..PremisEvent::default()
    }
}

fn save(db: &Connection, mut event: PremisEvent) -> Result<()> {
    stamp(&mut event.created_at, &mut event.updated_at);
    event.validate()?;
    insert(db, &event)?;
    Ok(())
}
