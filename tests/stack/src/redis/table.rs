//! A map from names to values that can be walked in pieces while it changes, as SCAN and HSCAN promise.
//!
//! Names are kept in the order of a keyed hash, and a cursor is the next hash to visit. A name's hash never changes, so
//! an element that is there during a whole walk is met exactly once whatever is added and removed meanwhile. There is no
//! table that grows at once, so no call does more than its share.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound;

/// The map. Hashes, and so cursors, have `BITS` bits: more than 53 would not survive clients that read a cursor as a double.
#[derive(Debug)]
pub(super) struct Table<V, const BITS: u32 = 53> {
    map: BTreeMap<Slot, V>,
    state: RandomState,
}

impl<V, const BITS: u32> Default for Table<V, BITS> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), state: RandomState::new() }
    }
}

impl<V, const BITS: u32> Table<V, BITS> {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&V> {
        self.map.get(&self.probe(name) as &dyn Place)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        let probe = self.probe(name);
        self.map.get_mut(&probe as &dyn Place)
    }

    /// Returns what stood there before.
    pub(super) fn insert(&mut self, name: &[u8], value: V) -> Option<V> {
        let hash = self.probe(name).hash;
        self.map.insert(Slot { hash, name: name.into() }, value)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<V> {
        let probe = self.probe(name);
        self.map.remove(&probe as &dyn Place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.map.iter().map(|(slot, value)| (&*slot.name, value))
    }

    /// Calls `visit` with about `count` elements from `cursor` on, and returns the cursor to go on with: 0 at the end.
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], &'a V)) -> u64 {
        let mut last = None;
        let from = Probe { hash: cursor, name: &[] };
        let range = (Bound::Included(&from as &dyn Place), Bound::Unbounded);
        for (seen, (slot, value)) in self.map.range::<dyn Place, _>(range).enumerate() {
            // Elements of one hash belong together, since the cursor cannot tell them apart.
            if seen >= count && last != Some(slot.hash) {
                return slot.hash;
            }
            last = Some(slot.hash);
            visit(&slot.name, value);
        }
        0
    }

    fn probe<'a>(&self, name: &'a [u8]) -> Probe<'a> {
        Probe { hash: self.state.hash_one(name) >> (u64::BITS - BITS), name }
    }
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    name: Box<[u8]>,
}

#[derive(Debug)]
struct Probe<'a> {
    hash: u64,
    name: &'a [u8],
}

/// Where an element stands in the order; what lets a borrowed name be looked up among owned ones.
trait Place {
    fn place(&self) -> (u64, &[u8]);
}

impl Place for Slot {
    fn place(&self) -> (u64, &[u8]) {
        (self.hash, &self.name)
    }
}

impl Place for Probe<'_> {
    fn place(&self) -> (u64, &[u8]) {
        (self.hash, self.name)
    }
}

impl<'a> Borrow<dyn Place + 'a> for Slot {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Place + '_ {}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Slot {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Walks in steps of `count` while other elements come and go.
    fn walk<const BITS: u32>(stays: &BTreeSet<u16>, comes: &[(u16, bool)], count: usize) -> Result<(), TestCaseError> {
        let mut table = Table::<(), BITS>::default();
        for name in stays {
            table.insert(&name.to_be_bytes(), ());
        }
        let (mut seen, mut cursor, mut comes) = (Vec::new(), 0, comes.iter());
        loop {
            cursor = table.scan(cursor, count, |name, ()| seen.push(name.to_vec()));
            if cursor == 0 {
                break;
            }
            for (name, add) in comes.by_ref().take(5).filter(|(name, _)| !stays.contains(name)) {
                if *add {
                    table.insert(&name.to_be_bytes(), ());
                } else {
                    table.remove(&name.to_be_bytes());
                }
            }
        }
        for name in stays {
            prop_assert_eq!(seen.iter().filter(|seen| **seen == name.to_be_bytes()).count(), 1);
        }
        Ok(())
    }

    proptest! {
        // With few bits most hashes collide, which with all of them never happens in a test.
        #[test]
        fn a_walk_meets_once_what_stays(
            stays in prop::collection::btree_set(any::<u16>(), 1..200),
            comes in prop::collection::vec((any::<u16>(), any::<bool>()), 0..400),
            count in 1..20_usize,
        ) {
            walk::<2>(&stays, &comes, count)?;
            walk::<5>(&stays, &comes, count)?;
            walk::<53>(&stays, &comes, count)?;
        }
    }

    #[test]
    fn a_step_visits_no_more_than_asked() {
        let mut table = Table::<u32>::default();
        for number in 0..1000_u32 {
            table.insert(&number.to_be_bytes(), number);
        }
        let mut seen = 0;
        let cursor = table.scan(0, 10, |_, _| seen += 1);
        assert_eq!(seen, 10);
        assert!(cursor > 0 && cursor < 1 << 53);
    }
}
