//! The times of the Registry: on the wire as Go writes them, in the database as text whose order is the order of time.
//! Which time is set when is decided where records are saved.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A point in time, or none: Go's zero time, which is SQL's NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(OffsetDateTime);

const ZERO: OffsetDateTime = datetime!(0001-01-01 00:00:00 UTC);

/// Fixed in width, so that comparing texts compares times.
const COLUMN: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
const SECONDS: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second][optional [.[subsecond]]]");
const MINUTES: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day] [hour]:[minute]");

impl Time {
    pub const NONE: Self = Self(ZERO);

    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    pub const fn new(time: OffsetDateTime) -> Self {
        Self(time)
    }

    pub fn is_none(self) -> bool {
        self.0 == ZERO
    }

    pub fn get(self) -> OffsetDateTime {
        self.0
    }

    /// The text of the column, in UTC and rounded to microseconds.
    pub fn to_column(self) -> String {
        let rounded = self.0.checked_add(time::Duration::nanoseconds(500)).unwrap_or(self.0);
        // The year is within 0001 to 9999 for every time that could be parsed.
        rounded.to_offset(UtcOffset::UTC).format(COLUMN).unwrap_or_default()
    }

    pub fn from_column(text: &str) -> Option<Self> {
        PrimitiveDateTime::parse(text, COLUMN).ok().map(|time| Self(time.assume_utc()))
    }

    /// What a filter names. The column has no zone, so the database drops any offset without moving the clock.
    pub fn from_filter(text: &str) -> Option<Self> {
        let text = text.trim().replace(['T', 't'], " ");
        let (date, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let clock = rest.trim_end_matches(['Z', 'z']);
        let clock = clock.find(['+', '-']).map_or(clock, |offset| &clock[..offset]).trim();
        let clock = if clock.is_empty() { "00:00:00" } else { clock };
        let plain = format!("{date} {clock}");
        let time = PrimitiveDateTime::parse(&plain, SECONDS).or_else(|_| PrimitiveDateTime::parse(&plain, MINUTES));
        time.ok().map(|time| Self(time.assume_utc()))
    }

    /// As text for people and for replies: RFC 3339, trailing zeros of the fraction cut, the offset kept.
    pub fn to_text(self) -> String {
        self.0.format(&Rfc3339).unwrap_or_default()
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::NONE
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        // An offset can carry the year out of the range that the column can hold.
        let utc = time.checked_to_utc().filter(|utc| (1..=9999).contains(&utc.year()));
        utc.map(|_| Self(time)).ok_or_else(|| serde::de::Error::custom("year outside of range [0001,9999]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let time: Time = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        serde_json::to_value(time).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_wire_keeps_offset_and_nanoseconds_and_cuts_zeros() {
        for text in ["0001-01-01T00:00:00Z", "2024-02-29T23:59:59.123456789+05:30", "2020-01-01T00:00:00.5Z"] {
            assert_eq!(json(text), text);
        }
        assert_eq!(json("2020-01-01T00:00:00.500000Z"), "2020-01-01T00:00:00.5Z");
        assert!(serde_json::from_str::<Time>("\"0001-01-01T00:00:00+05:00\"").is_err());
    }

    #[test]
    fn a_column_is_utc_and_as_wide_as_any_other() {
        let time: Time = serde_json::from_str("\"2024-01-01T00:30:00.1234565+01:00\"").unwrap();
        assert_eq!(time.to_column(), "2023-12-31 23:30:00.123457");
        assert_eq!(Time::NONE.to_column().len(), time.to_column().len());
        assert_eq!(Time::from_column(&time.to_column()).unwrap().to_text(), "2023-12-31T23:30:00.123457Z");
    }

    #[test]
    fn a_filter_drops_the_offset() {
        for text in [
            "2024-01-01T00:00:00-05:00",
            "2024-01-01 00:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00",
            "2024-01-01T00:00:00.000+02",
        ] {
            assert_eq!(Time::from_filter(text).unwrap().to_column(), "2024-01-01 00:00:00.000000", "{text}");
        }
        for text in ["", "yesterday", "2024-13-01", "2024-01-01T25:00:00Z", "1' OR '1'='1"] {
            assert!(Time::from_filter(text).is_none(), "{text}");
        }
    }
}
