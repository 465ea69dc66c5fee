//! SSM: which parameters there are. Never a value.
//!
//! Page: "DescribeParameters" of the Systems Manager API reference.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::input::{field, page};
use crate::wire::{Answer, Call, Fault};
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct Ssm {
    /// None: every name exists.
    names: Option<BTreeSet<String>>,
}

impl Ssm {
    /// From now on these exist, and no others.
    pub(crate) fn only(&mut self, names: &[String]) {
        self.names = Some(names.iter().cloned().collect());
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "DescribeParameters" => describe(world, call),
        "GetParameter" | "GetParameters" | "GetParametersByPath" | "GetParameterHistory" => {
            world.record.violation(call, "no value is ever read from SSM");
            let user = format!("arn:aws:sts::{}:assumed-role/deployer/session", world.account);
            let text = format!("User: {user} is not authorized to perform: ssm:{}", call.operation);
            Err(Fault::new("AccessDeniedException", text))
        }
        _ => Err(Fault::unknown_operation(call)),
    }
}

fn describe(world: &World, call: &Call) -> Answer {
    let input = &call.input;
    let filters = input.list("ParameterFilters");
    let mut asked: Option<Vec<String>> = None;
    for filter in filters {
        let values: Vec<&str> =
            filter.get("Values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if values.len() > 50 {
            return Err(Fault::new("InvalidFilterValue", "Member must have length less than or equal to 50"));
        }
        let option = field(filter, "Option");
        match (field(filter, "Key"), option) {
            ("Name", "Equals" | "") => asked = Some(values.into_iter().map(str::to_owned).collect()),
            ("Name", "BeginsWith") => {
                let names = world.ssm.names.iter().flatten();
                let begins = names.filter(|name| values.iter().any(|start| name.starts_with(start)));
                asked = Some(begins.cloned().collect());
            }
            ("Path", _) => {
                let names = world.ssm.names.iter().flatten();
                let below = names.filter(|name| {
                    values.iter().any(|path| name.starts_with(&format!("{}/", path.trim_end_matches('/'))))
                });
                asked = Some(below.cloned().collect());
            }
            (key, option) => {
                return Err(Fault::new(
                    "InvalidFilterKey",
                    format!("{key} {option} is not imitated by this simulator"),
                ));
            }
        }
    }
    let all = || world.ssm.names.iter().flatten().cloned().collect();
    let mut names: Vec<String> = asked.unwrap_or_else(all).into_iter().filter(|name| world.ssm.exists(name)).collect();
    names.sort();
    names.dedup();
    let largest = u64::try_from(world.scenario.limits.parameter_page).unwrap_or(50);
    let size = usize::try_from(input.number("MaxResults").unwrap_or(largest).min(largest).max(1)).unwrap_or(10);
    let invalid = || Fault::new("InvalidNextToken", "The specified token isn't valid.");
    let (names, next) = page(names, input.text("NextToken"), size).map_err(|()| invalid())?;
    let parameters: Vec<Value> = names
        .into_iter()
        .map(|name| {
            let arn = format!("arn:aws:ssm:{}:{}:parameter{name}", world.region, world.account);
            json!({"Name": name, "ARN": arn, "Type": "SecureString", "Version": 1, "Tier": "Standard", "DataType": "text",
                "LastModifiedDate": world.now.epoch()})
        })
        .collect();
    let mut answer = json!({"Parameters": parameters});
    if let Some(next) = next {
        answer["NextToken"] = Value::from(next);
    }
    Ok(answer)
}
