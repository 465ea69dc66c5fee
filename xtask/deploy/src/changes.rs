//! The changes of a change set in three classes: expected of a release, worth a look, and dangerous. What is dangerous needs an
//! approval by name.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::template::Template;
use crate::template::evaluate::Scope;
use crate::template::facts::{Facts, Runner, Workload};

/// One entry of a change set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) logical_id: String,
    pub(crate) kind: String,
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
    pub(crate) action: String,
    /// `True`, `False` or `Conditional`; empty for additions.
    pub(crate) replacement: String,
    /// What happens to the old one: `Retain`, `Delete`, … where CloudFormation says.
    pub(crate) policy_action: String,
    pub(crate) details: Vec<Detail>,
}

/// One property that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Detail {
    /// `Properties`, `Tags`, `DeletionPolicy`, …
    pub(crate) attribute: String,
    /// The property's name; empty if the attribute has none.
    pub(crate) name: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Change {
    /// Names of what changes, each once.
    pub(crate) fn properties(&self) -> BTreeSet<&str> {
        let name = |detail: &'_ Detail| !detail.name.is_empty();
        self.details.iter().map(|detail| if name(detail) { &*detail.name } else { &*detail.attribute }).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Expected,
    Notable,
    /// With the reason.
    Dangerous(Danger),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Danger {
    Replaced,
    /// CloudFormation cannot tell before it does it.
    PerhapsReplaced,
    Removed,
    /// What was kept when it leaves the stack would now be deleted.
    LessProtected,
}

impl Danger {
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Danger::Replaced => "is replaced",
            Danger::PerhapsReplaced => "may be replaced",
            Danger::Removed => "is removed",
            Danger::LessProtected => "loses its DeletionPolicy",
        }
    }
}

/// Kinds whose replacement loses data, interrupts work or fails because they have names of their own.
const PRECIOUS: [&str; 7] = [
    "AWS::ECS::Cluster",
    "AWS::ECS::Service",
    "AWS::Logs::LogGroup",
    "AWS::ServiceDiscovery::Service",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
];

/// Properties that give a resource a name of its own, which a replacement would need a second time.
const NAMES: [&str; 9] = [
    "ClusterName",
    "ServiceName",
    "LogGroupName",
    "RoleName",
    "ManagedPolicyName",
    "QueueName",
    "TopicName",
    "AlarmName",
    "TableName",
];

/// Puts a change into its class. `old` and `new` are the templates; a creation has no old one.
pub(crate) fn classify(change: &Change, old: Option<&Template>, new: &Template) -> Class {
    let lasting = |template: Option<&Template>| {
        template.and_then(|template| template.resource(&change.logical_id)).map(|resource| {
            (resource.deletion_policy() != "Delete", NAMES.iter().any(|name| !resource.properties[*name].is_null()))
        })
    };
    match change.action.as_str() {
        "Add" | "Import" => return Class::Notable,
        "Remove" => return Class::Dangerous(Danger::Removed),
        _ => {}
    }
    let (was_kept, has_name) = lasting(old).unwrap_or_default();
    let (is_kept, _) = lasting(Some(new)).unwrap_or((true, false));
    if was_kept && !is_kept {
        return Class::Dangerous(Danger::LessProtected);
    }
    let replaced = match change.replacement.as_str() {
        "True" => Some(Danger::Replaced),
        "Conditional" => Some(Danger::PerhapsReplaced),
        _ => None,
    };
    match (change.kind.as_str(), replaced) {
        ("AWS::ECS::TaskDefinition", _) => Class::Expected,
        (kind, Some(danger)) if PRECIOUS.contains(&kind) || has_name || was_kept => Class::Dangerous(danger),
        ("AWS::ECS::Service" | "AWS::Scheduler::Schedule", None) if only_follows(change) => Class::Expected,
        _ => Class::Notable,
    }
}

/// Nothing changes but which task definition it runs.
fn only_follows(change: &Change) -> bool {
    let properties = change.properties();
    properties.iter().all(|name| matches!(*name, "TaskDefinition" | "Target"))
}

/// What an executable's release changes about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Roll {
    pub(crate) executable: String,
    /// None: it was not there before.
    pub(crate) old_image: Option<String>,
    pub(crate) new_image: String,
    /// Differences besides the image, for people; empty: only the image.
    pub(crate) others: Vec<String>,
    /// Settings that it had and gets no longer.
    pub(crate) removed_settings: BTreeSet<String>,
}

/// The executables whose task definition, service or schedule changes. `old` and `new` are what the templates say.
pub(crate) fn rolls(changes: &[Change], old: &Side<'_>, new: &Side<'_>) -> Vec<Roll> {
    let touched: BTreeSet<&str> = changes
        .iter()
        .filter(|change| change.action != "Remove")
        .filter_map(|change| new.facts.owner(&change.logical_id))
        .map(|workload| workload.executable.as_str())
        .collect();
    let rolls = new.facts.workloads.iter().filter(|workload| touched.contains(workload.executable.as_str()));
    rolls
        .map(|workload| {
            let before = old.facts.workload(&workload.executable);
            Roll {
                executable: workload.executable.clone(),
                old_image: before.map(|before| before.image.reference.clone()),
                new_image: workload.image.reference.clone(),
                others: before.map_or_else(|| vec!["new".to_owned()], |before| differences(before, old, workload, new)),
                removed_settings: before.map(|before| &before.secrets - &workload.secrets).unwrap_or_default(),
            }
        })
        .collect()
}

