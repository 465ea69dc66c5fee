//! `ingest_validator`: whether a bag keeps to BagIt and to its profile (02 §4.6 to §4.10 and §5), by what Redis knows of it. An invalid
//! bag ends with the reasons in its depositor's words; its tar, staging files and records stay (rulings B.16). The rules
//! themselves are `bagit`'s.

use std::fs;

use anyhow::{Context as _, Result};
use bagit::aptrust::ProfileName;
use bagit::{
    Declared, Digest, Facts, FileChecker, FileRecord, Finding, Manifest, Messages, Options, Problem, Profile, Severity,
    Tag, Verdict, check_bag,
};
use failing::chain;
use model::{ChecksumSource, IngestFile, IngestObject, ProcessingError, StorageOption};
use worker::settings::Profiles;
use worker::{Done, ItemStage, Stop, Task};

use crate::Ground;
use crate::storable::is_storable;

/// What a depositor is told at most; then `Too many errors`.
const MESSAGES: usize = 30;
/// How many files Redis is asked for at a time.
const PAGE: usize = 1000;

/// Judges bags.
#[derive(Debug)]
pub struct Validator {
    ground: Ground,
    aptrust: Profile,
    btr: Profile,
}

impl Validator {
    /// A profile in the directory of the settings takes the place of the one that is compiled in (rulings C.24).
    pub fn new(ground: &Ground, profiles: &Profiles) -> Result<Self> {
        let profile = |name| profile(profiles, name);
        Ok(Self { ground: ground.clone(), aptrust: profile(ProfileName::Aptrust)?, btr: profile(ProfileName::Btr)? })
    }
}

impl ItemStage for Validator {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let object = self.ground.object(task).await?;
        let identifier = object.identifier();
        let tags = tags(&object);
        let facts = Facts {
            serialization: Some(object.serialization.as_str()).filter(|format| !format.is_empty()),
            has_fetch: object.has_fetch_txt,
            manifests: &object.manifests,
            tag_manifests: &object.tag_manifests,
            tag_files: &object.tag_files,
            tags: &tags,
            ..Facts::default()
        };
        let profile = match ProfileName::of(&tags) {
            ProfileName::Aptrust => &self.aptrust,
            ProfileName::Btr => &self.btr,
        };
        let options = Options::aptrust(&identifier);
        let mut messages = Messages::with_limit(MESSAGES);
        let verdict = check_bag(&facts, profile, &options, |finding| messages.add(&finding));
        if verdict == Verdict::Valid {
            let checker = FileChecker::new(&facts, &options);
            let found = in_files(task, checker, &object.storage_option).await?;
            for finding in &found {
                messages.add(finding);
            }
        }
        let error = |message| ProcessingError {
            identifier: identifier.clone(),
            message,
            is_fatal: true,
            ..ProcessingError::default()
        };
        let errors: Vec<ProcessingError> = messages.into_vec().into_iter().map(error).collect();
        if errors.is_empty() { Ok(Done::default()) } else { Err(Stop::Failed(errors)) }
    }
}

/// What is wrong with single files, in the order of their paths: of an invalid bag as much as a depositor is told, and one more.
async fn in_files(task: &Task, checker: FileChecker<'_>, option: &StorageOption) -> Result<Vec<Finding>, Stop> {
    let mut found: Vec<(String, Finding)> = Vec::new();
    let mut pages = task.store.files(task.item.id, PAGE);
    while found.len() <= MESSAGES {
        let page = task.until_cancelled(pages.next()).await?.map_err(|error| unread(&error))?;
        let Some(page) = page else { break };
        if let Some(corrupt) = page.corrupt.first() {
            return Err(unread(corrupt));
        }
        for file in &page.files {
            // A walk through Redis may show a file twice.
            let is_told = found.iter().any(|(path, _)| *path == file.path_in_bag);
            if found.len() <= MESSAGES && !is_told {
                check(file, checker, option, |finding| found.push((file.path_in_bag.clone(), finding)));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found.into_iter().map(|(_, finding)| finding).collect())
}

fn check(file: &IngestFile, checker: FileChecker<'_>, option: &StorageOption, mut each: impl FnMut(Finding)) {
    if !is_storable(file, option) {
        let problem = Problem::NameTooLong { path: file.path_in_bag.clone() };
        each(Finding { severity: Severity::Error, problem, place: None });
    }
    let computed: Vec<Digest<'_>> = file
        .checksums
        .iter()
        .filter(|sum| sum.source == ChecksumSource::Ingest)
        .map(|sum| Digest { algorithm: sum.algorithm.as_str(), hex: &sum.digest })
        .collect();
    let declared: Vec<Declared<'_>> = file
        .checksums
        .iter()
        .filter_map(|sum| {
            let manifest = match sum.source {
                ChecksumSource::Manifest => Manifest::Payload(sum.algorithm.as_str()),
                ChecksumSource::TagManifest => Manifest::Tag(sum.algorithm.as_str()),
                _ => return None,
            };
            Some(Declared { manifest, hex: &sum.digest, line: None })
        })
        .collect();
    // Without digests of its bytes, only manifests know it.
    let size = if computed.is_empty() { None } else { Some(file.size.unsigned_abs()) };
    let record = FileRecord { path: &file.path_in_bag, size, computed: &computed, declared: &declared };
    // The verdict is whether anything was found.
    let _ = checker.check(&record, each);
}

fn tags(object: &IngestObject) -> Vec<Tag> {
    let tag = |tag: &model::Tag| Tag {
        file: tag.tag_file.clone(),
        label: tag.tag_name.clone(),
        value: tag.value.clone(),
        line: 0,
    };
    object.tags.iter().map(tag).collect()
}

/// No fault of the bag (defect 15 of 02 §16).
fn unread(error: &redis_store::Error) -> Stop {
    let text = format!(
        "Internal error during validation: could not get file info from cache: {}. \
         This is a system error, not a problem with the bag.",
        chain(error)
    );
    if error.is_transient() { Stop::System(text) } else { Stop::failed("", text) }
}

fn profile(profiles: &Profiles, name: ProfileName) -> Result<Profile> {
    let Some(directory) = &profiles.directory else { return Ok(name.profile()) };
    let path = directory.join(name.file());
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(name.profile()),
        Err(error) => return Err(error).with_context(|| format!("could not read the profile {}", path.display())),
    };
    Profile::from_json(&json)
        .with_context(|| format!("{} in PROFILES_DIR is no profile; correct it or take it away", path.display()))
}
