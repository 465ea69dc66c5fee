//! Alerts about fixity checks that failed since the last time somebody asked (spec 05 §9).

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, Time as Clock};

use super::record::select;
use super::records::{Alert, User};
use super::{Result, Store, alerts, number};
use crate::registry::time::Time;

const LAST_RUN: &str = "fixity alerts last run";

/// How many checks failed at an institution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FixitySummary {
    pub failures: i64,
    pub institution_id: i64,
    pub institution_name: String,
    pub error: String,
}

impl Store {
    /// Tells each institution's administrators, and those of aptrust.org, about the checks that failed since the last
    /// run.
    pub fn generate_failed_fixity_alerts(&self) -> Result<Vec<FixitySummary>> {
        self.change(|db| {
            let now = Time::now();
            let since = last_run(db)?;
            let (from, to) = (since.to_column(), now.to_column());
            let summaries: Vec<FixitySummary> = db
                .prepare_cached(
                    "SELECT count(id), coalesce(institution_id, 0), coalesce(institution_name, '') \
                     FROM premis_events_view WHERE event_type = 'fixity check' AND outcome = 'Failed' \
                     AND date_time > ? AND date_time < ? GROUP BY institution_id, institution_name \
                     ORDER BY institution_name",
                )?
                .query_map(params![from, to], |row| {
                    let (failures, institution_id, institution_name) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(FixitySummary { failures, institution_id, institution_name, error: String::new() })
                })?
                .collect::<rusqlite::Result<_>>()?;
            for summary in summaries.iter().filter(|summary| !summary.institution_name.is_empty()) {
                let recipients = alerts::administrators(db, summary.institution_id)?;
                tell(db, summary.institution_id, Some(summary.institution_id), &recipients, &from)?;
            }
            if !summaries.is_empty() {
                let rest = "WHERE institution_id = (SELECT id FROM institutions WHERE identifier = 'aptrust.org') \
                            AND email <> 'system@aptrust.org' AND deactivated_at IS NULL ORDER BY id";
                let recipients: Vec<User> = select(db, rest, &[])?;
                if let Some(institution) = recipients.first().map(|user| user.institution_id) {
                    tell(db, institution, None, &recipients, &from)?;
                }
            }
            let ran = now.get().replace_nanosecond(0).map_or(now, Time::new).to_text();
            db.execute("INSERT OR REPLACE INTO internal_metadata (key, value) VALUES (?, ?)", params![LAST_RUN, ran])?;
            Ok(summaries)
        })
    }
}

/// When this ran last, or the start of yesterday.
fn last_run(db: &Connection) -> Result<Time> {
    let stored: Option<String> =
        db.query_row("SELECT value FROM internal_metadata WHERE key = ?", [LAST_RUN], |row| row.get(0)).optional()?;
    let stored = stored.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    let yesterday = OffsetDateTime::now_utc() - time::Duration::DAY;
    Ok(Time::new(stored.unwrap_or_else(|| yesterday.replace_time(Clock::MIDNIGHT))))
}

/// One alert, linked to the events that it is about: those of one institution, or all.
fn tell(db: &Connection, to: i64, about: Option<i64>, recipients: &[User], since: &str) -> Result<()> {
    let alert = Alert {
        institution_id: to,
        r#type: "Failed Fixity Check".to_owned(),
        subject: "Failed Fixity Check".to_owned(),
        content: format!("Files did not match their checksums in checks since {} UTC.", &since[..19]),
        ..Alert::default()
    };
    let id = alerts::tell(db, alert, recipients)?;
    db.prepare_cached(
        "INSERT INTO alerts_premis_events (alert_id, premis_event_id) SELECT ?, id FROM premis_events \
         WHERE event_type = 'fixity check' AND outcome = 'Failed' AND date_time > ? \
         AND (?3 IS NULL OR institution_id = ?3)",
    )?
    .execute(params![id, since, about.map(number)])?;
    Ok(())
}
