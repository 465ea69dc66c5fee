//! Puts new pins into the bytes of a template, and proves that nothing else changed.
//!
//! The proof does not trust what found the places: it compares bytes, then the nodes of one parser, then the trees of another.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_yaml::{Deserializer, Value};

use super::images::Image;
use super::yaml::{Kind, NodeId, Yaml};

/// A pin and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) node: NodeId,
    /// Bytes in the source.
    pub(super) span: Range<usize>,
    /// With its `:` or `@`.
    pub(super) pin: String,
}

impl Edit {
    pub(super) fn new(image: &Image, pin: &str) -> Self {
        Self { node: image.node, span: image.span.clone(), pin: pin.to_owned() }
    }
}

/// The text with all edits, which are in the order of the text.
pub(super) fn splice(source: &str, edits: &[Edit]) -> String {
    let mut text = String::with_capacity(source.len() + 80 * edits.len());
    let mut from = 0;
    for edit in edits {
        text.push_str(&source[from..edit.span.start]);
        text.push_str(&edit.pin);
        from = edit.span.end;
    }
    text.push_str(&source[from..]);
    text
}

/// What serde_yaml makes of all documents of a text.
pub(super) fn trees(text: &str) -> Result<Vec<Value>> {
    Deserializer::from_str(text).map(|document| Value::deserialize(document).map_err(Into::into)).collect()
}

/// Succeeds only if `after` is `before` with these edits and no other difference, in the bytes and for both parsers.
pub(super) fn prove(before: &str, after: &str, edits: &[Edit]) -> Result<()> {
    same_bytes_elsewhere(before, after, edits)?;
    let replaced = same_nodes_elsewhere(before, after, edits)?;
    let before = trees(before).context("reading the template again")?;
    let after = trees(after).context("reading the result")?;
    ensure!(before.len() == after.len(), "the result has another number of documents");
    let mut seen = vec![false; replaced.len()];
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        same_tree_elsewhere(before, after, &replaced, &mut seen)
            .with_context(|| format!("in document {}", index + 1))?;
    }
    ensure!(seen.iter().all(|seen| *seen), "an image did not change although its bytes did");
    Ok(())
}

fn same_bytes_elsewhere(before: &str, after: &str, edits: &[Edit]) -> Result<()> {
    let (mut old, mut new) = (before.as_bytes(), after.as_bytes());
    let mut from = 0;
    let mut take = |kept: usize, replaced: usize, pin: &str| {
        let same = old.len() >= kept + replaced && new.len() >= kept + pin.len() && old[..kept] == new[..kept];
        ensure!(same && new[kept..].starts_with(pin.as_bytes()), "bytes beside the images differ");
        (old, new) = (&old[kept + replaced..], &new[kept + pin.len()..]);
        Ok(())
    };
    for edit in edits {
        ensure!(edit.span.start >= from, "two edits overlap");
        take(edit.span.start - from, edit.span.len(), &edit.pin)?;
        from = edit.span.end;
    }
    take(before.len() - from, 0, "")?;
    ensure!(new.is_empty(), "bytes after the last image differ");
    Ok(())
}

/// Returns the edited images, before and after.
fn same_nodes_elsewhere(source: &str, after: &str, edits: &[Edit]) -> Result<Vec<(String, String)>> {
    let parse = |text| Yaml::parse(text).map_err(|error| anyhow::anyhow!("the result is not YAML: {error}"));
    let (before, after) = (parse(source)?, parse(after)?);
    ensure!(before.nodes().len() == after.nodes().len(), "the result has another number of nodes");
    ensure!(before.documents() == after.documents() && before.comments() == after.comments(), "the documents differ");
    let mut replaced = Vec::new();
    for (id, (old, new)) in before.nodes().iter().zip(after.nodes()).enumerate() {
        let place = || format!("line {}", old.line);
        ensure!((old.line, &old.tag) == (new.line, &new.tag), "{}: the node differs", place());
        match (&old.kind, &new.kind) {
            (Kind::Scalar(old), Kind::Scalar(new)) => {
                ensure!(old.style == new.style, "{}: the style differs", place());
                match edits.iter().find(|edit| edit.node == id) {
                    None => ensure!(old.text == new.text, "{}: `{}` became `{}`", place(), old.text, new.text),
                    Some(edit) => {
                        let expected = expected(source, &old.text, edit).with_context(place)?;
                        ensure!(new.text == expected, "{}: `{}` became `{}`", place(), old.text, new.text);
                        replaced.push((old.text.trim_end().to_owned(), expected.trim_end().to_owned()));
                    }
                }
            }
            (old, new) => ensure!(old == new, "{}: the structure differs", place()),
        }
    }
    ensure!(replaced.len() == edits.len(), "{} images were to change, and {} did", edits.len(), replaced.len());
    Ok(replaced)
}

/// A scalar's text with its pin replaced. A block scalar's line break stays behind it.
fn expected(source: &str, text: &str, edit: &Edit) -> Result<String> {
    let image = text.trim_end();
    let Some(kept) = image.strip_suffix(&source[edit.span.clone()]) else { bail!("`{text}` does not end in its pin") };
    Ok(format!("{kept}{}{}", edit.pin, &text[image.len()..]))
}

/// Walks two trees: they may differ only where an old text became the new one that belongs to it.
fn same_tree_elsewhere(before: &Value, after: &Value, replaced: &[(String, String)], seen: &mut [bool]) -> Result<()> {
    match (before, after) {
        (Value::String(old), Value::String(new)) if old != new => {
            // The parsers do not agree on whether a block scalar at the very end has a line break.
            let (old_image, new_image) = (old.trim_end(), new.trim_end());
            ensure!(old[old_image.len()..] == new[new_image.len()..], "the end of `{old}` differs");
            let known = replaced.iter().enumerate().filter(|(_, (from, to))| from == old_image && to == new_image);
            let known: Vec<usize> = known.map(|(index, _)| index).collect();
            ensure!(!known.is_empty(), "`{old}` became `{new}`");
            for index in known {
                seen[index] = true;
            }
        }
        (Value::Sequence(old), Value::Sequence(new)) if old.len() == new.len() => {
            for (old, new) in old.iter().zip(new) {
                same_tree_elsewhere(old, new, replaced, seen)?;
            }
        }
        (Value::Mapping(old), Value::Mapping(new)) if old.len() == new.len() => {
            for ((old_key, old), (new_key, new)) in old.iter().zip(new) {
                ensure!(old_key == new_key, "a key differs: {old_key:?} and {new_key:?}");
                same_tree_elsewhere(old, new, replaced, seen)?;
            }
        }
        (Value::Tagged(old), Value::Tagged(new)) if old.tag == new.tag => {
            same_tree_elsewhere(&old.value, &new.value, replaced, seen)?;
        }
        (old, new) => ensure!(old == new, "{old:?} became {new:?}"),
    }
    Ok(())
}
