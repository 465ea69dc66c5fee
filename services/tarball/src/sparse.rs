//! Sparse files in GNU's three PAX formats, 0.0, 0.1 and 1.0: maps, and contents with the holes filled in (J 70).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::decimal::decimal;
use crate::error::Fault;

/// What the extended header says of a sparse file.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) name: Option<Vec<u8>>,
    major: Option<u64>,
    minor: Option<u64>,
    size: Option<u64>,
    real_size: Option<u64>,
    count: Option<u64>,
    /// Offset, length, offset, …
    map: Vec<u64>,
    any: bool,
}

/// Where a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// 0.0 and 0.1.
    InRecords,
    /// 1.0.
    BeforeContents,
}

/// A run of bytes that are in the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    offset: u64,
    length: u64,
}

/// Contents of a file as they come: slices of the input, zeros in between.
#[derive(Debug)]
pub(crate) struct Contents {
    position: u64,
    size: u64,
    regions: VecDeque<Region>,
}

/// Holes are slices of this.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Records {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        let number = || decimal(value).ok_or(Fault::SparseMap);
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"size" => self.size = Some(number()?),
            b"realsize" => self.real_size = Some(number()?),
            b"numblocks" => self.count = Some(number()?),
            // Format 0.0 has its map in pairs of records.
            b"offset" if self.map.len().is_multiple_of(2) => self.map.push(number()?),
            b"numbytes" if !self.map.len().is_multiple_of(2) => self.map.push(number()?),
            b"offset" | b"numbytes" => return Err(Fault::SparseMap),
            b"map" if value.is_empty() => self.map.clear(),
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.map = numbers.collect::<Option<_>>().ok_or(Fault::SparseMap)?;
            }
            _ => return Ok(()),
        }
        self.any = true;
        Ok(())
    }

    /// Which format; `None` if the file is not sparse. A version that is not known is refused: read as an ordinary file, its
    /// contents would be wrong without a word.
    pub(crate) fn format(&self) -> Result<Option<Format>, Fault> {
        match (self.any, self.major, self.minor) {
            (false, ..) => Ok(None),
            (true, Some(1), Some(0)) => Ok(Some(Format::BeforeContents)),
            (true, None, None) | (true, Some(0), Some(0 | 1)) => Ok(Some(Format::InRecords)),
            _ => Err(Fault::SparseFormat),
        }
    }

    /// Bytes of the file with its holes.
    pub(crate) fn expanded(&self) -> Result<u64, Fault> {
        self.size.or(self.real_size).ok_or(Fault::SparseMap)
    }

    /// Contents after a map in the records; `stored` bytes of them are in the tar.
    pub(crate) fn contents(&self, stored: u64) -> Result<Contents, Fault> {
        let count = self.count.and_then(|count| usize::try_from(count).ok());
        if count.and_then(|count| count.checked_mul(2)) != Some(self.map.len()) {
            return Err(Fault::SparseMap);
        }
        Contents::sparse(&self.map, self.expanded()?, stored)
    }
}

impl Contents {
    /// Of an ordinary file.
    pub(crate) fn plain(size: u64) -> Self {
        Self { position: 0, size, regions: VecDeque::from([Region { offset: 0, length: size }]) }
    }

    pub(crate) fn sparse(map: &[u64], size: u64, stored: u64) -> Result<Self, Fault> {
        let mut regions = VecDeque::with_capacity(map.len() / 2);
        let (mut end, mut sum) = (0, 0_u64);
        for pair in map.chunks_exact(2) {
            let region = Region { offset: pair[0], length: pair[1] };
            if region.offset < end {
                return Err(Fault::SparseMap);
            }
            end = region.offset.checked_add(region.length).ok_or(Fault::SparseMap)?;
            sum = sum.checked_add(region.length).ok_or(Fault::SparseMap)?;
            if region.length > 0 {
                regions.push_back(region);
            }
        }
        if end > size || sum != stored {
            return Err(Fault::SparseMap);
        }
        Ok(Self { position: 0, size, regions })
    }

    /// Bytes still to come.
    pub(crate) fn left(&self) -> u64 {
        self.size - self.position
    }

