//! BagIt profiles: what a bag must have beyond the format. Read from JSON, either as the BagIt Profiles specification has
//! it or in DART's form, which also knows tags outside `bag-info.txt`. Whether a bag keeps to one, `check` says.

use serde::Deserialize;
use serde_json::Value;

/// A profile. The default one, [`Profile::default`], demands nothing.
///
/// A list that is empty or holds `*` allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// What messages call it.
    pub identifier: String,
    pub versions: Vec<String>,
    pub serialization: Serialization,
    /// Media types.
    pub formats: Vec<String>,
    pub fetch: Fetch,
    /// Names of algorithms.
    pub manifests: Names,
    /// Names of algorithms.
    pub tag_manifests: Names,
    /// Paths; `*` and `?` in those allowed stand for any text and any character.
    pub tag_files: Names,
    pub tags: Vec<TagRule>,
}

/// Whether a bag comes as one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serialization {
    Forbidden,
    Required,
    #[default]
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fetch {
    #[default]
    Allowed,
    Forbidden,
}

/// Which must and which may be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    pub required: Vec<String>,
    pub allowed: Vec<String>,
}

/// What holds for a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRule {
    pub file: String,
    pub label: String,
    pub presence: Presence,
    pub occurrence: Occurrence,
    /// Compared without case; none means any.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    Once,
    Repeatable,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("the profile is not JSON of the form of a BagIt profile; correct it as the cause says")]
    Json(#[source] serde_json::Error),
    /// All that is wrong with it.
    #[error("the profile cannot be used: {}", .0.join("; "))]
    Contents(Vec<String>),
}

impl Profile {
    /// Reads a profile. Members that say nothing of a bag's validity are passed over; those that do, and are not checked
    /// here, are an error.
    pub fn from_json(json: &[u8]) -> Result<Self, ProfileError> {
        let document: Document = serde_json::from_slice(json).map_err(ProfileError::Json)?;
        let mut problems = document.unsupported();
        let profile = document.into_profile(&mut problems);
        profile.look_for_contradictions(&mut problems);
        if problems.is_empty() { Ok(profile) } else { Err(ProfileError::Contents(problems)) }
    }

    /// APTrust's profile 2.3.
    pub fn aptrust() -> Self {
        Self::compiled_in(include_bytes!("../profiles/aptrust-v2.3.json"))
    }

    /// Beyond the Repository's profile 1.0.
    pub fn btr() -> Self {
        Self::compiled_in(include_bytes!("../profiles/btr-v1.0.json"))
    }

    fn compiled_in(json: &[u8]) -> Self {
        Self::from_json(json).expect("a profile that is compiled in is read by a test")
    }

    fn look_for_contradictions(&self, problems: &mut Vec<String>) {
        for (what, names) in
            [("manifest", &self.manifests), ("tag manifest", &self.tag_manifests), ("tag file", &self.tag_files)]
        {
            let missing = names.required.iter().filter(|name| *name != "*" && !allows(&names.allowed, name));
            problems.extend(missing.map(|name| format!("the {what} {name} is required but not allowed")));
        }
        let nameless = self.tags.iter().filter(|tag| tag.file.is_empty() || tag.label.is_empty());
        problems
            .extend(nameless.map(|tag| format!("a tag lacks its name or its file: '{}' in '{}'", tag.label, tag.file)));
    }
}

impl Names {
    /// Those that must be there; none if `*` is among them.
    pub(crate) fn demanded(&self) -> &[String] {
        if self.required.iter().any(|name| name == "*") { &[] } else { &self.required }
    }

    pub(crate) fn allow(&self, name: &str) -> bool {
        allows(&self.allowed, name)
    }
}

fn allows(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
}

/// Whether a text fits a pattern in which `*` is any text and `?` any byte. Linear but for the last `*`.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                again = Some((rest, text));
                pattern = rest;
            }
            ([wanted, rest @ ..], [found, more @ ..]) if *wanted == b'?' || wanted == found => {
                pattern = rest;
                text = more;
            }
            _ => match again {
                Some((rest, [_, more @ ..])) => {
                    again = Some((rest, more));
                    pattern = rest;
                    text = more;
                }
                _ => return false,
            },
        }
    }
}

