//! Asking for a restoration or a deletion, and agreeing to the latter (spec 05 §7.4–7.7): the records of it. The work
//! items that come of it are published by `actions`.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::record::{by_id, find, insert, select, update};
use super::records::{Alert, DeletionRequest, GenericFile, Institution, IntellectualObject, Person, User, WorkItem};
use super::saving::save_item;
use super::views::IntellectualObjectView;
use super::{Error, Result, Store, alerts, number, text};
use crate::registry::time::Time;
use crate::registry::vocabulary::{ACTIVE, GLACIER_ONLY, role};

/// Statuses of an item on which nobody works any more.
const COMPLETED: &str = "('Cancelled', 'Failed', 'Success')";
const TOKEN_COST: u32 = 10;

/// What somebody asks to have deleted.
#[derive(Debug, Clone)]
pub enum Subject {
    File(i64),
    Object(i64),
    Objects { institution: i64, ids: Vec<i64> },
}

impl Store {
    /// A deletion request with the people, files and objects that it names.
    pub fn deletion_request(&self, id: i64) -> Result<Option<DeletionRequest>> {
        let db = self.read();
        by_id(&db, id)?.map(|request| fill(&db, request)).transpose()
    }

    /// The work items that came of a deletion request.
    pub fn deletion_items(&self, request: i64) -> Result<Vec<WorkItem>> {
        select(&self.read(), "WHERE deletion_request_id = ? ORDER BY id", &[number(request)])
    }

    /// Creates the item that asks for an object's restoration. It waits at `Requested` and is not yet published.
    pub fn create_object_restoration(&self, object: i64, requester: &User) -> Result<WorkItem> {
        self.change(|db| {
            let object: IntellectualObject = by_id(db, object)?.ok_or(Error::NoRows)?;
            // Workers' items are named with `.tar` and their objects without, so that this finds only fixtures.
            let pending = format!("institution_id = ? AND name = ? AND status NOT IN {COMPLETED}");
            none_pending(db, &pending, &[number(object.institution_id), text(&object.bag_name)])?;
            restoration(db, &object, None, requester)
        })
    }

    /// Creates the item that asks for a file's restoration. It waits at `Requested` and is not yet published.
    pub fn create_file_restoration(&self, file: i64, requester: &User) -> Result<WorkItem> {
        self.change(|db| {
            let file: GenericFile = by_id(db, file)?.ok_or(Error::NoRows)?;
            let object: IntellectualObject = by_id(db, file.intellectual_object_id)?.ok_or(Error::NoRows)?;
            none_pending(db, &format!("generic_file_id = ? AND status NOT IN {COMPLETED}"), &[number(file.id)])?;
            restoration(db, &object, Some(&file), requester)
        })
    }

    /// Stores a request for deletion and tells the institution's administrators where to review it: in the alert, and
    /// nowhere else, stands the token. `url` is where the Registry's pages are.
    pub fn request_deletion(&self, subject: &Subject, requester: &User, url: &str) -> Result<DeletionRequest> {
        let (token, hash) = new_token()?;
        self.change(|db| {
            let (institution, files, objects) = match subject {
                Subject::File(id) => {
                    let file: GenericFile = by_id(db, *id)?.ok_or(Error::NoRows)?;
                    none_pending(db, &format!("generic_file_id = ? AND status NOT IN {COMPLETED}"), &[number(*id)])?;
                    (file.institution_id, vec![*id], Vec::new())
                }
                Subject::Object(id) => {
                    let object: IntellectualObject = by_id(db, *id)?.ok_or(Error::NoRows)?;
                    // The real server gives the object's id where the institution's is asked for.
                    let pending = format!("institution_id = ? AND name = ? AND status NOT IN {COMPLETED}");
                    none_pending(db, &pending, &[number(*id), text(&object.bag_name)])?;
                    (object.institution_id, Vec::new(), vec![*id])
                }
                Subject::Objects { institution, ids } => {
                    if requester.institution_id != *institution || requester.role != role::INSTITUTIONAL_ADMIN {
                        return Err(Error::Requestor);
                    }
                    check_batch(db, *institution, ids)?;
                    (*institution, Vec::new(), ids.clone())
                }
            };
            if requester.role != role::INSTITUTIONAL_ADMIN {
                return Err(Error::Denied);
            }
            check_requester(requester, institution)?;
            let mut request = DeletionRequest {
                institution_id: institution,
                requested_by_id: requester.id,
                requested_at: Time::now(),
                encrypted_confirmation_token: hash,
                ..DeletionRequest::default()
            };
            request.id = insert(db, &request)?;
            for file in files {
                link_file(db, request.id, file)?;
            }
            for object in objects {
                link_object(db, request.id, object)?;
            }
            let content = format!(
                "{} wants to delete something. Review the request at {url}/deletions/review/{}?token={token}",
                requester.name, request.id
            );
            tell(db, &request, "Deletion Requested", content)?;
            fill(db, request)
        })
    }

