//! The engine: what it is asked, in which order it looks at a file, and what it needs for that.
//!
//! The order is siegfried's: the name, then what is in a container, then byte signatures, then text. What is found early
//! with certainty keeps what is weaker from being looked for.

use std::ops::Range;
use std::sync::LazyLock;

use crate::container::{Containers, Pass, Source, Stop, Verdict, ole2, zip};
use crate::data::{DataError, Format, Tables};
use crate::limits::{Limits, Windows};
use crate::names::{Names, extension};
use crate::priority::{Superiors, Waiting};
use crate::report::{Basis, Identification, Known, Named, Places, Recorder, Trouble, Which};
use crate::scan::Prefilter;
use crate::signature::{Budget, Match, View};
use crate::text;

/// The data of the release that this crate was built with.
static DATA: &[u8] = include_bytes!("../data/pronom.bin");
static BUILTIN: LazyLock<Engine> = LazyLock::new(|| Engine::with_builtin_data(Windows::default()));

/// So many bytes of a file's beginning decide under the default windows: what a signature begins with stands in the first
/// 32,768, and what belongs to it may follow.
pub const HEAD: usize = 40_960;
/// And so many of its ending.
pub const TAIL: usize = 16_384;

const ZIP_PUID: &str = "x-fmt/263";
const TEXT_PUID: &str = "x-fmt/111";
const ZIP_TRIGGER: &[u8] = b"PK\x03\x04";
const OLE2_TRIGGER: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// Whether a file that begins so is a container (ZIP, OLE2), whose format may depend on bytes anywhere in it.
pub fn is_container(head: &[u8]) -> bool {
    head.starts_with(ZIP_TRIGGER) || head.starts_with(OLE2_TRIGGER)
}

/// Knows the formats and their signatures. Made once, used by all threads.
#[derive(Debug)]
pub struct Engine {
    pub(crate) tables: Tables,
    names: Names,
    prefilter: Prefilter,
    zip: Containers,
    ole2: Containers,
    /// Of each byte signature its number among those of its format.
    which: Vec<Which>,
    /// The same of container signatures, first those of ZIP.
    which_container: Vec<Which>,
    has_bytes: Vec<bool>,
    has_signature: Vec<bool>,
    zip_format: Option<u16>,
    text_format: Option<u16>,
    windows: Windows,
    limits: Limits,
}

/// Which release the data are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'e> {
    /// Of DROID's signature file, as in 122.
    pub version: u32,
    /// When it was made, as in `2026-01-19T10:53:18`.
    pub date: &'e str,
    /// Of the container signatures, as in 40 and `20260119`.
    pub container_version: u32,
    pub container_date: &'e str,
    pub counts: Counts,
    pub licence: &'static str,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub formats: usize,
    pub byte_signatures: usize,
    pub container_signatures: usize,
    pub extensions: usize,
    /// Pairs of which the one wins over the other, directly or by way of others.
    pub priorities: usize,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its path or name; empty if it has none.
    pub name: &'a str,
    /// In bytes, all of it.
    pub size: u64,
    /// What it begins with, [`HEAD`] bytes or all of it. More does no harm, less misses signatures.
    pub head: &'a [u8],
    /// What it ends with, [`TAIL`] bytes or all of it; may be empty if `head` is all of it.
    pub tail: &'a [u8],
}

/// An answer, or what it takes to give one.
#[derive(Debug)]
pub enum Outcome<'e, 's> {
    Done(Identification<'e>),
    /// The file is a container, and bytes of its directory or content are needed.
    Needs(Probe<'e, 's>),
}

/// A question that waits for bytes.
#[derive(Debug)]
pub struct Probe<'e, 's> {
    engine: &'e Engine,
    seen: Seen<'s>,
    supplied: Vec<(u64, Vec<u8>)>,
    wants: Vec<Range<u64>>,
    rounds: u32,
}

impl Engine {
    /// The engine with the data that the crate brings; made at the first call, in a few milliseconds.
    pub fn builtin() -> &'static Engine {
        &BUILTIN
    }

    /// Another engine with the data that the crate brings, for windows of one's own.
    pub fn with_builtin_data(windows: Windows) -> Engine {
        Engine::from_bytes(DATA).expect("the data of the crate was read by its tests").with_windows(windows)
    }

