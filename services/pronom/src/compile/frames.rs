//! From the sequences of the XML to the segments that the engine looks for: puts the pieces of a signature in order, cuts
//! them where gaps are open or wide, and chooses the key of each segment, as siegfried does, so that places are reported alike.

use super::CompileError;
use super::sequence::parse;
use super::xml::{ByteSequence, Fragment, Reference, SubSequence};
use crate::pattern::Pattern;
use crate::signature::{Kind, Link, Segment, Signature, Span};

/// Frames farther apart than this are no longer one segment, nor are those whose distance varies by more than `RANGE`.
const DISTANCE: u32 = 8192;
const RANGE: u32 = 4096;
/// A key has at most so many literal forms.
const CHOICES: usize = 128;
/// A segment that can match in more ways, and repeats itself more often, is not cut.
const COST: u64 = 25_600_000;
const REPETITION: usize = 4;

/// A pattern, and how far it is from its neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) link: Link,
    pub(super) reach: Reach,
    pub(super) pattern: Pattern,
}

/// Bytes between two frames; without a `max` any number.
pub(super) type Reach = Span;

impl Reach {
    pub(super) fn and(self, other: Reach) -> Reach {
        let max = self.max.zip(other.max).map(|(a, b)| a.saturating_add(b));
        Reach { min: self.min.saturating_add(other.min), max }
    }
}

impl Frame {
    pub(super) fn behind(reach: Reach, pattern: Pattern) -> Self {
        Frame { link: Link::Previous, reach, pattern }
    }

    fn is_at_the_end(&self) -> bool {
        matches!(self.link, Link::Next | Link::Ending)
    }

    /// How far it is from the frame before it, if the one is measured from the other.
    fn behind_frame(&self, before: &Frame) -> Option<Reach> {
        match self.link {
            Link::Previous => Some(self.reach),
            Link::Next | Link::Ending if before.link == Link::Next => Some(before.reach),
            _ => None,
        }
    }

    /// Whether it is so near to the frame before it that both can be in one segment. What is left of the allowances is kept
    /// in them; `None` allows any distance but an open one.
    fn is_near(&self, before: &Frame, allowance: &mut Option<(u32, u32)>) -> bool {
        let Some(reach) = self.behind_frame(before) else { return false };
        let Some(max) = reach.max else { return false };
        let Some((distance, range)) = allowance else { return true };
        if max > *distance || max - reach.min > *range {
            return false;
        }
        *allowance = Some((*distance - max, *range - (max - reach.min)));
        true
    }
}

/// The frames of a signature, in the order of the file.
pub(super) fn join(sequences: &[ByteSequence]) -> Result<Vec<Frame>, CompileError> {
    let mut frames: Vec<Frame> = Vec::new();
    for sequence in sequences {
        let start = frames.len();
        // Some container signatures count from 0.
        let shift = u32::from(sequence.subsequences.iter().any(|subsequence| subsequence.position == 0));
        for subsequence in &sequence.subsequences {
            let more = place(subsequence, subsequence.position + shift, sequence.reference)?;
            // At the end of the file the first one is the nearest to it, and those that follow stand before it.
            let at = if sequence.reference == Reference::Ending {
                start
            } else {
                frames.iter().position(Frame::is_at_the_end).unwrap_or(frames.len())
            };
            frames.splice(at..at, more);
        }
    }
    Ok(frames)
}

fn place(subsequence: &SubSequence, position: u32, reference: Reference) -> Result<Vec<Frame>, CompileError> {
    let at_the_end = reference == Reference::Ending;
    let mut frames = oriented(read(&subsequence.sequence)?, at_the_end);
    for (reach, more) in fragments(&subsequence.left, at_the_end)? {
        let mut more = more;
        // The reach belongs to the right one of the two, or to the left one at the end of the file.
        let nearer = if at_the_end { last(&mut more) } else { &mut frames[0] };
        nearer.reach = reach;
        more.append(&mut frames);
        frames = more;
    }
    for (reach, mut more) in fragments(&subsequence.right, at_the_end)? {
        let nearer = if at_the_end { last(&mut frames) } else { &mut more[0] };
        nearer.reach = reach;
        frames.append(&mut more);
    }
    let open = reference == Reference::Variable || position > 1;
    let min = subsequence.min.unwrap_or(0);
    let max = match subsequence.max {
        None if open => None,
        None | Some(0) => Some(min),
        Some(max) => Some(max),
    };
    let frame = if at_the_end { last(&mut frames) } else { &mut frames[0] };
    frame.reach = Reach { min, max };
    frame.link = match (at_the_end, position) {
        (true, 1) => Link::Ending,
        (true, _) => Link::Next,
        (false, 1) => Link::Beginning,
        (false, _) => Link::Previous,
    };
    Ok(frames)
}

