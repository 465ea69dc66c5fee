//! What is said of a file: the format, what speaks for it, and what speaks against it. The words are siegfried's, since
//! archives hold records with them.

use std::fmt::{self, Write as _};

use crate::data::Format;
use crate::text::Encoding;

/// The format of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identification<'e> {
    /// PRONOM's identifier, as in `fmt/43`; `UNKNOWN` if nothing fits.
    pub puid: &'e str,
    /// Empty where PRONOM has none, as are the next two.
    pub name: &'e str,
    pub version: &'e str,
    pub mime: &'e str,
    /// What speaks for the format.
    pub basis: Vec<Basis>,
    pub warnings: Vec<Warning>,
    /// Why evidence may be missing. Siegfried reports the first kind as an error.
    pub trouble: Option<Trouble>,
}

impl Identification<'_> {
    /// False for `UNKNOWN`.
    pub fn is_known(&self) -> bool {
        self.puid != UNKNOWN
    }

    /// The evidence in siegfried's words, as in `extension match wav; byte match at 0, 12`.
    pub fn basis_text(&self) -> String {
        joined(&self.basis)
    }

    /// The warnings in siegfried's words, as in `match on extension only`.
    pub fn warning_text(&self) -> String {
        joined(&self.warnings)
    }
}

const UNKNOWN: &str = "UNKNOWN";

fn joined(parts: &[impl fmt::Display]) -> String {
    let mut text = String::new();
    for part in parts {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{part}");
    }
    text
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// In lower case, without the dot.
    Extension(String),
    /// A pattern for the whole name, as in `*.src.rpm`.
    Name(String),
    Bytes(Places, Which),
    /// Names in the container, and where in their content the signature was found if it asks for content.
    Container(Vec<(String, Option<Places>)>, Which),
    /// A ZIP file in which nothing more special was found, and whose name says ZIP.
    DefaultContainer,
    Text(Encoding),
}

/// Offset from the beginning of the file and length in bytes of each part of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<(u64, u64)>);

/// The number of a signature among those of its format, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    pub number: usize,
    pub of: usize,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Basis::Extension(extension) => write!(f, "extension match {extension}"),
            Basis::Name(pattern) => write!(f, "glob match {pattern}"),
            Basis::Bytes(places, which) => write!(f, "{places}{which}"),
            Basis::Container(parts, which) => {
                f.write_str("container ")?;
                for (index, (name, places)) in parts.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}name {name} with ")?;
                    match places {
                        Some(places) => write!(f, "{places}")?,
                        None => f.write_str("name only")?,
                    }
                }
                write!(f, "{which}")
            }
            Basis::DefaultContainer => f.write_str("container match with trigger and default extension"),
            Basis::Text(encoding) => write!(f, "text match {encoding}"),
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(offset, length)] = self.0.as_slice() {
            return write!(f, "byte match at {offset}, {length}");
        }
        f.write_str("byte match at [")?;
        for (index, (offset, length)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}[{offset} {length}]")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of > 1 { write!(f, " (signature {}/{})", self.number, self.of) } else { Ok(()) }
    }
}

/// What a reader of the answer should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    NoMatch,
    /// The extension suggests these, and does not decide: a signature that should have been found was not, or there are
    /// several without any.
    Possibilities(Vec<String>),
    Only(Evidence),
    /// The format has extensions, and the file's is none of them.
    ExtensionMismatch,
}

/// Evidence that is weaker than a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    Extension,
    Text,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NoMatch => f.write_str("no match"),
            Warning::Possibilities(puids) => {
                write!(f, "no match; possibilities based on extension are {}", puids.join(", "))
            }
            Warning::Only(Evidence::Extension) => f.write_str("match on extension only"),
            Warning::Only(Evidence::Text) => f.write_str("match on text only"),
            Warning::ExtensionMismatch => f.write_str("extension mismatch"),
        }
    }
}

/// Why evidence may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    Empty,
    /// It begins like a ZIP or OLE2 container and cannot be read as one.
    DamagedContainer,
    /// Looking further would have taken more requests, bytes or work than one file is worth.
    TooMuchWork,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::Empty => "empty source",
            Trouble::DamagedContainer => "it begins like a container and cannot be read as one",
            Trouble::TooMuchWork => "not all of its content was looked at, since that would take too long",
        })
    }
}

/// Gathers evidence and weighs it.
#[derive(Debug)]
pub(crate) struct Recorder {
    candidates: Vec<Candidate>,
    signatures_found: u32,
}

#[derive(Debug)]
struct Candidate {
    format: u16,
    /// 0 if no signature was found; a later one has more.
    strength: u32,
    text: bool,
    extension: bool,
    basis: Vec<Basis>,
}