    /// Agrees to a deletion: the request is confirmed and there is one item for each file and object, not yet
    /// published. Unlike on the real server the request stays open when an item cannot be made.
    pub fn approve_deletion(&self, id: i64, approver: &User, token: &str) -> Result<(DeletionRequest, Vec<WorkItem>)> {
        self.check_token(id, token)?;
        self.change(|db| {
            let mut request = open(db, id)?;
            let requester: User = by_id(db, request.requested_by_id)?.ok_or(Error::NoRows)?;
            check_requester(&requester, request.institution_id)?;
            check_decider(approver, &request, "ConfirmedByID")?;
            if approver.id == requester.id && alerts::administrators(db, request.institution_id)?.len() > 1 {
                return Err(invalid(
                    "ConfirmedByID",
                    "Admin cannot confirm deletion they requested. This must be approved by a second admin.",
                ));
            }
            request.confirmed_by_id = approver.id;
            request.confirmed_at = Time::now();
            update(db, &request)?;
            let request = fill(db, request)?;
            let mut items = Vec::new();
            for file in request.generic_files.iter().flatten() {
                let object: IntellectualObject = by_id(db, file.intellectual_object_id)?.ok_or(Error::NoRows)?;
                let mut item = template(db, &object)?;
                item.generic_file_id = file.id;
                item.size = file.size;
                items.push(deletion(db, item, &request, &requester, approver)?);
            }
            for object in request.intellectual_objects.iter().flatten() {
                let item = template(db, object)?;
                items.push(deletion(db, item, &request, &requester, approver)?);
            }
            tell(db, &request, "Deletion Confirmed", format!("{} has agreed to the deletion.", approver.name))?;
            Ok((request, items))
        })
    }

    /// Turns a request for deletion down.
    pub fn cancel_deletion(&self, id: i64, canceller: &User, token: &str) -> Result<DeletionRequest> {
        self.check_token(id, token)?;
        self.change(|db| {
            let mut request = open(db, id)?;
            check_decider(canceller, &request, "CancelledByID")?;
            request.cancelled_by_id = canceller.id;
            request.cancelled_at = Time::now();
            update(db, &request)?;
            tell(db, &request, "Deletion Cancelled", format!("{} has turned the deletion down.", canceller.name))?;
            fill(db, request)
        })
    }

    /// Compared before the database is held: it takes a while.
    fn check_token(&self, id: i64, token: &str) -> Result<()> {
        let request: DeletionRequest = self.find(id)?.ok_or(Error::NoRows)?;
        match bcrypt::verify(token, &request.encrypted_confirmation_token) {
            Ok(true) => Ok(()),
            _ => Err(Error::Token),
        }
    }
}

pub(super) fn link_file(db: &Connection, request: i64, file: i64) -> Result<()> {
    db.prepare_cached("INSERT INTO deletion_requests_generic_files VALUES (?, ?)")?.execute(params![request, file])?;
    Ok(())
}

pub(super) fn link_object(db: &Connection, request: i64, object: i64) -> Result<()> {
    db.prepare_cached("INSERT INTO deletion_requests_intellectual_objects VALUES (?, ?)")?
        .execute(params![request, object])?;
    Ok(())
}

/// The token that only the alert shows, and its hash.
fn new_token() -> Result<(String, String)> {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let hash = bcrypt::hash(&token, TOKEN_COST).map_err(|error| Error::other(error.to_string()))?;
    Ok((token, hash))
}

fn invalid(field: &str, text: &str) -> Error {
    Error::Invalid(vec![format!("{field}: {text}")])
}

fn check_requester(requester: &User, institution: i64) -> Result<()> {
    if !requester.deactivated_at.is_none() {
        return Err(invalid("RequestedByID", "User has been deactivated."));
    }
    if requester.institution_id != institution {
        return Err(invalid("RequestedByID", "Deletion request user belongs to wrong institution."));
    }
    Ok(())
}

fn check_decider(user: &User, request: &DeletionRequest, field: &str) -> Result<()> {
    if user.institution_id != request.institution_id {
        return Err(invalid(field, "Deletion request user belongs to wrong institution."));
    }
    if user.role != role::INSTITUTIONAL_ADMIN {
        return Err(invalid(field, "Deletion confirmer/canceller must be institutional admin."));
    }
    Ok(())
}

/// As many active objects of the institution as were named, so that a name given twice fails, and none at work.
fn check_batch(db: &Connection, institution: i64, ids: &[i64]) -> Result<()> {
    let list = serde_json::to_string(ids).map_err(|error| Error::other(error.to_string()))?;
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM intellectual_objects WHERE institution_id = ? AND state = ? \
             AND id IN (SELECT value FROM json_each(?))",
        )?
        .query_row(params![institution, ACTIVE, list], |row| row.get(0))?;
    if ids.is_empty() || usize::try_from(count) != Ok(ids.len()) {
        return Err(Error::ObjectIds);
    }
    let pending = format!("intellectual_object_id IN (SELECT value FROM json_each(?)) AND status NOT IN {COMPLETED}");
    none_pending(db, &pending, &[text(&list)])
}

