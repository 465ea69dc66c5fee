//! The lists: filters from the address, a page of records, and the rows that other pages show of them as well.

use askama::Template as _;
use axum::http::StatusCode;

use super::view::{Cell, Choice, Field, Frame, ListPage, Pager, ROWS, Table, address};
use super::{Asked, Html, Problem};
use crate::registry::store::{
    DeletionRequestView, GenericFile, InstitutionView, IntellectualObjectView, Listed, PremisEventView, Query, Result,
    Store, WorkItemView,
};
use crate::registry::vocabulary::{ACTIONS, EVENT_TYPES, INGEST_STAGES, STAGES, STATUSES, STORAGE_OPTIONS};

/// Bytes of a filter.
const LONGEST_FILTER: usize = 500;
/// A directory to choose from. Who has more of them filters by address.
const MOST_INSTITUTIONS: i64 = 200;

/// Newest first, and among equals always in the same order, so that no page shows what another did.
pub(super) fn newest(column: &str) -> Query {
    Query::new().descending(column).descending("id")
}

/// The filters of a list: what the address says, as fields of a form and as conditions.
struct Filters<'a> {
    asked: &'a Asked,
    fields: Vec<Field>,
    query: Query,
}

impl<'a> Filters<'a> {
    fn new(asked: &'a Asked, column: &str) -> Self {
        Self { asked, fields: Vec::new(), query: newest(column) }
    }

    fn value(&self, name: &str) -> std::result::Result<String, Problem> {
        let value = self.asked.param(name).trim();
        if value.len() > LONGEST_FILTER {
            return Err(Problem::new(StatusCode::BAD_REQUEST, format!("The filter `{name}` is too long.")));
        }
        Ok(value.to_owned())
    }

    fn push(&mut self, name: &'static str, label: &'static str, value: String, choices: Vec<Choice>) {
        self.fields.push(Field { name, label, value, choices, hidden: false });
    }

    /// The column of this name holds one of these words.
    fn word(mut self, name: &'static str, label: &'static str, words: &[&str]) -> std::result::Result<Self, Problem> {
        let value = self.value(name)?;
        let mut choices: Vec<Choice> = vec![Choice::of("", "any", &value)];
        choices.extend(words.iter().map(|word| Choice::of(word, word, &value)));
        if !choices.iter().any(|choice| choice.selected) {
            choices.push(Choice::of(&value, &value, &value));
        }
        if !value.is_empty() {
            self.query = self.query.filter(name, &value);
        }
        self.push(name, label, value, choices);
        Ok(self)
    }

    fn state(mut self) -> std::result::Result<Self, Problem> {
        let value = self.value("state")?;
        let choices =
            [("", "any"), ("A", "active"), ("D", "deleted")].map(|(state, label)| Choice::of(state, label, &value));
        if !value.is_empty() {
            self.query = self.query.filter("state", &value);
        }
        self.push("state", "State", value, choices.into());
        Ok(self)
    }

    fn institution(mut self, store: &Store) -> std::result::Result<Self, Problem> {
        let value = self.number("institution_id")?;
        let institutions = store.list::<InstitutionView>(&Query::new().page(1, MOST_INSTITUTIONS))?.results;
        let mut choices: Vec<Choice> = vec![Choice::of("", "any", &value)];
        choices.extend(institutions.iter().map(|one| Choice::of(&one.id.to_string(), &one.identifier, &value)));
        if !choices.iter().any(|choice| choice.selected) {
            choices.push(Choice::of(&value, &value, &value));
        }
        self.push("institution_id", "Institution", value, choices);
        Ok(self)
    }

    /// The column contains the text.
    fn part(mut self, column: &str, name: &'static str, label: &'static str) -> std::result::Result<Self, Problem> {
        let value = self.value(name)?;
        if !value.is_empty() {
            let literal = value.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            self.query = self.query.filter(&format!("{column}__contains"), literal);
        }
        self.push(name, label, value, Vec::new());
        Ok(self)
    }

    /// The column holds this id.
    fn id(mut self, name: &'static str, label: &'static str) -> std::result::Result<Self, Problem> {
        let value = self.number(name)?;
        self.push(name, label, value, Vec::new());
        Ok(self)
    }

    fn number(&mut self, name: &str) -> std::result::Result<String, Problem> {
        let value = self.value(name)?;
        if !value.is_empty() {
            let number: i32 = value.parse().map_err(|_| {
                Problem::new(StatusCode::BAD_REQUEST, format!("The filter `{name}` is a number, and this is none."))
            })?;
            self.query = std::mem::take(&mut self.query).filter(name, number.to_string());
        }
        Ok(value)
    }

