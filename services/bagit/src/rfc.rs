//! What the RFC demands of a bag as a whole, whatever the profile: the declaration, the totals, the tag manifest.

use crate::facts::{Facts, Payload};
use crate::finding::{Place, Problem, Report};
use crate::tags::{Tag, Tags as _};
use crate::version::Version;

pub(crate) const DECLARATION: &str = "bagit.txt";
pub(crate) const BAG_INFO: &str = "bag-info.txt";
pub(crate) const VERSION: &str = "BagIt-Version";
pub(crate) const ENCODING: &str = "Tag-File-Character-Encoding";
const OXUM: &str = "Payload-Oxum";

/// That `bagit.txt` gives a version at all is checked with the profile.
pub(crate) fn check_bag(facts: &Facts<'_>, report: &mut Report<'_>) {
    version(facts, report);
    encoding(facts, report);
    let declaration: Vec<&Tag> = facts.tags.iter().filter(|tag| tag.file == DECLARATION).collect();
    let is_as_it_should = matches!(&declaration[..], [one, two] if one.label == VERSION && two.label == ENCODING);
    if !declaration.is_empty() && !is_as_it_should {
        report.warn(Problem::DeclarationOdd, Place::file(DECLARATION));
    }
    if let Some(tag) = facts.tags.named(BAG_INFO, OXUM).next() {
        oxum(tag, facts.payload, report);
    }
    if facts.tag_manifests.is_empty() {
        report.note(Problem::NoTagManifest, None);
    }
}

/// Section 2.1.1.
fn version(facts: &Facts<'_>, report: &mut Report<'_>) {
    let Some(tag) = facts.tags.named(DECLARATION, VERSION).next().filter(|tag| !tag.value.is_empty()) else { return };
    let version = tag.value.clone();
    match tag.value.parse::<Version>() {
        Ok(Version::V0_97 | Version::V1_0) => {}
        // Older ones differ in names of tags only; what a newer one changes cannot be known.
        Ok(known) if known < Version::V1_0 => report.warn(Problem::VersionUnknown { version }, tag.place()),
        Ok(_) => report.error(Problem::VersionUnknown { version }, tag.place()),
        Err(_) => report.error(Problem::VersionMalformed { version }, tag.place()),
    }
}

/// Section 2.1.1.
fn encoding(facts: &Facts<'_>, report: &mut Report<'_>) {
    match facts.tags.named(DECLARATION, ENCODING).next().filter(|tag| !tag.value.is_empty()) {
        None => report.error(Problem::DeclarationIncomplete { tag: ENCODING }, Place::file(DECLARATION)),
        Some(tag) => {
            let known = ["UTF-8", "UTF-16", "UTF-16BE", "UTF-16LE", "ISO-8859-1", "US-ASCII"];
            if !known.iter().any(|name| name.eq_ignore_ascii_case(&tag.value)) {
                report.warn(Problem::EncodingUnknown { encoding: tag.value.clone() }, tag.place());
            }
        }
    }
}

/// Section 2.2.2. Of several, the first counts.
fn oxum(tag: &Tag, payload: Payload, report: &mut Report<'_>) {
    let declared = tag.value.clone();
    let numbers = declared.split_once('.').and_then(|(bytes, files)| Some((bytes.parse().ok()?, files.parse().ok()?)));
    let Some(numbers) = numbers else {
        report.error(Problem::OxumMalformed { declared }, tag.place());
        return;
    };
    if numbers != (payload.bytes, payload.files) {
        let Payload { bytes, files } = payload;
        report.error(Problem::OxumMismatch { declared, bytes, files }, tag.place());
    }
}
