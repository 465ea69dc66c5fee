//! Reading the fields of a call, whichever protocol brought it: the query protocol knows only text.

use serde_json::Value;

use crate::wire::Fault;

/// The input of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input(pub(crate) Value);

impl Input {
    /// A text field; empty counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Fault> {
        self.text(name).ok_or_else(|| {
            Fault::validation(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }
}

/// One page of a list, and the token of the next. A token is the index at which its page begins.
pub(crate) fn page<T>(items: Vec<T>, token: Option<&str>, size: usize) -> Result<(Vec<T>, Option<String>), ()> {
    let start = match token {
        Some(token) => token.rsplit('-').next().and_then(|index| index.parse().ok()).ok_or(())?,
        None => 0,
    };
    let more = items.len() > start + size;
    let part = items.into_iter().skip(start).take(size).collect();
    Ok((part, more.then(|| format!("page-{}", start + size))))
}

/// A scalar's text, as CloudFormation compares and joins scalars: `1` and `"1"` are one.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The text of a field, or nothing.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number that may be written as text.
pub(crate) fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap() {
        let items: Vec<u32> = (0..25).collect();
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let (part, next) = page(items.clone(), token.as_deref(), 10).unwrap();
            all.extend(part);
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(all, items);
        assert!(page(items, Some("nonsense-x"), 10).is_err());
    }
}
