//! The template's file: what is refused before anything is looked for in it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::exit::Exit;

use super::splice;
use super::yaml::{Kind, Yaml};

/// CloudFormation takes no larger one.
const MAX_BYTES: u64 = 1_048_576;

/// A template that was read and parsed.
#[derive(Debug)]
pub(super) struct Template {
    /// Without the byte order mark.
    pub(super) text: String,
    pub(super) yaml: Yaml,
    has_mark: bool,
}

/// What some editors put before a text. The parsers do not agree on whether it belongs to the first key.
const MARK: &str = "\u{feff}";

impl Template {
    /// Reads a file, or refuses it with the reason.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let refuse = |why: &str, next: &str| Exit::Refused.stop(format!("{} {why}", path.display()), next);
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refuse("does not exist", "name the template: --template <file>"));
            }
            Err(error) => return Err(error).with_context(|| format!("looking at {}", path.display())),
        };
        let kind = metadata.file_type();
        if kind.is_symlink() {
            // A rename would put a file in the place of the link; writing through it could leave half a file behind.
            let to = fs::read_link(path).unwrap_or_default();
            return Err(refuse(&format!("is a link to {}", to.display()), "name the file itself: --template <file>"));
        }
        if kind.is_dir() {
            return Err(refuse("is a directory", "name the template: --template <file>"));
        }
        if !kind.is_file() {
            return Err(refuse("is no regular file", "name the template: --template <file>"));
        }
        fits(metadata.len()).map_err(|size| refuse(&size, "split the stack; images are not what makes it large"))?;
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            refuse(&format!("is not UTF-8, from byte {at} on"), "save it as UTF-8, which CloudFormation requires")
        })?;
        let has_mark = text.starts_with(MARK);
        let text = if has_mark { text[MARK.len()..].to_owned() } else { text };
        let yaml = parse(&text).map_err(|why| refuse(&why, "mend it; nothing was changed"))?;
        if let [_, second, ..] = yaml.documents() {
            let why = format!("holds a second document, in line {}", yaml.node(*second).line);
            return Err(refuse(&why, "CloudFormation takes one: remove what does not belong there"));
        }
        Ok(Self { text, yaml, has_mark })
    }

    /// What a file holds whose text is this instead.
    pub(super) fn bytes(&self, text: &str) -> Vec<u8> {
        format!("{}{text}", if self.has_mark { MARK } else { "" }).into_bytes()
    }
}

/// The size in words, if it is too large.
pub(super) fn fits(bytes: u64) -> Result<(), String> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(format!("has {bytes} bytes, and CloudFormation takes {MAX_BYTES} at most"))
}

/// More nodes than a template of the largest size has without aliases.
const MOST_NODES: u64 = 1_000_000;

/// Two parsers must agree that it is YAML. Aliases that multiply are refused before anything follows
/// them; serde_yaml refuses depth.
pub(super) fn parse(text: &str) -> Result<Yaml, String> {
    let counted = Yaml::parse(text).map_or(0, |yaml| yaml.expanded());
    if counted > MOST_NODES {
        return Err(format!("has aliases that make more than {MOST_NODES} nodes of it"));
    }
    if let Err(error) = splice::trees(text) {
        let why = error.to_string();
        // serde_yaml names only the mapping's place.
        let yaml = if why.contains("duplicate entry") { Yaml::parse(text).ok() } else { None };
        return Err(match yaml.as_ref().and_then(Yaml::repeated_key) {
            Some((key, first, second)) => {
                format!("has the key `{key}` twice in one mapping, in lines {first} and {second}")
            }
            None => format!("is not YAML: {why}"),
        });
    }
    let yaml = Yaml::parse(text).map_err(|why| format!("is not YAML: {why}"))?;
    let is_mapping = |id: &usize| matches!(yaml.node(*id).kind, Kind::Mapping(_));
    match yaml.documents() {
        [] => Err("is empty".to_owned()),
        documents if documents.iter().any(is_mapping) => Ok(yaml),
        _ => Err("is no template: it holds no mapping".to_owned()),
    }
}
