//! The checks of a bag as a whole: what the profile demands, in the order in which APTrust's depositors are told, and what
//! the RFC demands beyond it (`rfc`). Single files are for `check_file`.

use crate::facts::Facts;
use crate::finding::{Finding, Place, Problem, Report, Verdict};
use crate::path::First;
use crate::profile::{Fetch, Occurrence, Presence, Profile, Serialization};
use crate::syntax::Syntax;
use crate::tags::{Tag, Tags as _};
use crate::version::Version;
use crate::{fold, rfc};

/// Which rules hold. The default is the RFC; [`Options::aptrust`] is what APTrust's services do.
#[derive(Debug, Clone)]
pub struct Options {
    pub syntax: Syntax,
    pub rules: Rules,
    /// Which reading of a path in a manifest comes first; `None`: as the bag's version of BagIt has it.
    pub paths: Option<First>,
    pub names: NameRule,
    /// Whether a file of this path in the bag can be kept where the bag goes.
    pub is_storable: fn(&str) -> bool,
    /// What stands before the paths of files in messages, such as `example.edu/bag/`.
    pub identifier: String,
}

/// Whose rules are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Those of the RFC and of the profile; everything is reported at once. The version decides whether each manifest, or all
    /// of them together, must list the payload.
    Rfc,
    /// Those of the profile, and that each manifest lists and matches what it should. A check runs only if those before it
    /// found nothing.
    Profile,
}

/// Which names files may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    Any,
    /// No control characters, also no escaped ones: see [`is_unprintable`](crate::path::is_unprintable).
    Printable,
}

impl Options {
    /// APTrust's rules. `identifier` is that of the object, such as `example.edu/bag`.
    pub fn aptrust(identifier: &str) -> Self {
        Self {
            syntax: Syntax::APTRUST,
            rules: Rules::Profile,
            paths: Some(First::Literal),
            names: NameRule::Printable,
            is_storable: |_| true,
            identifier: format!("{identifier}/"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            syntax: Syntax::RFC,
            rules: Rules::Rfc,
            paths: None,
            names: NameRule::Any,
            is_storable: |_| true,
            identifier: String::new(),
        }
    }
}

impl Facts<'_> {
    /// The version of BagIt, if `bagit.txt` gives one.
    pub fn version(&self) -> Option<Version> {
        self.tags.value(rfc::DECLARATION, rfc::VERSION)?.parse().ok()
    }
}

/// The checks, in the order of the service (02 §5.1); those of files follow.
const CHECKS: [fn(&Facts<'_>, &Profile, &mut Report<'_>); 11] = [
    serialization,
    version,
    fetch,
    manifests_allowed,
    manifests_required,
    tag_files_allowed,
    tag_manifests_allowed,
    tag_manifests_required,
    tag_files_required,
    tags_required,
    tag_values,
];

/// Checks all but the single files. Under [`Rules::Profile`] these are to be checked only if the verdict is valid.
pub fn check_bag(facts: &Facts<'_>, profile: &Profile, options: &Options, mut each: impl FnMut(Finding)) -> Verdict {
    let mut report = Report::new(&mut each);
    if options.rules == Rules::Rfc {
        rfc::check_bag(facts, &mut report);
    }
    for check in CHECKS {
        check(facts, profile, &mut report);
        if options.rules == Rules::Profile && report.verdict() == Verdict::Invalid {
            break;
        }
    }
    report.verdict()
}

fn serialization(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    let problem = match (facts.serialization, profile.serialization) {
        (Some(format), Serialization::Forbidden) => Problem::SerializationForbidden { format: format.to_owned() },
        (Some(format), _) if !profile.formats.is_empty() && !profile.formats.iter().any(|known| known == format) => {
            Problem::SerializationNotAllowed { format: format.to_owned() }
        }
        (None, Serialization::Required) => Problem::SerializationRequired { formats: profile.formats.clone() },
        _ => return,
    };
    report.error(problem, None);
}

