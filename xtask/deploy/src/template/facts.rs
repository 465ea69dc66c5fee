//! What a template says about the services: which image, in which task definition, run by which service or schedule, and
//! what must be there before it can run.

use std::collections::BTreeSet;

use serde_json::Value;

use super::evaluate::{Scope, call};

/// One executable and the resources that run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The executable, which is the last part of the image's repository.
    pub(crate) executable: String,
    pub(crate) image: Image,
    pub(crate) container: String,
    /// The logical id of the task definition.
    pub(crate) task_definition: String,
    pub(crate) runner: Runner,
    /// Settings that come from SSM.
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) cpu: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) capacity: Option<Capacity>,
}

/// What starts an executable's tasks; the strings are logical ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    Service { id: String, name: Option<String> },
    Schedule { id: String },
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// An image reference, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// As the task definition names it.
    pub(crate) reference: String,
    /// With registry, without tag and digest.
    pub(crate) repository: String,
    pub(crate) pin: Pin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// `sha256:…`.
    Digest(String),
    Tag(String),
    /// No tag, `unreleased`, or the `multi` of the first template.
    Nothing,
}

impl Image {
    pub(crate) fn parse(reference: &str) -> Self {
        let image =
            |repository: &str, pin| Self { reference: reference.to_owned(), repository: repository.to_owned(), pin };
        if let Some((repository, digest)) = reference.split_once('@') {
            return image(repository, Pin::Digest(digest.to_owned()));
        }
        match reference.rsplit_once(':') {
            // A colon before a slash is the registry's port.
            Some((repository, tag)) if !tag.contains('/') => {
                let placeholder = matches!(tag, "" | "unreleased" | "multi");
                image(repository, if placeholder { Pin::Nothing } else { Pin::Tag(tag.to_owned()) })
            }
            _ => image(reference, Pin::Nothing),
        }
    }

    /// The last part of the repository.
    pub(crate) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// What tells this image from others of its name, short enough for a table.
    pub(crate) fn short(&self) -> String {
        match &self.pin {
            Pin::Digest(digest) => short_digest(digest),
            Pin::Tag(tag) => tag.clone(),
            Pin::Nothing => "not pinned".to_owned(),
        }
    }
}

/// The first twelve digits.
pub(crate) fn short_digest(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(12).collect()
}

/// Everything that the checks and the verdict need to know of a template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Sorted by executable.
    pub(crate) workloads: Vec<Workload>,
    /// Names of exports of other stacks.
    pub(crate) imports: BTreeSet<String>,
    /// Names of SSM parameters.
    pub(crate) settings: BTreeSet<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) log_group: Option<String>,
}

impl Facts {
    /// Reads the facts; `executables` are the names that count as ours among the images.
    pub(crate) fn of(scope: &Scope<'_>, executables: &[String]) -> Self {
        let template = scope.template;
        let mut facts = Facts {
            cluster: named(scope, "AWS::ECS::Cluster", "ClusterName"),
            log_group: named(scope, "AWS::Logs::LogGroup", "LogGroupName"),
            ..Facts::default()
        };
        for resource in template.resources() {
            imports(scope, resource.properties, &mut facts.imports);
            if resource.kind != "AWS::ECS::TaskDefinition" {
                continue;
            }
            let containers = || resource.properties["ContainerDefinitions"].as_array().into_iter().flatten();
            let image = |container: &Value| scope.text(&container["Image"]).map(|text| Image::parse(&text));
            let is_ours = |container: &&Value| {
                image(container).is_some_and(|image| executables.iter().any(|executable| executable == image.name()))
            };
            let mut ours: Vec<&Value> = containers().filter(is_ours).collect();
            if ours.is_empty() {
                // Of another family of images the first that its task cannot do without is looked at.
                ours.extend(containers().find(|container| container["Essential"] != false));
            }
            for secret in containers().flat_map(secrets) {
                facts.settings.extend(scope.text(&secret["ValueFrom"]).as_deref().map(parameter_name));
            }
            for container in ours {
                let Some(image) = image(container) else { continue };
                let runner = runner(scope, resource.id);
                facts.workloads.push(Workload {
                    executable: image.name().to_owned(),
                    container: scope.text(&container["Name"]).unwrap_or_default(),
                    task_definition: resource.id.to_owned(),
                    capacity: capacity(scope, &runner),
                    runner,
                    secrets: secrets(container).filter_map(|secret| scope.text(&secret["Name"])).collect(),
                    cpu: scope.text(&resource.properties["Cpu"]),
                    memory: scope.text(&resource.properties["Memory"]),
                    image,
                });
            }
        }
        facts.workloads.sort_by(|one, other| one.executable.cmp(&other.executable));
        facts
    }

    pub(crate) fn workload(&self, executable: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.executable == executable)
    }

    /// The executables whose image is not what it was.
    pub(crate) fn moved(&self, before: Option<&Facts>) -> BTreeSet<&str> {
        let was = |workload: &Workload| before?.workload(&workload.executable).map(|before| &before.image);
        let moved = self.workloads.iter().filter(|workload| was(workload) != Some(&workload.image));
        moved.map(|workload| workload.executable.as_str()).collect()
    }

    /// The executable that a resource belongs to, if it is one's task definition, service or schedule.
    pub(crate) fn owner(&self, id: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| {
            workload.task_definition == id
                || match &workload.runner {
                    Runner::Service { id: own, .. } | Runner::Schedule { id: own } => own == id,
                    Runner::Nothing => false,
                }
        })
    }
}

fn secrets(container: &Value) -> impl Iterator<Item = &Value> {
    container["Secrets"].as_array().into_iter().flatten()
}