/// A template, with what it says when its parameters are put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) facts: &'a Facts,
}

fn differences(before: &Workload, old: &Side<'_>, after: &Workload, new: &Side<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, one: Option<&str>, other: Option<&str>| {
        if one != other {
            found.push(format!("{what} {} → {}", one.unwrap_or("none"), other.unwrap_or("none")));
        }
    };
    differ("CPU", before.cpu.as_deref(), after.cpu.as_deref());
    differ("memory", before.memory.as_deref(), after.memory.as_deref());
    let limits = |workload: &Workload| {
        workload.capacity.as_ref().map(|capacity| format!("{}–{}", capacity.least, capacity.most))
    };
    differ("tasks", limits(before).as_deref(), limits(after).as_deref());
    if std::mem::discriminant(&before.runner) != std::mem::discriminant(&after.runner) {
        let word = |workload: &Workload| match workload.runner {
            Runner::Service { .. } => "service",
            Runner::Schedule { .. } => "schedule",
            Runner::Nothing => "not run",
        };
        found.push(format!("{} → {}", word(before), word(after)));
    }
    for (sign, names) in [
        ("−", before.secrets.difference(&after.secrets).collect::<Vec<_>>()),
        ("+", after.secrets.difference(&before.secrets).collect()),
    ] {
        match names[..] {
            [] => {}
            [name] => found.push(format!("{sign}{name}")),
            _ => found.push(format!("{sign}{} settings", names.len())),
        }
    }
    if found.is_empty() && without_image(before, old) != without_image(after, new) {
        found.push("task definition".to_owned());
    }
    found
}

/// The task definition with its images blanked out, for a comparison.
fn without_image(workload: &Workload, side: &Side<'_>) -> Option<Value> {
    let resource = side.scope.template.resource(&workload.task_definition)?;
    let mut properties = partly_evaluated(resource.properties, &side.scope);
    for container in properties["ContainerDefinitions"].as_array_mut().into_iter().flatten() {
        if container["Image"] == workload.image.reference.as_str() {
            container["Image"] = Value::Null;
        }
    }
    Some(properties)
}

/// Each part evaluated that can be.
fn partly_evaluated(value: &Value, scope: &Scope<'_>) -> Value {
    if let Some(known) = scope.value(value) {
        return known;
    }
    match value {
        Value::Array(items) => items.iter().map(|item| partly_evaluated(item, scope)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), partly_evaluated(item, scope))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(policy: &str) -> Template {
        let text = format!(
            "Resources: {{Logs: {{Type: AWS::Logs::LogGroup, DeletionPolicy: {policy}, Properties: {{LogGroupName: x}}}},
             Queue: {{Type: AWS::SQS::Queue}}, Role: {{Type: AWS::IAM::Role, Properties: {{RoleName: x}}}}, Service: {{Type: AWS::ECS::Service}}}}"
        );
        Template::parse(text, "it").unwrap()
    }

    #[test]
    fn changes_fall_into_their_classes() {
        type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str], &'a Template, Class);
        use Class::{Dangerous, Expected, Notable};
        use Danger::{LessProtected, PerhapsReplaced, Removed, Replaced};
        let (old, new, weaker) = (template("Retain"), template("Retain"), template("Delete"));
        let table: [Case<'_>; 14] = [
            ("Task", "AWS::ECS::TaskDefinition", "Modify", "True", &["ContainerDefinitions"], &new, Expected),
            ("Service", "AWS::ECS::Service", "Modify", "False", &["TaskDefinition"], &new, Expected),
            ("Service", "AWS::ECS::Service", "Modify", "False", &["TaskDefinition", "DesiredCount"], &new, Notable),
            ("Service", "AWS::ECS::Service", "Modify", "True", &["ServiceName"], &new, Dangerous(Replaced)),
            ("Service", "AWS::ECS::Service", "Modify", "Conditional", &["Cluster"], &new, Dangerous(PerhapsReplaced)),
            ("Service", "AWS::ECS::Service", "Remove", "", &[], &new, Dangerous(Removed)),
            ("Cron", "AWS::Scheduler::Schedule", "Modify", "False", &["Target"], &new, Expected),
            ("Cron", "AWS::Scheduler::Schedule", "Modify", "False", &["ScheduleExpression"], &new, Notable),
            ("New", "AWS::SQS::Queue", "Add", "", &[], &new, Notable),
            ("Queue", "AWS::SQS::Queue", "Modify", "True", &[], &new, Notable),
            ("Role", "AWS::IAM::Role", "Modify", "True", &["Path"], &new, Dangerous(Replaced)),
            ("Logs", "AWS::Logs::LogGroup", "Modify", "False", &["RetentionInDays"], &new, Notable),
            ("Logs", "AWS::Logs::LogGroup", "Modify", "False", &["DeletionPolicy"], &weaker, Dangerous(LessProtected)),
            (
                "Target",
                "AWS::ApplicationAutoScaling::ScalableTarget",
                "Modify",
                "Conditional",
                &[],
                &new,
                Dangerous(PerhapsReplaced),
            ),
        ];
        for (id, kind, action, replacement, properties, new, expected) in table {
            let details = properties.iter().map(|name| Detail { name: (*name).to_owned(), ..Detail::default() });
            let change = Change {
                logical_id: id.to_owned(),
                kind: kind.to_owned(),
                action: action.to_owned(),
                replacement: replacement.to_owned(),
                details: details.collect(),
                ..Change::default()
            };
            assert_eq!(classify(&change, Some(&old), new), expected, "{change:?}");
        }
    }
}
