//! What a signature is once it is compiled, and whether a file has it, where, and when a scan from front to back would have
//! noticed. Which signatures are worth asking is `scan`'s business, which of several wins `priority`'s.
//!
//! A signature is cut into segments where its gaps are open or wide. In each segment one run of patterns, the key, is
//! looked for first; what stands left and right of it is checked from there.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;

use crate::pattern::{End, Pattern, lengths_in_a_row};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Those measured from the beginning of the file first, each group in the order of the file.
    pub(crate) segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) link: Link,
    /// How far the segment is from what `link` names.
    pub(crate) gap: Span,
    pub(crate) patterns: Vec<Pattern>,
    /// Between each pattern and the next: at least and at most so many bytes.
    pub(crate) gaps: Vec<(u32, u32)>,
    /// Which of the patterns are the key.
    pub(crate) key: Range<usize>,
    /// How far the key's start is from the beginning of the file, or its end from the end of the file.
    pub(crate) window: Span,
    pub(crate) kind: Kind,
}

/// What the place of a segment is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Beginning,
    Previous,
    Next,
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key is one of a few literal sequences.
    Plain,
    /// It is not: siegfried tries these before anything else.
    Early,
    /// Too many ways to match it: siegfried does not cut it, and reports it as beginning (or ending) with the file.
    Whole,
}

/// A distance in bytes; without a `max` it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) min: u32,
    pub(crate) max: Option<u32>,
}

impl Span {
    pub(crate) fn is_anywhere(self) -> bool {
        self.min == 0 && self.max.is_none()
    }

    pub(crate) fn exact(self) -> Option<u32> {
        self.max.filter(|max| *max == self.min)
    }
}

/// The bytes of a file that are at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) head: &'a [u8],
    /// Ends where the file ends; may overlap the head.
    pub(crate) tail: &'a [u8],
    pub(crate) size: u64,
    /// Keys are looked for within so many bytes of the beginning and of the ending.
    pub(crate) beginning: u64,
    pub(crate) ending: u64,
}

/// How much work may still go into one file. One step is about one comparison.
#[derive(Debug)]
pub(crate) struct Budget(Cell<u64>);

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Budget(Cell::new(steps))
    }

    /// False if there is nothing left.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        self.0.set(self.0.get().saturating_sub(steps));
        self.0.get() > 0
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

/// Where a signature was found: offset from the beginning of the file and length of each segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) places: Vec<(u64, u64)>,
    pub(crate) when: When,
}

/// The moment at which a scan of the beginning from front to back and then of the ending from back to front completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct When {
    pass: u8,
    position: usize,
    /// Of two keys that end together the longer is noticed first,
    length: Reverse<usize>,
    /// and of equal ones that which is all there is to look for.
    has_more: bool,
}

/// One segment that was found. Places count from the start of head or tail.
#[derive(Clone, Copy, Debug)]
struct Hit {
    start: usize,
    end: usize,
    when: When,
}

impl Signature {
    pub(crate) fn find(&self, view: &View<'_>, budget: &Budget) -> Option<Match> {
        let split = self.segments.iter().position(Segment::is_at_the_end).unwrap_or(self.segments.len());
        let (front, back) = self.segments.split_at(split);
        let (front, back): (Vec<&Segment>, Vec<&Segment>) = (front.iter().collect(), back.iter().rev().collect());
        let mut hits = Vec::with_capacity(self.segments.len());
        if !chain(&front, view, budget, &mut hits) {
            return None;
        }
        let mut last = Vec::with_capacity(back.len());
        if !chain(&back, view, budget, &mut last) {
            return None;
        }
        let when = hits.iter().chain(&last).map(|hit| hit.when).max()?;
        let base = view.size - view.tail.len() as u64;
        let place = |hit: &Hit, base: u64| (base + hit.start as u64, (hit.end - hit.start) as u64);
        let places =
            hits.iter().map(|hit| place(hit, 0)).chain(last.iter().rev().map(|hit| place(hit, base))).collect();
        Some(Match { places, when })
    }
}

/// Finds the segments one after the other, each where the one before allows it, and leaves the hits in `hits`.
fn chain(segments: &[&Segment], view: &View<'_>, budget: &Budget, hits: &mut Vec<Hit>) -> bool {
    let Some(segment) = segments.get(hits.len()).copied() else { return true };
    // Whether another place for this segment can help the next one.
    let next_is_tied = segments.get(hits.len() + 1).is_some_and(|next| next.is_tied());
    let before = hits.last().copied().filter(|_| !matches!(segment.link, Link::Beginning | Link::Ending));
    let mut complete = false;
    segment.hits(view, before, next_is_tied, budget, &mut |hit| {
        hits.push(hit);
        complete = chain(segments, view, budget, hits);
        if !complete {
            hits.pop();
        }
        complete || !next_is_tied
    });
    complete
}

