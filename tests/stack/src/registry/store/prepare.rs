//! Making a file or an object ready to be deleted at once: what upstream's tests ask for instead of a year and two
//! people (spec 05 §10). Served only where the options say that this is a test environment.

use rusqlite::{Connection, params};

use super::record::{by_id, insert, select};
use super::records::{DeletionRequest, GenericFile, IntellectualObject, PremisEvent, WorkItem};
use super::saving::stamp;
use super::{Error, Result, Store, alerts, number, requests};
use crate::registry::time::Time;

/// test.edu, whatever the record's own institution is.
const INSTITUTION: i64 = 4;

impl Store {
    pub fn prepare_file_delete(&self, id: i64) -> Result<WorkItem> {
        self.change(|db| {
            let file: GenericFile = by_id(db, id)?.ok_or(Error::NoRows)?;
            let object: IntellectualObject = by_id(db, file.intellectual_object_id)?.ok_or(Error::NoRows)?;
            age(db, "generic_files", file.id)?;
            prepare(db, &object, Some(&file))
        })
    }

    pub fn prepare_object_delete(&self, id: i64) -> Result<WorkItem> {
        self.change(|db| {
            let object: IntellectualObject = by_id(db, id)?.ok_or(Error::NoRows)?;
            age(db, "intellectual_objects", object.id)?;
            for file in select::<GenericFile>(db, "WHERE intellectual_object_id = ?", &[number(id)])? {
                age(db, "generic_files", file.id)?;
            }
            prepare(db, &object, None)
        })
    }
}

/// Sets a record's creation back by a year.
fn age(db: &Connection, table: &str, id: i64) -> Result<()> {
    let now = Time::now();
    let then = Time::new(now.get() - time::Duration::days(365));
    db.prepare_cached(&format!("UPDATE {table} SET created_at = ?, updated_at = ? WHERE id = ?"))?.execute(params![
        then.to_column(),
        now.to_column(),
        id
    ])?;
    Ok(())
}

fn prepare(db: &Connection, object: &IntellectualObject, file: Option<&GenericFile>) -> Result<WorkItem> {
    let now = Time::now();
    let institution = file.map_or(object.institution_id, |file| file.institution_id);
    let administrator = alerts::administrators(db, institution)?.into_iter().next().ok_or(Error::NoRows)?;
    let word = || format!("prepared-{:08x}", fastrand::u32(..));
    let mut event = PremisEvent {
        agent: word(),
        date_time: now,
        detail: word(),
        event_type: "ingestion".to_owned(),
        generic_file_id: file.map_or(0, |file| file.id),
        identifier: uuid::Uuid::new_v4().to_string(),
        institution_id: institution,
        intellectual_object_id: object.id,
        object: word(),
        outcome: word(),
        outcome_detail: word(),
        outcome_information: word(),
        ..PremisEvent::default()
    };
    stamp(&mut event.created_at, &mut event.updated_at);
    insert(db, &event)?;
    let request = DeletionRequest {
        institution_id: institution,
        requested_by_id: administrator.id,
        requested_at: now,
        // Nobody is ever asked for it: the request is confirmed.
        encrypted_confirmation_token: "none".to_owned(),
        confirmed_by_id: administrator.id,
        confirmed_at: now,
        ..DeletionRequest::default()
    };
    let request = insert(db, &request)?;
    match file {
        Some(file) => requests::link_file(db, request, file.id)?,
        None => requests::link_object(db, request, object.id)?,
    }
    let mut item = WorkItem {
        name: object.bag_name.clone(),
        etag: format!("{:032x}", fastrand::u128(..)),
        institution_id: INSTITUTION,
        intellectual_object_id: object.id,
        generic_file_id: file.map_or(0, |file| file.id),
        bucket: "blah.receiving.blah".to_owned(),
        user: administrator.email.clone(),
        note: "This item was created by the factory".to_owned(),
        action: "Delete".to_owned(),
        stage: "Requested".to_owned(),
        status: "Started".to_owned(),
        outcome: "Outcome? WTF?".to_owned(),
        bag_date: Time::new(now.get() - time::Duration::days(120)),
        date_processed: now,
        retry: true,
        queued_at: now,
        size: fastrand::i64(1..5_000_000_000),
        inst_approver: administrator.email,
        deletion_request_id: request,
        ..WorkItem::default()
    };
    // Without validation, as fixtures are made: some objects have no bag name that an item could take.
    stamp(&mut item.created_at, &mut item.updated_at);
    item.id = insert(db, &item)?;
    Ok(item)
}
