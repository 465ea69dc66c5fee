//! Containers: which of the formats that are ZIP or OLE2 inside a file is, by the names and the beginnings of what it holds.
//!
//! Nothing is read here. `Source` knows the bytes that are at hand; who asks it for others is told which ones are missing,
//! gets them, and asks again from the start. That is cheap, since little is looked at, and leaves no state to go wrong.

pub(crate) mod ole2;
pub(crate) mod zip;

use std::collections::HashMap;
use std::ops::Range;

use crate::data::ContainerSignature;
use crate::limits::{Limits, Windows};
use crate::priority::Waiting;
use crate::report::Places;
use crate::signature::{Budget, Signature, View};

/// Of what a container holds, so many bytes from the beginning are looked at: the window of the engine's default, and what a
/// signature may reach beyond it.
const CONTENT_HEAD: usize = 40_960;
/// And so many from the end, if the beginning is not all.
const CONTENT_TAIL: usize = 16_384;

/// The bytes of a file that are at hand.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) size: u64,
    /// Pieces with their offsets.
    pub(crate) pieces: Vec<(u64, &'a [u8])>,
}

/// Why a container could not be looked at to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// These bytes are needed.
    Missing(Range<u64>),
    Damaged,
    /// It is larger than one file is worth.
    TooMuch,
}

impl Source<'_> {
    /// These bytes; `want` is what to fetch if they are not at hand, which is more than `range` where more will be needed.
    pub(crate) fn read(&self, range: Range<u64>, want: Range<u64>) -> Result<&[u8], Stop> {
        if range.start > range.end || range.end > self.size {
            return Err(Stop::Damaged);
        }
        for (offset, piece) in &self.pieces {
            let within = range.start.checked_sub(*offset).zip(range.end.checked_sub(*offset));
            let within = within.and_then(|(start, end)| usize::try_from(start).ok().zip(usize::try_from(end).ok()));
            if let Some(bytes) = within.and_then(|(start, end)| piece.get(start..end)) {
                return Ok(bytes);
            }
        }
        Err(Stop::Missing(want.start.min(range.start)..want.end.max(range.end).min(self.size)))
    }
}

/// What a signature asks for in files of one name.
#[derive(Debug, Default)]
struct Test {
    /// Signatures that ask for the name only.
    names: Vec<usize>,
    contents: Vec<(usize, Signature)>,
}

/// The signatures of one kind of container.
#[derive(Debug)]
pub(crate) struct Containers {
    tests: HashMap<String, Test>,
    /// Of each signature the format and how many files it asks for.
    signatures: Vec<(u16, usize)>,
}

/// A signature that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) signature: usize,
    pub(crate) parts: Vec<(String, Option<Places>)>,
}

/// What a file in a container holds, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Content {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
}

impl Containers {
    pub(crate) fn new(signatures: &[ContainerSignature]) -> Self {
        let mut tests: HashMap<String, Test> = HashMap::new();
        for (number, signature) in signatures.iter().enumerate() {
            for (path, content) in &signature.parts {
                let test = tests.entry(path.clone()).or_default();
                match content {
                    None => test.names.push(number),
                    Some(content) => test.contents.push((number, content.clone())),
                }
            }
        }
        let signatures = signatures.iter().map(|signature| (signature.format, signature.parts.len())).collect();
        Containers { tests, signatures }
    }

    pub(crate) fn format(&self, signature: usize) -> u16 {
        self.signatures[signature].0
    }

    pub(crate) fn has_format(&self, format: u16) -> bool {
        self.signatures.iter().any(|(other, _)| *other == format)
    }
}

/// One look at what a container holds, in its order.
pub(crate) struct Pass<'a> {
    containers: &'a Containers,
    waiting: Waiting<'a>,
    budget: &'a Budget,
    windows: Windows,
    opened: u32,
    limits: Limits,
    parts: Vec<Vec<(String, Option<Places>)>>,
    found: Vec<Found>,
    missing: Vec<Range<u64>>,
    /// Nothing that follows can change the answer.
    decided: bool,
    stopped: Option<Stop>,
}