/// The JSON: names of the specification, with DART's as aliases. `null` is the same as absent.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "BagIt-Profile-Info", alias = "bagItProfileInfo")]
    info: Option<Info>,
    #[serde(rename = "Accept-BagIt-Version", alias = "acceptBagItVersion")]
    versions: Option<Vec<String>>,
    #[serde(rename = "Serialization", alias = "serialization")]
    serialization: Option<String>,
    #[serde(rename = "Accept-Serialization", alias = "acceptSerialization")]
    formats: Option<Vec<String>>,
    #[serde(rename = "Allow-Fetch.txt", alias = "allowFetchTxt")]
    fetch_allowed: Option<bool>,
    #[serde(rename = "Manifests-Required", alias = "manifestsRequired")]
    manifests_required: Option<Vec<String>>,
    #[serde(rename = "Manifests-Allowed", alias = "manifestsAllowed")]
    manifests_allowed: Option<Vec<String>>,
    #[serde(rename = "Tag-Manifests-Required", alias = "tagManifestsRequired")]
    tag_manifests_required: Option<Vec<String>>,
    #[serde(rename = "Tag-Manifests-Allowed", alias = "tagManifestsAllowed")]
    tag_manifests_allowed: Option<Vec<String>>,
    /// DART writes such a list too, and nobody who reads its profiles looks at it.
    #[serde(rename = "Tag-Files-Required")]
    tag_files_required: Option<Vec<String>>,
    #[serde(rename = "Tag-Files-Allowed", alias = "tagFilesAllowed")]
    tag_files_allowed: Option<Vec<String>>,
    /// The specification's form: tags of `bag-info.txt` by their label.
    #[serde(rename = "Bag-Info")]
    bag_info: Option<serde_json::Map<String, Value>>,
    /// DART's form.
    tags: Option<Vec<DartTag>>,
    #[serde(rename = "Payload-Files-Required", default)]
    payload_files_required: Value,
    #[serde(rename = "Payload-Files-Allowed", default)]
    payload_files_allowed: Value,
    #[serde(rename = "Data-Empty", default)]
    data_empty: Value,
    #[serde(rename = "Fetch.txt-Required", default)]
    fetch_required: Value,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "BagIt-Profile-Identifier", alias = "bagItProfileIdentifier")]
    identifier: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DartTag {
    tag_file: Option<String>,
    tag_name: Option<String>,
    required: Option<bool>,
    values: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct BagInfoTag {
    required: Option<bool>,
    repeatable: Option<bool>,
    values: Option<Vec<String>>,
}

impl Document {
    /// The rules in it that are not checked here. To pass over one would call bags valid that are not.
    fn unsupported(&self) -> Vec<String> {
        let says_something = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty() && !list.iter().any(|name| name == "*"),
            _ => true,
        };
        [
            ("Payload-Files-Required", &self.payload_files_required),
            ("Payload-Files-Allowed", &self.payload_files_allowed),
            ("Data-Empty", &self.data_empty),
            ("Fetch.txt-Required", &self.fetch_required),
        ]
        .into_iter()
        .filter(|(_, value)| says_something(value))
        .map(|(member, _)| format!("{member} is not supported; take it out, and check that part in another way"))
        .collect()
    }

    fn into_profile(self, problems: &mut Vec<String>) -> Profile {
        let serialization = match self.serialization.as_deref() {
            Some("forbidden") => Serialization::Forbidden,
            Some("required") => Serialization::Required,
            None | Some("optional" | "") => Serialization::Optional,
            Some(other) => {
                problems.push(format!("Serialization is '{other}' instead of forbidden, required or optional"));
                Serialization::Optional
            }
        };
        let names = |required: Option<Vec<String>>, allowed: Option<Vec<String>>| Names {
            required: required.unwrap_or_default(),
            allowed: allowed.unwrap_or_default(),
        };
        let mut tags: Vec<TagRule> = self.tags.unwrap_or_default().into_iter().map(TagRule::from).collect();
        for (label, value) in self.bag_info.unwrap_or_default() {
            match serde_json::from_value::<BagInfoTag>(value) {
                Ok(tag) => tags.push(tag.into_rule(label)),
                Err(error) => problems.push(format!("Bag-Info, {label}: {error}")),
            }
        }
        Profile {
            identifier: self.info.and_then(|info| info.identifier).unwrap_or_default(),
            versions: self.versions.unwrap_or_default(),
            serialization,
            formats: self.formats.unwrap_or_default(),
            fetch: if self.fetch_allowed == Some(false) { Fetch::Forbidden } else { Fetch::Allowed },
            manifests: names(self.manifests_required, self.manifests_allowed),
            tag_manifests: names(self.tag_manifests_required, self.tag_manifests_allowed),
            tag_files: names(self.tag_files_required, self.tag_files_allowed),
            tags,
        }
    }
}

impl From<DartTag> for TagRule {
    fn from(tag: DartTag) -> Self {
        Self {
            file: tag.tag_file.unwrap_or_default(),
            label: tag.tag_name.unwrap_or_default(),
            presence: Presence::of(tag.required),
            occurrence: Occurrence::Repeatable,
            values: tag.values.unwrap_or_default(),
        }
    }
}

impl BagInfoTag {
    fn into_rule(self, label: String) -> TagRule {
        TagRule {
            file: "bag-info.txt".to_owned(),
            label,
            presence: Presence::of(self.required),
            occurrence: if self.repeatable == Some(false) { Occurrence::Once } else { Occurrence::Repeatable },
            values: self.values.unwrap_or_default(),
        }
    }
}

