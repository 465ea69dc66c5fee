//! A bag whose files are told one after the other, in any order, and then judged. It keeps paths and digests in memory; who
//! keeps them elsewhere uses the parsers, `check_bag` and `check_file` by themselves, as this does.

use std::collections::HashSet;

use crate::check::{Options, Rules, check_bag};
use crate::check_file::{Declared, Digest, FileChecker, FileRecord, Manifest, is_digest};
use crate::facts::{Facts, Payload};
use crate::fetch::FetchParser;
use crate::finding::{Finding, Place, Problem, Severity, Verdict};
use crate::interner::Interner;
use crate::lines::TooLong;
use crate::manifest::{Entry, ManifestParser};
use crate::path::{First, Reading, leads_out, readings};
use crate::profile::Profile;
use crate::rfc::{BAG_INFO, DECLARATION, ENCODING};
use crate::role::Role;
use crate::syntax::lossy;
use crate::tags::{Tag, TagItem, TagParser, Tags as _};
use crate::version::Version;

/// A bag in the making.
///
/// For each file call [`Bag::file`], then [`Bag::content`] with its bytes if [`Bag::wants_content`] says so, and
/// [`Bag::digest`] for each algorithm that a manifest may use. Then [`Bag::validate`].
#[derive(Debug)]
pub struct Bag {
    options: Options,
    profile: Profile,
    serialization: Option<String>,
    paths: Interner,
    /// By the number of the path; [`ABSENT`] where only manifests know it.
    sizes: Vec<u64>,
    to_fetch: HashSet<u32>,
    has_fetch: bool,
    manifests: Names,
    tag_manifests: Names,
    algorithms: Names,
    tag_files: Names,
    tags: Vec<Tag>,
    computed: Vec<Held>,
    declared: Vec<Held>,
    digests: Vec<u8>,
    /// Tag files with a line that is not UTF-8, which is well if `bagit.txt` says so.
    not_utf8: Vec<Place>,
    /// What was found while files were read.
    findings: Vec<Finding>,
    /// The file that was begun last.
    open: Option<(u32, Reader)>,
}

type Names = Vec<String>;

/// A digest that is kept: in bytes, or as it was written if that is no digest.
#[derive(Debug, Clone, Copy)]
struct Held {
    start: usize,
    path: u32,
    /// 0 for one that was computed.
    line: u32,
    source: Source,
    length: u16,
    form: Form,
}

/// An algorithm, by its number in the list that the kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Computed(u16),
    Payload(u16),
    Tag(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bytes,
    Text,
}

#[derive(Debug)]
enum Reader {
    Nothing,
    Manifest(ManifestParser, Source),
    Tags(TagParser),
    Fetch(FetchParser),
}

const ABSENT: u64 = u64::MAX;
/// Each file is compared with each manifest, so strangers must not have any number of them. Real bags have four at most.
const MOST_MANIFESTS: usize = 64;
/// As much of a line is kept to be shown, if it begins with no digest.
const LONGEST_TEXT: usize = 256;

impl Bag {
    pub fn new(options: Options, profile: Profile) -> Self {
        Self {
            options,
            profile,
            serialization: None,
            paths: Interner::default(),
            sizes: Vec::new(),
            to_fetch: HashSet::new(),
            has_fetch: false,
            manifests: Vec::new(),
            tag_manifests: Vec::new(),
            algorithms: Vec::new(),
            tag_files: Vec::new(),
            tags: Vec::new(),
            computed: Vec::new(),
            declared: Vec::new(),
            digests: Vec::new(),
            not_utf8: Vec::new(),
            findings: Vec::new(),
            open: None,
        }
    }

    /// The bag is a single file of this media type, not a folder.
    pub fn serialized_as(&mut self, format: &str) {
        self.serialization = Some(format.to_owned());
    }

