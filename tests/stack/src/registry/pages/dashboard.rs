//! The first page: how much there is, where the work items are, and what happened last.

use std::collections::BTreeMap;

use askama::Template as _;

use super::view::{Card, Cell, DashboardPage, Frame, Table, address, grouped};
use super::{Html, lists};
use crate::registry::store::{
    DeletionRequestView, GenericFile, IntellectualObjectView, PremisEventView, Query, Result, Store, WorkItemView,
};
use crate::registry::vocabulary::{ACTIONS, INGEST_STAGES, STATUSES};

const RECENT: i64 = 10;

/// Statuses in the order in which an item goes through them.
const IN_ORDER: [&str; 6] = ["Pending", "Started", "Success", "Failed", "Suspended", "Cancelled"];

pub(super) fn dashboard(store: &Store, frame: &Frame) -> Html {
    let counts = store.item_counts_by_action()?;
    let recent_items = store.list::<WorkItemView>(&lists::newest("updated_at").page(1, RECENT))?;
    let recent_events = store.list::<PremisEventView>(&lists::newest("date_time").page(1, RECENT))?;
    let mut items = Table { more: Some(("/work_items".to_owned(), recent_items.count)), ..lists::item_table() };
    items.title = "Work items that changed last";
    items.rows = recent_items.results.iter().map(lists::item_row).collect();
    let mut events = Table { more: Some(("/events".to_owned(), recent_events.count)), ..lists::event_table() };
    events.title = "Latest PREMIS events";
    events.rows = recent_events.results.iter().map(lists::event_row).collect();
    let tables = vec![by_action(&counts), by_stage(&counts), items, events];
    let page = DashboardPage { frame, cards: cards(store, &counts)?, tables };
    Ok(page.render()?)
}

type Counts = [(String, String, String, i64)];

fn cards(store: &Store, counts: &Counts) -> Result<Vec<Card>> {
    let one = || Query::new().page(1, 1);
    let with = |status: &str| counts.iter().filter(|(.., of, _)| of == status).map(|(.., count)| count).sum::<i64>();
    let objects = store.list::<IntellectualObjectView>(&one().filter("state", "A"))?.count;
    let files = store.list::<GenericFile>(&one().filter("state", "A"))?.count;
    let undecided = one().filter("confirmed_at__is_null", "true").filter("cancelled_at__is_null", "true");
    let undecided = store.list::<DeletionRequestView>(&undecided)?.count;
    let card = |label, number: i64, href: String, class| Card {
        label,
        number: grouped(number),
        href,
        class: if number == 0 { "" } else { class },
    };
    let items = |status| address("/work_items", &[("status", status)]);
    Ok(vec![
        card("Active objects", objects, address("/objects", &[("state", "A")]), ""),
        card("Active files", files, address("/files", &[("state", "A")]), ""),
        card("Work items pending", with("Pending"), items("Pending"), "waiting"),
        card("Work items started", with("Started"), items("Started"), "busy"),
        card("Work items failed", with("Failed"), items("Failed"), "bad"),
        card("Deletions to approve", undecided, address("/deletions", &[("state", "waiting")]), "waiting"),
    ])
}

fn by_action(counts: &Counts) -> Table {
    let mut rows = Vec::new();
    for action in ACTIONS {
        let of_action: Vec<_> = counts.iter().filter(|(of, ..)| of == action).collect();
        if !of_action.is_empty() {
            let first = Cell::link(action, address("/work_items", &[("action", action)]));
            rows.push(numbers(
                first,
                ("action", action),
                of_action.iter().map(|(_, _, status, count)| (status, *count)),
            ));
        }
    }
    table("Work items by action", "Action", rows)
}

fn by_stage(counts: &Counts) -> Table {
    let mut stages: BTreeMap<(usize, &str), Vec<(&String, i64)>> = BTreeMap::new();
    for (_, stage, status, count) in counts {
        let place = INGEST_STAGES.iter().position(|known| known == stage).unwrap_or(INGEST_STAGES.len());
        stages.entry((place, stage)).or_default().push((status, *count));
    }
    let rows = stages.into_iter().map(|((_, stage), of_stage)| {
        numbers(Cell::link(stage, address("/work_items", &[("stage", stage)])), ("stage", stage), of_stage.into_iter())
    });
    table("Work items by stage", "Stage", rows.collect())
}

fn table(title: &'static str, first: &'static str, rows: Vec<Vec<Cell>>) -> Table {
    let columns = std::iter::once(first).chain(IN_ORDER).collect();
    Table { title, columns, rows, empty: "There are no work items yet.", more: None }
}

/// A row with a number for each status.
fn numbers<'a>(first: Cell, of: (&str, &str), counts: impl Iterator<Item = (&'a String, i64)>) -> Vec<Cell> {
    let mut sums: BTreeMap<&str, i64> = STATUSES.into_iter().map(|status| (status, 0)).collect();
    for (status, count) in counts {
        *sums.entry(status).or_default() += count;
    }
    let number = |status: &str| match sums.get(status) {
        None | Some(0) => Cell { class: "number", ..Cell::default() },
        Some(count) => Cell {
            href: address("/work_items", &[of, ("status", status)]),
            tag: Cell::status(status).tag,
            ..Cell::number(*count)
        },
    };
    std::iter::once(first).chain(IN_ORDER.into_iter().map(number)).collect()
}
