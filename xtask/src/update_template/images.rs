//! Finds the images of our services in a template, by where they stand and not by how a line looks.
//!
//! The rule. A text is an image if it is
//!
//! 1. the `Image` of a container, that is, of a mapping that is an element of a `ContainerDefinitions` list (a branch of
//!    `Fn::If` and what `<<` merges count as such), either as it stands or at the end of what `Fn::Sub` or `Fn::Join` makes, or
//!    as a branch of `Fn::If`; or
//! 2. a value below `Mappings` that an `Fn::FindInMap` in such a place can read.
//!
//! It is one of ours if its last path component, up to `:` or `@`, is the name of a service. Whatever stands elsewhere is no image,
//! however much it looks like one: names, commands, health checks, environments, settings, descriptions, comments.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use super::reference::Reference;
use super::yaml::{Kind, NodeId, Yaml};

/// What a template has.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the text.
    pub(super) images: Vec<Image>,
    /// Why the template cannot be pinned.
    pub(super) problems: Vec<String>,
    /// What looks like an image of ours and is left alone.
    pub(super) mentions: Vec<String>,
}

/// An image of one of our services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) service: String,
    pub(super) node: NodeId,
    pub(super) line: usize,
    /// As it stands, with its `:` or `@`; empty if there is none.
    pub(super) pin: String,
    /// The pin's bytes in the source.
    pub(super) span: Range<usize>,
    /// What the task definition says of the processor, where it says so literally.
    pub(super) architecture: Option<String>,
}

/// Searches all documents. `prefix` is the registry's path, such as `aptrust`. The text was read by serde_yaml before, so aliases
/// neither go in circles nor multiply without end.
pub(super) fn find(source: &str, yaml: &Yaml, services: &[String], prefix: &str) -> Found {
    let mut search = Search { yaml, candidates: BTreeMap::new(), lookups: Vec::new() };
    for document in yaml.documents() {
        search.task_definitions(*document);
        search.mappings(*document);
    }
    search.judge(source, services, prefix)
}

/// How an image is read.
#[derive(Clone, Copy, Debug)]
struct Reader<'y> {
    /// The container.
    container: NodeId,
    architecture: Option<&'y str>,
    /// Nothing is put after the text, so that it ends as the image ends.
    whole: bool,
}

/// A text that stands where an image stands.
#[derive(Debug)]
struct Candidate<'y> {
    reader: Reader<'y>,
    /// The name below `Mappings`, if it stands there.
    map: Option<&'y str>,
}

/// An `Fn::FindInMap`; a key that is not literal can be any.
#[derive(Debug)]
struct Lookup<'y> {
    keys: [Option<&'y str>; 3],
    reader: Reader<'y>,
}

struct Search<'y> {
    yaml: &'y Yaml,
    candidates: BTreeMap<NodeId, Candidate<'y>>,
    lookups: Vec<Lookup<'y>>,
}

