//! One record with all that belongs to it, and what can be done with it. A button that the user may not press says why;
//! whether the change is made is decided again when it is asked for.

use askama::Template as _;

use super::changes::may_restore;
use super::lists::{self, first, newest};
use super::view::{Action, Cell, Choice, DetailPage, Field, Frame, ROWS, Table, address, grouped, size};
use super::{Html, Problem};
use crate::registry::store::{
    AlertView, ChecksumView, DeletionRequest, GenericFile, GenericFileView, Institution, IntellectualObject,
    IntellectualObjectView, PremisEventView, Query, Record, Result, StorageRecord, Store, User, WorkItem, WorkItemView,
};
use crate::registry::vocabulary::{ACTIVE, COMPLETED, INGEST_STAGES, role};

type Facts = Vec<(&'static str, Cell)>;

/// Those that say something.
fn known(facts: Facts) -> Facts {
    facts.into_iter().filter(|(_, cell)| !cell.text.is_empty()).collect()
}

fn found<R: Record>(store: &Store, id: i64) -> std::result::Result<R, Problem> {
    store.find(id)?.ok_or_else(Problem::not_found)
}

pub(super) fn item(store: &Store, id: i64, user: Option<&User>, frame: &Frame) -> Html {
    let item: WorkItemView = found(store, id)?;
    let facts = vec![
        ("Note", Cell::long(&item.note)),
        ("Outcome", Cell::long(&item.outcome)),
        ("Action", Cell::text(&item.action)),
        ("Stage", Cell::text(&item.stage)),
        ("Institution", institution(&item.institution_name, item.institution_id)),
        ("Object", Cell::record(&item.object_identifier, "objects", item.intellectual_object_id)),
        ("File", Cell::record(&item.generic_file_identifier, "files", item.generic_file_id)),
        ("Deletion request", Cell::record("", "deletions", item.deletion_request_id)),
        ("Size", bytes(item.size)),
        ("Bucket", Cell::text(&item.bucket)),
        ("ETag", Cell::code(&item.etag)),
        ("Storage option", Cell::text(&item.storage_option)),
        ("Node", Cell::text(&item.node)),
        ("Pid", Cell::text(&if item.pid == 0 { String::new() } else { item.pid.to_string() })),
        ("Retry", Cell::yes(item.retry)),
        ("Needs review", Cell::yes(item.needs_admin_review)),
        ("User", Cell::text(&item.user)),
        ("Institution's approver", Cell::text(&item.inst_approver)),
        ("APTrust's approver", Cell::text(&item.aptrust_approver)),
        ("Bag date", Cell::time(item.bag_date)),
        ("Queued", Cell::time(item.queued_at)),
        ("Stage started", Cell::time(item.stage_started_at)),
        ("Processed", Cell::time(item.date_processed)),
        ("Created", Cell::time(item.created_at)),
        ("Updated", Cell::time(item.updated_at)),
    ];
    let refusal = match user {
        Some(user) if user.role == role::ADMIN => String::new(),
        _ => "Only a system administrator may do this.".to_owned(),
    };
    let stages: &[&str] = if item.action == "Ingest" { &INGEST_STAGES } else { &["Requested"] };
    let stage = Field {
        name: "stage",
        label: "Stage",
        value: String::new(),
        choices: stages.iter().map(|stage| Choice::of(stage, stage, &item.stage)).collect(),
        hidden: false,
    };
    let mut actions = vec![Action {
        path: format!("/work_items/{id}/requeue"),
        button: "Requeue",
        class: "",
        fields: vec![stage],
        refusal: refusal.clone(),
    }];
    if !COMPLETED.contains(&&*item.status) {
        let path = format!("/work_items/{id}/cancel");
        actions.push(Action { path, button: "Cancel the work item", class: "danger", fields: Vec::new(), refusal });
    }
    let page = DetailPage {
        frame,
        kind: format!("Work item {id}"),
        list: ("/work_items", "Work items"),
        title: Cell::text(&item.name).text,
        state: Cell::status(&item.status),
        facts: known(facts),
        actions,
        tables: Vec::new(),
    };
    Ok(page.render()?)
}

pub(super) fn object(store: &Store, id: i64, user: Option<&User>, frame: &Frame) -> Html {
    let object: IntellectualObjectView = found(store, id)?;
    let facts = vec![
        ("Identifier", Cell::code(&object.identifier)),
        ("Description", Cell::long(&object.description)),
        ("Institution", institution(&object.institution_name, object.institution_id)),
        ("Storage option", Cell::text(&object.storage_option)),
        ("Active files", Cell::text(&grouped(object.file_count))),
        ("Size", bytes(object.size)),
        ("Payload files", Cell::text(&grouped(object.payload_file_count))),
        ("Payload size", bytes(object.payload_size)),
        ("Access", Cell::text(&object.access)),
        ("Bag name", Cell::text(&object.bag_name)),
        ("Bag group", Cell::text(&object.bag_group_identifier)),
        ("Alternate identifier", Cell::text(&object.alt_identifier)),
        ("BagIt profile", Cell::code(&object.bagit_profile_identifier)),
        ("Source organization", Cell::text(&object.source_organization)),
        ("Internal sender identifier", Cell::text(&object.internal_sender_identifier)),
        ("Internal sender description", Cell::long(&object.internal_sender_description)),
        ("ETag", Cell::code(&object.etag)),
        ("Created", Cell::time(object.created_at)),
        ("Updated", Cell::time(object.updated_at)),
    ];
    let number = id.to_string();
    let of = |path| address(path, &[("intellectual_object_id", &number)]);
    let about = |column| newest(column).filter("intellectual_object_id", &number).page(1, ROWS);
    let by_name = Query::new().ascending("identifier").filter("intellectual_object_id", &number).page(1, ROWS);
    let tables = vec![
        first::<GenericFile>(store, &by_name, "Files", lists::file_table(), of("/files"), lists::file_row)?,
        first::<WorkItemView>(
            store,
            &about("updated_at"),
            "Work items",
            lists::item_table(),
            of("/work_items"),
            lists::item_row,
        )?,
        first::<PremisEventView>(
            store,
            &about("date_time"),
            "PREMIS events",
            lists::event_table(),
            of("/events"),
            lists::event_row,
        )?,
    ];
    let page = DetailPage {
        frame,
        kind: format!("Intellectual object {id}"),
        list: ("/objects", "Objects"),
        title: Cell::text(if object.title.is_empty() { &object.identifier } else { &object.title }).text,
        state: Cell::state(&object.state),
        facts: known(facts),
        actions: holdings_actions(store, "objects", id, object.institution_id, &object.state, user)?,
        tables,
    };
    Ok(page.render()?)
}

pub(super) fn file(store: &Store, id: i64, user: Option<&User>, frame: &Frame) -> Html {
    let file: GenericFileView = found(store, id)?;
    let facts = vec![
        ("Object", Cell::record(&file.object_identifier, "objects", file.intellectual_object_id)),
        ("Institution", institution(&file.institution_name, file.institution_id)),
        ("Format", Cell::text(&file.file_format)),
        ("Size", bytes(file.size)),
        ("Storage option", Cell::text(&file.storage_option)),
        ("UUID", Cell::code(&file.uuid)),
        ("Last fixity check", Cell::time(file.last_fixity_check)),
        ("Modified", Cell::time(file.mod_time)),
        ("Created", Cell::time(file.created_at)),
        ("Updated", Cell::time(file.updated_at)),
    ];
    let number = id.to_string();
    let of = |path| address(path, &[("generic_file_id", &number)]);
    let about = |column| newest(column).filter("generic_file_id", &number).page(1, ROWS);
    let table = |columns: &[&'static str], empty| Table {
        title: "",
        columns: columns.to_vec(),
        rows: Vec::new(),
        empty,
        more: None,
    };
    let copies = Query::new().filter("generic_file_id", &number).ascending("id").page(1, ROWS);
    let tables = vec![
        first::<ChecksumView>(
            store,
            &about("datetime"),
            "Checksums, newest first",
            table(&["Algorithm", "Digest", "Calculated"], "No checksums."),
            String::new(),
            |checksum| {
                vec![Cell::text(&checksum.algorithm), Cell::code(&checksum.digest), Cell::time(checksum.datetime)]
            },
        )?,
        first::<StorageRecord>(
            store,
            &copies,
            "Copies in storage",
            table(&["Id", "URL"], "No copies are recorded."),
            String::new(),
            |copy| vec![Cell::text(&copy.id.to_string()), Cell::code(&copy.url)],
        )?,
        first::<WorkItemView>(
            store,
            &about("updated_at"),
            "Work items",
            lists::item_table(),
            of("/work_items"),
            lists::item_row,
        )?,
        first::<PremisEventView>(
            store,
            &about("date_time"),
            "PREMIS events",
            lists::event_table(),
            of("/events"),
            lists::event_row,
        )?,
    ];
    let page = DetailPage {
        frame,
        kind: format!("Generic file {id}"),
        list: ("/files", "Files"),
        title: Cell::text(&file.identifier).text,
        state: Cell::state(&file.state),
        facts: known(facts),
        actions: holdings_actions(store, "files", id, file.institution_id, &file.state, user)?,
        tables,
    };
    Ok(page.render()?)
}

pub(super) fn event(store: &Store, id: i64, frame: &Frame) -> Html {
    let event: PremisEventView = found(store, id)?;
    let facts = vec![
        ("Date and time", Cell::time(event.date_time)),
        ("Object", Cell::record(&event.intellectual_object_identifier, "objects", event.intellectual_object_id)),
        ("File", Cell::record(&event.generic_file_identifier, "files", event.generic_file_id)),
        ("Institution", institution(&event.institution_name, event.institution_id)),
        ("Detail", Cell::long(&event.detail)),
        ("Outcome detail", Cell::long(&event.outcome_detail)),
        ("Outcome information", Cell::long(&event.outcome_information)),
        ("Done with", Cell::long(&event.object)),
        ("Agent", Cell::long(&event.agent)),
        ("Identifier", Cell::code(&event.identifier)),
        ("Former identifier", Cell::code(&event.old_uuid)),
        ("Created", Cell::time(event.created_at)),
    ];
    let page = DetailPage {
        frame,
        kind: format!("PREMIS event {id}"),
        list: ("/events", "Events"),
        title: Cell::text(if event.event_type.is_empty() { &event.identifier } else { &event.event_type }).text,
        state: Cell::status(&event.outcome),
        facts: known(facts),
        actions: Vec::new(),
        tables: Vec::new(),
    };
    Ok(page.render()?)
}

pub(super) fn deletion(store: &Store, id: i64, token: &str, user: Option<&User>, frame: &Frame) -> Html {
    let request = store.deletion_request(id)?.ok_or_else(Problem::not_found)?;
    let of: Option<Institution> = store.find(request.institution_id)?;
    let name = of.as_ref().map(|institution| institution.name.as_str()).unwrap_or_default();
    let person = |person: &Option<crate::registry::store::Person>| {
        Cell::text(&person.as_ref().map(|person| format!("{} ({})", person.name, person.email)).unwrap_or_default())
    };
    let facts = vec![
        ("Institution", institution(name, request.institution_id)),
        ("Requested by", person(&request.requested_by)),
        ("Requested", Cell::time(request.requested_at)),
        ("Approved by", person(&request.confirmed_by)),
        ("Approved", Cell::time(request.confirmed_at)),
        ("Cancelled by", person(&request.cancelled_by)),
        ("Cancelled", Cell::time(request.cancelled_at)),
    ];
    let (confirmed, cancelled) = (!request.confirmed_at.is_none(), !request.cancelled_at.is_none());
    let mut tables = Vec::new();
    let most = usize::try_from(ROWS).unwrap_or_default();
    let files = request.generic_files.as_deref().unwrap_or_default();
    if !files.is_empty() {
        let rows = files.iter().take(most).map(lists::file_row).collect();
        tables.push(Table { title: "Files to delete", rows, ..lists::file_table() });
    }
    let objects = request.intellectual_objects.as_deref().unwrap_or_default();
    if !objects.is_empty() {
        let shown: Result<Vec<Option<IntellectualObjectView>>> =
            objects.iter().take(most).map(|object: &IntellectualObject| store.find(object.id)).collect();
        let rows = shown?.iter().flatten().map(lists::object_row).collect();
        tables.push(Table { title: "Objects to delete", rows, ..lists::object_table() });
    }
    let items: Vec<WorkItem> = store.deletion_items(id)?;
    let shown: Result<Vec<Option<WorkItemView>>> = items.iter().take(most).map(|item| store.find(item.id)).collect();
    let rows = shown?.iter().flatten().map(lists::item_row).collect();
    tables.push(Table { title: "Work items", rows, empty: "They are made by the approval.", ..lists::item_table() });
    let open = !confirmed && !cancelled;
    let page = DetailPage {
        frame,
        kind: format!("Deletion request {id}"),
        list: ("/deletions", "Deletions"),
        title: if name.is_empty() { "Deletion".to_owned() } else { Cell::text(&format!("Deletion for {name}")).text },
        state: lists::decision(confirmed, cancelled),
        facts: known(facts),
        actions: if open { decisions(store, &request, token, user)? } else { Vec::new() },
        tables,
    };
    Ok(page.render()?)
}

/// Approve and cancel.
///
/// There is no mail here that would bring the token to the administrators. So the page takes it from where the mail's
/// text is kept: the alert that went to the user who looks. To anyone else it shows a field to type it in.
fn decisions(store: &Store, request: &DeletionRequest, token: &str, user: Option<&User>) -> Result<Vec<Action>> {
    let Some(user) = user else { return Ok(Vec::new()) };
    let refusal = if user.role != role::INSTITUTIONAL_ADMIN || user.institution_id != request.institution_id {
        "Only an administrator of the institution may decide this: act as one.".to_owned()
    } else {
        String::new()
    };
    let sent = if token.is_empty() { sent_token(store, request.id, user.id)? } else { token.to_owned() };
    let action = |verb: &str, button, class| Action {
        path: format!("/deletions/{}/{verb}", request.id),
        button,
        class,
        fields: vec![Field {
            name: "token",
            label: "Token from the alert",
            value: sent.clone(),
            choices: Vec::new(),
            hidden: !sent.is_empty(),
        }],
        refusal: refusal.clone(),
    };
    Ok(vec![action("approve", "Approve the deletion", "danger"), action("cancel", "Cancel the request", "")])
}

/// The token in the alert that asked this user to review the request; empty if there is none.
fn sent_token(store: &Store, request: i64, user: i64) -> Result<String> {
    let query = Query::new()
        .filter("deletion_request_id", request.to_string())
        .filter("user_id", user.to_string())
        .filter("type", "Deletion Requested")
        .page(1, 1);
    let alert = store.list::<AlertView>(&query)?.results.into_iter().next();
    let token = alert.as_ref().and_then(|alert| alert.content.rsplit_once("token=")).map(|(_, token)| token);
    Ok(token.unwrap_or_default().to_owned())
}

/// Restore and delete: what can be asked for of an object or a file.
fn holdings_actions(
    store: &Store,
    section: &'static str,
    id: i64,
    institution: i64,
    state: &str,
    user: Option<&User>,
) -> Result<Vec<Action>> {
    let Some(user) = user else { return Ok(Vec::new()) };
    if state != ACTIVE {
        return Ok(Vec::new());
    }
    let of: Option<Institution> = store.find(institution)?;
    let name = of.map(|institution| institution.identifier).unwrap_or_default();
    let may_delete = user.role == role::INSTITUTIONAL_ADMIN && user.institution_id == institution;
    let refusal = |may: bool, who: &str| if may { String::new() } else { format!("Only {who} of {name} may do this.") };
    Ok(vec![
        Action {
            path: format!("/{section}/{id}/restore"),
            button: "Restore",
            class: "",
            fields: Vec::new(),
            refusal: refusal(may_restore(user, institution), "a user"),
        },
        Action {
            path: format!("/{section}/{id}/request_deletion"),
            button: "Request deletion",
            class: "danger",
            fields: Vec::new(),
            refusal: refusal(may_delete, "an administrator"),
        },
    ])
}

/// With the list of what the institution has.
fn institution(name: &str, id: i64) -> Cell {
    let text = if name.is_empty() { id.to_string() } else { name.to_owned() };
    if id == 0 {
        Cell::default()
    } else {
        Cell::link(&text, address("/objects", &[("institution_id", &id.to_string())]))
    }
}

/// In units, and to the byte.
fn bytes(bytes: i64) -> Cell {
    Cell::text(&if bytes < 1000 { size(bytes) } else { format!("{} ({} bytes)", size(bytes), grouped(bytes)) })
}
