//! The value of a hash: packed into one piece of memory while it is small, a table afterwards.
//!
//! As in the real server a small hash keeps the order of insertion and is scanned as a whole, and a hash that has grown
//! stays a table.

use super::table::Table;

/// `hash-max-listpack-entries` of the real server.
pub(super) const MOST_PACKED: usize = 512;

/// `hash-max-listpack-value`: the longest name or value of a packed hash.
pub(super) const LONGEST_PACKED: usize = 64;

/// What a name and a value of a table cost beside their bytes.
const ENTRY_COST: usize = 90;

/// A hash. One without fields does not stay in a database.
#[derive(Debug)]
pub(super) enum Hash {
    Packed(Packed),
    Table { table: Box<Table<Box<[u8]>>>, bytes: usize },
}

impl Default for Hash {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

impl Hash {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.len,
            Self::Table { table, .. } => table.len(),
        }
    }

    /// The memory it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.bytes.capacity(),
            Self::Table { table, bytes } => bytes + table.len() * ENTRY_COST,
        }
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Packed(packed) => packed.find(field).map(|found| &packed.bytes[found.value..found.end]),
            Self::Table { table, .. } => table.get(field).map(|value| &**value),
        }
    }

    /// Tells whether the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if let Self::Packed(packed) = self {
            if field.len() <= LONGEST_PACKED && value.len() <= LONGEST_PACKED {
                match packed.find(field) {
                    Some(found) => {
                        packed.replace(&found, value);
                        return false;
                    }
                    None if packed.len < MOST_PACKED => {
                        packed.push(field, value);
                        return true;
                    }
                    None => {}
                }
            }
            self.unpack();
        }
        let Self::Table { table, bytes } = self else { return false };
        *bytes += value.len();
        if let Some(old) = table.get_mut(field) {
            *bytes -= old.len();
            *old = value.into();
            false
        } else {
            *bytes += field.len();
            table.insert(field, value.into()).is_none()
        }
    }

    /// Tells whether the field was there.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Self::Packed(packed) => match packed.find(field) {
                Some(found) => {
                    packed.bytes.drain(found.start..found.end);
                    packed.len -= 1;
                    true
                }
                None => false,
            },
            Self::Table { table, bytes } => {
                let removed = table.remove(field);
                *bytes -= removed.as_ref().map_or(0, |value| value.len() + field.len());
                removed.is_some()
            }
        }
    }

    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8])) {
        match self {
            Self::Packed(packed) => packed.iter().for_each(|(field, value)| visit(field, value)),
            Self::Table { table, .. } => table.iter().for_each(|(field, value)| visit(field, value)),
        }
    }

    /// As [`Table::scan`]; a packed hash comes whole.
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], &'a [u8])) -> u64 {
        match self {
            Self::Packed(_) => {
                self.for_each(visit);
                0
            }
            Self::Table { table, .. } => table.scan(cursor, count, |field, value| visit(field, value)),
        }
    }

    fn unpack(&mut self) {
        let Self::Packed(packed) = std::mem::take(self) else { return };
        let (mut table, mut bytes) = (Box::new(Table::default()), 0);
        for (field, value) in packed.iter() {
            bytes += field.len() + value.len();
            table.insert(field, value.into());
        }
        *self = Self::Table { table, bytes };
    }
}

/// Names and values one after the other, a byte of length before each.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    len: usize,
}

/// Where an element stands: its begin, its value, its end.
#[derive(Debug)]
struct Found {
    start: usize,
    value: usize,
    end: usize,
}

impl Packed {
    fn find(&self, field: &[u8]) -> Option<Found> {
        let mut start = 0;
        while start < self.bytes.len() {
            let name = start + 1;
            let name_end = name + usize::from(self.bytes[start]);
            let value = name_end + 1;
            let end = value + usize::from(self.bytes[name_end]);
            if &self.bytes[name..name_end] == field {
                return Some(Found { start, value, end });
            }
            start = end;
        }
        None
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || Some((Self::piece(&mut rest)?, Self::piece(&mut rest)?)))
    }

    fn piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, tail) = rest.split_first()?;
        let (piece, tail) = tail.split_at(usize::from(*length));
        *rest = tail;
        Some(piece)
    }

    fn push(&mut self, field: &[u8], value: &[u8]) {
        let more = field.len() + value.len() + 2;
        if self.bytes.capacity() - self.bytes.len() < more {
            // Doubling would leave a third of the memory of many small hashes unused.
            self.bytes.reserve_exact(more + self.bytes.len() / 8);
        }
        for piece in [field, value] {
            self.bytes.push(length_of(piece));
            self.bytes.extend_from_slice(piece);
        }
        self.len += 1;
    }

    fn replace(&mut self, found: &Found, value: &[u8]) {
        let piece = std::iter::once(length_of(value)).chain(value.iter().copied());
        self.bytes.splice(found.value - 1..found.end, piece);
    }
}

fn length_of(piece: &[u8]) -> u8 {
    // Callers have checked LONGEST_PACKED.
    u8::try_from(piece.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_as_a_map(steps in prop::collection::vec((0..40_u8, prop::option::of(0..80_usize)), 0..300)) {
            let (mut hash, mut map) = (Hash::default(), BTreeMap::new());
            for (field, value) in steps {
                let field = vec![b'f'; usize::from(field)];
                if let Some(value) = value.map(|length| vec![b'v'; length]) {
                    prop_assert_eq!(hash.set(&field, &value), map.insert(field, value).is_none());
                } else {
                    prop_assert_eq!(hash.remove(&field), map.remove(&field).is_some());
                }
                prop_assert_eq!(hash.len(), map.len());
            }
            let mut all = BTreeMap::new();
            hash.for_each(|field, value| assert!(all.insert(field.to_vec(), value.to_vec()).is_none()));
            for (field, value) in &map {
                prop_assert_eq!(hash.get(field), Some(&**value));
            }
            let data: usize = map.iter().map(|(field, value)| field.len() + value.len()).sum();
            if let Hash::Table { bytes, .. } = hash {
                prop_assert_eq!(bytes, data);
            }
            prop_assert_eq!(all, map);
        }
    }

    #[test]
    fn it_unpacks_where_the_real_one_does() {
        let fill = |count: usize| {
            let mut hash = Hash::default();
            for number in 0..count {
                hash.set(&number.to_be_bytes(), b"");
            }
            hash
        };
        assert!(matches!(fill(MOST_PACKED), Hash::Packed(_)));
        assert!(matches!(fill(MOST_PACKED + 1), Hash::Table { .. }));
        for (name, value, packed) in [(64, 64, true), (65, 0, false), (0, 65, false)] {
            let mut hash = Hash::default();
            hash.set(&vec![0; name], &vec![0; value]);
            assert_eq!(matches!(hash, Hash::Packed(_)), packed, "{name} {value}");
        }
    }
}
