//! Reading requests as Go reads them: paths and parameters decoded, JSON whose names match in any case, where `null` is
//! as good as nothing.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A batch of a hundred files with everything nested in them is about one and a half.
const LARGEST_BODY: usize = 64 << 20;
/// For the whole body.
const BODY_PATIENCE: Duration = Duration::from_mins(1);

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

pub(super) async fn body(body: Body) -> Result<Vec<u8>, Unread> {
    let collected = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, LARGEST_BODY).collect()).await;
    match collected {
        Err(_) => Err(Unread::TooSlow),
        Ok(Ok(bytes)) => Ok(bytes.to_bytes().into()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Broken),
    }
}

/// The record in a body. `null` is one without any fields.
pub(super) fn record<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, String> {
    match value(body)? {
        Value::Null => Ok(T::default()),
        // A list would be taken for the fields in their order.
        record @ Value::Object(_) => serde_json::from_value(record).map_err(|error| error.to_string()),
        _ => Err("this is not a JSON object".to_owned()),
    }
}

/// The records in a body.
pub(super) fn records<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    match value(body)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(records) if records.iter().all(Value::is_object) => records
            .into_iter()
            .map(|record| serde_json::from_value(record).map_err(|error| error.to_string()))
            .collect(),
        _ => Err("this is not a JSON list of objects".to_owned()),
    }
}

/// The first JSON value of the body; what follows is not looked at.
fn value(body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let mut reader = serde_json::Deserializer::from_str(&text);
    Value::deserialize(&mut reader).map(normal).map_err(|error| error.to_string())
}

/// Names in lower case, no `null`, and no NUL, which the driver of the real server leaves out of texts.
fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.to_lowercase(), normal(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        other => other,
    }
}

/// A path with its escapes undone, or nothing if an escape is none.
pub(in crate::registry) fn path(raw: &str) -> Option<String> {
    well_formed(raw).then(|| percent_decode_str(raw).decode_utf8_lossy().into_owned())
}

/// Names and values of a query or a form. A pair with a broken escape or a semicolon is left out, as Go does.
pub(in crate::registry) fn params(raw: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        well_formed(&text).then(|| percent_decode_str(&text).decode_utf8_lossy().into_owned())
    };
    let pairs = raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

fn well_formed(text: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || (hex(bytes.get(at + 1)) && hex(bytes.get(at + 2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_go_reads_them() {
        let read = params("a=1&b=x+y%26z&a=2&bad=%zz&c;d=1&&flag&e=%E2%80%99");
        let expected = [("a", "1"), ("b", "x y&z"), ("a", "2"), ("flag", ""), ("e", "\u{2019}")]
            .map(|(a, b)| (a.into(), b.into()));
        assert_eq!(read, expected);
        assert_eq!(path("/a%2Fb%20c+d").unwrap(), "/a/b c+d");
        assert!(path("/a%2").is_none());
    }

    #[test]
    fn names_match_in_any_case_and_null_is_nothing() {
        let item: crate::registry::store::WorkItem =
            record(br#"{"Name":"a\u0000b","ETAG":null,"pid":7,"storage_option":{"unknown":[1]}} trailing"#).unwrap();
        assert_eq!((item.name.as_str(), item.etag.as_str(), item.pid), ("ab", "", 7));
        assert_eq!(records::<crate::registry::store::WorkItem>(br#"[{"PID":1},{}]"#).unwrap().len(), 2);
        for wrong in [&b""[..], b"{", b"[]", b"{\"pid\":\"7\"}", b"{\"pid\":1.5}", b"{\"bag_date\":\"today\"}"] {
            assert!(record::<crate::registry::store::WorkItem>(wrong).is_err());
        }
    }
}