    fn show<R: Listed>(
        self,
        store: &Store,
        frame: &Frame,
        title: &'static str,
        path: &'static str,
        table: Table,
        row: impl Fn(&R) -> Vec<Cell>,
    ) -> Html {
        let number = self.asked.param("page").parse::<i64>().unwrap_or(1).clamp(1, 1_000_000);
        let page = store.list::<R>(&self.query.page(number, ROWS))?;
        let before = (number - 1) * ROWS;
        let shown = i64::try_from(page.results.len()).unwrap_or(ROWS);
        let link = |number: i64| {
            let number = number.to_string();
            let mut params: Vec<(&str, &str)> =
                self.fields.iter().map(|field| (field.name, field.value.as_str())).collect();
            params.push(("page", &number));
            address(path, &params)
        };
        let pager = Pager {
            first: if shown > 0 { before + 1 } else { 0 },
            last: if shown > 0 { before + shown } else { 0 },
            count: page.count,
            previous: if number > 1 { link(number - 1) } else { String::new() },
            next: if page.count > before + shown && shown > 0 { link(number + 1) } else { String::new() },
        };
        let table = Table { rows: page.results.iter().map(row).collect(), ..table };
        Ok(ListPage { frame, title, path, fields: self.fields, tables: vec![table], pager }.render()?)
    }
}

