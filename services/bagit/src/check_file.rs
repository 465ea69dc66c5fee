//! The checks of a single file: its name, and what the manifests say of it. Each file is judged by itself, so that a
//! million of them can be gone through in any order and in batches.

use crate::check::{NameRule, Options, Rules};
use crate::facts::Facts;
use crate::finding::{Finding, Place, Problem, Report, Severity, Verdict};
use crate::path::{is_of_the_system, is_unprintable, leads_out};
use crate::role::{Role, digest_length};
use crate::version::Version;

/// What is known of a file: of its bytes, and from all lines of manifests that mean it.
#[derive(Debug, Clone, Copy)]
pub struct FileRecord<'a> {
    /// The path in the bag.
    pub path: &'a str,
    /// In bytes; `None` if the file is not in the bag and only manifests know it.
    pub size: Option<u64>,
    /// The digests of its bytes.
    pub computed: &'a [Digest<'a>],
    /// What manifests and tag manifests say.
    pub declared: &'a [Declared<'a>],
}

/// A digest in hexadecimal; case does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest<'a> {
    pub algorithm: &'a str,
    pub hex: &'a str,
}

/// A line of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared<'a> {
    pub manifest: Manifest<'a>,
    pub hex: &'a str,
    /// Counted from 1, if it is known.
    pub line: Option<u64>,
}

/// Which manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manifest<'a> {
    Payload(&'a str),
    Tag(&'a str),
}

/// Checks the files of one bag.
#[derive(Debug, Clone, Copy)]
pub struct FileChecker<'a> {
    facts: &'a Facts<'a>,
    options: &'a Options,
    version: Option<Version>,
}

impl Manifest<'_> {
    pub fn algorithm(&self) -> &str {
        let (Self::Payload(algorithm) | Self::Tag(algorithm)) = self;
        algorithm
    }

    /// The name of the file.
    pub fn file(&self) -> String {
        match self {
            Self::Payload(algorithm) => format!("manifest-{algorithm}.txt"),
            Self::Tag(algorithm) => format!("tagmanifest-{algorithm}.txt"),
        }
    }
}

impl<'a> FileChecker<'a> {
    pub fn new(facts: &'a Facts<'a>, options: &'a Options) -> Self {
        Self { facts, options, version: facts.version() }
    }

    /// Checks one file, or one that only manifests know.
    pub fn check(&self, file: &FileRecord<'_>, mut each: impl FnMut(Finding)) -> Verdict {
        let mut report = Report::new(&mut each);
        self.name(file, &mut report);
        let role = Role::of(file.path);
        let mut is_in_a_manifest = false;
        for manifest in self.manifests() {
            let lines = file.declared.iter().filter(|line| line.manifest == manifest);
            if lines.clone().next().is_some() {
                is_in_a_manifest |= matches!(manifest, Manifest::Payload(_));
            } else if let Some(severity) = self.omission(manifest, role) {
                report.put(self.not_in(file, manifest).at(severity, Place::file(manifest.file())));
            }
            if self.options.rules == Rules::Rfc {
                Self::rfc(file, role, manifest, lines.clone(), &mut report);
            }
            self.lines(file, manifest, lines, &mut report);
        }
        if self.is_before_1_0() && role == Role::Payload && !is_in_a_manifest {
            // One is named for all.
            if let Some(algorithm) = self.facts.manifests.first() {
                let manifest = Manifest::Payload(algorithm);
                report.error(self.not_in(file, manifest), Place::file(manifest.file()));
            }
        }
        report.verdict()
    }

    fn name(&self, file: &FileRecord<'_>, report: &mut Report<'_>) {
        let path = || file.path.to_owned();
        let place = || Place::file(file.path);
        // An escape does not go beyond the slash that the identifier ends with.
        let parts = [self.options.identifier.as_str(), file.path];
        if self.options.names == NameRule::Printable && parts.into_iter().any(is_unprintable) {
            report.error(Problem::NameIllegal { path: path() }, place());
        }
        if file.size.is_some() && !(self.options.is_storable)(file.path) {
            report.error(Problem::NameTooLong { path: path() }, place());
        }
        if self.options.rules == Rules::Rfc {
            if leads_out(file.path.as_bytes()) {
                let line = file.declared.first();
                let place = line.map_or_else(place, |line| Place::line(line.manifest.file(), line.line));
                report.error(Problem::LeadsOut { path: path() }, place);
            }
            if is_of_the_system(file.path) {
                report.warn(Problem::SystemFile { path: path() }, place());
            }
        }
    }

