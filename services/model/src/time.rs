//! Points in time as Go writes them: RFC 3339 with up to nine digits of a second and any offset.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::{Serialize, Serializer};
use time::macros::datetime;
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// A point in time with the offset it was written in. Compared as a point in time; the offset does not count.
///
/// Nothing is ever absent in these documents: the first second of the year 1 means "not set".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(OffsetDateTime);

impl Time {
    /// "Not set": `0001-01-01T00:00:00Z`.
    pub const UNSET: Self = Self(datetime!(0001-01-01 00:00 UTC));

    /// The clock's reading, in UTC.
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// Whether it is anything but [`Time::UNSET`].
    pub fn is_set(self) -> bool {
        self != Self::UNSET
    }

    /// For calculations.
    pub fn inner(self) -> OffsetDateTime {
        self.0
    }

    /// Without the fraction of a second, in UTC: what the Registry is asked with.
    #[must_use]
    pub fn to_whole_second(self) -> Self {
        let utc = self.0.to_offset(UtcOffset::UTC);
        Self(utc.replace_nanosecond(0).unwrap_or(utc))
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::UNSET
    }
}

impl From<OffsetDateTime> for Time {
    fn from(time: OffsetDateTime) -> Self {
        Self(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        write!(out, "{:04}-{:02}-{:02}", t.year(), u8::from(t.month()), t.day())?;
        write!(out, "T{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second())?;
        if t.nanosecond() != 0 {
            let digits = format!("{:09}", t.nanosecond());
            write!(out, ".{}", digits.trim_end_matches('0'))?;
        }
        let minutes = i32::from(t.offset().whole_minutes());
        if minutes == 0 {
            return out.write_str("Z");
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(out, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The text is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-01-31T12:00:00Z")]
pub struct ParseTimeError(String);

impl FromStr for Time {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A wrong text may be a whole document.
        parse(text).ok_or_else(|| ParseTimeError(text.chars().take(40).collect()))
    }
}

/// What Go's `time.Time.UnmarshalJSON` takes, no more: fixed widths, `T`, and `Z` or `±hh:mm`.
fn parse(text: &str) -> Option<Time> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (date.get(..4)?, date.get(5..7)?, date.get(8..)?);
    let clock = rest.get(..9)?;
    let marks = (date.get(4..5)?, date.get(7..8)?, clock.get(..1)?, clock.get(3..4)?, clock.get(6..7)?);
    if marks != ("-", "-", "T", ":", ":") {
        return None;
    }
    let rest = rest.get(9..)?;
    let (nanosecond, rest) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;

            let (digits, rest) = rest.split_at(end);
            (number(&format!("{:0<9}", digits.get(..9).unwrap_or(digits)), 9)?, rest)
        }
    };
    let month = Month::try_from(u8::try_from(number(month, 2)?).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(number(year, 4)?).ok()?, month, small(day)?).ok()?;
    let clock = (small(clock.get(1..3)?)?, small(clock.get(4..6)?)?, small(clock.get(7..)?)?);
    let time = time::Time::from_hms_nano(clock.0, clock.1, clock.2, nanosecond).ok()?;
    let time = OffsetDateTime::new_in_offset(date, time, offset(rest)?);
    // A year that UTC cannot express would panic in the first comparison.
    time.checked_to_offset(UtcOffset::UTC).map(|_| Time(time))
}

fn offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (small(hours)?, small(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
    match text.get(..1)? {
        "+" => UtcOffset::from_whole_seconds(seconds).ok(),
        "-" => UtcOffset::from_whole_seconds(-seconds).ok(),
        _ => None,
    }
}

fn small(digits: &str) -> Option<u8> {
    u8::try_from(number(digits, 2)?).ok()
}

/// Exactly so many digits; `parse` alone would take a sign.
fn number(digits: &str, width: usize) -> Option<u32> {
    let plain = digits.len() == width && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a time such as 2026-01-31T12:00:00Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_wrote_is_written_again_as_it_was() {
        for text in [
            "0001-01-01T00:00:00Z",
            "1904-06-16T15:04:05Z",
            "2026-03-04T05:06:07.1Z",
            "2026-03-04T05:06:07.000000001Z",
            "2026-03-04T05:06:07.123456789-05:00",
            "2026-03-04T05:06:07.12345+05:45",
            "2024-02-29T23:59:59+14:00",
            "9999-12-31T23:59:59.999999999Z",
            "0000-01-01T00:00:00Z",
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(serde_json::from_str::<Time>(&serde_json::to_string(&time).unwrap()).unwrap(), time);
        }
    }

    #[test]
    fn zeros_and_a_zero_offset_are_written_as_go_writes_them() {
        let written = |text: &str| text.parse::<Time>().unwrap().to_string();
        assert_eq!(written("2026-03-04T05:06:07.100Z"), "2026-03-04T05:06:07.1Z");
        assert_eq!(written("2026-03-04T05:06:07.000Z"), "2026-03-04T05:06:07Z");
        assert_eq!(written("2026-03-04T05:06:07+00:00"), "2026-03-04T05:06:07Z");
        assert_eq!(written("2026-03-04T05:06:07.1234567899999Z"), "2026-03-04T05:06:07.123456789Z");
    }

    #[test]
    fn not_set_is_the_first_second_of_the_year_one() {
        assert!(!Time::default().is_set());
        assert!(!"0001-01-01T00:00:00Z".parse::<Time>().unwrap().is_set());
        assert!(!"0001-01-01T02:00:00+02:00".parse::<Time>().unwrap().is_set());
        assert!(Time::now().is_set());
    }

    #[test]
    fn the_offset_does_not_count_when_times_are_compared() {
        let (a, b) = ("2026-03-04T05:06:07Z".parse::<Time>(), "2026-03-04T07:06:07+02:00".parse::<Time>());
        assert_eq!(a, b);
    }

    #[test]
    fn whole_seconds_are_in_utc() {
        let time: Time = "2026-03-04T07:06:07.9+02:00".parse().unwrap();
        assert_eq!(time.to_whole_second().to_string(), "2026-03-04T05:06:07Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "2026",
            "2026-03-04",
            "2026-03-04 05:06:07Z",
            "2026-03-04t05:06:07Z",
            "2026-03-04T05:06:07",
            "2026-03-04T05:06:07z",
            "2026-03-04T05:06:07.Z",
            "2026-03-04T05:06:07,5Z",
            "2026-03-04T05:06:07.5",
            "2026-02-30T05:06:07Z",
            "2026-03-04T24:00:00Z",
            "2026-03-04T05:06:60Z",
            "2026-03-04T05:06:07+24:00",
            "2026-03-04T05:06:07+0500",
            "2026-03-04T05:06:07+05:60",
            "2026-03-04T+5:06:07Z",
            "9999-12-31T23:59:59-05:00",
            "２０２６-03-04T05:06:07Z",
            "2026-03-04T05:06:07Z ",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text:?} was taken");
        }
        assert!(serde_json::from_str::<Time>("17").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Time>();
        }

        #[test]
        fn almost_a_time_makes_it_panic_neither(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9:é]{6,9}(\\.[0-9]{0,12})?[Z+-]?[0-9:]{0,5}") {
            if let Ok(time) = text.parse::<Time>() {
                prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
            }
        }
    }
}
