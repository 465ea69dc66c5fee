//! CloudWatch Logs: groups, and the lines that tasks write.
//!
//! Pages: "DescribeLogGroups", "FilterLogEvents", "GetLogEvents" of the CloudWatch Logs API reference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::Time;
use crate::input::{Input, page};
use crate::wire::{Answer, Call, Fault};
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct Logs {
    groups: BTreeMap<String, Group>,
    lines: u64,
}

#[derive(Debug)]
struct Group {
    created: Time,
    days: Option<u64>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    number: u64,
    time: Time,
    stream: String,
    text: String,
}

impl Logs {
    pub(crate) fn create(&mut self, name: &str, days: Option<u64>, now: Time) {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group { created: now, days, lines: Vec::new() });
    }

    pub(crate) fn retain(&mut self, name: &str, days: Option<u64>) {
        if let Some(group) = self.groups.get_mut(name) {
            group.days = days;
        }
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.groups.remove(name);
    }

    /// A line; lost if there is no such group.
    pub(crate) fn write(&mut self, group: &str, stream: &str, time: Time, text: &str) {
        self.lines += 1;
        let number = self.lines;
        if let Some(group) = self.groups.get_mut(group) {
            group.lines.push(Line { number, time, stream: stream.to_owned(), text: text.to_owned() });
        }
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "DescribeLogGroups" => groups(world, &call.input),
        "DescribeLogStreams" => streams(world, &call.input),
        "FilterLogEvents" => filter(world, &call.input),
        "GetLogEvents" => get(world, &call.input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

fn invalid_token() -> Fault {
    Fault::new("InvalidParameterException", "The specified nextToken is invalid.")
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = Value::from(next);
    }
    answer
}

fn groups(world: &World, input: &Input) -> Answer {
    let matches = |name: &&String| {
        input.text("logGroupNamePrefix").is_none_or(|prefix| name.starts_with(prefix))
            && input.text("logGroupNamePattern").is_none_or(|pattern| name.contains(pattern))
    };
    let list: Vec<Value> = world
        .logs
        .groups
        .iter()
        .filter(|(name, _)| matches(name))
        .map(|(name, group)| {
            let arn = format!("arn:aws:logs:{}:{}:log-group:{name}", world.region, world.account);
            let mut value = json!({
                "logGroupName": name, "creationTime": group.created.0, "metricFilterCount": 0,
                "arn": format!("{arn}:*"), "storedBytes": 0, "logGroupClass": "STANDARD", "logGroupArn": arn,
            });
            if let Some(days) = group.days {
                value["retentionInDays"] = Value::from(days);
            }
            value
        })
        .collect();
    let size = usize::try_from(input.number("limit").unwrap_or(50).clamp(1, 50)).unwrap_or(50);
    let (list, next) = page(list, input.text("nextToken"), size).map_err(|()| invalid_token())?;
    Ok(with_token(json!({"logGroups": list}), next))
}

fn group<'a>(world: &'a World, input: &Input) -> Result<&'a Group, Fault> {
    let name = input.text("logGroupName").or_else(|| input.text("logGroupIdentifier")).unwrap_or_default();
    let name = name.split("log-group:").last().unwrap_or(name).trim_end_matches(":*");
    let missing = || Fault::new("ResourceNotFoundException", "The specified log group does not exist.");
    world.logs.groups.get(name).ok_or_else(missing)
}

fn streams(world: &World, input: &Input) -> Answer {
    let group = group(world, input)?;
    let mut streams: BTreeMap<&str, (Time, Time)> = BTreeMap::new();
    for line in &group.lines {
        streams.entry(&line.stream).and_modify(|(_, last)| *last = line.time).or_insert((line.time, line.time));
    }
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let list: Vec<Value> = streams
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, (first, last))| {
            json!({"logStreamName": name, "creationTime": first.0, "firstEventTimestamp": first.0, "lastEventTimestamp": last.0})
        })
        .collect();
    let size = usize::try_from(input.number("limit").unwrap_or(50).clamp(1, 50)).unwrap_or(50);
    let (list, next) = page(list, input.text("nextToken"), size).map_err(|()| invalid_token())?;
    Ok(with_token(json!({"logStreams": list}), next))
}