impl<'y> Search<'y> {
    /// Looks for `ContainerDefinitions` in all of a document.
    fn task_definitions(&mut self, document: NodeId) {
        let mut seen = HashSet::new();
        let mut todo = vec![document];
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            todo.extend(self.yaml.elements(id));
            for (key, value) in self.yaml.entries(id) {
                todo.push(*value);
                if self.yaml.text(*key) == Some("ContainerDefinitions") {
                    self.containers(*value, self.architecture(id));
                }
            }
        }
    }

    /// The processor that a task definition asks for: ECS's default if it says nothing, none if it does not say it literally.
    fn architecture(&self, task_definition: NodeId) -> Option<&'y str> {
        let Some(platform) = self.yaml.get(task_definition, "RuntimePlatform") else { return Some("X86_64") };
        let id = self.yaml.get(platform, "CpuArchitecture")?;
        self.yaml.text(id).filter(|_| self.yaml.node(id).tag.is_none())
    }

    /// A list of containers, a container, or a choice between such.
    fn containers(&mut self, id: NodeId, architecture: Option<&'y str>) {
        if let Some((name, argument)) = self.function(id) {
            let branches = if name == "If" { self.yaml.elements(argument).get(1..).unwrap_or_default() } else { &[] };
            for branch in branches {
                self.containers(*branch, architecture);
            }
            return;
        }
        for element in self.yaml.elements(id) {
            self.containers(*element, architecture);
        }
        for (key, value) in self.yaml.entries(id) {
            match self.yaml.text(*key) {
                Some("Image") => self.image(*value, Reader { container: id, architecture, whole: true }),
                Some("<<") => self.containers(*value, architecture),
                _ => {}
            }
        }
    }

    /// A value that is an image, or a function that makes one.
    fn image(&mut self, id: NodeId, reader: Reader<'y>) {
        let yaml = self.yaml;
        let Some((name, argument)) = self.function(id) else {
            self.candidate(id, reader, None);
            return;
        };
        let arguments = yaml.elements(argument);
        let whole = |last: bool| Reader { whole: reader.whole && last, ..reader };
        match name {
            "Sub" => {
                let [text, variables] = arguments else {
                    self.candidate(argument, reader, None);
                    return;
                };
                self.candidate(*text, reader, None);
                let text = yaml.text(*text).unwrap_or_default().trim_end();
                for (key, value) in yaml.entries(*variables) {
                    let variable = format!("${{{}}}", yaml.text(*key).unwrap_or_default());
                    let rest = text.rsplit_once(&variable).map(|(_, rest)| rest);
                    // Followed by more of the path or of the name, or not used at all, it cannot be the image's name.
                    if let Some(rest) = rest
                        && (rest.is_empty() || rest.starts_with([':', '@', '$']))
                    {
                        self.image(*value, whole(rest.is_empty()));
                    }
                }
            }
            "Join" => {
                let [delimiter, pieces] = arguments else { return };
                let path = yaml.text(*delimiter).is_some_and(|delimiter| delimiter.starts_with('/'));
                let pieces = yaml.elements(*pieces);
                let last = pieces.len().saturating_sub(1);
                for (index, piece) in pieces.iter().enumerate() {
                    if index == last || !path {
                        self.image(*piece, whole(index == last));
                    }
                }
            }
            "If" => {
                for branch in arguments.get(1..).unwrap_or_default() {
                    self.image(*branch, reader);
                }
            }
            "FindInMap" => {
                let key = |index: usize| {
                    let id = *arguments.get(index)?;
                    yaml.text(id).filter(|_| yaml.node(id).tag.is_none())
                };
                self.lookups.push(Lookup { keys: [key(0), key(1), key(2)], reader });
            }
            _ => {}
        }
    }

    /// The values that the lookups of this document can read.
    fn mappings(&mut self, document: NodeId) {
        let yaml = self.yaml;
        let Some(mappings) = yaml.get(document, "Mappings") else { return };
        let below = |id: NodeId, wanted: Option<&str>| -> Vec<(&'y str, NodeId)> {
            let entries = yaml.entries(id).iter().filter_map(|(key, value)| Some((yaml.text(*key)?, *value)));
            entries.filter(|(key, _)| wanted.is_none_or(|wanted| wanted == *key)).collect()
        };
        for Lookup { keys: [map, top, second], reader } in std::mem::take(&mut self.lookups) {
            for (map, id) in below(mappings, map) {
                let values = below(id, top).into_iter().flat_map(|(_, id)| below(id, second));
                for (_, value) in values.collect::<Vec<_>>() {
                    self.candidate(value, reader, Some(map));
                }
            }
        }
    }

    fn candidate(&mut self, id: NodeId, reader: Reader<'y>, map: Option<&'y str>) {
        let candidate = self.candidates.entry(id).or_insert(Candidate { reader, map });
        // Read by several, it must be the end of an image for each of them.
        candidate.reader.whole &= reader.whole;
    }

    /// `!Sub x` and `Fn::Sub: x`: the name without `Fn::`, and what it is applied to.
    fn function(&self, id: NodeId) -> Option<(&'y str, NodeId)> {
        let node = self.yaml.node(id);
        if let Some(tag) = &node.tag {
            return Some((tag, id));
        }
        let [(key, value)] = self.yaml.entries(id) else { return None };
        let name = self.yaml.text(*key)?;
        if name == "Ref" { Some((name, *value)) } else { Some((name.strip_prefix("Fn::")?, *value)) }
    }

    /// Tells ours from others', and what can be pinned from what cannot.
    fn judge(&self, source: &str, services: &[String], prefix: &str) -> Found {
        let mut found = Found::default();
        let mut readers: BTreeMap<&str, BTreeSet<NodeId>> = BTreeMap::new();
        let mut families = BTreeSet::new();
        let mut others = Vec::new();
        for (id, Candidate { reader, map }) in &self.candidates {
            let node = self.yaml.node(*id);
            let Kind::Scalar(scalar) = &node.kind else { continue };
            let text = scalar.text.trim_end();
            let reference = Reference::parse(text);
            let line = node.line;
            if !services.iter().any(|service| service == reference.name) {
                others.push((line, text, reference, *map, reader.whole));
                continue;
            }
            families.insert((*map, reference.prefix));
            readers.entry(reference.name).or_default().insert(reader.container);
            if !reader.whole {
                found.problems.push(format!(
                    "line {line}: the image of {} is put together from pieces, of which `{text}` is one",
                    reference.name
                ));
            } else if !reference.has_literal_pin() {
                found.problems.push(format!(
                    "line {line}: `{}` of `{text}` is neither a tag nor a digest that can be replaced",
                    reference.pin
                ));
            } else if !source[..scalar.end].ends_with(&text[reference.prefix.len()..]) {
                found.problems.push(format!(
                    "line {line}: `{text}` is written with escapes or over several lines, so that its pin cannot be found"
                ));
            } else {
                found.images.push(Image {
                    service: reference.name.to_owned(),
                    node: *id,
                    line,
                    pin: reference.pin.to_owned(),
                    span: scalar.end - reference.pin.len()..scalar.end,
                    architecture: reader.architecture.map(str::to_owned),
                });
            }
        }
        found.problems.extend(self.repeated(&readers));
        for (line, text, reference, map, whole) in others {
            let ours = reference.prefix == format!("{prefix}/") || reference.prefix.ends_with(&format!("/{prefix}/"));
            // What is written just as our images are is one of ours; a name without anything could be anybody's.
            let sibling = families.contains(&(map, reference.prefix))
                && (!reference.prefix.is_empty() || (map.is_some() && !reference.pin.is_empty()));
            if whole && reference.has_image_name() && (ours || sibling) {
                found.problems.push(format!(
                    "line {line}: `{text}` names no service: services/apps/src/bin has no {}.rs",
                    reference.name
                ));
            }
        }
        found.mentions = self.mentions(services);
        found
    }

    /// Two containers with an image of one service each: a block was copied and its image forgotten.
    fn repeated(&self, readers: &BTreeMap<&str, BTreeSet<NodeId>>) -> Vec<String> {
        let twice = readers.iter().filter(|(_, containers)| containers.len() > 1);
        let line = |id: &NodeId| self.yaml.node(*id).line.to_string();
        let text = |(service, containers): (&&str, &BTreeSet<NodeId>)| {
            let lines: Vec<String> = containers.iter().map(line).collect();
            format!("the containers of lines {} all have an image of {service}", lines.join(" and "))
        };
        twice.map(text).collect()
    }

    /// What somebody may take for an image of ours although it is none, or none any more.
    fn mentions(&self, services: &[String]) -> Vec<String> {
        let ours = |text: &str| {
            let reference = Reference::parse(text);
            let known = services.iter().any(|service| service == reference.name);
            known && !reference.pin.is_empty() && reference.has_literal_pin() && !text.contains(char::is_whitespace)
        };
        let mut lines = Vec::new();
        for (id, node) in self.yaml.nodes().iter().enumerate() {
            let text = self.yaml.text(id).map(str::trim_end).unwrap_or_default();
            if !self.candidates.contains_key(&id) && ours(text) {
                lines.push((node.line, format!("line {}: `{text}` is the image of no container", node.line)));
            }
        }
        for comment in self.yaml.comments() {
            let words = comment.text.split_whitespace().map(|word| word.trim_matches(|c| "'\"`,;.()[]{}".contains(c)));
            lines.extend(
                words
                    .filter(|word| ours(word))
                    .map(|word| (comment.line, format!("line {}: `{word}` is commented out", comment.line))),
            );
        }
        lines.sort();
        lines.into_iter().map(|(_, text)| text).collect()
    }
}
