//! What is found in a bag: typed, with its place, and in words. The words of the problems that APTrust's services know are
//! those services' own, because people and programs match on them.

use std::fmt;

/// A problem, how bad it is, and where.
///
/// Its text is that of the [`Problem`]; `{:#}` puts the place in front, as in `manifest-md5.txt:3: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub problem: Problem,
    pub place: Option<Place>,
}

/// Ordered by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Advice; the bag keeps to the rules.
    Note,
    /// The bag is valid, and might not be understood everywhere.
    Warning,
    /// The bag is not valid.
    Error,
}

/// Whether a bag, or the part that was looked at, is valid.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Valid,
    Invalid,
}

/// A file of the bag, and a line of it where one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path in the bag.
    pub file: String,
    /// Counted from 1.
    pub line: Option<u64>,
}

/// What can be wrong with a bag. Files are named as [`Options::identifier`](crate::Options::identifier) says; `manifest`
/// is the name of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    // Of the profile, in the order in which they are looked for.
    #[error("BagIt profile forbids serialization but bag is serialized in {format} format")]
    SerializationForbidden { format: String },
    #[error("Bag is not serialized, but profile requires serialization in one of the following formats: {}", formats.join(", "))]
    SerializationRequired { formats: Vec<String> },
    #[error("BagIt profile does not allow serialization format {format}")]
    SerializationNotAllowed { format: String },
    #[error("Missing required tag bagit.txt/{tag}.")]
    DeclarationIncomplete { tag: &'static str },
    #[error("BagIt-Version {version} is not permitted in BagIt profile {profile}.")]
    VersionNotAllowed { version: String, profile: String },
    #[error("Bag has fetch.txt file which profile does not allow")]
    FetchNotAllowed,
    #[error("Bag contains illegal manifest '{algorithm}'")]
    ManifestNotAllowed { algorithm: String },
    #[error("Bag is missing required manifest '{algorithm}'")]
    ManifestMissing { algorithm: String },
    #[error("Bag must have at least one payload manifest")]
    NoManifest,
    #[error("Bag contains illegal tag file '{path}'")]
    TagFileNotAllowed { path: String },
    #[error("Bag is missing required tag file '{path}'")]
    TagFileMissing { path: String },
    #[error("Bag contains illegal tag manifest '{algorithm}'")]
    TagManifestNotAllowed { algorithm: String },
    #[error("Bag is missing required tag manifest '{algorithm}'")]
    TagManifestMissing { algorithm: String },
    #[error("Required tag {tag} in file {file} is missing")]
    TagMissing { tag: String, file: String },
    #[error("In file {file}, required tag {tag} has no value")]
    TagEmpty { tag: String, file: String },
    #[error("In file {file}, tag {tag} has illegal value '{}'", value.replace('\0', "\\0"))]
    TagValueNotAllowed { tag: String, file: String, value: String },
    #[error("In file {file}, tag {tag} occurs more than once, and the profile allows one")]
    TagRepeated { tag: String, file: String },

    // Of single files.
    #[error("File name '{path}' contains one or more illegal control characters")]
    NameIllegal { path: String },
    #[error("File name '{path}' is too long to store")]
    NameTooLong { path: String },
    #[error("File {name} in {manifest} is missing from bag")]
    FileMissing { name: String, manifest: String },
    #[error("File {name} is not in manifest {manifest}")]
    NotInManifest { name: String, manifest: String },
    #[error("File {name}: ingest {algorithm} checksum {computed} doesn't match manifest checksum {declared}")]
    DigestMismatch { name: String, algorithm: String, computed: String, declared: String },

    // Of the RFC alone.
    #[error("bagit.txt begins with a byte order mark, which it must not have")]
    DeclarationHasMark,
    #[error("{file} begins with a byte order mark; some programs read it as part of the first line")]
    HasMark { file: String },
    #[error("BagIt-Version '{version}' is not of the form M.N")]
    VersionMalformed { version: String },
    #[error("BagIt-Version {version} is not known here; 0.97 and 1.0 are")]
    VersionUnknown { version: String },
    #[error(
        "bagit.txt has to consist of BagIt-Version and Tag-File-Character-Encoding, in this order, and of nothing else"
    )]
    DeclarationOdd,
    #[error("Tag-File-Character-Encoding {encoding} is not known here; the tag files were read as UTF-8 or ISO-8859-1")]
    EncodingUnknown { encoding: String },
    #[error("line {line} of {file} is not UTF-8, which bagit.txt says it is; it was read as ISO-8859-1")]
    NotUtf8 { file: String, line: u64 },
    #[error("bag has no tag manifest, so changes of its tag files go unnoticed")]
    NoTagManifest,
    #[error("line {line} of {file} is no tag")]
    NotATag { file: String, line: u64 },
    #[error("Payload-Oxum is {declared}, and the payload has {bytes}.{files}")]
    OxumMismatch { declared: String, bytes: u64, files: u64 },
    #[error("Payload-Oxum '{declared}' is not of the form octets.files")]
    OxumMalformed { declared: String },
    #[error(transparent)]
    Unreadable(#[from] crate::TooLong),
    #[error("{file} was not read, because there are {limit} of its kind already")]
    TooManyManifests { file: String, limit: usize },
    #[error("path '{path}' leads out of the bag")]
    LeadsOut { path: String },
    #[error("{manifest} lists {path}, which is no file of the kind that it is for")]
    OutOfScope { path: String, manifest: String },
    #[error("{manifest} lists {path} more than once")]
    ListedTwice { path: String, manifest: String },
    #[error("'{digest}' is no {algorithm} digest")]
    DigestMalformed { digest: String, algorithm: String },
    #[error("a line without a path")]
    PathMissing,
    #[error("'{written}' is the file {path}, if the path is read another way than the version of BagIt has it")]
    ReadOtherwise { written: String, path: String },
    #[error("no {algorithm} digest of {name} was computed, so {manifest} cannot be compared")]
    NotComputed { name: String, algorithm: String, manifest: String },
    #[error("{path} comes twice in the bag")]
    FileTwice { path: String },
    #[error("{path} and {other} are one name on systems that do not tell case")]
    CaseCollision { path: String, other: String },
    #[error("{path} is a file that operating systems make and change by themselves")]
    SystemFile { path: String },
}