    /// An engine with data that [`crate::compile`] made.
    pub fn from_bytes(data: &[u8]) -> Result<Self, DataError> {
        let tables = Tables::from_bytes(data)?;
        let find = |puid: &str| {
            let number = tables.formats.iter().position(|format| format.puid == puid);
            number.and_then(|number| u16::try_from(number).ok())
        };
        let (zip_format, text_format) = (find(ZIP_PUID), find(TEXT_PUID));
        let containers = || tables.zip.iter().chain(&tables.ole2).map(|signature| signature.format);
        let mut has_bytes = vec![false; tables.formats.len()];
        for (format, _) in &tables.bytes {
            has_bytes[usize::from(*format)] = true;
        }
        let mut has_signature = has_bytes.clone();
        for format in containers() {
            has_signature[usize::from(format)] = true;
        }
        Ok(Engine {
            names: Names::new(&tables.formats),
            prefilter: Prefilter::new(tables.bytes.iter().map(|(_, signature)| signature)),
            zip: Containers::new(&tables.zip),
            ole2: Containers::new(&tables.ole2),
            which: which(&tables.bytes.iter().map(|(format, _)| *format).collect::<Vec<_>>()),
            which_container: which(&containers().collect::<Vec<_>>()),
            has_bytes,
            has_signature,
            zip_format,
            text_format,
            windows: Windows::default(),
            limits: Limits::default(),
            tables,
        })
    }

    #[must_use]
    pub fn with_windows(self, windows: Windows) -> Self {
        Engine { windows, ..self }
    }

    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Engine { limits, ..self }
    }

    pub fn about(&self) -> About<'_> {
        let Tables { formats, bytes, zip, ole2, .. } = &self.tables;
        About {
            version: self.tables.version,
            date: &self.tables.date,
            container_version: self.tables.container_version,
            container_date: &self.tables.container_date,
            counts: Counts {
                formats: formats.len(),
                byte_signatures: bytes.len(),
                container_signatures: zip.len() + ole2.len(),
                extensions: formats.iter().map(|format| format.extensions.len()).sum(),
                priorities: formats.iter().map(|format| format.superiors.len()).sum(),
            },
            licence: "PRONOM signatures: Crown copyright, The National Archives (UK), Open Government Licence v3.0",
        }
    }

    pub fn identify<'e, 's>(&'e self, seen: Seen<'s>) -> Outcome<'e, 's> {
        Probe { engine: self, seen, supplied: Vec::new(), wants: Vec::new(), rounds: 0 }.resume()
    }

    /// Byte signatures that the bytes match, each with its number, in the order of a scan.
    fn matches(&self, view: &View<'_>, budget: &Budget) -> Vec<(usize, Match)> {
        let one = |number: u32| {
            let number = number as usize;
            Some((number, self.tables.bytes[number].1.find(view, budget)?))
        };
        let mut matches: Vec<_> = self.prefilter.candidates(view).into_iter().filter_map(one).collect();
        matches.sort_by_key(|(number, found)| (found.when, *number));
        matches
    }
}

impl Superiors for Vec<Format> {
    fn of(&self, format: u16) -> &[u16] {
        &self[usize::from(format)].superiors
    }
}

/// Numbers runs of equal formats.
fn which(formats: &[u16]) -> Vec<Which> {
    let runs = formats.chunk_by(|a, b| a == b);
    runs.flat_map(|run| (1..=run.len()).map(|number| Which { number, of: run.len() })).collect()
}

/// What looking into a container gave.
#[derive(Debug, Default)]
struct Inside {
    found: Vec<(u16, Basis)>,
    trouble: Option<Trouble>,
}

impl<'e, 's> Probe<'e, 's> {
    /// The bytes that are needed, none of them beyond the end of the file. May overlap.
    pub fn wants(&self) -> Vec<Range<u64>> {
        self.wants.clone()
    }

    /// Takes bytes that stand at an offset of the file; best a whole range that was wanted.
    pub fn supply(&mut self, offset: u64, bytes: Vec<u8>) {
        self.supplied.push((offset, bytes));
    }

    /// Looks again. What is not supplied is asked for again, a limited number of times; then the answer is given without.
    pub fn resume(mut self) -> Outcome<'e, 's> {
        let budget = Budget::new(self.engine.limits.steps);
        let mut recorder = Recorder::new();
        for (format, basis) in self.engine.names.suggest(self.seen.name) {
            recorder.name(format, basis);
        }
        let inside = match self.inside(&recorder, &budget) {
            Ok(inside) => inside,
            Err(wants) => {
                let supplied: u64 = self.supplied.iter().map(|(_, bytes)| bytes.len() as u64).sum();
                let wanted: u64 = wants.iter().map(|range| range.end - range.start).sum();
                let limits = self.engine.limits;
                if self.rounds < limits.rounds && supplied.saturating_add(wanted) <= limits.bytes {
                    self.rounds += 1;
                    self.wants = wants;
                    return Outcome::Needs(self);
                }
                Inside { found: Vec::new(), trouble: Some(Trouble::TooMuchWork) }
            }
        };
        Outcome::Done(self.engine.weigh(&self.seen, recorder, inside, &budget))
    }

