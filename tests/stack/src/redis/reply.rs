//! Writing replies in RESP2 or RESP3 into the bytes that go to a client.

use std::borrow::Cow;
use std::fmt::Write as _;

/// An error as the client reads it: its code and its text.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Cow<'static, str>);

impl Failure {
    pub(super) const SYNTAX: Self = Self::of("ERR syntax error");
    pub(super) const NOT_AN_INTEGER: Self = Self::of("ERR value is not an integer or out of range");
    pub(super) const WRONG_TYPE: Self = Self::of("WRONGTYPE Operation against a key holding the wrong kind of value");

    pub(super) const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Resp2,
    Resp3,
}

/// What is to be sent. Aggregates are written as a header, then their elements.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) protocol: Protocol,
}

impl Reply {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), protocol: Protocol::Resp2 }
    }

    pub(super) fn ok(&mut self) {
        self.simple("OK");
    }

    pub(super) fn simple(&mut self, text: &str) {
        self.bytes.push(b'+');
        self.bytes.extend_from_slice(text.as_bytes());
        self.line_end();
    }

    pub(super) fn error(&mut self, failure: &Failure) {
        self.bytes.push(b'-');
        // An error is one line, whatever of the request it repeats.
        let line = failure.0.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
        self.bytes.extend(line);
        self.line_end();
    }

    pub(super) fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    pub(super) fn count(&mut self, number: usize) {
        self.integer(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.bytes.extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        self.length(b'$', bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.line_end();
    }

    pub(super) fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    pub(super) fn null(&mut self) {
        self.bytes.extend_from_slice(if self.protocol == Protocol::Resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Null where an array is expected: what EXEC answers when a watched key has changed.
    pub(super) fn null_array(&mut self) {
        self.bytes.extend_from_slice(if self.protocol == Protocol::Resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    pub(super) fn array(&mut self, length: usize) {
        self.length(b'*', length);
    }

    /// Pairs follow.
    pub(super) fn map(&mut self, pairs: usize) {
        if self.protocol == Protocol::Resp3 {
            self.length(b'%', pairs);
        } else {
            self.length(b'*', pairs * 2);
        }
    }

    pub(super) fn set(&mut self, length: usize) {
        self.length(if self.protocol == Protocol::Resp3 { b'~' } else { b'*' }, length);
    }

    /// A message that answers no request.
    pub(super) fn push(&mut self, length: usize) {
        self.length(if self.protocol == Protocol::Resp3 { b'>' } else { b'*' }, length);
    }

    /// Text for people.
    pub(super) fn verbatim(&mut self, text: &str) {
        if self.protocol == Protocol::Resp3 {
            self.length(b'=', text.len() + 4);
            self.bytes.extend_from_slice(b"txt:");
            self.bytes.extend_from_slice(text.as_bytes());
            self.line_end();
        } else {
            self.bulk(text.as_bytes());
        }
    }

    fn length(&mut self, kind: u8, length: usize) {
        self.header(kind, i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn header(&mut self, kind: u8, number: i64) {
        self.bytes.push(kind);
        if let Ok(digit @ 0..=9) = u8::try_from(number) {
            self.bytes.push(b'0' + digit);
        } else {
            self.bytes.extend_from_slice(Decimal::of(number).as_bytes());
        }
        self.line_end();
    }

    fn line_end(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// A number as text, without an allocation.
#[derive(Debug)]
pub(super) struct Decimal {
    bytes: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(super) fn of(number: i64) -> Self {
        let mut decimal = Self { bytes: [0; 20], from: 20 };
        let mut rest = number.unsigned_abs();
        loop {
            decimal.from -= 1;
            decimal.bytes[decimal.from] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            decimal.from -= 1;
            decimal.bytes[decimal.from] = b'-';
        }
        decimal
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

/// A number as redis reads it: no sign but a minus, no spaces, no zeros in front.
pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { std::str::from_utf8(bytes).ok()?.parse().ok() } else { None }
}

/// Bytes as the real server shows them where they must stay readable: quoted, anything unusual escaped.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_and_read_alike(number in any::<i64>()) {
            let written = Decimal::of(number);
            prop_assert_eq!(written.as_bytes().to_vec(), number.to_string().into_bytes());
            prop_assert_eq!(integer(written.as_bytes()), Some(number));
        }
    }

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for text in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808", "99999999999999999999"]
        {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(Decimal::of(i64::MIN).as_bytes(), b"-9223372036854775808");
    }
}
