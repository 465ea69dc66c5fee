//! Which signatures are worth asking: each names one literal that a file must have, most of them at a fixed place. One look
//! at these places and one pass over the rest leave a handful of two thousand.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::pattern::{End, Pattern};
use crate::signature::{Segment, Signature, View};

/// Found once, asked for every file.
#[derive(Debug)]
pub(crate) struct Prefilter {
    signatures: usize,
    /// Signatures that no literal stands for.
    always: Vec<u32>,
    from_start: Fixed,
    /// Distances are from the end of the file to the end of the literal.
    from_end: Fixed,
    head: Option<Search>,
    tail: Option<Search>,
}

/// The literal that stands for a signature, and how far it may be from the beginning (its start) or the ending (its end).
struct Trigger<'a> {
    literal: &'a [u8],
    end: End,
    min: u64,
    max: u64,
}

/// A few bytes that differ are rare enough, and keep the automaton small.
const ENOUGH: usize = 6;

impl Trigger<'_> {
    /// With the bytes that are nearest to the edge of the file, if these are not all the same.
    fn shortened(self) -> Self {
        let length = self.literal.len().min(ENOUGH);
        let literal = match self.end {
            End::Front => &self.literal[..length],
            End::Back => &self.literal[self.literal.len() - length..],
        };
        if is_uniform(literal) { self } else { Trigger { literal, ..self } }
    }
}

fn is_uniform(literal: &[u8]) -> bool {
    literal.windows(2).all(|pair| pair[0] == pair[1])
}

impl Prefilter {
    pub(crate) fn new<'a>(signatures: impl IntoIterator<Item = &'a Signature>) -> Self {
        let mut prefilter = Prefilter {
            signatures: 0,
            always: Vec::new(),
            from_start: Fixed::default(),
            from_end: Fixed::default(),
            head: None,
            tail: None,
        };
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        for (signature, number) in signatures.into_iter().zip(0..) {
            prefilter.signatures += 1;
            match trigger(signature) {
                None => prefilter.always.push(number),
                Some(trigger) if trigger.min == trigger.max => match trigger.end {
                    End::Front => prefilter.from_start.add(&trigger, number),
                    End::Back => prefilter.from_end.add(&trigger, number),
                },
                Some(trigger) => match trigger.end {
                    End::Front => head.push((trigger.shortened(), number)),
                    End::Back => tail.push((trigger.shortened(), number)),
                },
            }
        }
        prefilter.from_start.places.sort_by_key(|place| place.distance);
        prefilter.head = Search::new(&head);
        prefilter.tail = Search::new(&tail);
        prefilter
    }

    /// The numbers of the signatures whose literal is where it must be, in ascending order.
    pub(crate) fn candidates(&self, view: &View<'_>) -> Vec<u32> {
        let mut seen = vec![false; self.signatures];
        let mut mark = |number: u32| seen[number as usize] = true;
        self.always.iter().copied().for_each(&mut mark);
        for place in &self.from_start.places {
            let Some(bytes) = usize::try_from(place.distance).ok().and_then(|from| view.head.get(from..)) else {
                break;
            };
            if place.distance <= view.beginning {
                place.look(bytes.first(), |literal| bytes.starts_with(literal), &mut mark);
            }
        }
        for place in &self.from_end.places {
            let end = usize::try_from(place.distance).ok().and_then(|distance| view.tail.len().checked_sub(distance));
            if let Some(end) = end.filter(|_| place.distance <= view.ending) {
                let bytes = &view.tail[..end];
                place.look(bytes.last(), |literal| bytes.ends_with(literal), &mut mark);
            }
        }
        if let Some(search) = &self.head {
            let bytes = &view.head[..end_of(view.beginning, search.longest, view.head.len())];
            search.run(bytes, |start, _| start as u64, view.beginning, &mut mark);
        }
        if let Some(search) = &self.tail {
            let from = view.tail.len() - end_of(view.ending, search.longest, view.tail.len());
            let length = view.tail.len() - from;
            search.run(&view.tail[from..], |_, end| (length - end) as u64, view.ending, &mut mark);
        }
        (0..).zip(seen).filter_map(|(number, seen)| seen.then_some(number)).collect()
    }
}

/// A limit plus what a literal may reach beyond it, within `length`.
fn end_of(limit: u64, longest: usize, length: usize) -> usize {
    usize::try_from(limit).ok().and_then(|limit| limit.checked_add(longest)).map_or(length, |end| end.min(length))
}