    fn pieces(&self) -> Vec<(u64, &[u8])> {
        let Seen { size, head, tail, .. } = self.seen;
        let mut pieces = vec![(0, head), (size.saturating_sub(tail.len() as u64), tail)];
        pieces.extend(self.supplied.iter().map(|(offset, bytes)| (*offset, bytes.as_slice())));
        pieces
    }

    /// What the container holds, if the file is one; or the bytes that it takes to say so.
    fn inside(&self, recorder: &Recorder, budget: &Budget) -> Result<Inside, Vec<Range<u64>>> {
        type Walk = fn(&Source<'_>, &mut Pass<'_>) -> Result<(), Stop>;
        let engine = self.engine;
        let head = self.seen.head;
        let (containers, first, walk): (_, _, Walk) = match head {
            _ if head.len() < 8 => return Ok(Inside::default()),
            _ if head.starts_with(ZIP_TRIGGER) => (&engine.zip, 0, zip::walk),
            _ if head.starts_with(OLE2_TRIGGER) => (&engine.ole2, engine.tables.zip.len(), ole2::walk),
            _ => return Ok(Inside::default()),
        };
        let source = Source { size: self.seen.size, pieces: self.pieces() };
        let suggested = recorder.formats().filter(|format| containers.has_format(*format)).collect();
        let waiting = Waiting::new(&engine.tables.formats, suggested);
        let mut pass = Pass::new(containers, waiting, budget, engine.windows, engine.limits);
        let end = walk(&source, &mut pass);
        let (found, stop) = match pass.verdict(end) {
            Ok(Verdict::Missing(wants)) => return Err(wants),
            Ok(Verdict::Found(found, stop)) => (found, stop),
            Err(stop) => (Vec::new(), Some(stop)),
        };
        let trouble =
            stop.map(|stop| if stop == Stop::TooMuch { Trouble::TooMuchWork } else { Trouble::DamagedContainer });
        let mut inside = Inside { found: Vec::new(), trouble };
        for found in found {
            let which = engine.which_container[first + found.signature];
            inside.found.push((containers.format(found.signature), Basis::Container(found.parts, which)));
        }
        let is_whole = trouble != Some(Trouble::DamagedContainer);
        if let Some(format) = engine.zip_format
            && first == 0
            && is_whole
            && inside.found.is_empty()
            && extension(self.seen.name) == Some("zip")
        {
            inside.found.push((format, Basis::DefaultContainer));
        }
        Ok(inside)
    }
}

impl Engine {
    /// The answer, once the container has been looked at.
    fn weigh(&self, seen: &Seen<'_>, mut recorder: Recorder, inside: Inside, budget: &Budget) -> Identification<'_> {
        for (format, basis) in inside.found {
            recorder.signature(format, basis);
        }
        if !recorder.is_certain() {
            self.look_for_bytes(seen, &mut recorder, budget);
        }
        if let Some(format) = self.text_format
            && !recorder.is_certain()
            && recorder.may_be(format)
            && let Some(encoding) = text::encoding(seen.head)
        {
            recorder.text(format, encoding);
        }
        let trouble = match inside.trouble {
            _ if seen.size == 0 => Some(Trouble::Empty),
            None if budget.is_spent() => Some(Trouble::TooMuchWork),
            trouble => trouble,
        };
        let named = if seen.name.is_empty() { Named::No } else { Named::Yes };
        let known = Known { formats: &self.tables.formats, has_signature: &self.has_signature, text: self.text_format };
        recorder.report(&known, named, trouble)
    }

    fn look_for_bytes(&self, seen: &Seen<'_>, recorder: &mut Recorder, budget: &Budget) {
        let is_whole = seen.head.len() as u64 >= seen.size;
        let view = View {
            head: seen.head,
            tail: if is_whole { seen.head } else { seen.tail },
            size: seen.size,
            beginning: self.windows.beginning,
            ending: self.windows.ending,
        };
        let suggested = recorder.formats().filter(|format| self.has_bytes[usize::from(*format)]).collect();
        let mut waiting = Waiting::new(&self.tables.formats, suggested);
        for (number, found) in self.matches(&view, budget) {
            let format = self.tables.bytes[number].0;
            if waiting.wants(format) {
                recorder.signature(format, Basis::Bytes(Places(found.places), self.which[number]));
                if waiting.found(format) {
                    break;
                }
            }
        }
    }
}
