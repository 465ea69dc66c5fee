//! The template as a document: its bytes, parameters and resources, read here so that checks need no call to AWS.
//!
//! What its expressions mean is in `evaluate`, what it says about the services in `facts`.

pub(crate) mod evaluate;
pub(crate) mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use xtask::exit::Exit;

/// CloudFormation takes a template of at most this many bytes in the request itself.
pub(crate) const INLINE_BYTES: usize = 51_200;
/// And at most this many through S3.
pub(crate) const MOST_BYTES: usize = 1_048_576;

/// A parsed template and the bytes that it was parsed from, which are the bytes that are sent.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) text: String,
    /// In hexadecimal.
    pub(crate) sha256: String,
    document: Value,
}

/// What the template says about one of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParameterFact {
    pub(crate) default: Option<String>,
    /// Empty: no list is given.
    pub(crate) allowed: Vec<String>,
}

/// One resource, its expressions not evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) properties: &'a Value,
    body: &'a Value,
}

impl Resource<'_> {
    /// What becomes of it when it leaves the stack; `Delete` where nothing is said.
    pub(crate) fn deletion_policy(&self) -> &str {
        self.body["DeletionPolicy"].as_str().unwrap_or("Delete")
    }
}

impl Template {
    /// Parses what `source` (a file, an object of the archive, the stack) says.
    pub(crate) fn parse(text: String, source: &str) -> anyhow::Result<Self> {
        let refuse = |why: String| Exit::Refused.stop(format!("{source} {why}"), "correct the template");
        if text.len() > MOST_BYTES {
            return Err(refuse(format!("has {} bytes; CloudFormation takes {MOST_BYTES} at most", text.len())));
        }
        let yaml: serde_yaml::Value =
            serde_yaml::from_str(&text).map_err(|error| refuse(format!("is no YAML: {error}")))?;
        let document = plain(yaml).map_err(|error| refuse(format!("is no template: {error}")))?;
        if !document["Resources"].is_object() {
            return Err(refuse("has no Resources".to_owned()));
        }
        let sha256 = hexadecimal(&Sha256::digest(text.as_bytes()));
        Ok(Self { text, sha256, document })
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, ParameterFact> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        entries(&self.document["Parameters"])
            .map(|(name, body)| {
                let default = body.get("Default").map(text);
                let allowed = body["AllowedValues"].as_array().into_iter().flatten().map(text).collect();
                (name.clone(), ParameterFact { default, allowed })
            })
            .collect()
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        entries(&self.document["Resources"]).map(|(id, body)| Resource {
            id,
            kind: body["Type"].as_str().unwrap_or_default(),
            properties: &body["Properties"],
            body,
        })
    }

    pub(crate) fn resource(&self, id: &str) -> Option<Resource<'_>> {
        self.resources().find(|resource| resource.id == id)
    }

    pub(crate) fn section(&self, name: &str) -> &Value {
        &self.document[name]
    }

    /// The line of the template on which `text` stands, counted from 1.
    pub(crate) fn line_of(&self, text: &str) -> Option<usize> {
        self.text.lines().position(|line| line.contains(text)).map(|index| index + 1)
    }

    /// Names of AWS regions that are written out in resources.
    pub(crate) fn region_literals(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        strings(&self.document["Resources"], &mut |text| {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            found.extend(words.filter(|word| is_region(word)).map(str::to_owned));
        });
        found
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`: letters of a continent, a direction, a number.
fn is_region(word: &str) -> bool {
    const CONTINENTS: [&str; 10] = ["us", "eu", "ap", "sa", "ca", "me", "af", "cn", "il", "mx"];
    const DIRECTIONS: [&str; 9] =
        ["north", "south", "east", "west", "central", "northeast", "southeast", "northwest", "southwest"];
    let parts: Vec<&str> = word.split('-').collect();
    let ([continent, direction, number] | [continent, "gov", direction, number]) = parts[..] else { return false };
    CONTINENTS.contains(&continent)
        && DIRECTIONS.contains(&direction)
        && number.len() == 1
        && number.chars().all(|c| c.is_ascii_digit())
}

/// Calls `visit` with every string below `value`.
pub(crate) fn strings<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, visit)),
        Value::Object(map) => map.values().for_each(|item| strings(item, visit)),
        _ => {}
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// YAML with CloudFormation's short tags as the JSON that CloudFormation makes of it: `!Sub x` is `{"Fn::Sub": "x"}`.
fn plain(yaml: serde_yaml::Value) -> Result<Value, String> {
    use serde_yaml::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(float)) => Value::from(float),
            (None, None) => Value::String(number.to_string()),
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Yaml::Mapping(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                let key = match key {
                    Yaml::String(text) => text,
                    Yaml::Number(number) => number.to_string(),
                    Yaml::Bool(flag) => flag.to_string(),
                    other => return Err(format!("{other:?} is a key")),
                };
                object.insert(key, plain(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let value = plain(tagged.value)?;
            let (key, value) = match (name, value) {
                ("Ref" | "Condition", value) => (name.to_owned(), value),
                ("GetAtt", Value::String(text)) => {
                    let (id, attribute) = text.split_once('.').unwrap_or((&text, ""));
                    ("Fn::GetAtt".to_owned(), Value::from(vec![id, attribute]))
                }
                (_, value) => (format!("Fn::{name}"), value),
            };
            Value::Object(Map::from_iter([(key, value)]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_functions() {
        let text = "Resources: {A: {Type: T, Properties: {X: !Ref P, Y: !GetAtt B.Arn, Z: !Sub 'a-${P}', W: !If [C, 1, !Ref Q]}}}";
        let template = Template::parse(text.to_owned(), "it").unwrap();
        let resource = template.resource("A").unwrap();
        let expected = serde_json::json!({
            "X": {"Ref": "P"}, "Y": {"Fn::GetAtt": ["B", "Arn"]}, "Z": {"Fn::Sub": "a-${P}"}, "W": {"Fn::If": ["C", 1, {"Ref": "Q"}]},
        });
        assert_eq!(*resource.properties, expected);
        assert_eq!((resource.kind, resource.deletion_policy()), ("T", "Delete"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let large = format!("Resources: {{A: {{Type: '{}'}}}}", "x".repeat(MOST_BYTES));
        for (text, why) in [("a: [", "no YAML"), ("a: 1", "no Resources"), (large.as_str(), "1048576 at most")] {
            let error = Template::parse(text.to_owned(), "it").unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Refused);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn regions_are_recognised_and_host_names_are_not() {
        for (word, region) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-2", true),
            ("rate-limit-1", false),
            ("us-east", false),
            ("us-east-1a", false),
        ] {
            assert_eq!(is_region(word), region, "{word}");
        }
    }
}
