//! A service in small, as APTrust's: it reads a bag file by file, keeps what it learns in records by path, and judges them
//! afterwards. It uses the crate's parts and not `Bag`.

use std::collections::BTreeMap;

use bagit::aptrust::{Attributes, StorageOption, TAG_FILES, settle};
use bagit::path::readings;
use bagit::{
    Declared, Digest, Facts, FileChecker, FileRecord, First, Manifest, ManifestParser, Messages, Options, Profile,
    Role, Tag, TagItem, TagParser, TooLong, Verdict, check_bag,
};

use super::{ALGORITHMS, digest};

/// What became of a bag.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) option: StorageOption,
    pub(crate) attributes: Attributes,
}

#[derive(Default)]
struct Record {
    size: Option<u64>,
    computed: Vec<(&'static str, String)>,
    /// Whether it is a tag manifest's, the algorithm, the digest, the line.
    declared: Vec<(Kind, String, String, u64)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Payload,
    Tag,
}

/// Ingests `files` of the bag `identifier`; a profile of one's own wins over the one that the tags name.
pub(crate) fn ingest<'a>(
    identifier: &str,
    files: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    own_profile: Option<Profile>,
) -> Result<Outcome, TooLong> {
    let mut options = Options::aptrust(identifier);
    options.is_storable = |path| path.len() < 2048;
    let (mut records, mut tags) = (BTreeMap::<String, Record>::new(), Vec::new());
    let (mut manifests, mut tag_manifests, mut tag_files) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines: Vec<(String, Kind, String, String, u64)> = Vec::new();
    let mut has_fetch = false;
    for (path, content) in files {
        let name = std::str::from_utf8(path).expect("the reader of tars refuses other names").to_owned();
        let mut manifest = |kind, algorithm: &str| {
            let mut parser = ManifestParser::new(name.as_str(), &options.syntax);
            let mut keep = |entry: bagit::Entry<'_>| {
                lines.push((entry.path_text(), kind, algorithm.to_owned(), entry.digest_text(), entry.line));
            };
            content.chunks(7).try_for_each(|chunk| parser.push(chunk, &mut keep))?;
            parser.finish(keep)
        };
        match Role::of(path) {
            Role::PayloadManifest { algorithm } => {
                manifests.push(algorithm.to_owned());
                manifest(Kind::Payload, algorithm)?;
            }
            Role::TagManifest { algorithm } => {
                tag_manifests.push(algorithm.to_owned());
                manifest(Kind::Tag, algorithm)?;
            }
            Role::Fetch => has_fetch = true,
            Role::Tag => {
                tag_files.push(name.clone());
                if TAG_FILES.contains(&name.as_str()) {
                    let mut parser = TagParser::new(name.as_str(), &options.syntax);
                    let mut keep = |item| tags.extend(if let TagItem::Tag(tag) = item { Some(tag) } else { None });
                    content.chunks(7).try_for_each(|chunk| parser.push(chunk, &mut keep))?;
                    parser.finish(keep)?;
                }
            }
            Role::Payload => {}
        }
        let record = records.entry(name).or_default();
        record.size = Some(content.len() as u64);
        record.computed = ALGORITHMS.map(|algorithm| (algorithm, hex::encode(digest(algorithm, content)))).to_vec();
    }
    for (written, kind, algorithm, hex, line) in lines {
        let is_there = |path: &str| records.get(path).is_some_and(|record| record.size.is_some());
        let meant = readings(written.as_bytes(), First::Literal)
            .map(|(_, path)| String::from_utf8_lossy(&path).into_owned())
            .find(|path| is_there(path));
        records.entry(meant.unwrap_or(written)).or_default().declared.push((kind, algorithm, hex, line));
    }
    let (name, option) = settle(&mut tags);
    let profile = own_profile.unwrap_or_else(|| name.profile());
    let facts = Facts {
        serialization: Some("application/tar"),
        has_fetch,
        manifests: &manifests,
        tag_manifests: &tag_manifests,
        tag_files: &tag_files,
        tags: &tags,
        ..Facts::default()
    };
    let mut messages = Messages::with_limit(30);
    if check_bag(&facts, &profile, &options, |finding| messages.add(&finding)) == Verdict::Valid {
        let checker = FileChecker::new(&facts, &options);
        for (path, record) in &records {
            let verdict = check(&checker, path, record, &mut messages);
            assert!(verdict == Verdict::Valid || !messages.clone().into_vec().is_empty());
        }
    }
    let attributes = Attributes::of(&tags, &format!("{}.tar", identifier.rsplit('/').next().unwrap_or_default()));
    Ok(Outcome { messages: messages.into_vec(), tags, option, attributes })
}

fn check(checker: &FileChecker<'_>, path: &str, record: &Record, messages: &mut Messages) -> Verdict {
    let computed: Vec<Digest<'_>> = record.computed.iter().map(|(algorithm, hex)| Digest { algorithm, hex }).collect();
    let declared: Vec<Declared<'_>> = record
        .declared
        .iter()
        .map(|(kind, algorithm, hex, line)| {
            let manifest = match kind {
                Kind::Payload => Manifest::Payload(algorithm),
                Kind::Tag => Manifest::Tag(algorithm),
            };
            Declared { manifest, hex, line: Some(*line) }
        })
        .collect();
    let file = FileRecord { path, size: record.size, computed: &computed, declared: &declared };
    checker.check(&file, |finding| messages.add(&finding))
}
