//! Makes the engine's data from the XML files that The National Archives publish. The same files give the same bytes.

mod frames;
mod sequence;
mod xml;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::data::{ContainerSignature, Format, Tables};
use crate::signature::Signature;
use xml::{ByteSequence, ContainerKind};

/// Why the XML could not be compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    #[error("this is not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    #[error("<{element}> lacks {what}")]
    Missing { element: String, what: String },
    #[error("the sequence `{sequence}` is wrong at byte {at}: {what}")]
    Sequence { sequence: String, at: usize, what: String },
    #[error("the fragments at position {position} of a sequence are missing or have different distances")]
    Fragments { position: u32 },
    #[error("a segment at a variable place has nothing literal to look for")]
    NoKey,
    #[error("a signature refers to {what}, which the files do not define")]
    Unknown { what: String },
    #[error("the path `{path}` of a container signature is a pattern, which no release had so far")]
    Glob { path: String },
    #[error("signature {number} of {puid} cannot be compiled")]
    Signature { number: usize, puid: String, source: Box<CompileError> },
}

/// The engine's data, for [`crate::Engine::from_bytes`].
///
/// `droid` is the text of `DROID_SignatureFile_V<n>.xml`, `containers` that of `container-signature-<date>.xml`, whose date
/// stands only in its name and is passed on as `container_date` (as in `20260119`).
pub fn compile(droid: &str, containers: &str, container_date: &str) -> Result<Vec<u8>, CompileError> {
    let droid = xml::signature_file(droid)?;
    let containers = xml::container_file(containers)?;
    let numbers: BTreeMap<&str, u16> =
        droid.formats.iter().zip(0..).map(|(format, number)| (format.puid.as_str(), number)).collect();
    let number = |puid: &str| {
        numbers.get(puid).copied().ok_or_else(|| CompileError::Unknown { what: format!("the format {puid}") })
    };

    let mut zip = Vec::new();
    let mut ole2 = Vec::new();
    for (index, container) in containers.signatures.iter().enumerate() {
        let wrap = |source| CompileError::Signature { number: index + 1, puid: container.puid.clone(), source };
        let parts = parts(&container.parts).map_err(|error| wrap(Box::new(error)))?;
        let signature = ContainerSignature { format: number(&container.puid)?, parts };
        match container.kind {
            ContainerKind::Zip => zip.push(signature),
            ContainerKind::Ole2 => ole2.push(signature),
        }
    }
    let contained: BTreeSet<u16> = zip.iter().chain(&ole2).map(|signature| signature.format).collect();

    let sequences: BTreeMap<u32, &Vec<ByteSequence>> = droid.signatures.iter().map(|(id, all)| (*id, all)).collect();
    let mut bytes: Vec<(u16, Signature)> = Vec::new();
    for (format, number) in droid.formats.iter().zip(0..) {
        // A container signature says more than the byte signatures of the same format.
        for (index, id) in format.signatures.iter().enumerate().filter(|_| !contained.contains(&number)) {
            let unknown = || CompileError::Unknown { what: format!("the signature {id}") };
            let sequences = sequences.get(id).ok_or_else(unknown)?;
            let signatures = signatures(sequences).map_err(|source| {
                let puid = format.puid.clone();
                CompileError::Signature { number: index + 1, puid, source: Box::new(source) }
            })?;
            bytes.extend(signatures.into_iter().map(|signature| (number, signature)));
        }
    }
    // Where two are found at the same moment, the first by name wins; equal names keep their order.
    bytes.sort_by_key(|(number, _)| droid.formats[usize::from(*number)].puid.as_str());

    let superiors = superiors(&droid.formats);
    let formats: Vec<Format> = droid
        .formats
        .iter()
        .zip(superiors)
        .map(|(format, superiors)| Format {
            puid: format.puid.clone(),
            name: format.name.clone(),
            version: format.version.clone(),
            // There may be several; the first is the one that is reported.
            mime: format.mime.split(',').next().unwrap_or_default().trim().to_owned(),
            extensions: format.extensions.clone(),
            superiors,
        })
        .collect();
    let tables = Tables {
        version: droid.version,
        date: droid.date,
        container_version: containers.version,
        container_date: container_date.to_owned(),
        formats,
        bytes,
        zip,
        ole2,
    };
    Ok(tables.to_bytes())
}

/// A signature, and what it is measured from the end of the file where it has open gaps.
fn signatures(sequences: &[ByteSequence]) -> Result<Vec<Signature>, CompileError> {
    let joined = frames::join(sequences)?;
    let mut signatures = vec![frames::segments(&joined)?];
    if let Some(mirrored) = frames::mirror(&joined) {
        signatures.push(frames::segments(&mirrored)?);
    }
    Ok(signatures)
}

type Parts = Vec<(String, Option<Signature>)>;

fn parts(files: &[(String, Vec<ByteSequence>)]) -> Result<Parts, CompileError> {
    let mut parts: Parts = Vec::new();
    for (path, sequences) in files {
        if path != "[Content_Types].xml" && path.contains(['*', '?', '[', ']']) {
            return Err(CompileError::Glob { path: path.clone() });
        }
        let signature = match sequences.as_slice() {
            [] => None,
            some => Some(frames::segments(&frames::join(some)?)?),
        };
        // A path that is named twice is one part; x-fmt/45 has one.
        match parts.iter_mut().find(|(name, _)| name == path) {
            Some(part) => part.1 = signature.or(part.1.take()),
            None => parts.push((path.clone(), signature)),
        }
    }
    Ok(parts)
}

/// For each format those that win over it, directly or by way of others. There are cycles in the data.
fn superiors(formats: &[xml::Format]) -> Vec<Vec<u16>> {
    let numbers: BTreeMap<u32, usize> =
        formats.iter().enumerate().map(|(number, format)| (format.id, number)).collect();
    let mut direct: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); formats.len()];
    for (superior, format) in formats.iter().enumerate() {
        for inferior in format.inferiors.iter().filter_map(|id| numbers.get(id)).filter(|number| **number != superior) {
            direct[*inferior].insert(superior);
        }
    }
    (0..formats.len())
        .map(|format| {
            let mut found = BTreeSet::new();
            let mut open: Vec<usize> = direct[format].iter().copied().collect();
            while let Some(next) = open.pop() {
                if next != format && found.insert(next) {
                    open.extend(&direct[next]);
                }
            }
            found.into_iter().filter_map(|number| u16::try_from(number).ok()).collect()
        })
        .collect()
}
