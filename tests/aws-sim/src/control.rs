//! The control endpoint `/_sim/…`: what tests do to the simulator from outside. README.md lists it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cfn::{self, engine};
use crate::clock::Pace;
use crate::ecs;
use crate::scenario::{PreloadedStack, Scenario};
use crate::wire::{Raw, Reply, plain};
use crate::world::World;

/// Why a request cannot be met.
type Refusal = String;

pub(crate) fn call(world: &mut World, raw: &Raw) -> Reply {
    world.catch_up();
    let path: Vec<&str> = raw.path.trim_start_matches("/_sim/").split('/').collect();
    match answer(world, raw.method.as_str(), &path, &raw.body) {
        Ok(value) => plain(200, "application/json", value.to_string()),
        Err(reason) => plain(400, "application/json", json!({"error": reason}).to_string()),
    }
}

fn answer(world: &mut World, method: &str, path: &[&str], body: &[u8]) -> Result<Value, Refusal> {
    match (method, path) {
        ("GET", ["clock"]) => Ok(clock(world)),
        ("POST", ["clock"]) => set_clock(world, &read(body)?),
        ("POST", ["scenario"]) => {
            let scenario: Scenario = read(body)?;
            world.load(scenario)?;
            Ok(json!({}))
        }
        ("POST", ["stacks"]) => {
            let wanted: PreloadedStack = read(body)?;
            Ok(json!({"StackId": cfn::preload::stack(world, &wanted)?}))
        }
        ("POST", ["stacks", name, "status"]) => {
            let wanted: Forced = read(body)?;
            set_status(world, name, &wanted.status, wanted.reason.as_deref(), &wanted.resources)
        }
        ("POST", ["stacks", name, "interfere"]) => interfere(world, name),
        ("POST", ["services", name]) => {
            let wanted: ServiceSettings = read(body)?;
            set_service(world, name, &wanted)
        }
        ("POST", ["logs"]) => {
            let line: LogLine = read(body)?;
            let now = world.now;
            world.logs.write(&line.group, &line.stream, now, &line.message);
            Ok(json!({}))
        }
        ("GET", ["calls"]) => Ok(world.record.calls()),
        ("DELETE", ["calls"]) => {
            world.record.clear();
            Ok(json!({}))
        }
        ("GET", ["counters"]) => Ok(world.record.counters()),
        _ => Err(format!("{method} /_sim/{} is nothing that the control endpoint knows", path.join("/"))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn no_stack(name: &str) -> Refusal {
    format!("there is no stack {name}")
}

fn clock(world: &World) -> Value {
    let (pace, speed) = match world.clock.pace() {
        Pace::Scaled(speed) => ("scaled", Value::from(speed)),
        Pace::Manual => ("manual", Value::Null),
        Pace::PerCall(step) => ("per_call", Value::from(step.as_secs_f64())),
    };
    let next = world.agenda.keys().next().map(|(time, _)| time.to_string());
    json!({"now": world.now.to_string(), "pace": pace, "speed": speed, "next": next, "pending": world.agenda.len()})
}

/// One of its fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockSettings {
    advance_seconds: Option<u64>,
    speed: Option<f64>,
    per_call_seconds: Option<f64>,
    #[serde(default)]
    manual: bool,
    /// Advance until no stack is in the middle of anything, at most so far.
    settle_seconds: Option<u64>,
}

fn set_clock(world: &mut World, wanted: &ClockSettings) -> Result<Value, Refusal> {
    if let Some(speed) = wanted.speed {
        if !(speed.is_finite() && speed >= 0.0) {
            return Err("speed is a number from 0 on".to_owned());
        }
        world.clock.set_pace(Pace::Scaled(speed));
    }
    if let Some(seconds) = wanted.per_call_seconds {
        let step = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        world.clock.set_pace(Pace::PerCall(step));
    }
    if wanted.manual {
        world.clock.set_pace(Pace::Manual);
    }
    if let Some(seconds) = wanted.advance_seconds {
        world.advance(Duration::from_secs(seconds));
    }
    let mut answer = clock(world);
    if let Some(seconds) = wanted.settle_seconds {
        let settled = world.settle(Duration::from_secs(seconds));
        answer = clock(world);
        answer["settled"] = Value::from(settled);
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forced {
    status: String,
    reason: Option<String>,
    /// Statuses of resources, by logical id.
    #[serde(default)]
    resources: BTreeMap<String, String>,
}

/// Puts a stack into a status, and resources of it. What was going on never comes to its end.
pub(crate) fn set_status(
    world: &mut World,
    name: &str,
    status: &str,
    reason: Option<&str>,
    resources: &BTreeMap<String, String>,
) -> Result<Value, Refusal> {
    let id = world.cfn.find(name).ok_or_else(|| no_stack(name))?;
    engine::with_stack(world, &id, |world, stack| {
        stack.operation = None;
        for (logical, status) in resources {
            stack.set_resource(world.now, logical, status, reason);
        }
        cfn::preload::force(world, stack, status, reason);
    });
    Ok(json!({"StackId": id}))
}

/// Somebody else updates the stack, now.
pub(crate) fn interfere(world: &mut World, name: &str) -> Result<Value, Refusal> {
    let id = world.cfn.find(name).ok_or_else(|| no_stack(name))?;
    world.schedule(Duration::ZERO, crate::world::Due::Interference { stack: id });
    world.catch_up();
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSettings {
    desired: Option<u64>,
    protect_seconds: Option<u64>,
    interrupt: Option<usize>,
}

fn set_service(world: &mut World, name: &str, wanted: &ServiceSettings) -> Result<Value, Refusal> {
    if let Some(desired) = wanted.desired {
        ecs::provision::scale(world, name, desired)?;
    }
    if let Some(seconds) = wanted.protect_seconds {
        ecs::provision::protect(world, name, Duration::from_secs(seconds))?;
    }
    if let Some(count) = wanted.interrupt {
        ecs::provision::interrupt(world, name, count)?;
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLine {
    group: String,
    stream: String,
    message: String,
}