fn last(frames: &mut [Frame]) -> &mut Frame {
    let last = frames.len() - 1;
    &mut frames[last]
}

fn read(sequence: &str) -> Result<Vec<Frame>, CompileError> {
    Ok(parse(sequence)?.into_iter().map(|(reach, pattern)| Frame::behind(reach, pattern)).collect())
}

/// Distances stand with the frame behind them, at the end of the file with the one before.
fn oriented(mut frames: Vec<Frame>, at_the_end: bool) -> Vec<Frame> {
    if at_the_end {
        for index in 0..frames.len() {
            let reach = frames.get(index + 1).map_or(Reach { min: 0, max: Some(0) }, |next| next.reach);
            frames[index].link = Link::Next;
            frames[index].reach = reach;
        }
    }
    frames
}

/// The fragments by position; several at one position are a choice.
fn fragments(fragments: &[Fragment], at_the_end: bool) -> Result<Vec<(Reach, Vec<Frame>)>, CompileError> {
    let count = fragments.iter().map(|fragment| fragment.position).max().unwrap_or(0);
    let mut placed = Vec::new();
    for position in 1..=count {
        let same: Vec<&Fragment> = fragments.iter().filter(|fragment| fragment.position == position).collect();
        let first = same.first().ok_or(CompileError::Fragments { position })?;
        if same.iter().any(|fragment| (fragment.min, fragment.max) != (first.min, first.max)) {
            return Err(CompileError::Fragments { position });
        }
        let mut choices = Vec::new();
        for fragment in &same {
            choices.push(oriented(read(&fragment.value)?, at_the_end));
        }
        let frames = if choices.len() == 1 {
            choices.remove(0)
        } else {
            let one = |frames: Vec<Frame>| {
                let mut patterns: Vec<Pattern> = frames.into_iter().map(|frame| frame.pattern).collect();
                if patterns.len() == 1 { patterns.remove(0) } else { Pattern::List(patterns) }
            };
            let pattern = Pattern::Choice(choices.into_iter().map(one).collect());
            oriented(vec![Frame::behind(Reach { min: 0, max: Some(0) }, pattern)], at_the_end)
        };
        placed.push((Reach { min: first.min.unwrap_or(0), max: first.max }, frames));
    }
    Ok(placed)
}

/// The same signature with its open parts measured from the end of the file: what stands behind an open gap may be beyond
/// the bytes that are searched from the beginning, and within those that are searched from the end.
pub(super) fn mirror(frames: &[Frame]) -> Option<Vec<Frame>> {
    let segments = cut(frames, None);
    let is_open = |segment: &[Frame]| !segment[0].is_at_the_end() && segment[0].reach.max.is_none();
    let mut first = None;
    for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| is_open(segment)) {
        if segment[0].link == Link::Beginning && segment[0].reach.min > 0 {
            first = None;
        } else {
            first = first.or(Some(index));
        }
    }
    let first = first?;
    let mut mirrored = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        if index < first || !is_open(segment) {
            mirrored.extend_from_slice(segment);
            continue;
        }
        for (frame, next) in segment.iter().zip(&segment[1..]) {
            mirrored.push(Frame { link: Link::Next, reach: next.reach, pattern: frame.pattern.clone() });
        }
        let next = segments.get(index + 1).map(|next| &next[0]);
        let min = next.filter(|next| !next.is_at_the_end()).map_or(0, |next| next.reach.min);
        let link = if next.is_none() { Link::Ending } else { Link::Next };
        let last = &segment[segment.len() - 1];
        mirrored.push(Frame { link, reach: Reach { min, max: None }, pattern: last.pattern.clone() });
    }
    Some(mirrored)
}