fn none_pending(db: &Connection, condition: &str, values: &[Value]) -> Result<()> {
    match find::<WorkItem>(db, &format!("WHERE {condition} LIMIT 1"), values)? {
        Some(_) => Err(Error::Pending),
        None => Ok(()),
    }
}

/// A request that nobody has decided yet.
fn open(db: &Connection, id: i64) -> Result<DeletionRequest> {
    let request: DeletionRequest = by_id(db, id)?.ok_or(Error::NoRows)?;
    if !request.cancelled_at.is_none() {
        return Err(Error::Conflict("this deletion request has already been cancelled"));
    }
    if !request.confirmed_at.is_none() {
        return Err(Error::Conflict("this deletion request has already been approved"));
    }
    Ok(request)
}

fn fill(db: &Connection, mut request: DeletionRequest) -> Result<DeletionRequest> {
    let person = |id| -> Result<Option<Person>> { Ok(by_id::<User>(db, id)?.map(Person::from)) };
    request.requested_by = person(request.requested_by_id)?;
    request.confirmed_by = person(request.confirmed_by_id)?;
    request.cancelled_by = person(request.cancelled_by_id)?;
    let linked = |what: &str| {
        format!(
            "WHERE id IN (SELECT {what}_id FROM deletion_requests_{what}s WHERE deletion_request_id = ?) ORDER BY id"
        )
    };
    let id = [number(request.id)];
    let files: Vec<GenericFile> = select(db, &linked("generic_file"), &id)?;
    let objects: Vec<IntellectualObject> = select(db, &linked("intellectual_object"), &id)?;
    request.generic_files = Some(files).filter(|files| !files.is_empty());
    request.intellectual_objects = Some(objects).filter(|objects| !objects.is_empty());
    Ok(request)
}

fn tell(db: &Connection, request: &DeletionRequest, kind: &str, content: String) -> Result<()> {
    let recipients = alerts::administrators(db, request.institution_id)?;
    let alert = Alert {
        institution_id: request.institution_id,
        r#type: kind.to_owned(),
        subject: kind.to_owned(),
        content,
        deletion_request_id: request.id,
        ..Alert::default()
    };
    alerts::tell(db, alert, &recipients)?;
    Ok(())
}

/// An item made from the last one that ingested the object, or from the object where there is none.
fn template(db: &Connection, object: &IntellectualObject) -> Result<WorkItem> {
    let last: Option<WorkItem> = find(
        db,
        "WHERE intellectual_object_id = ? AND status = 'Success' AND stage IN ('Record', 'Cleanup') \
         ORDER BY date_processed DESC LIMIT 1",
        &[number(object.id)],
    )?;
    let view: IntellectualObjectView = by_id(db, object.id)?.ok_or(Error::NoRows)?;
    let base = if let Some(item) = last {
        item
    } else {
        let institution: Institution = by_id(db, object.institution_id)?.ok_or(Error::NoRows)?;
        WorkItem {
            bucket: institution.receiving_bucket,
            name: format!("{}.tar", object.bag_name),
            etag: object.etag.clone(),
            bag_date: object.created_at,
            institution_id: object.institution_id,
            intellectual_object_id: object.id,
            ..WorkItem::default()
        }
    };
    let now = Time::now();
    Ok(WorkItem {
        id: 0,
        created_at: now,
        updated_at: now,
        date_processed: now,
        needs_admin_review: false,
        node: String::new(),
        note: "Not started".to_owned(),
        outcome: "Not started".to_owned(),
        pid: 0,
        queued_at: Time::NONE,
        stage_started_at: Time::NONE,
        retry: true,
        stage: "Requested".to_owned(),
        status: "Pending".to_owned(),
        size: view.size,
        ..base
    })
}

fn restoration(
    db: &Connection,
    object: &IntellectualObject,
    file: Option<&GenericFile>,
    requester: &User,
) -> Result<WorkItem> {
    let mut item = template(db, object)?;
    let action = match file {
        _ if GLACIER_ONLY.contains(&&*object.storage_option) => "Glacier Restore",
        Some(_) => "Restore File",
        None => "Restore Object",
    };
    action.clone_into(&mut item.action);
    if let Some(file) = file {
        item.generic_file_id = file.id;
    }
    item.user.clone_from(&requester.email);
    save_item(db, &mut item)?;
    Ok(item)
}

fn deletion(
    db: &Connection,
    mut item: WorkItem,
    request: &DeletionRequest,
    requester: &User,
    approver: &User,
) -> Result<WorkItem> {
    "Delete".clone_into(&mut item.action);
    item.user.clone_from(&requester.email);
    item.inst_approver.clone_from(&approver.email);
    item.deletion_request_id = request.id;
    save_item(db, &mut item)?;
    Ok(item)
}
