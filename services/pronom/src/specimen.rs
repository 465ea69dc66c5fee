//! Files made from the signatures, one for each, to try an identifier with.

mod containers;

use crate::data::ContainerSignature;
use crate::engine::Engine;
use crate::pattern::{End, Pattern};
use crate::signature::{Link, Segment, Signature};

/// What stands where a signature asks for nothing.
const FILLER: u8 = b'.';

/// A file that matches one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specimen<'e> {
    /// The format that the signature is of.
    pub puid: &'e str,
    /// Counts all specimens.
    pub number: usize,
    /// An extension of the format, or nothing.
    pub extension: &'e str,
    pub content: Vec<u8>,
}

impl Engine {
    /// A file for each signature: of bytes, of ZIP, of OLE2, in the order of the data. What a signature leaves open is as
    /// short as it can be.
    pub fn specimens(&self) -> impl Iterator<Item = Specimen<'_>> {
        let bytes = self.tables.bytes.iter().map(|(format, signature)| (*format, content(signature)));
        let zip = self.tables.zip.iter().map(|signature| (signature.format, containers::zip(&files(signature))));
        let ole2 = self.tables.ole2.iter().map(|signature| (signature.format, containers::ole2(&files(signature))));
        bytes.chain(zip).chain(ole2).enumerate().map(|(number, (format, content))| {
            let format = &self.tables.formats[usize::from(format)];
            let extension = format.extensions.first().map_or("", String::as_str);
            Specimen { puid: &format.puid, number, extension, content }
        })
    }
}

/// The files that a container must hold.
fn files(signature: &ContainerSignature) -> Vec<(&str, Vec<u8>)> {
    let file = |part: &Option<Signature>| part.as_ref().map(content).unwrap_or_default();
    signature.parts.iter().map(|(path, part)| (path.as_str(), file(part))).collect()
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