    /// Whether the bytes of a file have to be given, because they say something of the bag.
    pub fn wants_content(&self, path: impl AsRef<[u8]>) -> bool {
        match Role::of(&path) {
            Role::Payload => false,
            Role::PayloadManifest { .. } | Role::TagManifest { .. } | Role::Fetch => true,
            Role::Tag => self.has_tags(path.as_ref()),
        }
    }

    /// The algorithms of the manifests that have been told so far: those in which digests are worth computing.
    pub fn algorithms(&self) -> impl Iterator<Item = &str> {
        self.manifests.iter().chain(&self.tag_manifests).map(String::as_str)
    }

    /// Begins a file, and ends the one before. `path` is that in the bag, without the bag's own folder; `size` is in bytes.
    ///
    /// # Panics
    ///
    /// With more than four thousand million different paths.
    pub fn file(&mut self, path: impl AsRef<[u8]>, size: u64) {
        self.end_file();
        let path = path.as_ref();
        let number = self.number(path);
        let name = lossy(path).into_owned();
        let known = &mut self.sizes[number as usize];
        if *known != ABSENT {
            let place = Place::file(name.as_str());
            self.findings.push(Problem::FileTwice { path: name }.at(Severity::Error, place));
            return;
        }
        *known = size.min(ABSENT - 1);
        let reader = match Role::of(path) {
            Role::Payload => Reader::Nothing,
            Role::PayloadManifest { .. } if self.manifests.len() == MOST_MANIFESTS => self.too_many(name),
            Role::TagManifest { .. } if self.tag_manifests.len() == MOST_MANIFESTS => self.too_many(name),
            Role::PayloadManifest { algorithm } => {
                let source = Source::Payload(index(&mut self.manifests, algorithm));
                Reader::Manifest(ManifestParser::new(name, &self.options.syntax), source)
            }
            Role::TagManifest { algorithm } => {
                let source = Source::Tag(index(&mut self.tag_manifests, algorithm));
                Reader::Manifest(ManifestParser::new(name, &self.options.syntax), source)
            }
            Role::Fetch => {
                self.has_fetch = true;
                Reader::Fetch(FetchParser::new(name, &self.options.syntax))
            }
            Role::Tag => {
                self.tag_files.push(name.clone());
                if self.has_tags(path) {
                    Reader::Tags(TagParser::new(name, &self.options.syntax))
                } else {
                    Reader::Nothing
                }
            }
        };
        self.open = Some((number, reader));
    }

    /// The next bytes of the file that was begun last, cut as they come.
    pub fn content(&mut self, chunk: &[u8]) {
        let Some((number, mut reader)) = self.open.take() else { return };
        let read = match &mut reader {
            Reader::Nothing => Ok(()),
            Reader::Manifest(parser, source) => parser.push(chunk, |entry| self.entry(*source, &entry)),
            Reader::Tags(parser) => parser.push(chunk, |item| self.tag(number, item)),
            Reader::Fetch(parser) => parser.push(chunk, |entry| self.fetch(entry.line, entry.path)),
        };
        if let Err(error) = read {
            self.unreadable(error);
            // The parser would repeat it at the end.
            reader = Reader::Nothing;
        }
        self.open = Some((number, reader));
    }

    /// A digest of the file that was begun last.
    ///
    /// # Panics
    ///
    /// If it is asked to keep digests of more than 65,536 algorithms.
    pub fn digest(&mut self, algorithm: &str, digest: &[u8]) {
        let Some((path, _)) = self.open else { return };
        let source = Source::Computed(index(&mut self.algorithms, algorithm));
        let held = self.hold(path, 0, source, digest, Form::Bytes);
        self.computed.push(held);
    }