/// Lines from `startTime` on and before `endTime`, oldest first.
fn within<'a>(group: &'a Group, input: &Input, keep: &dyn Fn(&Line) -> bool) -> Vec<&'a Line> {
    let start = input.number("startTime").unwrap_or(0);
    let end = input.number("endTime").unwrap_or(u64::MAX);
    group.lines.iter().filter(|line| line.time.0 >= start && line.time.0 <= end && keep(line)).collect()
}

/// A pattern is taken as words that must all occur; quotes make several words one. Page: "Filter pattern syntax".
fn matches(pattern: &str, text: &str) -> bool {
    let mut quoted = false;
    pattern
        .split('"')
        .flat_map(|part| {
            let words: Vec<&str> = if quoted { vec![part] } else { part.split_whitespace().collect() };
            quoted = !quoted;
            words
        })
        .all(|word| match word.strip_prefix('-') {
            Some(absent) => !text.contains(absent),
            None => text.contains(word),
        })
}

fn filter(world: &World, input: &Input) -> Answer {
    let group = group(world, input)?;
    let names = input.texts("logStreamNames");
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    if !names.is_empty() && !prefix.is_empty() {
        let text = "LogStreamNames and LogStreamNamePrefix are mutually exclusive.";
        return Err(Fault::new("InvalidParameterException", text));
    }
    let pattern = input.text("filterPattern").unwrap_or_default();
    let keep = |line: &Line| {
        (names.is_empty() || names.contains(&line.stream))
            && line.stream.starts_with(prefix)
            && matches(pattern, &line.text)
    };
    let events: Vec<Value> = within(group, input, &keep)
        .into_iter()
        .map(|line| {
            json!({
                "logStreamName": line.stream, "timestamp": line.time.0, "message": line.text,
                "ingestionTime": line.time.0, "eventId": format!("{:056}", line.number),
            })
        })
        .collect();
    let largest = u64::try_from(world.scenario.limits.log_page).unwrap_or(10_000);
    let size = usize::try_from(input.number("limit").unwrap_or(largest).min(largest).max(1)).unwrap_or(1);
    let (events, next) = page(events, input.text("nextToken"), size).map_err(|()| invalid_token())?;
    Ok(with_token(json!({"events": events, "searchedLogStreams": []}), next))
}

/// Page: "GetLogEvents": at the end, the token that comes back is the one that was sent.
fn get(world: &World, input: &Input) -> Answer {
    let group = group(world, input)?;
    let stream = input.text("logStreamName").unwrap_or_default();
    if !group.lines.iter().any(|line| line.stream == stream) {
        return Err(Fault::new("ResourceNotFoundException", "The specified log stream does not exist."));
    }
    let lines = within(group, input, &|line| line.stream == stream);
    let largest = u64::try_from(world.scenario.limits.log_page).unwrap_or(10_000);
    let size = usize::try_from(input.number("limit").unwrap_or(largest).min(largest).max(1)).unwrap_or(1);
    let position = |token: &str| token.rsplit('/').next().and_then(|index| index.parse::<usize>().ok());
    let (start, end) = match input.text("nextToken") {
        Some(token) if token.starts_with("f/") => {
            let start = position(token).ok_or_else(invalid_token)?.min(lines.len());
            (start, (start + size).min(lines.len()))
        }
        Some(token) => {
            let end = position(token).ok_or_else(invalid_token)?.min(lines.len());
            (end.saturating_sub(size), end)
        }
        None if input.is_true("startFromHead") => (0, size.min(lines.len())),
        None => (lines.len().saturating_sub(size), lines.len()),
    };
    let events: Vec<Value> = lines[start..end]
        .iter()
        .map(|line| json!({"timestamp": line.time.0, "message": line.text, "ingestionTime": line.time.0}))
        .collect();
    Ok(json!({
        "events": events, "nextForwardToken": format!("f/{end}"), "nextBackwardToken": format!("b/{start}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_words_that_must_occur() {
        assert!(matches("", "anything"));
        assert!(matches("ERROR \"no route\"", "ERROR: no route to host"));
        assert!(!matches("ERROR route -host", "ERROR: no route to host"));
    }
}