/// What came of it.
pub(crate) enum Verdict {
    Found(Vec<Found>, Option<Stop>),
    Missing(Vec<Range<u64>>),
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        containers: &'a Containers,
        waiting: Waiting<'a>,
        budget: &'a Budget,
        windows: Windows,
        limits: Limits,
    ) -> Self {
        let parts = vec![Vec::new(); containers.signatures.len()];
        let (found, missing) = (Vec::new(), Vec::new());
        Pass {
            containers,
            waiting,
            budget,
            windows,
            opened: 0,
            limits,
            parts,
            found,
            missing,
            decided: false,
            stopped: None,
        }
    }

    /// Takes the next file of the container. False if it need not go on.
    pub(crate) fn entry(&mut self, name: &str, content: impl FnOnce() -> Result<Option<Content>, Stop>) -> bool {
        let Some(test) = self.containers.tests.get(name) else { return true };
        let mut hits: Vec<(usize, Option<Places>)> = Vec::new();
        hits.extend(test.names.iter().filter(|number| self.wants(**number)).map(|number| (*number, None)));
        if !test.contents.is_empty() {
            self.opened += 1;
            if self.opened > self.limits.files {
                self.stopped = Some(Stop::TooMuch);
                return false;
            }
            match content() {
                Ok(Some(content)) => {
                    for (number, places) in self.matches(test, &content) {
                        if self.wants(number) && hits.iter().all(|(hit, _)| *hit != number) {
                            hits.push((number, Some(places)));
                        }
                    }
                }
                // What cannot be read of one file does not speak against the others.
                Ok(None) | Err(Stop::Damaged | Stop::TooMuch) => {}
                Err(Stop::Missing(range)) => {
                    self.missing.push(range);
                    return true;
                }
            }
        }
        // The order decides: behind what is missing nothing can be said yet, but what else to fetch.
        if !self.missing.is_empty() {
            return true;
        }
        for (number, places) in hits {
            // A name that occurs again is no further part.
            if self.parts[number].iter().any(|(part, _)| part == name) {
                continue;
            }
            self.parts[number].push((name.to_owned(), places));
            if self.parts[number].len() == self.containers.signatures[number].1 && self.wants(number) {
                self.found.push(Found { signature: number, parts: self.parts[number].clone() });
                self.decided = self.waiting.found(self.containers.format(number));
                if self.decided {
                    return false;
                }
            }
        }
        true
    }

    fn wants(&self, signature: usize) -> bool {
        self.waiting.wants(self.containers.format(signature))
    }

    /// The signatures that the content matches, in the order of a scan.
    fn matches(&self, test: &Test, content: &Content) -> Vec<(usize, Places)> {
        let view = View {
            head: &content.head,
            tail: &content.tail,
            size: content.size,
            beginning: self.windows.beginning,
            ending: self.windows.ending,
        };
        let one = |(number, signature): &(usize, Signature)| {
            let found = signature.find(&view, self.budget)?;
            Some((found.when, *number, Places(found.places)))
        };
        let mut matches: Vec<_> = test.contents.iter().filter_map(one).collect();
        matches.sort_by_key(|(when, number, _)| (*when, *number));
        matches.into_iter().map(|(_, number, places)| (number, places)).collect()
    }

    /// `end` is why the container could not be read to the end, if so.
    pub(crate) fn verdict(self, end: Result<(), Stop>) -> Result<Verdict, Stop> {
        match end {
            _ if self.decided => Ok(Verdict::Found(self.found, None)),
            Err(Stop::Missing(range)) => Ok(Verdict::Missing(vec![range])),
            Err(Stop::Damaged) => Err(Stop::Damaged),
            _ if !self.missing.is_empty() => Ok(Verdict::Missing(self.missing)),
            Err(stop) => Ok(Verdict::Found(self.found, Some(stop))),
            Ok(()) => Ok(Verdict::Found(self.found, self.stopped)),
        }
    }
}