    /// Judges the bag. `each` gets what is found, as it is found.
    pub fn validate(mut self, mut each: impl FnMut(Finding)) -> Verdict {
        self.end_file();
        let mut verdict = Verdict::Valid;
        if self.tags.value(DECLARATION, ENCODING).is_some_and(|encoding| encoding.eq_ignore_ascii_case("UTF-8")) {
            let told = self.not_utf8.drain(..).map(|place| {
                let problem = Problem::NotUtf8 { file: place.file.clone(), line: place.line.unwrap_or_default() };
                problem.at(Severity::Warning, place)
            });
            self.findings.extend(told);
        }
        for finding in std::mem::take(&mut self.findings) {
            if finding.severity == Severity::Error {
                verdict = Verdict::Invalid;
            }
            each(finding);
        }
        let facts = Facts {
            serialization: self.serialization.as_deref(),
            has_fetch: self.has_fetch,
            manifests: &self.manifests,
            tag_manifests: &self.tag_manifests,
            tag_files: &self.tag_files,
            tags: &self.tags,
            payload: self.payload(),
        };
        let version = facts.version();
        verdict = verdict.max(check_bag(&facts, &self.profile, &self.options, &mut each));
        if verdict == Verdict::Invalid && self.options.rules == Rules::Profile {
            return verdict;
        }
        let mut declared = std::mem::take(&mut self.declared);
        self.resolve(&mut declared, version, &mut each);
        declared.sort_unstable_by_key(|held| (held.path, held.source, held.line));
        self.computed.sort_unstable_by_key(|held| (held.path, held.source));
        if self.options.rules == Rules::Rfc {
            self.names_without_case(&declared, &mut each);
        }
        let checker = FileChecker::new(&facts, &self.options);
        verdict.max(self.check_files(&checker, &declared, each))
    }

    /// Judges the bag, and keeps what is found.
    pub fn findings(self) -> (Verdict, Vec<Finding>) {
        let mut findings = Vec::new();
        let verdict = self.validate(|finding| findings.push(finding));
        (verdict, findings)
    }

    fn end_file(&mut self) {
        let Some((number, reader)) = self.open.take() else { return };
        let had_mark = match &reader {
            Reader::Manifest(parser, _) => parser.had_mark(),
            Reader::Tags(parser) => parser.had_mark(),
            Reader::Nothing | Reader::Fetch(_) => false,
        };
        let read = match reader {
            Reader::Nothing => Ok(()),
            Reader::Manifest(parser, source) => parser.finish(|entry| self.entry(source, &entry)),
            Reader::Tags(parser) => parser.finish(|item| self.tag(number, item)),
            Reader::Fetch(parser) => parser.finish(|entry| self.fetch(entry.line, entry.path)),
        };
        if let Err(error) = read {
            self.unreadable(error);
        }
        if had_mark {
            let file = lossy(self.paths.path(number)).into_owned();
            let place = Place::line(file.as_str(), 1);
            self.findings.push(if file == DECLARATION {
                Problem::DeclarationHasMark.at(Severity::Error, place)
            } else {
                Problem::HasMark { file }.at(Severity::Warning, place)
            });
        }
    }

    fn too_many(&mut self, file: String) -> Reader {
        let place = Place::file(file.as_str());
        self.findings.push(Problem::TooManyManifests { file, limit: MOST_MANIFESTS }.at(Severity::Error, place));
        Reader::Nothing
    }

    fn has_tags(&self, path: &[u8]) -> bool {
        [DECLARATION, BAG_INFO].iter().any(|file| file.as_bytes() == path)
            || self.profile.tags.iter().any(|tag| tag.file.as_bytes() == path)
    }

    fn number(&mut self, path: &[u8]) -> u32 {
        let number = self.paths.number(path);
        self.sizes.resize(self.paths.len(), ABSENT);
        number
    }

    fn entry(&mut self, source: Source, entry: &Entry<'_>) {
        let manifest = self.manifest(source);
        if entry.path.is_empty() && self.options.rules == Rules::Rfc {
            let place = Place::line(manifest.file(), entry.line);
            self.findings.push(Problem::PathMissing.at(Severity::Error, place));
            return;
        }
        let is_digest = is_digest(manifest.algorithm(), entry.digest);
        let path = self.number(entry.path);
        let line = u32::try_from(entry.line).unwrap_or(u32::MAX);
        let held = if is_digest {
            let bytes: Vec<u8> = entry.digest.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
            self.hold(path, line, source, &bytes, Form::Bytes)
        } else {
            let text = entry.digest_text();
            self.hold(path, line, source, &text.as_bytes()[..text.floor_char_boundary(LONGEST_TEXT)], Form::Text)
        };
        self.declared.push(held);
    }