/// The name that the template gives to its one resource of this kind.
fn named(scope: &Scope<'_>, kind: &str, property: &str) -> Option<String> {
    scope.text(&scope.template.resources().find(|resource| resource.kind == kind)?.properties[property])
}

fn runner(scope: &Scope<'_>, task_definition: &str) -> Runner {
    let refers = |value: &Value| call(value).is_some_and(|(name, to)| name == "Ref" && to == task_definition);
    for resource in scope.template.resources() {
        let properties = resource.properties;
        if resource.kind == "AWS::ECS::Service" && refers(&properties["TaskDefinition"]) {
            return Runner::Service { id: resource.id.to_owned(), name: scope.text(&properties["ServiceName"]) };
        }
        let target = &properties["Target"]["EcsParameters"]["TaskDefinitionArn"];
        if resource.kind == "AWS::Scheduler::Schedule" && refers(target) {
            return Runner::Schedule { id: resource.id.to_owned() };
        }
    }
    Runner::Nothing
}

/// The limits between which the service scales. Older templates name the service by reference instead of by text.
fn capacity(scope: &Scope<'_>, runner: &Runner) -> Option<Capacity> {
    let Runner::Service { id, name } = runner else { return None };
    let resource = scope.template.resources().find(|resource| {
        let target = &resource.properties["ResourceId"];
        let by_name = scope
            .text(target)
            .zip(name.as_ref())
            .is_some_and(|(text, name)| text.rsplit('/').next() == Some(name.as_str()));
        let by_reference = || {
            let mut found = false;
            super::strings(target, &mut |text| found |= text == id || text.contains(&format!("${{{id}.")));
            found
        };
        resource.kind == "AWS::ApplicationAutoScaling::ScalableTarget" && (by_name || by_reference())
    })?;
    let number = |name: &str| scope.text(&resource.properties[name])?.parse().ok();
    Some(Capacity { least: number("MinCapacity")?, most: number("MaxCapacity")? })
}

fn imports(scope: &Scope<'_>, value: &Value, found: &mut BTreeSet<String>) {
    if let Some(("Fn::ImportValue", name)) = call(value) {
        found.extend(scope.text(name));
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| imports(scope, item, found)),
        Value::Object(map) => map.values().for_each(|item| imports(scope, item, found)),
        _ => {}
    }
}

/// `arn:…:parameter/A/B` names the parameter `/A/B`; a name is itself.
fn parameter_name(source: &str) -> String {
    match source.split_once(":parameter/") {
        Some((_, path)) if path.contains('/') => format!("/{path}"),
        Some((_, name)) => name.to_owned(),
        None => source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Template;
    use super::*;

    #[test]
    fn image_references_are_taken_apart() {
        let table = [
            ("h:5000/p/a@sha256:1", "h:5000/p/a", Pin::Digest("sha256:1".to_owned())),
            ("p/a:1b-main", "p/a", Pin::Tag("1b-main".to_owned())),
            ("p/a:unreleased", "p/a", Pin::Nothing),
            ("p/a:multi", "p/a", Pin::Nothing),
            ("h:5000/p/a", "h:5000/p/a", Pin::Nothing),
        ];
        for (reference, repository, pin) in table {
            let image = Image::parse(reference);
            assert_eq!((image.repository.as_str(), image.pin.clone()), (repository, pin), "{reference}");
            assert_eq!(image.name(), "a");
        }
    }

    /// The template that we ship, with the executables that the workspace has.
    fn ours() -> (Facts, Template) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
        let text = std::fs::read_to_string(format!("{root}cloudformation/cfn-preserv-master.yml")).unwrap();
        let files = std::fs::read_dir(format!("{root}services/apps/src/bin")).unwrap();
        let names: Vec<String> =
            files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
        let template = Template::parse(text, "ours").unwrap();
        let parameters = BTreeMap::from([
            ("DNS".to_owned(), "demo".to_owned()),
            ("Envn".to_owned(), "DEMO".to_owned()),
            ("SearchDomainDigest".to_owned(), format!("sha256:{}", "1".repeat(64))),
        ]);
        let scope =
            Scope { template: &template, parameters: &parameters, account: "123456789012", region: "us-east-1" };
        (Facts::of(&scope, &names), template)
    }

    #[test]
    fn our_template_tells_everything_that_a_deployment_needs() {
        let (facts, template) = ours();
        assert_eq!(facts.workloads.len(), 17);
        let services = facts.workloads.iter().filter(|workload| matches!(workload.runner, Runner::Service { .. }));
        assert!(services.clone().all(|workload| workload.capacity.is_some()), "{:?}", services.collect::<Vec<_>>());
        let schedules = facts.workloads.iter().filter(|workload| matches!(workload.runner, Runner::Schedule { .. }));
        assert_eq!(
            schedules.map(|workload| workload.executable.as_str()).collect::<Vec<_>>(),
            ["apt_queue", "apt_queue_fixity"]
        );
        assert_eq!(facts.imports.len(), 7, "{:?}", facts.imports);
        assert!(facts.imports.contains("NameSpace-demo"));
        assert_eq!(facts.settings.len(), 55);
        assert!(facts.settings.contains("/DEMO/PRESERV/NSQ_LOOKUP"));
        assert_eq!(facts.log_group.as_deref(), Some("/ecs/demo/preserv"));
        let format = facts.workload("ingest_format_identifier").unwrap();
        assert!(
            format.image.reference.starts_with(
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/docker-hub/aptrust/ingest_format_identifier"
            )
        );
        assert_eq!(
            facts.owner("erService").map(|workload| workload.executable.as_str()),
            Some("ingest_format_identifier")
        );
        assert!(template.region_literals().is_empty(), "{:?}", template.region_literals());
    }
}