impl Segment {
    pub(crate) fn is_at_the_end(&self) -> bool {
        matches!(self.link, Link::Next | Link::Ending)
    }

    /// Whether it must be in reach of its neighbour.
    fn is_tied(&self) -> bool {
        matches!(self.link, Link::Previous | Link::Next) && !self.gap.is_anywhere()
    }

    /// From where the segment begins (or ends, at the end of the file) to its key: at least and at most so many bytes.
    pub(crate) fn lead(&self) -> (u64, u64) {
        let (patterns, gaps) = if self.is_at_the_end() {
            (&self.patterns[self.key.end..], &self.gaps[self.key.end - 1..])
        } else {
            (&self.patterns[..self.key.start], &self.gaps[..self.key.start])
        };
        let lengths = patterns.iter().map(Pattern::length).map(|(min, max)| (min as u64, max as u64));
        let gaps = gaps.iter().map(|(min, max)| (u64::from(*min), u64::from(*max)));
        lengths.chain(gaps).fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// Calls `visit` with the hits in the order of a scan until it has enough (true). With `all`, every extent of a hit
    /// counts, otherwise the first.
    fn hits(
        &self,
        view: &View<'_>,
        before: Option<Hit>,
        all: bool,
        budget: &Budget,
        visit: &mut dyn FnMut(Hit) -> bool,
    ) {
        let at_the_end = self.is_at_the_end();
        let (data, limit) = if at_the_end { (view.tail, view.ending) } else { (view.head, view.beginning) };
        let mut low = u64::from(self.window.min);
        let mut high = self.window.max.map_or(limit, |max| u64::from(max).min(limit)).min(data.len() as u64);
        // Distances are from the beginning, or from the ending.
        let edge = before.map(|hit| if at_the_end { data.len() - hit.start } else { hit.end } as u64);
        if let Some(edge) = edge {
            let lead = self.lead();
            low = low.max(edge + u64::from(self.gap.min) + lead.0);
            high = high.min(self.gap.max.map_or(u64::MAX, |max| edge + u64::from(max) + lead.1));
        }
        let in_reach = |start: usize, end: usize| {
            edge.is_none_or(|edge| {
                let distance = if at_the_end { data.len() - end } else { start } as u64;
                let gap = distance.checked_sub(edge);
                gap.is_some_and(|gap| {
                    gap >= u64::from(self.gap.min) && self.gap.max.is_none_or(|max| gap <= u64::from(max))
                })
            })
        };
        if low > high {
            return;
        }
        // Both fit, since `high` is within the data.
        #[expect(clippy::cast_possible_truncation, reason = "distances within a slice")]
        let (low, high) = (low as usize, high as usize);
        let end = if at_the_end { End::Back } else { End::Front };
        self.keys(data, low, high, end, budget, &mut |key_start, key_end| {
            let mut enough = false;
            let right = Side { segment: self, end: End::Front, data, budget, failed: RefCell::default() };
            let left = Side { segment: self, end: End::Back, data, budget, failed: RefCell::default() };
            left.step(0, key_start, &mut |start| {
                right.step(0, key_end, &mut |stop| {
                    if in_reach(start, stop) {
                        let (start, end) = match (self.kind, at_the_end) {
                            (Kind::Whole, false) => (0, stop),
                            (Kind::Whole, true) => (start, data.len()),
                            _ => (start, stop),
                        };
                        enough = visit(Hit { start, end, when: self.when(data, key_start, key_end) });
                    }
                    enough || !all
                })
            });
            enough
        });
    }

    fn when(&self, data: &[u8], key_start: usize, key_end: usize) -> When {
        let (pass, position) = match (self.is_at_the_end(), self.kind) {
            (false, Kind::Plain) => (1, key_end),
            (false, _) => (0, 0),
            (true, Kind::Plain) => (2, data.len() - key_start),
            (true, _) => (2, 0),
        };
        let has_more = self.key.len() < self.patterns.len();
        When { pass, position, length: Reverse(key_end - key_start), has_more }
    }

    /// Calls `visit` with start and end of each key whose distance is in low..=high, the nearest first.
    fn keys(
        &self,
        data: &[u8],
        low: usize,
        high: usize,
        end: End,
        budget: &Budget,
        visit: &mut dyn FnMut(usize, usize) -> bool,
    ) {
        let key = &self.patterns[self.key.clone()];
        let mut at = |distance: usize| {
            if !budget.spend(1) {
                return true;
            }
            match end {
                End::Front => {
                    lengths_in_a_row(key, &data[distance..], end, &mut |length| visit(distance, distance + length))
                }
                End::Back => {
                    let stop = data.len() - distance;
                    lengths_in_a_row(key, &data[..stop], end, &mut |length| visit(stop - length, stop))
                }
            }
        };
        let Some((literal, offset)) = literal(key, end).filter(|_| high > low) else {
            let _ = (low..=high).any(at);
            return;
        };
        let mut low = low;
        match end {
            End::Front => {
                let finder = memmem::Finder::new(literal);
                let stop = (high + offset + literal.len()).min(data.len());
                while let Some(found) = data.get(low + offset..stop).and_then(|bytes| finder.find(bytes)) {
                    if at(low + found) {
                        return;
                    }
                    low += found + 1;
                }
            }
            End::Back => {
                let finder = memmem::FinderRev::new(literal);
                let from = data.len().saturating_sub(high + offset + literal.len());
                while let Some(stop) = data.len().checked_sub(low + offset).filter(|stop| *stop > from) {
                    let Some(found) = finder.rfind(&data[from..stop]) else { return };
                    let distance = data.len() - (from + found + literal.len()) - offset;
                    if at(distance) {
                        return;
                    }
                    low = distance + 1;
                }
            }
        }
    }
}

/// The longest literal of a row of patterns whose distance from that end of the row is fixed, and this distance.
pub(crate) fn literal(patterns: &[Pattern], end: End) -> Option<(&[u8], usize)> {
    let mut offset = 0;
    let mut best: Option<(&[u8], usize)> = None;
    let mut from_the_end: Box<dyn Iterator<Item = &Pattern>> = match end {
        End::Front => Box::new(patterns.iter()),
        End::Back => Box::new(patterns.iter().rev()),
    };
    from_the_end.try_for_each(|pattern| {
        if let Pattern::Bytes(bytes) = pattern
            && best.is_none_or(|(longest, _)| bytes.len() > longest.len())
        {
            best = Some((bytes, offset));
        }
        let (min, max) = pattern.length();
        offset += min;
        (min == max).then_some(())
    });
    best
}

/// What stands on one side of a key.
struct Side<'a> {
    segment: &'a Segment,
    /// The end of the remaining bytes that the next pattern has to touch: the front on the right side of the key.
    end: End,
    data: &'a [u8],
    budget: &'a Budget,
    /// Steps that led nowhere, so that none is taken twice.
    failed: RefCell<HashSet<(usize, usize)>>,
}

