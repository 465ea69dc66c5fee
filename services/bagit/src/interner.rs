//! Many paths, each kept once and known by a number: 16 bytes and the path itself.

use std::hash::{BuildHasher as _, RandomState};

/// Paths in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Open addressing: the number of a path and one, or 0; a power of two, at most seven eighths of it used.
    slots: Vec<u32>,
    /// Keyed at random: paths come from strangers.
    hasher: RandomState,
}

impl Interner {
    /// The number of a path, a new one if it has none.
    ///
    /// # Panics
    ///
    /// With more than 4,294,967,294 paths.
    pub(crate) fn number(&mut self, path: &[u8]) -> u32 {
        if (self.ends.len() + 1) * 8 > self.slots.len() * 7 {
            self.grow();
        }
        let slot = self.slot(path);
        if let Some(number) = self.slots[slot].checked_sub(1) {
            return number;
        }
        self.text.extend_from_slice(path);
        self.ends.push(self.text.len());
        self.slots[slot] = u32::try_from(self.ends.len()).expect("fewer than 4,294,967,295 paths");
        self.slots[slot] - 1
    }

    pub(crate) fn find(&self, path: &[u8]) -> Option<u32> {
        if self.slots.is_empty() { None } else { self.slots[self.slot(path)].checked_sub(1) }
    }

    pub(crate) fn path(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the path is, or where it would be put.
    fn slot(&self, path: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hash(path) & mask;
        while let Some(number) = self.slots[slot].checked_sub(1) {
            if self.path(number) == path {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    fn hash(&self, path: &[u8]) -> usize {
        self.hasher.hash_one(path) as usize
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(16)];
        for number in 0..self.len() {
            let number = u32::try_from(number).expect("counted when it was added");
            let slot = self.slot(self.path(number));
            self.slots[slot] = number + 1;
        }
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
