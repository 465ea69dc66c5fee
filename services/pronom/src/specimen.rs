//! Files made from the signatures, one for each, to try an identifier with.

use crate::engine::Engine;
use crate::pattern::{End, Pattern};
use crate::signature::{Link, Segment, Signature};

/// What stands where a signature asks for nothing.
const FILLER: u8 = b'.';

/// A file that matches one byte signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specimen<'e> {
    /// The format that the signature is of.
    pub puid: &'e str,
    /// The number of the signature among all byte signatures.
    pub number: usize,
    /// An extension of the format, or nothing.
    pub extension: &'e str,
    pub content: Vec<u8>,
}

impl Engine {
    /// A file for each byte signature, in the order of the data. What a signature leaves open is as short as it can be.
    pub fn specimens(&self) -> impl Iterator<Item = Specimen<'_>> {
        self.tables.bytes.iter().enumerate().map(|(number, (format, signature))| {
            let format = &self.tables.formats[usize::from(*format)];
            Specimen {
                puid: &format.puid,
                number,
                extension: format.extensions.first().map_or("", String::as_str),
                content: content(signature),
            }
        })
    }
}

fn content(signature: &Signature) -> Vec<u8> {
    let mut file = Vec::new();
    for segment in &signature.segments {
        let gap = segment.gap.min as usize;
        match segment.link {
            Link::Beginning => {
                let bytes = segment_bytes(segment);
                file.resize(file.len().max(gap + bytes.len()), FILLER);
                file[gap..gap + bytes.len()].copy_from_slice(&bytes);
            }
            Link::Previous => {
                file.resize(file.len() + gap, FILLER);
                file.extend(segment_bytes(segment));
            }
            Link::Next | Link::Ending => {
                file.extend(segment_bytes(segment));
                file.resize(file.len() + gap, FILLER);
            }
        }
    }
    file
}

fn segment_bytes(segment: &Segment) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, pattern) in segment.patterns.iter().enumerate() {
        if index > 0 {
            bytes.resize(bytes.len() + segment.gaps[index - 1].0 as usize, FILLER);
        }
        bytes.extend(pattern_bytes(pattern));
    }
    bytes
}

fn pattern_bytes(pattern: &Pattern) -> Vec<u8> {
    match pattern {
        Pattern::Bytes(bytes) => bytes.clone(),
        Pattern::Set(set) => (0..=u8::MAX).find(|byte| set.has(*byte)).into_iter().collect(),
        Pattern::Range(from, _) => from.clone(),
        Pattern::Choice(choices) => choices.first().map(pattern_bytes).unwrap_or_default(),
        Pattern::List(parts) => parts.iter().flat_map(pattern_bytes).collect(),
        Pattern::Not(inner) => {
            let tries = (0..=u8::MAX).map(|byte| vec![byte; inner.length().0]);
            let mut fits = tries.filter(|bytes| !inner.lengths(bytes, End::Front, &mut |_| true));
            fits.next().unwrap_or_default()
        }
    }
}
