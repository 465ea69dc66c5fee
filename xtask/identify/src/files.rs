//! Reads of a file what the engine asks for.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use pronom::{Engine, HEAD, Identification, Outcome, Seen, TAIL};

/// Larger files are not read whole, whatever is asked.
const LARGEST_WHOLE: u64 = 1 << 30;

/// How much of a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Ends,
    Whole,
}

#[derive(Debug)]
pub(crate) struct Answer<'e> {
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    pub(crate) found: Identification<'e>,
}

pub(crate) fn identify<'e>(engine: &'e Engine, path: &Path, extent: Extent) -> io::Result<Answer<'e>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.len();
    let head = if extent == Extent::Whole && size <= LARGEST_WHOLE { size } else { size.min(HEAD as u64) };
    let tail = if head == size { size } else { size.saturating_sub(TAIL as u64) };
    let (head, tail) = (read(&file, 0..head)?, read(&file, tail..size)?);
    let name = path.to_string_lossy();
    let mut outcome = engine.identify(Seen { name: &name, size, head: &head, tail: &tail });
    loop {
        match outcome {
            Outcome::Done(found) => return Ok(Answer { size, modified: metadata.modified()?, found }),
            Outcome::Needs(mut probe) => {
                for range in probe.wants() {
                    probe.supply(range.start, read(&file, range)?);
                }
                outcome = probe.resume();
            }
        }
    }
}

fn read(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
