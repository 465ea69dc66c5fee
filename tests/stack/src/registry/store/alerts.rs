//! Alerts: what the Registry tells people of an institution. Nothing is mailed; the text is kept for them to read.

use rusqlite::{Connection, params};

use super::record::{by_id, find, insert, select};
use super::records::{Alert, Institution, User, WorkItem};
use super::views::AlertView;
use super::{Result, Store, number};
use crate::registry::time::Time;
use crate::registry::vocabulary::role;

impl Store {
    /// An alert as one of its recipients sees it.
    pub fn alert(&self, id: i64, user: i64) -> Result<Option<AlertView>> {
        find(&self.read(), "WHERE id = ? AND user_id = ?", &[number(id), number(user)])
    }
}

/// The active administrators of an institution.
pub(super) fn administrators(db: &Connection, institution: i64) -> Result<Vec<User>> {
    let rest = format!(
        "WHERE institution_id = ? AND role = '{}' AND deactivated_at IS NULL ORDER BY id",
        role::INSTITUTIONAL_ADMIN
    );
    select(db, &rest, &[number(institution)])
}

/// Stores an alert for its recipients and gives its id.
pub(super) fn tell(db: &Connection, mut alert: Alert, recipients: &[User]) -> Result<i64> {
    alert.created_at = Time::now();
    let id = insert(db, &alert)?;
    for user in recipients {
        db.prepare_cached("INSERT INTO alerts_users (alert_id, user_id, sent_at) VALUES (?, ?, ?)")?
            .execute(params![id, user.id, alert.created_at.to_column()])?;
    }
    Ok(id)
}

/// Tells the institution that something was restored, each time a work item that says so is saved.
pub(super) fn restored(db: &Connection, item: &WorkItem) -> Result<()> {
    if !matches!(&*item.action, "Restore Object" | "Restore File") || item.status != "Success" {
        return Ok(());
    }
    let Some(url) = item.note.split(" restored to ").nth(1) else { return Ok(()) };
    // A failure to tell is no failure to save: the real server logs it.
    if by_id::<Institution>(db, item.institution_id)?.is_none() {
        return Ok(());
    }
    let spot_test: i64 = db
        .prepare_cached("SELECT count(*) FROM institutions WHERE last_spot_restore_work_item_id = ?")?
        .query_row([item.id], |row| row.get(0))?;
    let subject = if spot_test > 0 { "Restoration Spot Test Completed" } else { "Restoration Completed" };
    let rest = "WHERE institution_id = ? AND deactivated_at IS NULL ORDER BY id";
    let recipients: Vec<User> = select(db, rest, &[number(item.institution_id)])?;
    let alert = Alert {
        institution_id: item.institution_id,
        r#type: "Restoration Completed".to_owned(),
        subject: subject.to_owned(),
        content: format!("What you asked to have restored is at {}", url.strip_suffix('.').unwrap_or(url)),
        ..Alert::default()
    };
    let id = tell(db, alert, &recipients)?;
    db.prepare_cached("INSERT INTO alerts_work_items (alert_id, work_item_id) VALUES (?, ?)")?
        .execute(params![id, item.id])?;
    Ok(())
}