impl Candidate {
    fn weight(&self) -> (u32, bool, bool) {
        (self.strength, self.text, self.extension)
    }

    /// The evidence, if it is of one kind and weak. Name and content together are not.
    fn weakness(&self) -> Option<Evidence> {
        match self.weight() {
            (0, false, _) => Some(Evidence::Extension),
            (0, true, false) => Some(Evidence::Text),
            _ => None,
        }
    }
}

/// What the recorder must know of the formats.
pub(crate) struct Known<'e> {
    pub(crate) formats: &'e [Format],
    /// Whether a format has byte or container signatures.
    pub(crate) has_signature: &'e [bool],
    /// Plain text.
    pub(crate) text: Option<u16>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Recorder { candidates: Vec::new(), signatures_found: 0 }
    }

    pub(crate) fn name(&mut self, format: u16, basis: Basis) {
        let candidate = self.candidate(format);
        candidate.extension = true;
        candidate.basis.push(basis);
    }

    pub(crate) fn signature(&mut self, format: u16, basis: Basis) {
        self.signatures_found += 1;
        let strength = self.signatures_found;
        let candidate = self.candidate(format);
        candidate.strength += strength;
        candidate.basis.push(basis);
    }

    pub(crate) fn text(&mut self, format: u16, encoding: Encoding) {
        let candidate = self.candidate(format);
        candidate.text = true;
        candidate.basis.push(Basis::Text(encoding));
    }

    /// Whether a signature was found.
    pub(crate) fn is_certain(&self) -> bool {
        self.signatures_found > 0
    }

    /// The formats for which there is evidence so far.
    pub(crate) fn formats(&self) -> impl Iterator<Item = u16> {
        self.candidates.iter().map(|candidate| candidate.format)
    }

    /// Whether nothing speaks against this being the format.
    pub(crate) fn may_be(&self, format: u16) -> bool {
        self.candidates.is_empty() || self.candidates.iter().any(|candidate| candidate.format == format)
    }

    fn candidate(&mut self, format: u16) -> &mut Candidate {
        let index = self.candidates.iter().position(|candidate| candidate.format == format).unwrap_or_else(|| {
            self.candidates.push(Candidate { format, strength: 0, text: false, extension: false, basis: Vec::new() });
            self.candidates.len() - 1
        });
        &mut self.candidates[index]
    }

    /// The answer. `named` says that the file has a name, `trouble` what kept evidence away.
    pub(crate) fn report<'e>(
        mut self,
        known: &Known<'e>,
        named: Named,
        trouble: Option<Trouble>,
    ) -> Identification<'e> {
        self.candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.weight()));
        let Some(best) = self.candidates.first() else { return unknown(Warning::NoMatch, trouble) };
        let weakness = best.weakness();
        let best = if weakness.is_none() {
            self.candidates.swap_remove(0)
        } else {
            // Only its content makes a file text, and a format that has a signature would have shown it.
            let is_nameless_text = |candidate: &Candidate| {
                Some(candidate.format) == known.text && !candidate.text && trouble != Some(Trouble::Empty)
            };
            let fits = |candidate: &Candidate| {
                candidate.weakness() == weakness
                    && !is_nameless_text(candidate)
                    && !known.has_signature[usize::from(candidate.format)]
            };
            let mut fitting = self.candidates.iter().enumerate().filter(|(_, candidate)| fits(candidate));
            let (Some((index, _)), None) = (fitting.next(), fitting.next()) else {
                let puid = |candidate: &Candidate| known.formats[usize::from(candidate.format)].puid.clone();
                return unknown(Warning::Possibilities(self.candidates.iter().map(puid).collect()), trouble);
            };
            self.candidates.swap_remove(index)
        };
        let format = &known.formats[usize::from(best.format)];
        let mut warnings: Vec<Warning> = weakness.map(Warning::Only).into_iter().collect();
        if named == Named::Yes && !best.extension && !format.extensions.is_empty() {
            warnings.push(Warning::ExtensionMismatch);
        }
        Identification {
            puid: &format.puid,
            name: &format.name,
            version: &format.version,
            mime: &format.mime,
            basis: best.basis,
            warnings,
            trouble,
        }
    }
}

/// Whether the file has a name that an extension could stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Yes,
    No,
}

fn unknown<'e>(warning: Warning, trouble: Option<Trouble>) -> Identification<'e> {
    Identification {
        puid: UNKNOWN,
        name: "",
        version: "",
        mime: "",
        basis: Vec::new(),
        warnings: vec![warning],
        trouble,
    }
}