fn cut(frames: &[Frame], allowance: Option<(u32, u32)>) -> Vec<&[Frame]> {
    let mut segments = Vec::new();
    let mut start = 0;
    let mut left = allowance;
    for index in 1..frames.len() {
        if !frames[index].is_near(&frames[index - 1], &mut left) {
            segments.push(&frames[start..index]);
            start = index;
            left = allowance;
        }
    }
    if start < frames.len() {
        segments.push(&frames[start..]);
    }
    segments
}

/// Cuts the frames into segments and says where each can be.
pub(super) fn segments(frames: &[Frame]) -> Result<Signature, CompileError> {
    let mut segments = Vec::new();
    for part in cut(frames, None) {
        if is_costly(part) && is_repetitive(part) {
            segments.push(segment(part, Kind::Whole)?);
        } else {
            for part in cut(part, Some((DISTANCE, RANGE))) {
                segments.push(segment(part, Kind::Plain)?);
            }
        }
    }
    // Distances from the beginning add up forwards, those from the end backwards.
    let mut edge = Reach { min: 0, max: Some(0) };
    for segment in segments.iter_mut().filter(|segment| !segment.is_at_the_end()) {
        edge = absolute(segment, edge);
    }
    let mut edge = Reach { min: 0, max: Some(0) };
    for segment in segments.iter_mut().rev().filter(|segment| segment.is_at_the_end()) {
        edge = absolute(segment, edge);
    }
    Ok(Signature { segments })
}

/// Adds to the window of a segment what lies before it, and returns where the segment ends.
fn absolute(segment: &mut Segment, edge: Reach) -> Reach {
    let edge =
        if matches!(segment.link, Link::Beginning | Link::Ending) { Reach { min: 0, max: Some(0) } } else { edge };
    segment.window = segment.window.and(edge);
    let length = extent(&segment.patterns, &segment.gaps);
    edge.and(segment.gap).and(Reach { min: length.0, max: Some(length.1) })
}

