//! Extended headers of type `x`: records that overrule the header after them.

use std::str;

use time::OffsetDateTime;
use time::macros::datetime;

use crate::decimal::decimal;
use crate::error::Fault;
use crate::sparse::Records;

/// What an extended header says of the next entry.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<OffsetDateTime>,
    pub(crate) sparse: Records,
}

impl Pax {
    /// Of records that occur twice the last one counts, of empty ones the header's own value.
    pub(crate) fn read(mut records: &[u8]) -> Result<Self, Fault> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or(Fault::Record)?;
            records = rest;
            let is_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname" | b"GNU.sparse.name");
            if is_text && value.contains(&0) {
                return Err(Fault::Record);
            }
            if value.is_empty() && !key.starts_with(b"GNU.sparse.") {
                continue;
            }
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"size" => pax.size = Some(decimal(value).ok_or(Fault::RecordSize)?),
                b"mtime" => pax.mtime = seconds(value),
                _ => pax.sparse.add(key, value)?,
            }
        }
        Ok(pax)
    }
}

/// `<length> <key>=<value>\n`, the length counting all of it, and what follows.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&records[..blank])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let (text, b"\n") = record.get(blank + 1..)?.split_at_checked(length.checked_sub(blank + 2)?)? else { return None };
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&text[..equals], &text[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, rest))
}

/// `[-]seconds[.fraction]`, of which nine digits count. `None` if it is no time.
fn seconds(text: &[u8]) -> Option<OffsetDateTime> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((text, &b""[..]), |point| (&text[..point], &text[point + 1..]));
    if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    // What does not fit is far beyond the last year anyway.
    let whole: i128 = str::from_utf8(whole).ok()?.parse::<i64>().unwrap_or(i64::MAX).into();
    let digits = fraction.iter().map(|digit| i128::from(digit - b'0')).chain(std::iter::repeat(0)).take(9);
    let nanoseconds = digits.fold(0, |number, digit| number * 10 + digit);
    Some(if negative { nearest(-whole, -nanoseconds) } else { nearest(whole, nanoseconds) })
}

/// The nearest time that RFC 3339 can write (J 71).
pub(crate) fn nearest(seconds: i128, nanoseconds: i128) -> OffsetDateTime {
    const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
    const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999_999_999 UTC);
    let all = seconds * 1_000_000_000 + nanoseconds;
    let all = all.clamp(FIRST.unix_timestamp_nanos(), LAST.unix_timestamp_nanos());
    OffsetDateTime::from_unix_timestamp_nanos(all).unwrap_or(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_need_their_exact_length() {
        assert!(Pax::read(b"").is_ok());
        let pax = Pax::read(b"12 path=a=b\n11 path=cd\n8 size=\n17 comment=x y z\n").unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some(&b"cd"[..]), None));
        for bad in [
            "11 path=a=b\n",
            "13 path=a=b\n",
            "12 path=a=b",
            "12 path a b\n",
            "6 =ab\n",
            "+6 a=b\n",
            "-1 a=b\n",
            "a=b\n",
            "2 ",
            "99999999999999999999 a=b\n",
            "0 a=b\n",
            "1 a=b\n",
            "4 a=\n",
            "11 path=a\0\n",
            "8 a\0b=c\n",
            "6 a=b\n\0",
        ] {
            assert_eq!(Pax::read(bad.as_bytes()).unwrap_err(), Fault::Record, "{bad:?}");
        }
        for bad in ["11 size=-1\n", "11 size=1x\n", "28 size=9223372036854775808\n"] {
            assert_eq!(Pax::read(bad.as_bytes()).unwrap_err(), Fault::RecordSize, "{bad:?}");
        }
    }

    #[test]
    fn times_may_be_negative_fractional_or_absurd() {
        let at = |text: &str| seconds(text.as_bytes()).map(OffsetDateTime::unix_timestamp_nanos);
        assert_eq!(at("1600000000.123456789999"), Some(1_600_000_000_123_456_789));
        assert_eq!(at("1600000000."), Some(1_600_000_000_000_000_000));
        assert_eq!(at("-1.5"), Some(-1_500_000_000));
        assert_eq!(at("-0.25"), Some(-250_000_000));
        assert_eq!(seconds(b"316516204800"), Some(datetime!(9999-12-31 23:59:59.999_999_999 UTC)));
        assert_eq!(seconds(b"999999999999999999999999"), Some(datetime!(9999-12-31 23:59:59.999_999_999 UTC)));
        assert_eq!(seconds(b"-999999999999999999999999"), Some(datetime!(0001-01-01 00:00 UTC)));
        for bad in ["", "-", ".5", "1.x", "noon", "1e9", "+1"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