    fn hold(&mut self, path: u32, line: u32, source: Source, digest: &[u8], form: Form) -> Held {
        let start = self.digests.len();
        let length = u16::try_from(digest.len()).unwrap_or(u16::MAX);
        self.digests.extend_from_slice(&digest[..length.into()]);
        Held { start, path, line, source, length, form }
    }

    fn tag(&mut self, file: u32, item: TagItem) {
        match item {
            TagItem::Tag(tag) => self.tags.push(tag),
            TagItem::Stray { line } if self.options.rules == Rules::Rfc => {
                let file = lossy(self.paths.path(file)).into_owned();
                let place = Place::line(file.as_str(), line);
                self.findings.push(Problem::NotATag { file, line }.at(Severity::Warning, place));
            }
            TagItem::Stray { .. } => {}
            TagItem::NotUtf8 { line } => {
                let file = lossy(self.paths.path(file)).into_owned();
                self.not_utf8.push(Place::line(file, line));
            }
        }
    }

    /// RFC 8493, section 2.2.3: what is to be fetched is payload, and is listed as such.
    fn fetch(&mut self, line: u64, path: &[u8]) {
        if self.options.rules != Rules::Rfc {
            return;
        }
        let place = Place::line("fetch.txt", line);
        let name = || lossy(path).into_owned();
        let problem = if path.is_empty() {
            Problem::PathMissing
        } else if leads_out(path) {
            Problem::LeadsOut { path: name() }
        } else if Role::of(path) != Role::Payload {
            Problem::OutOfScope { path: name(), manifest: "fetch.txt".to_owned() }
        } else {
            let number = self.number(path);
            self.to_fetch.insert(number);
            return;
        };
        self.findings.push(problem.at(Severity::Error, place));
    }

    fn unreadable(&mut self, error: TooLong) {
        let place = Place::line(error.file.as_str(), error.line);
        self.findings.push(Problem::Unreadable(error).at(Severity::Error, place));
    }

    fn payload(&self) -> Payload {
        let mut payload = Payload::default();
        for (number, size) in (0..).zip(&self.sizes).filter(|(_, size)| **size != ABSENT) {
            if Role::of(self.paths.path(number)) == Role::Payload {
                payload.bytes = payload.bytes.saturating_add(*size);
                payload.files += 1;
            }
        }
        payload
    }

    /// Finds out which files the manifests mean.
    fn resolve(&self, declared: &mut [Held], version: Option<Version>, each: &mut impl FnMut(Finding)) {
        let by_version =
            if version.is_some_and(|version| version < Version::V1_0) { First::Literal } else { First::Decoded };
        let first = self.options.paths.unwrap_or(by_version);
        for held in declared {
            let written = self.paths.path(held.path);
            let find = |reading, path: &[u8]| match reading {
                Reading::Literal => Some(held.path),
                _ => self.paths.find(path),
            };
            let is_there = |number: &u32| self.sizes[*number as usize] != ABSENT;
            let mut found = readings(written, first)
                .enumerate()
                .filter_map(|(index, (reading, path))| Some((index, find(reading, &path).filter(is_there)?)));
            let Some((index, number)) = found.next() else { continue };
            if index > 0 && self.options.rules == Rules::Rfc {
                let (written, path) = (lossy(written).into_owned(), lossy(self.paths.path(number)).into_owned());
                let place = Place::line(self.manifest(held.source).file(), u64::from(held.line));
                each(Problem::ReadOtherwise { written, path }.at(Severity::Warning, place));
            }
            held.path = number;
        }
    }

