//! What was called, how often, and what should never have been.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::clock::Time;
use crate::wire::Call;

/// How many calls are kept in full; all are counted.
const KEPT: usize = 20_000;
/// A longer text in a recorded input is cut.
const LONGEST: usize = 200;

#[derive(Debug, Default)]
pub(crate) struct Record {
    count: u64,
    calls: VecDeque<Value>,
    counters: BTreeMap<String, u64>,
    violations: Vec<Value>,
}

impl Record {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// A call has come in; how it ends is told later.
    pub(crate) fn begin(&mut self) {
        self.count += 1;
    }

    pub(crate) fn end(&mut self, call: &Call, time: Time, outcome: &str) {
        let name = format!("{}.{}", call.service.name(), call.operation);
        *self.counters.entry(name.clone()).or_default() += 1;
        if outcome != "ok" {
            *self.counters.entry(format!("{name} {outcome}")).or_default() += 1;
        }
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(json!({
            "number": self.count,
            "time": time.to_string(),
            "service": call.service.name(),
            "operation": call.operation,
            "input": cut(&call.input.0),
            "outcome": outcome,
        }));
    }

    /// Something that a client of ours must never do.
    pub(crate) fn violation(&mut self, call: &Call, rule: &str) {
        self.violations.push(json!({
            "number": self.count, "service": call.service.name(), "operation": call.operation, "rule": rule,
        }));
    }

    pub(crate) fn calls(&self) -> Value {
        self.calls.iter().cloned().collect()
    }

    pub(crate) fn counters(&self) -> Value {
        json!({"calls": self.count, "operations": self.counters, "violations": self.violations})
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            Value::from(format!("{start}… ({} bytes)", text.len()))
        }
        Value::Array(items) => items.iter().map(cut).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), cut(value))).collect(),
        other => other.clone(),
    }
}