fn extent(patterns: &[Pattern], gaps: &[(u32, u32)]) -> (u32, u32) {
    let lengths = patterns.iter().map(|pattern| {
        let (min, max) = pattern.length();
        (u32::try_from(min).unwrap_or(u32::MAX), u32::try_from(max).unwrap_or(u32::MAX))
    });
    lengths.chain(gaps.iter().copied()).fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

fn segment(frames: &[Frame], kind: Kind) -> Result<Segment, CompileError> {
    let at_the_end = frames[frames.len() - 1].is_at_the_end();
    let outer = if at_the_end { &frames[frames.len() - 1] } else { &frames[0] };
    let inner = if at_the_end { &frames[..frames.len() - 1] } else { &frames[1..] };
    let gaps: Vec<(u32, u32)> = inner.iter().map(|frame| (frame.reach.min, frame.reach.max.unwrap_or(0))).collect();
    let outermost = if at_the_end { frames.len() - 1..frames.len() } else { 0..1 };
    let (key, kind) = match key(frames, &gaps, outer) {
        _ if kind == Kind::Whole => (outermost, kind),
        Some(key) => (key, kind),
        None if matches!(outer.link, Link::Beginning | Link::Ending) && outer.reach.max.is_some() => {
            (outermost, Kind::Early)
        }
        None => return Err(CompileError::NoKey),
    };
    let patterns: Vec<Pattern> = frames.iter().map(|frame| frame.pattern.clone()).collect();
    let lead = if at_the_end {
        extent(&patterns[key.end..], &gaps[key.end - 1..])
    } else {
        extent(&patterns[..key.start], &gaps[..key.start])
    };
    let window = outer.reach.and(Reach { min: lead.0, max: Some(lead.1) });
    Ok(Segment { link: outer.link, gap: outer.reach, patterns, gaps, key, window, kind })
}

/// The run of frames without gaps whose literal forms are few: the outermost of a segment at a fixed edge of the file,
/// otherwise the longest.
fn key(frames: &[Frame], gaps: &[(u32, u32)], outer: &Frame) -> Option<std::ops::Range<usize>> {
    let fixed = outer.reach.max == Some(0);
    let choices = |index: usize| choices(&frames[index].pattern).filter(|count| *count <= CHOICES);
    let adjacent = |index: usize| gaps[index] == (0, 0);
    match outer.link {
        Link::Beginning if fixed => {
            let mut count = choices(0)?;
            let mut end = 1;
            while end < frames.len() && adjacent(end - 1) {
                let Some(more) = choices(end).filter(|more| count * more <= CHOICES) else { break };
                count *= more;
                end += 1;
            }
            Some(0..end)
        }
        Link::Ending if fixed => {
            let mut start = frames.len() - 1;
            let mut count = choices(start)?;
            while start > 0 && adjacent(start - 1) {
                let Some(more) = choices(start - 1).filter(|more| count * more <= CHOICES) else { break };
                count *= more;
                start -= 1;
            }
            Some(start..frames.len())
        }
        _ => {
            let mut best: Option<(usize, std::ops::Range<usize>)> = None;
            let mut current: Option<(usize, usize, usize)> = None; // start, length, choices
            for (index, frame) in frames.iter().enumerate() {
                let length = frame.pattern.length().0;
                let adjacent = index > 0 && adjacent(index - 1);
                let fits = choices(index).filter(|_| adjacent || !is_zero(&frame.pattern));
                current = match (fits, current) {
                    (None, _) => None,
                    (Some(more), Some((start, before, count))) if adjacent && count * more <= CHOICES => {
                        Some((start, before + length, count * more))
                    }
                    (Some(more), _) => Some((index, length, more)),
                };
                if let Some((start, length, _)) = current
                    && best.as_ref().is_none_or(|(longest, _)| length > *longest)
                {
                    best = Some((length, start..index + 1));
                }
            }
            best.map(|(_, key)| key)
        }
    }
}

/// How many literal forms a pattern has, if they are few enough to count.
fn choices(pattern: &Pattern) -> Option<usize> {
    match pattern {
        Pattern::Bytes(_) => Some(1),
        Pattern::Set(set) => Some(set.count() as usize).filter(|count| *count > 0),
        Pattern::Range(from, to) => match (from.as_slice(), to.as_slice()) {
            (&[high, low], &[to_high, to_low]) if to_high.checked_sub(high)? <= 1 => {
                (256 * usize::from(to_high - high) + usize::from(to_low) + 1).checked_sub(usize::from(low))
            }
            _ => None,
        },
        Pattern::Not(_) => None,
        Pattern::Choice(parts) => parts.iter().map(choices).sum(),
        Pattern::List(parts) => parts.iter().map(choices).product(),
    }
}

fn is_zero(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Bytes(bytes) => bytes.iter().all(|byte| *byte == 0),
        Pattern::Set(set) => set.has(0),
        Pattern::Range(from, _) => from.iter().all(|byte| *byte == 0),
        Pattern::Not(_) => false,
        Pattern::Choice(parts) => parts.iter().any(is_zero),
        Pattern::List(parts) => parts.iter().all(is_zero),
    }
}

/// Whether a segment can match in very many ways.
fn is_costly(frames: &[Frame]) -> bool {
    let ways = |frame: &Frame| frame.reach.max.map_or(1, |max| u64::from(max - frame.reach.min) + 1);
    frames.iter().map(ways).try_fold(1_u64, u64::checked_mul).is_none_or(|ways| ways > COST)
}

/// Whether many blocks of a segment, that is, frames at fixed distances, equal the one before.
fn is_repetitive(frames: &[Frame]) -> bool {
    let has_fixed_length = |frame: &Frame| frame.pattern.length().0 == frame.pattern.length().1;
    let mut blocks: Vec<Vec<(u32, &Pattern)>> = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &frames[before]);
        let fixed = before.filter(|before| has_fixed_length(before) && has_fixed_length(frame));
        let distance = fixed.and_then(|before| frame.behind_frame(before)).and_then(Reach::exact);
        match (distance, blocks.last_mut()) {
            (Some(distance), Some(block)) => block.push((distance, &frame.pattern)),
            _ => blocks.push(vec![(0, &frame.pattern)]),
        }
    }
    blocks.windows(2).filter(|pair| pair[0] == pair[1]).count() > REPETITION
}
