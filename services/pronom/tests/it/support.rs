//! Asks the engine as a service would: head, tail, and ranges of what it wants besides.

use std::ops::Range;
use std::path::PathBuf;

use pronom::{Engine, HEAD, Identification, Outcome, Seen, TAIL};

/// The answer, and the ranges that it took.
pub(super) struct Asked {
    pub(super) found: Identification<'static>,
    pub(super) ranges: Vec<Range<u64>>,
}

/// With head and tail as long as the engine wants them.
pub(super) fn identify(name: &str, file: &[u8]) -> Identification<'static> {
    ask(name, file, HEAD, TAIL).found
}

pub(super) fn ask(name: &str, file: &[u8], head: usize, tail: usize) -> Asked {
    let size = file.len() as u64;
    let (head, tail) = (&file[..head.min(file.len())], &file[file.len().saturating_sub(tail)..]);
    let mut ranges = Vec::new();
    let mut outcome = Engine::builtin().identify(Seen { name, size, head, tail });
    loop {
        match outcome {
            Outcome::Done(found) => return Asked { found, ranges },
            Outcome::Needs(mut probe) => {
                for range in probe.wants() {
                    assert!(range.start < range.end && range.end <= size, "{name}: {range:?} of {size} bytes");
                    probe.supply(range.start, part(file, &range).to_vec());
                    ranges.push(range);
                }
                outcome = probe.resume();
            }
        }
    }
}

fn part<'a>(file: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &file[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

/// A folder with data that the repository does not hold: named by the variable, or beside the workspace.
pub(super) fn shared(variable: &str, folder: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    std::env::var_os(variable).map(PathBuf::from).or(Some(beside)).filter(|path| path.is_dir())
}

/// Says that a test was skipped, and why.
pub(super) fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
}