/// Literals at fixed places.
#[derive(Debug, Default)]
struct Fixed {
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    distance: u64,
    /// By the byte of the literal that is nearest to the edge of the file.
    by_byte: Vec<Vec<(Box<[u8]>, u32)>>,
}

impl Fixed {
    fn add(&mut self, trigger: &Trigger<'_>, number: u32) {
        let index = self.places.iter().position(|place| place.distance == trigger.min).unwrap_or_else(|| {
            self.places.push(Place { distance: trigger.min, by_byte: vec![Vec::new(); 256] });
            self.places.len() - 1
        });
        let byte =
            if trigger.end == End::Front { trigger.literal[0] } else { trigger.literal[trigger.literal.len() - 1] };
        self.places[index].by_byte[usize::from(byte)].push((trigger.literal.into(), number));
    }
}

impl Place {
    fn look(&self, byte: Option<&u8>, is_there: impl Fn(&[u8]) -> bool, mark: &mut impl FnMut(u32)) {
        let entries = byte.map(|byte| self.by_byte[usize::from(*byte)].as_slice()).unwrap_or_default();
        for (_, number) in entries.iter().filter(|(literal, _)| is_there(literal)) {
            mark(*number);
        }
    }
}

/// Literals that may be anywhere in a window.
#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    /// For each literal the signatures with their windows.
    owners: Vec<Vec<(u32, u64, u64)>>,
    longest: usize,
}

impl Search {
    fn new(triggers: &[(Trigger<'_>, u32)]) -> Option<Self> {
        let mut literals: Vec<&[u8]> = triggers.iter().map(|(trigger, _)| trigger.literal).collect();
        literals.sort_unstable();
        literals.dedup();
        let mut owners = vec![Vec::new(); literals.len()];
        for (trigger, number) in triggers {
            // All of them are there.
            let index = literals.binary_search(&trigger.literal).unwrap_or_default();
            owners[index].push((*number, trigger.min, trigger.max));
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&literals)
            .ok()?;
        let longest = literals.iter().map(|literal| literal.len()).max()?;
        Some(Search { automaton, owners, longest })
    }

    fn run(&self, bytes: &[u8], distance: impl Fn(usize, usize) -> u64, limit: u64, mark: &mut impl FnMut(u32)) {
        for found in self.automaton.find_overlapping_iter(bytes) {
            let distance = distance(found.start(), found.end());
            for (number, min, max) in &self.owners[found.pattern().as_usize()] {
                if distance <= limit && (*min..=*max).contains(&distance) {
                    mark(*number);
                }
            }
        }
    }
}

/// The best literal of a signature: at a fixed place before anywhere, then the longest. One byte over and over, or a single
/// byte, would be found everywhere.
fn trigger(signature: &Signature) -> Option<Trigger<'_>> {
    let all = signature.segments.iter().flat_map(triggers);
    all.filter(|trigger| trigger.min == trigger.max || !is_uniform(trigger.literal))
        .max_by_key(|trigger| (trigger.min == trigger.max, trigger.literal.len()))
}

/// The literals of a segment, each with the distances from the edge of the file at which it can be. Only the key's distance
/// counts, as for siegfried: what stands between it and the edge is left out, unless it is at a fixed distance from the key.
fn triggers(segment: &Segment) -> Vec<Trigger<'_>> {
    let mut found = Vec::new();
    let at_the_end = segment.is_at_the_end();
    let end = if at_the_end { End::Back } else { End::Front };
    let mut order: Vec<usize> = (0..segment.patterns.len()).collect();
    if at_the_end {
        order.reverse();
    }
    let lead = segment.lead();
    let lead = if lead.0 == lead.1 {
        lead.0
    } else {
        let key = if at_the_end { segment.key.end - 1 } else { segment.key.start };
        order.drain(..order.iter().position(|index| *index == key).unwrap_or(0));
        0
    };
    let mut min = u64::from(segment.window.min).saturating_sub(lead);
    let mut max = segment.window.max.map(|max| u64::from(max).saturating_sub(lead));
    for (position, index) in order.iter().copied().enumerate() {
        if let Some(before) = position.checked_sub(1).map(|before| &segment.patterns[order[before]]) {
            let (shortest, longest) = before.length();
            let (low, high) = segment.gaps[if at_the_end { index } else { index - 1 }];
            min += shortest as u64 + u64::from(low);
            max = max.map(|max| max + longest as u64 + u64::from(high));
        }
        if let Pattern::Bytes(literal) = &segment.patterns[index] {
            found.push(Trigger { literal, end, min, max: max.unwrap_or(u64::MAX) });
        }
    }
    found
}