impl Side<'_> {
    /// Matches pattern number `index`, counted away from the key, and those behind it, from the place `at` on. Calls
    /// `found` with the place where the last one ends, the nearest gaps first, until it has enough.
    fn step(&self, index: usize, at: usize, found: &mut dyn FnMut(usize) -> bool) -> bool {
        let Segment { patterns, gaps, key, .. } = self.segment;
        let next = match self.end {
            End::Front => Some(key.end + index).filter(|number| *number < patterns.len()),
            End::Back => key.start.checked_sub(index + 1),
        };
        let Some(number) = next else { return found(at) };
        let (min, max) = gaps[if self.end == End::Front { number - 1 } else { number }];
        let (min, max) = (min as usize, max as usize);
        if max > min && self.failed.borrow().contains(&(index, at)) {
            return false;
        }
        let room = if self.end == End::Front { self.data.len() - at } else { at };
        let pattern = &patterns[number];
        let mut gap = min;
        while gap <= max.min(room) && self.budget.spend(1 + (max - gap) as u64 / 64) {
            if let Pattern::Bytes(bytes) = pattern
                && max > min
            {
                let Some(nearest) = self.nearest(bytes, at, gap, max.min(room)) else { break };
                gap = nearest;
            }
            let done = match self.end {
                End::Front => pattern.lengths(&self.data[at + gap..], self.end, &mut |length| {
                    self.step(index + 1, at + gap + length, found)
                }),
                End::Back => pattern.lengths(&self.data[..at - gap], self.end, &mut |length| {
                    self.step(index + 1, at - gap - length, found)
                }),
            };
            if done {
                return true;
            }
            gap += 1;
        }
        if max > min {
            self.failed.borrow_mut().insert((index, at));
        }
        false
    }

    /// The smallest gap in low..=high after which the bytes stand.
    fn nearest(&self, bytes: &[u8], at: usize, low: usize, high: usize) -> Option<usize> {
        match self.end {
            End::Front => {
                let stop = (at + high + bytes.len()).min(self.data.len());
                memmem::find(self.data.get(at + low..stop)?, bytes).map(|found| low + found)
            }
            End::Back => {
                let from = at.saturating_sub(high + bytes.len());
                let found = memmem::rfind(self.data.get(from..at - low)?, bytes)?;
                Some(at - (from + found + bytes.len()))
            }
        }
    }
}
