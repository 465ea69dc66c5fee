//! Go's notation for durations, which the settings and flags of existing deployments use: `250ms`, `1h30m`, `1.5h`.
//! A number without a unit is refused; Go takes it for nanoseconds and a service then runs without a pause.

use std::time::Duration;

/// Reads a duration of zero or more; the error says what is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit (did you mean `{text}s` or `{text}m`?)"));
    }
    let malformed = || format!("`{text}` is not a duration");
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = nanoseconds_of(unit).ok_or_else(malformed)?;
        let too_long = || format!("`{text}` is too long");
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        nanoseconds = whole.checked_mul(unit).and_then(|part| nanoseconds.checked_add(part)).ok_or_else(too_long)?;
        nanoseconds = nanoseconds.checked_add(fraction_of(fraction, unit)).ok_or_else(too_long)?;
        if nanoseconds > LONGEST {
            return Err(too_long());
        }
        rest = after;
    }
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| malformed())
}

/// What fits Go's type: some 292 years.
const LONGEST: u128 = i64::MAX.unsigned_abs() as u128;

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanoseconds_of(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The digits behind the point, in nanoseconds, cut off below one.
fn fraction_of(digits: &str, unit: u128) -> u128 {
    // Digits after the fifteenth are less than a nanosecond even of an hour.
    let digits = &digits[..digits.len().min(15)];
    let scale = (0..digits.len()).fold(1, |scale: u128, _| scale * 10);
    digits.bytes().fold(0, |sum: u128, digit| sum * 10 + u128::from(digit - b'0')) * unit / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1ns", 1),
            ("7us", 7_000),
            ("7\u{b5}s", 7_000),
            ("7\u{3bc}s", 7_000),
            ("250ms", 250_000_000),
            ("10s", 10_000_000_000),
            ("+5m", 300_000_000_000),
            ("1h", 3_600_000_000_000),
            ("3m30s", 210_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1m0.25s", 60_250_000_000),
            ("0.3333333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "+",
            "s",
            ".s",
            "1",
            "30",
            "1.5",
            "-1s",
            "1d",
            "1 s",
            " 1s",
            "1s ",
            "1h30",
            "1S",
            "1e3s",
            "9223372036854775808ns",
            "2562048h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_a_suggestion() {
        assert_eq!(parse("30"), Err("`30` has no unit (did you mean `30s` or `30m`?)".to_owned()));
    }
}