    /// Compares the file with what one manifest says of it. Where a path is listed twice, each line has to match.
    fn lines<'b>(
        &self,
        file: &FileRecord<'_>,
        manifest: Manifest<'_>,
        lines: impl Iterator<Item = &'b Declared<'b>>,
        report: &mut Report<'_>,
    ) {
        let algorithm = manifest.algorithm();
        let computed = file
            .computed
            .iter()
            .find(|digest| digest.algorithm.eq_ignore_ascii_case(algorithm))
            .map(|digest| digest.hex);
        for (index, line) in lines.enumerate() {
            let name = || self.name_of(file);
            let place = || Place::line(manifest.file(), line.line);
            match (file.size, computed) {
                // Once is enough, however often it is listed.
                (None, _) if index > 0 => {}
                (None, _) => report.error(Problem::FileMissing { name: name(), manifest: manifest.file() }, place()),
                (Some(_), None) => {
                    let algorithm = algorithm.to_owned();
                    report.error(Problem::NotComputed { name: name(), algorithm, manifest: manifest.file() }, place());
                }
                (Some(_), Some(computed)) if computed.eq_ignore_ascii_case(line.hex) => {}
                (Some(_), Some(_))
                    if self.options.rules == Rules::Rfc && !is_digest(algorithm, line.hex.as_bytes()) =>
                {
                    let (digest, algorithm) = (line.hex.to_owned(), algorithm.to_owned());
                    report.error(Problem::DigestMalformed { digest, algorithm }, place());
                }
                (Some(_), Some(computed)) => {
                    let (algorithm, computed, declared) =
                        (algorithm.to_owned(), computed.to_owned(), line.hex.to_owned());
                    report.error(Problem::DigestMismatch { name: name(), algorithm, computed, declared }, place());
                }
            }
        }
    }

    /// What the RFC says of the lines themselves.
    fn rfc<'b>(
        file: &FileRecord<'_>,
        role: Role<'_>,
        manifest: Manifest<'_>,
        mut lines: impl Iterator<Item = &'b Declared<'b>>,
        report: &mut Report<'_>,
    ) {
        let Some(first) = lines.next() else { return };
        let in_scope = match manifest {
            Manifest::Payload(_) => role == Role::Payload,
            Manifest::Tag(_) => !matches!(role, Role::Payload | Role::TagManifest { .. }),
        };
        let path = || file.path.to_owned();
        if !in_scope {
            let place = Place::line(manifest.file(), first.line);
            report.error(Problem::OutOfScope { path: path(), manifest: manifest.file() }, place);
        }
        for again in lines {
            let place = Place::line(manifest.file(), again.line);
            report.warn(Problem::ListedTwice { path: path(), manifest: manifest.file() }, place);
        }
    }

    /// How bad it is that a manifest does not list a file: 02 §5.3; RFC 8493, sections 2.1.3 and 2.2.1.
    fn omission(&self, manifest: Manifest<'_>, role: Role<'_>) -> Option<Severity> {
        match (manifest, role) {
            (Manifest::Payload(_), Role::Payload) => (!self.is_before_1_0()).then_some(Severity::Error),
            (Manifest::Tag(_), Role::PayloadManifest { .. }) => Some(Severity::Error),
            (Manifest::Tag(_), Role::Tag | Role::Fetch) => (self.options.rules == Rules::Rfc).then_some(Severity::Note),
            _ => None,
        }
    }

    fn not_in(&self, file: &FileRecord<'_>, manifest: Manifest<'_>) -> Problem {
        Problem::NotInManifest { name: self.name_of(file), manifest: manifest.file() }
    }

    /// Whether all payload manifests together have to list the payload, as 0.97 has it, and not each of them.
    fn is_before_1_0(&self) -> bool {
        self.options.rules == Rules::Rfc && self.version.is_some_and(|version| version < Version::V1_0)
    }

    fn manifests(&self) -> impl Iterator<Item = Manifest<'_>> {
        let payload = self.facts.manifests.iter().map(|algorithm| Manifest::Payload(algorithm));
        payload.chain(self.facts.tag_manifests.iter().map(|algorithm| Manifest::Tag(algorithm)))
    }

    fn name_of(&self, file: &FileRecord<'_>) -> String {
        format!("{}{}", self.options.identifier, file.path)
    }
}

/// Whether a digest is one of its algorithm, as far as the algorithm is known.
pub(crate) fn is_digest(algorithm: &str, hex: &[u8]) -> bool {
    let fits = digest_length(&algorithm.to_ascii_lowercase()).is_none_or(|length| hex.len() == 2 * length);
    fits && !hex.is_empty() && hex.len().is_multiple_of(2) && hex.iter().all(u8::is_ascii_hexdigit)
}