fn table(columns: &[&'static str], empty: &'static str) -> Table {
    Table { title: "", columns: columns.to_vec(), rows: Vec::new(), empty, more: None }
}

/// A table on a record's page: the first of those that a query finds, and where the others are.
pub(super) fn first<R: Listed>(
    store: &Store,
    query: &Query,
    title: &'static str,
    table: Table,
    rest: String,
    row: impl Fn(&R) -> Vec<Cell>,
) -> Result<Table> {
    let page = store.list::<R>(query)?;
    let rows: Vec<Vec<Cell>> = page.results.iter().map(row).collect();
    let more = (!rest.is_empty() && page.count > i64::try_from(rows.len()).unwrap_or(0)).then_some((rest, page.count));
    Ok(Table { title, rows, more, ..table })
}

pub(super) fn items(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    let others = STAGES.into_iter().filter(|stage| !INGEST_STAGES.contains(stage));
    let stages: Vec<&str> = INGEST_STAGES.into_iter().chain(others).collect();
    Filters::new(asked, "updated_at")
        .part("name", "name", "Name contains")?
        .word("action", "Action", &ACTIONS)?
        .word("stage", "Stage", &stages)?
        .word("status", "Status", &STATUSES)?
        .institution(store)?
        .id("intellectual_object_id", "Object id")?
        .id("generic_file_id", "File id")?
        .show(store, frame, "Work items", "/work_items", item_table(), item_row)
}

pub(super) fn item_table() -> Table {
    let columns = ["Id", "Name", "Action", "Stage", "Status", "Note", "Institution", "Updated"];
    table(&columns, "No work items.")
}

pub(super) fn item_row(item: &WorkItemView) -> Vec<Cell> {
    vec![
        Cell::record("", "work_items", item.id),
        Cell { class: "name", ..Cell::record(&item.name, "work_items", item.id) },
        Cell { class: "word", ..Cell::text(&item.action) },
        Cell { class: "word", ..Cell::text(&item.stage) },
        Cell::status(&item.status),
        Cell { class: "note", ..Cell::text(&item.note) },
        Cell { class: "place", ..Cell::text(&item.institution_identifier) },
        Cell::time(item.updated_at),
    ]
}

pub(super) fn objects(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    Filters::new(asked, "updated_at")
        .part("identifier", "identifier", "Identifier contains")?
        .part("title", "title", "Title contains")?
        .state()?
        .word("storage_option", "Storage option", &STORAGE_OPTIONS)?
        .institution(store)?
        .show(store, frame, "Intellectual objects", "/objects", object_table(), object_row)
}

pub(super) fn object_table() -> Table {
    let columns = ["Id", "Identifier", "Title", "State", "Storage option", "Files", "Size", "Updated"];
    table(&columns, "No objects.")
}

pub(super) fn object_row(object: &IntellectualObjectView) -> Vec<Cell> {
    vec![
        Cell::record("", "objects", object.id),
        Cell { class: "name", ..Cell::record(&object.identifier, "objects", object.id) },
        Cell::text(&object.title),
        Cell::state(&object.state),
        Cell { class: "word", ..Cell::text(&object.storage_option) },
        Cell::number(object.file_count),
        Cell::size(object.size),
        Cell::time(object.updated_at),
    ]
}

pub(super) fn files(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    Filters::new(asked, "updated_at")
        .part("identifier", "identifier", "Identifier contains")?
        .state()?
        .word("storage_option", "Storage option", &STORAGE_OPTIONS)?
        .institution(store)?
        .id("intellectual_object_id", "Object id")?
        .show(store, frame, "Generic files", "/files", file_table(), file_row)
}

pub(super) fn file_table() -> Table {
    let columns = ["Id", "Identifier", "State", "Format", "Storage option", "Size", "Last fixity check", "Updated"];
    table(&columns, "No files.")
}

pub(super) fn file_row(file: &GenericFile) -> Vec<Cell> {
    vec![
        Cell::record("", "files", file.id),
        Cell { class: "name", ..Cell::record(&file.identifier, "files", file.id) },
        Cell::state(&file.state),
        Cell { class: "place", ..Cell::text(&file.file_format) },
        Cell { class: "word", ..Cell::text(&file.storage_option) },
        Cell::size(file.size),
        Cell::time(file.last_fixity_check),
        Cell::time(file.updated_at),
    ]
}

pub(super) fn events(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    Filters::new(asked, "date_time")
        .word("event_type", "Type", &EVENT_TYPES)?
        // The fixity checker writes the third.
        .word("outcome", "Outcome", &["Success", "Failure", "Failed"])?
        .institution(store)?
        .id("intellectual_object_id", "Object id")?
        .id("generic_file_id", "File id")?
        .show(store, frame, "PREMIS events", "/events", event_table(), event_row)
}

pub(super) fn event_table() -> Table {
    table(&["Id", "Type", "Outcome", "About", "Detail", "Institution", "Date and time"], "No events.")
}

pub(super) fn event_row(event: &PremisEventView) -> Vec<Cell> {
    let about = if event.generic_file_id > 0 {
        Cell::record(&event.generic_file_identifier, "files", event.generic_file_id)
    } else {
        Cell::record(&event.intellectual_object_identifier, "objects", event.intellectual_object_id)
    };
    vec![
        Cell::record("", "events", event.id),
        Cell::record(&event.event_type, "events", event.id),
        Cell::status(&event.outcome),
        about,
        Cell { class: "note", ..Cell::text(&event.detail) },
        Cell { class: "place", ..Cell::text(&event.institution_name) },
        Cell::time(event.date_time),
    ]
}

pub(super) fn deletions(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    let mut filters = Filters::new(asked, "requested_at");
    let value = filters.value("state")?;
    let choices = ["", "waiting", "approved", "cancelled"]
        .map(|state| Choice::of(state, if state.is_empty() { "any" } else { state }, &value));
    let conditions: &[&str] = match value.as_str() {
        "waiting" => &["confirmed_at__is_null", "cancelled_at__is_null"],
        "approved" => &["confirmed_at__not_null"],
        "cancelled" => &["cancelled_at__not_null"],
        _ => &[],
    };
    for condition in conditions {
        filters.query = filters.query.filter(condition, "true");
    }
    filters.push("state", "State", value, choices.into());
    let columns = ["Id", "Institution", "State", "Requested by", "Requested", "Files", "Objects"];
    filters.institution(store)?.show(
        store,
        frame,
        "Deletion requests",
        "/deletions",
        table(&columns, "No deletion requests."),
        |request: &DeletionRequestView| {
            vec![
                Cell::record("", "deletions", request.id),
                Cell::record(&request.institution_identifier, "deletions", request.id),
                decision(!request.confirmed_at.is_none(), !request.cancelled_at.is_none()),
                Cell::text(&request.requested_by_email),
                Cell::time(request.requested_at),
                Cell::number(request.file_count),
                Cell::number(request.object_count),
            ]
        },
    )
}

/// How a deletion request stands.
pub(super) fn decision(is_confirmed: bool, is_cancelled: bool) -> Cell {
    Cell::status(match (is_confirmed, is_cancelled) {
        (_, true) => "Cancelled",
        (true, _) => "Approved",
        _ => "Waiting",
    })
}

pub(super) fn institutions(store: &Store, asked: &Asked, frame: &Frame) -> Html {
    let mut filters = Filters::new(asked, "name");
    filters.query = Query::new().ascending("name").ascending("id");
    let columns = ["Name", "Identifier", "State", "Objects", "Work items", "Receiving bucket", "Restoration bucket"];
    filters.part("name", "name", "Name contains")?.show(
        store,
        frame,
        "Institutions",
        "/institutions",
        table(&columns, "No institutions."),
        |institution: &InstitutionView| {
            let id = institution.id.to_string();
            let of = |path| address(path, &[("institution_id", &id)]);
            vec![
                Cell::text(&institution.name),
                Cell { class: "place", ..Cell::text(&institution.identifier) },
                Cell::state(&institution.state),
                Cell::link("objects", of("/objects")),
                Cell { class: "number", ..Cell::link("work items", of("/work_items")) },
                Cell::text(&institution.receiving_bucket),
                Cell::text(&institution.restore_bucket),
            ]
        },
    )
}
