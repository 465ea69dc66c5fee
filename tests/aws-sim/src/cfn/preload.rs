//! Stacks that are there from the start, as an earlier deployment or the console left them.

use std::time::Duration;

use super::engine;
use super::model::{Definition, Stack};
use super::operation::{Operation, Verb};
use crate::ecs;
use crate::scenario::PreloadedStack;
use crate::template::Template;
use crate::template::parameters::{Given, resolve};
use crate::world::World;

const DAY: Duration = Duration::from_hours(24);

/// Creates the stack in the past, by the same machine that creates any other, and brings it to the wanted status.
pub(crate) fn stack(world: &mut World, wanted: &PreloadedStack) -> Result<String, String> {
    let name = &wanted.name;
    if world.cfn.find(name).is_some() {
        return Err(format!("there is a stack {name} already"));
    }
    let body = match (&wanted.template, &wanted.template_file) {
        (Some(body), None) => body.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        _ => return Err(format!("stack {name}: either template or template_file")),
    };
    let template = Template::parse(&body).map_err(|error| format!("stack {name}: {error}"))?;
    let given: Vec<Given> = wanted
        .parameters
        .iter()
        .map(|(key, value)| Given { key: key.clone(), value: Some(value.clone()), use_previous: false })
        .collect();
    let parameters = resolve(&template, &given, None).map_err(|fault| format!("stack {name}: {}", fault.message))?;
    let tags = wanted.tags.iter().map(|(key, value)| serde_json::json!({"Key": key, "Value": value})).collect();
    let capabilities = crate::template::summary::capability(&template).map(|(name, _)| name.to_owned());
    let definition = Definition { body, template, parameters, tags, capabilities: capabilities.into_iter().collect() };

    let present = world.now;
    let past = present - DAY * wanted.age_days.max(1);
    let agenda = std::mem::take(&mut world.agenda);
    (world.now, world.preloading) = (past, true);
    let result = create(world, wanted, definition);
    // What is due only later belongs to the present again.
    world.agenda.extend(agenda);
    (world.now, world.preloading) = (present, false);
    result
}

fn create(world: &mut World, wanted: &PreloadedStack, definition: Definition) -> Result<String, String> {
    let (name, present) = (&wanted.name, world.now + DAY);
    let id = world.stack_id(name);
    let mut stack = Stack::new(id.clone(), name.clone(), world.now);
    stack.definition = Some(definition);
    let operation = Operation::new(world.chance.uuid(), Verb::Create, None);
    engine::begin(world, &mut stack, operation, "CREATE_IN_PROGRESS", "CREATE_STACK");
    world.cfn.stacks.insert(id.clone(), stack);
    world.play_until(present);
    let status = world.cfn.stacks.get(&id).map(|stack| (stack.status.clone(), stack.first_failure()));
    if let Some((status, failure)) = status
        && status != "CREATE_COMPLETE"
    {
        world.cfn.stacks.remove(&id);
        return Err(format!("stack {name}: its creation ended in {status}: {failure}"));
    }
    for (service, desired) in &wanted.desired {
        ecs::provision::scale(world, service, *desired).map_err(|error| format!("stack {name}: {error}"))?;
    }
    world.play_until(present);
    engine::with_stack(world, &id, |world, stack| {
        stack.protected = wanted.termination_protection;
        stack.drift.clone_from(&wanted.drift);
        for (logical, status) in &wanted.resource_status {
            stack.set_resource(world.now, logical, status, wanted.status_reason.as_deref());
        }
        if let Some(status) = &wanted.status {
            force(world, stack, status, wanted.status_reason.as_deref());
        }
    });
    Ok(id)
}

/// Puts a stack into a status; `DELETE_COMPLETE` takes its name away too.
pub(crate) fn force(world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>) {
    if status.contains("UPDATE") && stack.updated.is_none() {
        stack.updated = Some(world.now);
    }
    if status == "DELETE_COMPLETE" {
        stack.deleted = Some(world.now);
    }
    super::actions::force(world, stack, status, reason);
}