    /// The next bytes; `None` if they are not in the input yet.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Option<Bytes> {
        let hole_ends = self.regions.front().map_or(self.size, |region| region.offset);
        let bytes = if self.position < hole_ends {
            Bytes::from_static(&ZEROS).split_to(at_most(ZEROS.len(), hole_ends - self.position))
        } else {
            let region = self.regions.front_mut().filter(|_| !input.is_empty())?;
            let bytes = input.split_to(at_most(input.len(), region.length));
            region.offset += bytes.len() as u64;
            region.length -= bytes.len() as u64;
            if region.length == 0 {
                self.regions.pop_front();
            }
            bytes
        };
        self.position += bytes.len() as u64;
        Some(bytes)
    }
}

/// The map of format 1.0, which stands before the contents: lines of one number each, the first of which says how many pairs
/// follow; filled up to a whole block.
#[derive(Debug, Default)]
pub(crate) struct MapText {
    text: Vec<u8>,
    lines: usize,
    /// Known after the first line.
    wanted: Option<usize>,
}

impl MapText {
    pub(crate) fn add(&mut self, block: &[u8], most: usize) -> Result<(), Fault> {
        if self.text.len() + block.len() > most {
            return Err(Fault::ExtensionTooLong);
        }
        self.text.extend_from_slice(block);
        self.lines += block.split(|byte| *byte == b'\n').count() - 1;
        if self.wanted.is_none() && self.lines > 0 {
            let count = self.numbers().next().flatten().and_then(|count| usize::try_from(count).ok());
            let wanted = count.and_then(|count| count.checked_mul(2)?.checked_add(1));
            self.wanted = Some(wanted.ok_or(Fault::SparseMap)?);
        }
        Ok(())
    }

    /// All numbers after the first line, once they are there.
    pub(crate) fn map(&self) -> Result<Option<Vec<u64>>, Fault> {
        match self.wanted {
            Some(wanted) if self.lines >= wanted => {
                self.numbers().take(wanted).skip(1).collect::<Option<_>>().map(Some).ok_or(Fault::SparseMap)
            }
            _ => Ok(None),
        }
    }

    fn numbers(&self) -> impl Iterator<Item = Option<u64>> {
        self.text.split(|byte| *byte == b'\n').map(decimal)
    }
}

fn at_most(there: usize, wanted: u64) -> usize {
    usize::try_from(wanted).map_or(there, |wanted| wanted.min(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_must_agree_with_itself() {
        let good: [&[u64]; 5] = [&[0, 5], &[5, 5], &[2, 2, 4, 3], &[0, 2, 2, 3, 10, 0], &[0, 0, 0, 5]];
        for map in good {
            assert!(Contents::sparse(map, 10, 5).is_ok(), "{map:?}");
        }
        let bad: [&[u64]; 7] = [
            &[],
            &[0, 4],
            &[0, 6],
            &[6, 5],
            &[4, 3, 2, 2],
            &[2, 3, 4, 2],
            &[u64::MAX >> 1, u64::MAX >> 1, u64::MAX, 2],
        ];
        for map in bad {
            assert_eq!(Contents::sparse(map, 10, 5).unwrap_err(), Fault::SparseMap, "{map:?}");
        }
    }

    #[test]
    fn holes_are_zeros_and_cost_no_memory() {
        let mut contents = Contents::sparse(&[1 << 40, 2], (1 << 40) + 3, 2).unwrap();
        let hole = contents.next(&mut Bytes::new()).unwrap();
        assert_eq!((hole.len(), hole.as_ptr()), (ZEROS.len(), ZEROS.as_ptr()));
        contents.position = 1 << 40;
        assert_eq!(contents.next(&mut Bytes::new()), None);
        let mut input = Bytes::from_static(b"abc");
        assert_eq!(contents.next(&mut input).as_deref(), Some(&b"ab"[..]));
        assert_eq!(contents.next(&mut input).as_deref(), Some(&b"\0"[..]));
        assert_eq!((contents.left(), &input[..]), (0, &b"c"[..]));
    }
}