fn version(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    let place = Place::file(rfc::DECLARATION);
    match facts.tags.named(rfc::DECLARATION, rfc::VERSION).next() {
        Some(tag) if !tag.value.is_empty() => {
            if !profile.versions.is_empty() && !profile.versions.contains(&tag.value) {
                let profile = profile.identifier.clone();
                report.error(Problem::VersionNotAllowed { version: tag.value.clone(), profile }, tag.place());
            }
        }
        _ => report.error(Problem::DeclarationIncomplete { tag: rfc::VERSION }, place),
    }
}

fn fetch(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    if facts.has_fetch && profile.fetch == Fetch::Forbidden {
        report.error(Problem::FetchNotAllowed, Place::file("fetch.txt"));
    }
}

fn manifests_allowed(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    for algorithm in facts.manifests.iter().filter(|algorithm| !profile.manifests.allow(algorithm)) {
        let place = Place::file(format!("manifest-{algorithm}.txt"));
        report.error(Problem::ManifestNotAllowed { algorithm: algorithm.clone() }, place);
    }
}

fn manifests_required(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    let demanded = profile.manifests.demanded();
    for algorithm in demanded.iter().filter(|algorithm| !facts.manifests.contains(algorithm)) {
        report.error(Problem::ManifestMissing { algorithm: algorithm.clone() }, None);
    }
    if facts.manifests.is_empty() && demanded.is_empty() {
        report.error(Problem::NoManifest, None);
    }
}

fn tag_files_allowed(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    // What every bag has needs no permission.
    let always = [rfc::DECLARATION, rfc::BAG_INFO];
    let illegal = |path: &&String| !always.contains(&path.as_str()) && !profile.tag_files.allow(path);
    for path in facts.tag_files.iter().filter(illegal) {
        report.error(Problem::TagFileNotAllowed { path: path.clone() }, Place::file(path.as_str()));
    }
}

fn tag_manifests_allowed(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    for algorithm in facts.tag_manifests.iter().filter(|algorithm| !profile.tag_manifests.allow(algorithm)) {
        let place = Place::file(format!("tagmanifest-{algorithm}.txt"));
        report.error(Problem::TagManifestNotAllowed { algorithm: algorithm.clone() }, place);
    }
}

fn tag_manifests_required(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    let required = profile.tag_manifests.demanded().iter();
    for algorithm in required.filter(|algorithm| !facts.tag_manifests.contains(algorithm)) {
        report.error(Problem::TagManifestMissing { algorithm: algorithm.clone() }, None);
    }
}

fn tag_files_required(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    for path in profile.tag_files.demanded().iter().filter(|path| !facts.tag_files.contains(path)) {
        report.error(Problem::TagFileMissing { path: path.clone() }, None);
    }
}

fn tags_required(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    for rule in profile.tags.iter().filter(|rule| rule.presence == Presence::Required) {
        if facts.tags.named(&rule.file, &rule.label).next().is_none() {
            let problem = Problem::TagMissing { tag: rule.label.clone(), file: rule.file.clone() };
            report.error(problem, Place::file(rule.file.as_str()));
        }
    }
}

fn tag_values(facts: &Facts<'_>, profile: &Profile, report: &mut Report<'_>) {
    for rule in &profile.tags {
        for (index, tag) in facts.tags.named(&rule.file, &rule.label).enumerate() {
            let (label, file) = (tag.label.clone(), tag.file.clone());
            if index > 0 && rule.occurrence == Occurrence::Once {
                report.error(Problem::TagRepeated { tag: label.clone(), file: file.clone() }, tag.place());
            }
            if tag.value.is_empty() && rule.presence == Presence::Required {
                report.error(Problem::TagEmpty { tag: label, file }, tag.place());
            } else if !rule.values.is_empty() && !rule.values.iter().any(|value| fold::same(value, &tag.value)) {
                let value = tag.value.clone();
                report.error(Problem::TagValueNotAllowed { tag: label, file, value }, tag.place());
            }
        }
    }
    // No database of texts holds a NUL.
    for tag in facts.tags.iter().filter(|tag| tag.value.contains('\0')) {
        let (label, file, value) = (tag.label.clone(), tag.file.clone(), tag.value.clone());
        report.error(Problem::TagValueNotAllowed { tag: label, file, value }, tag.place());
    }
}

impl Tag {
    pub(crate) fn place(&self) -> Place {
        Place::line(self.file.as_str(), (self.line > 0).then_some(self.line))
    }
}
