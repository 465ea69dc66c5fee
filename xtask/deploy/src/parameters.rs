//! The parameters of an update: what the stack has stays, what is new needs a value, and nothing is set by accident.

use std::collections::BTreeMap;

use serde::Serialize;
use xtask::cli::deploy::Environment;

use crate::template::ParameterFact;
use crate::template::facts::{Facts, Runner};

/// One parameter as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Choice {
    /// The stack's value stays.
    Previous(String),
    /// The template's default, because the stack does not have it yet.
    Default(String),
    /// Given on the command line or in the parameter file.
    Given(String),
}

impl Choice {
    pub(crate) fn value(&self) -> &str {
        match self {
            Choice::Previous(value) | Choice::Default(value) | Choice::Given(value) => value,
        }
    }
}

/// What is sent, and what is to be said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) choices: BTreeMap<String, Choice>,
    pub(crate) notes: Vec<String>,
    /// Each stops the run.
    pub(crate) problems: Vec<String>,
}

impl Plan {
    /// The values with which the new template is evaluated.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        self.choices.iter().map(|(name, choice)| (name.clone(), choice.value().to_owned())).collect()
    }
}

/// Decides about every parameter. `current` is what the stack has (empty for a creation), `given` what the user says.
pub(crate) fn plan(
    template: &BTreeMap<String, ParameterFact>,
    current: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
) -> Plan {
    let mut plan = Plan::default();
    for (name, fact) in template {
        let choice = match (given.get(name), current.get(name), &fact.default) {
            (Some(value), before, _) => {
                match before {
                    Some(before) if before == value => {}
                    Some(before) => plan.notes.push(format!("{name}: {} → {} (as given)", shown(before), shown(value))),
                    None => plan.notes.push(format!("{name} is new: {} (as given)", shown(value))),
                }
                Choice::Given(value.clone())
            }
            (None, Some(value), _) => Choice::Previous(value.clone()),
            (None, None, Some(default)) => {
                plan.notes.push(format!("{name} is new: {} (the template's default)", shown(default)));
                Choice::Default(default.clone())
            }
            (None, None, None) => {
                plan.problems.push(format!("the parameter {name} is new and has no default: --set {name}=…"));
                continue;
            }
        };
        if !fact.allowed.is_empty() && !fact.allowed.iter().any(|allowed| allowed == choice.value()) {
            let allowed = fact.allowed.join(", ");
            plan.problems
                .push(format!("the parameter {name} is {}, and must be one of {allowed}", shown(choice.value())));
        }
        plan.choices.insert(name.clone(), choice);
    }
    for name in current.keys().filter(|name| !template.contains_key(*name)) {
        plan.notes.push(format!("{name} goes: the template does not have it any more"));
    }
    for name in given.keys().filter(|name| !template.contains_key(*name)) {
        plan.problems.push(format!("the template has no parameter {name}"));
    }
    plan
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "empty" } else { value }
}

/// The four parameters that say which environment a stack is.
pub(crate) fn expected(environment: Environment) -> [(&'static str, String); 4] {
    let name = environment.name();
    [
        ("DNS", name.to_owned()),
        ("FamTag", name[..1].to_owned()),
        ("ClusterName", format!("ecs-preserv-{name}")),
        ("Envn", name.to_uppercase()),
    ]
}

/// What in the parameters belongs to another environment.
pub(crate) fn foreign(environment: Environment, values: &BTreeMap<String, String>) -> Vec<String> {
    let wrong = expected(environment).into_iter().filter_map(|(name, expected)| {
        let value = values.get(name).filter(|value| **value != expected)?;
        Some(format!("{name} is {value}, and {environment} has {expected}: this is the stack of another environment"))
    });
    wrong.collect()
}

/// Limits that contradict each other: `MaxContainers` is one number for services with different minimums.
pub(crate) fn limits(facts: &Facts) -> Vec<String> {
    let narrow = facts.workloads.iter().filter_map(|workload| {
        let capacity = workload.capacity.as_ref().filter(|capacity| capacity.most < capacity.least)?;
        let Runner::Service { .. } = workload.runner else { return None };
        Some(format!(
            "{} never runs fewer than {} tasks, and MaxContainers is {}: --set MaxContainers=…",
            workload.executable, capacity.least, capacity.most
        ))
    });
    narrow.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(default: Option<&str>, allowed: &[&str]) -> ParameterFact {
        ParameterFact {
            default: default.map(str::to_owned),
            allowed: allowed.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_parameter_is_kept_defaulted_given_or_refused() {
        let template = BTreeMap::from([
            ("Kept".to_owned(), fact(Some("x"), &[])),
            ("New".to_owned(), fact(Some("d"), &[])),
            ("Naked".to_owned(), fact(None, &[])),
            ("Set".to_owned(), fact(None, &["1", "2"])),
        ]);
        let current = map(&[("Kept", "old"), ("Gone", "1"), ("Set", "1")]);
        let plan = plan(&template, &current, &map(&[("Set", "3"), ("Unknown", "1")]));
        assert_eq!(plan.choices["Kept"], Choice::Previous("old".to_owned()));
        assert_eq!(plan.choices["New"], Choice::Default("d".to_owned()));
        assert_eq!(plan.choices["Set"], Choice::Given("3".to_owned()));
        assert_eq!(
            plan.problems,
            [
                "the parameter Naked is new and has no default: --set Naked=…",
                "the parameter Set is 3, and must be one of 1, 2",
                "the template has no parameter Unknown",
            ]
        );
        assert_eq!(
            plan.notes,
            [
                "New is new: d (the template's default)",
                "Set: 1 → 3 (as given)",
                "Gone goes: the template does not have it any more",
            ]
        );
    }

    #[test]
    fn a_stack_of_another_environment_is_noticed() {
        let demo = map(&[("DNS", "demo"), ("FamTag", "d"), ("ClusterName", "ecs-preserv-demo"), ("Envn", "DEMO")]);
        assert!(foreign(Environment::Demo, &demo).is_empty());
        assert_eq!(foreign(Environment::Prod, &demo).len(), 4);
        let mixed = map(&[("DNS", "prod"), ("Envn", "STAGING")]);
        assert_eq!(foreign(Environment::Prod, &mixed).len(), 1);
    }
}
