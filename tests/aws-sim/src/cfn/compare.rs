//! Whether CloudFormation sees a difference between two values.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::input::scalar;

/// The properties whose values differ.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<String> {
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let all: BTreeSet<String> = names(before).union(&names(after)).cloned().collect();
    let value = |from: &Value, name: &str| from.get(name).cloned().unwrap_or_default();
    all.into_iter().filter(|name| !same(&value(before, name), &value(after, name))).collect()
}

/// Whether CloudFormation sees no difference: `1` and `"1"` are one.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => match (scalar(a), scalar(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_their_texts_are_the_same() {
        let before = json!({"A": 1, "B": ["x", {"C": true}], "D": 1});
        let after = json!({"A": "1", "B": ["x", {"C": "true"}], "E": 1});
        assert_eq!(differences(&before, &after), ["D", "E"]);
    }
}
