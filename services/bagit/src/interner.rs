//! Many paths, each kept once and known by a number: some twenty bytes and the path itself.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Paths in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    paths: Paths,
    numbers: HashTable<u32>,
    /// Keyed at random: paths come from strangers.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Paths {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Interner {
    /// The number of a path, a new one if it has none.
    ///
    /// # Panics
    ///
    /// With more than 4,294,967,295 paths.
    pub(crate) fn number(&mut self, path: &[u8]) -> u32 {
        let Self { paths, numbers, hasher } = self;
        let hash = |number: &u32| hasher.hash_one(paths.get(*number));
        match numbers.entry(hasher.hash_one(path), |number| paths.get(*number) == path, hash) {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(place) => {
                let number = u32::try_from(paths.ends.len()).expect("at most 4,294,967,295 paths");
                place.insert(number);
                paths.push(path);
                number
            }
        }
    }

    pub(crate) fn find(&self, path: &[u8]) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(path), |number| self.paths.get(*number) == path).copied()
    }

    pub(crate) fn path(&self, number: u32) -> &[u8] {
        self.paths.get(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.ends.len()
    }
}

impl Paths {
    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    fn push(&mut self, path: &[u8]) {
        self.text.extend_from_slice(path);
        self.ends.push(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_number_however_many_there_are() {
        let mut interner = Interner::default();
        assert_eq!(interner.find(b"0"), None);
        for round in 0..2 {
            for number in 0..1000_u32 {
                assert_eq!(interner.number(number.to_string().as_bytes()), number, "round {round}");
            }
        }
        assert_eq!((interner.len(), interner.find(b"999"), interner.find(b"1000")), (1000, Some(999), None));
        assert_eq!((interner.path(0), interner.path(999)), (&b"0"[..], &b"999"[..]));
    }
}