impl Problem {
    pub(crate) fn at(self, severity: Severity, place: impl Into<Option<Place>>) -> Finding {
        Finding { severity, problem: self, place: place.into() }
    }
}

impl Place {
    pub(crate) fn line(file: impl Into<String>, line: impl Into<Option<u64>>) -> Self {
        Self { file: file.into(), line: line.into() }
    }

    pub(crate) fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place.as_ref().filter(|_| f.alternate()) {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => write!(f, "{}", self.file),
        }
    }
}

/// Where the checks put what they find; counts the errors.
pub(crate) struct Report<'a> {
    each: &'a mut dyn FnMut(Finding),
    errors: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(each: &'a mut dyn FnMut(Finding)) -> Self {
        Self { each, errors: 0 }
    }

    pub(crate) fn put(&mut self, finding: Finding) {
        self.errors += usize::from(finding.severity == Severity::Error);
        (self.each)(finding);
    }

    pub(crate) fn error(&mut self, problem: Problem, place: impl Into<Option<Place>>) {
        self.put(problem.at(Severity::Error, place));
    }

    pub(crate) fn warn(&mut self, problem: Problem, place: impl Into<Option<Place>>) {
        self.put(problem.at(Severity::Warning, place));
    }

    pub(crate) fn note(&mut self, problem: Problem, place: impl Into<Option<Place>>) {
        self.put(problem.at(Severity::Note, place));
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.errors == 0 { Verdict::Valid } else { Verdict::Invalid }
    }
}

/// The errors of a bag as APTrust tells them to its depositors: so many messages and no more, then `Too many errors`.
#[derive(Debug, Clone)]
pub struct Messages {
    limit: usize,
    messages: Vec<String>,
}

impl Messages {
    /// What the one message says that stands for all the others.
    pub const TOO_MANY: &'static str = "Too many errors";

    /// APTrust's limit is 30.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, messages: Vec::new() }
    }

    /// Warnings and notes are no messages.
    pub fn add(&mut self, finding: &Finding) {
        if finding.severity < Severity::Error || self.messages.len() > self.limit {
            return;
        }
        let is_full = self.messages.len() == self.limit;
        self.messages.push(if is_full { Self::TOO_MANY.to_owned() } else { finding.to_string() });
    }

    pub fn into_vec(self) -> Vec<String> {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_stands_in_front_where_it_is_asked_for() {
        let problem = Problem::NotInManifest { name: "data/a".into(), manifest: "manifest-md5.txt".into() };
        let finding = problem.clone().at(Severity::Error, Place::line("manifest-md5.txt", 3));
        assert_eq!(finding.to_string(), "File data/a is not in manifest manifest-md5.txt");
        assert_eq!(format!("{finding:#}"), "manifest-md5.txt:3: File data/a is not in manifest manifest-md5.txt");
        assert_eq!(
            format!("{:#}", problem.at(Severity::Error, None)),
            "File data/a is not in manifest manifest-md5.txt"
        );
    }

    #[test]
    fn after_so_many_messages_one_stands_for_the_others() {
        let mut messages = Messages::with_limit(30);
        for number in 0..40 {
            messages.add(&Problem::NameIllegal { path: number.to_string() }.at(Severity::Error, None));
            messages.add(&Problem::SystemFile { path: number.to_string() }.at(Severity::Warning, None));
        }
        let messages = messages.into_vec();
        assert_eq!(messages.len(), 31);
        assert_eq!(messages[29], "File name '29' contains one or more illegal control characters");
        assert_eq!(messages[30], "Too many errors");
    }

    #[test]
    fn thirty_messages_are_not_too_many() {
        let mut messages = Messages::with_limit(30);
        for number in 0..30 {
            messages.add(&Problem::NameIllegal { path: number.to_string() }.at(Severity::Error, None));
        }
        assert_eq!(messages.into_vec().len(), 30);
    }
}