impl Presence {
    fn of(required: Option<bool>) -> Self {
        if required == Some(true) { Self::Required } else { Self::Optional }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> String {
        Profile::from_json(json.as_bytes()).unwrap_err().to_string()
    }

    fn required(profile: &Profile) -> Vec<(&str, &str)> {
        let required = profile.tags.iter().filter(|tag| tag.presence == Presence::Required);
        required.map(|tag| (tag.file.as_str(), tag.label.as_str())).collect()
    }

    #[test]
    fn the_profile_of_aptrust_is_as_the_service_has_it() {
        let profile = Profile::aptrust();
        assert_eq!(
            profile.identifier,
            "https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json"
        );
        assert_eq!((profile.serialization, profile.fetch), (Serialization::Required, Fetch::Forbidden));
        assert_eq!(
            (&profile.versions[..], &profile.formats[..]),
            (&["0.97", "1.0"].map(str::to_owned)[..], &["application/tar".to_owned()][..])
        );
        assert_eq!((&profile.manifests.required[..], profile.manifests.allowed.len()), (&["md5".to_owned()][..], 4));
        assert_eq!((profile.tag_manifests.required.len(), profile.tag_manifests.allowed.len()), (0, 4));
        assert_eq!(profile.tags.len(), 14);
        let aptrust = "aptrust-info.txt";
        assert_eq!(
            required(&profile),
            [
                ("bagit.txt", "BagIt-Version"),
                ("bagit.txt", "Tag-File-Character-Encoding"),
                (aptrust, "Title"),
                (aptrust, "Access"),
                (aptrust, "Storage-Option")
            ]
        );
        let option = profile.tags.iter().find(|tag| tag.label == "Storage-Option").unwrap();
        assert_eq!(option.values.len(), 10);
        assert!(option.values.contains(&"Wasabi-TX".to_owned()));
    }

    #[test]
    fn the_profile_of_btr_is_as_the_service_has_it() {
        let profile = Profile::btr();
        assert_eq!(
            profile.identifier,
            "https://raw.githubusercontent.com/dpscollaborative/btr_bagit_profile/master/btr-bagit-profile.json"
        );
        assert_eq!((profile.serialization, profile.fetch), (Serialization::Optional, Fetch::Forbidden));
        assert_eq!(profile.formats, ["application/tar", "application/zip", "application/gzip"]);
        assert_eq!((profile.manifests.required.len(), profile.manifests.allowed.len()), (0, 4));
        assert_eq!((profile.tags.len(), required(&profile).len()), (20, 6));
        assert!(profile.tags.iter().filter(|tag| tag.label != "BagIt-Version").all(|tag| tag.values.is_empty()));
    }

    #[test]
    fn the_specifications_own_form_is_read_too() {
        let profile = Profile::from_json(
            br#"{
                "BagIt-Profile-Info": {"BagIt-Profile-Identifier": "http://example.org/p.json", "Version": "1"},
                "Bag-Info": {"Source-Organization": {"required": true, "values": ["A"], "repeatable": false}, "B": {}},
                "Manifests-Required": ["sha256"], "Tag-Files-Required": ["dc.xml"], "Tag-Files-Allowed": ["*.xml"],
                "Allow-Fetch.txt": false, "Serialization": "forbidden", "Accept-BagIt-Version": ["1.0"], "Manifests-Allowed": null
            }"#,
        )
        .unwrap();
        let mut tags = profile.tags.iter();
        let expected = TagRule {
            file: "bag-info.txt".into(),
            label: "Source-Organization".into(),
            presence: Presence::Required,
            occurrence: Occurrence::Once,
            values: vec!["A".into()],
        };
        assert!(tags.any(|tag| *tag == expected), "{profile:?}");
        assert_eq!((profile.fetch, profile.serialization), (Fetch::Forbidden, Serialization::Forbidden));
        assert_eq!(profile.identifier, "http://example.org/p.json");
        assert!(profile.manifests.allow("anything") && !profile.tag_files.allow("a.txt"));
    }

    #[test]
    fn a_profile_that_asks_for_nothing_is_the_default() {
        assert_eq!(Profile::from_json(b"{}").unwrap(), Profile::default());
    }

    #[test]
    fn all_that_is_wrong_with_a_profile_is_told() {
        let text = problems(
            r#"{"Serialization": "maybe", "Manifests-Required": ["md5"], "Manifests-Allowed": ["sha256"],
                "tags": [{"tagName": "x"}], "Bag-Info": {"A": {"required": "yes"}}, "Data-Empty": true,
                "Payload-Files-Allowed": ["*"]}"#,
        );
        for part in [
            "Serialization is 'maybe'",
            "the manifest md5 is required but not allowed",
            "a tag lacks its name or its file: 'x' in ''",
            "Bag-Info, A: ",
            "Data-Empty is not supported",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("Payload-Files"), "{text}");
        assert!(matches!(Profile::from_json(b"{"), Err(ProfileError::Json(_))));
        assert!(matches!(Profile::from_json(b"[]"), Err(ProfileError::Json(_))));
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text) in
            [("*", ""), ("a", "a"), ("*.xml", "a/b.xml"), ("a*c?e", "abbcde"), ("**b", "ab"), ("a*a*", "aba")]
        {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("*.xml", "a.xmlx"), ("?", ""), ("a*b", "ac"), ("a", "ab")] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