    fn manifest(&self, source: Source) -> Manifest<'_> {
        let algorithm = self.algorithm(source);
        if let Source::Tag(_) = source { Manifest::Tag(algorithm) } else { Manifest::Payload(algorithm) }
    }

    /// RFC 8493, section 5.3: names that differ in case alone cannot be kept side by side everywhere.
    fn names_without_case(&self, declared: &[Held], each: &mut impl FnMut(Finding)) {
        use std::hash::{BuildHasher as _, RandomState};

        let hasher = RandomState::new();
        let mut named: Vec<u32> = declared.iter().map(|held| held.path).collect();
        named.dedup();
        let present = (0..).zip(&self.sizes).filter(|(_, size)| **size != ABSENT).map(|(number, _)| number);
        named.extend(present);
        named.sort_unstable();
        named.dedup();
        let lower = |number: u32| lossy(self.paths.path(number)).to_lowercase();
        let mut folded: Vec<(u64, u32)> =
            named.into_iter().map(|number| (hasher.hash_one(lower(number)), number)).collect();
        folded.sort_unstable();
        let same = |pair: &&[(u64, u32)]| pair[0].0 == pair[1].0 && lower(pair[0].1) == lower(pair[1].1);
        let mut pairs: Vec<[u32; 2]> = folded.windows(2).filter(same).map(|pair| [pair[0].1, pair[1].1]).collect();
        // Not in the order of the hashes, which is another each time.
        pairs.sort_unstable();
        for pair in pairs {
            let [path, other] = pair.map(|number| lossy(self.paths.path(number)).into_owned());
            let place = Place::file(other.as_str());
            each(Problem::CaseCollision { path, other }.at(Severity::Warning, place));
        }
    }

    fn check_files(&self, checker: &FileChecker<'_>, declared: &[Held], mut each: impl FnMut(Finding)) -> Verdict {
        let mut verdict = Verdict::Valid;
        let (mut computed, mut declared) = (&self.computed[..], declared);
        for (number, &size) in (0..).zip(&self.sizes) {
            let computed = take_while(&mut computed, |held| held.path == number);
            let declared = take_while(&mut declared, |held| held.path == number);
            if size == ABSENT && declared.is_empty() && !self.to_fetch.contains(&number) {
                continue;
            }
            let hex: Vec<String> = computed.iter().chain(declared).map(|held| self.text(held)).collect();
            let digests: Vec<Digest<'_>> = computed
                .iter()
                .zip(&hex)
                .map(|(held, hex)| Digest { algorithm: self.algorithm(held.source), hex })
                .collect();
            let lines: Vec<Declared<'_>> = declared
                .iter()
                .zip(&hex[computed.len()..])
                .map(|(held, hex)| Declared {
                    manifest: self.manifest(held.source),
                    hex,
                    line: Some(u64::from(held.line)),
                })
                .collect();
            let path = lossy(self.paths.path(number));
            let size = (size != ABSENT).then_some(size);
            let record = FileRecord { path: &path, size, computed: &digests, declared: &lines };
            verdict = verdict.max(checker.check(&record, &mut each));
        }
        verdict
    }

    fn algorithm(&self, source: Source) -> &str {
        match source {
            Source::Computed(index) => &self.algorithms[usize::from(index)],
            Source::Payload(index) => &self.manifests[usize::from(index)],
            Source::Tag(index) => &self.tag_manifests[usize::from(index)],
        }
    }

    fn text(&self, held: &Held) -> String {
        let bytes = &self.digests[held.start..held.start + usize::from(held.length)];
        match held.form {
            Form::Text => lossy(bytes).into_owned(),
            Form::Bytes => {
                let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
                bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
            }
        }
    }
}

/// The number of a name, a new one if it has none.
fn index(names: &mut Names, name: &str) -> u16 {
    let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    u16::try_from(index).expect("fewer than 65,537 algorithms")
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

/// Takes the elements off the front for which it holds.
fn take_while<'a, T>(rest: &mut &'a [T], holds: impl Fn(&T) -> bool) -> &'a [T] {
    let (taken, left) = rest.split_at(rest.iter().position(|element| !holds(element)).unwrap_or(rest.len()));
    *rest = left;
    taken
}
