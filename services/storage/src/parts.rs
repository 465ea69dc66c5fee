//! How large the parts of an upload are. Pure. Where the length is known, `model` has the rule.

use std::fmt;

use model::multipart::{MAX_PARTS, SINGLE_PUT_LIMIT, part_size};

/// How much is going to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes exactly. A stream of another length stores nothing.
    Known(u64),
    /// About so many bytes; 0 if nobody knows. It decides how much memory a part takes, see [`Bucket::put`], and may be wrong.
    ///
    /// [`Bucket::put`]: crate::Bucket::put
    Estimated(u64),
}

/// The parts of one upload, in their order.
#[derive(Debug)]
pub(crate) struct PartSizes {
    length: Length,
    /// Bytes that a part may have at most.
    most: u64,
    /// Parts so far, and those of them that began beyond what was foreseen.
    count: u64,
    beyond: u64,
}

/// An object does not fit into ten thousand parts of the size that may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TooLarge {
    ForS3,
    /// A part of so many bytes would have to be held in memory, of at most so many.
    ForMemory(u64, u64),
}

const MIB: u64 = 1 << 20;
const LARGEST_OBJECT: u64 = model::MAX_OBJECT_SIZE.unsigned_abs();

/// An estimate is met with so many parts, which leaves 4,000 for what exceeds it.
const FORESEEN_PARTS: u64 = 6_000;

/// What exceeds it goes in so many parts of twice the size, as many of four times, eight and sixteen times; the rest of the
/// largest object in even parts.
const PARTS_OF_A_SIZE: u64 = 500;
const GROWTHS: u64 = 4;

/// Less than this is not worth a guess.
const SMALLEST_ESTIMATE: u64 = 16 << 30;

impl PartSizes {
    /// No part is larger than `most`, at least 16 MiB.
    pub(crate) fn of(length: Length, most: u64) -> Result<Self, TooLarge> {
        let (bytes, part) = match length {
            Length::Known(length) => (length, part_size(length).unwrap_or(length)),
            Length::Estimated(estimate) => (0, estimate.min(LARGEST_OBJECT).div_ceil(MAX_PARTS)),
        };
        match () {
            () if bytes > LARGEST_OBJECT => Err(TooLarge::ForS3),
            () if part > most => Err(TooLarge::ForMemory(part, most)),
            () => Ok(Self { length, most, count: 0, beyond: 0 }),
        }
    }

    /// Bytes of the next part, which begins there.
    pub(crate) fn next(&mut self, at: u64) -> Result<usize, TooLarge> {
        let size = match self.length {
            Length::Known(length) => part_size(length).unwrap_or(length).min(length - at),
            Length::Estimated(_) if at >= LARGEST_OBJECT => return Err(TooLarge::ForS3),
            Length::Estimated(_) if self.count == MAX_PARTS => {
                return Err(TooLarge::ForMemory(LARGEST_OBJECT.div_ceil(MAX_PARTS), self.most));
            }
            Length::Estimated(estimate) => self.growing(estimate.max(SMALLEST_ESTIMATE), at).min(self.most),
        };
        self.count += 1;
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn growing(&mut self, estimate: u64, at: u64) -> u64 {
        let first = estimate.min(LARGEST_OBJECT).div_ceil(FORESEEN_PARTS).next_multiple_of(MIB).max(SINGLE_PUT_LIMIT);
        if at < estimate {
            return first;
        }
        let left = MAX_PARTS.saturating_sub(self.count).max(1);
        let enough = LARGEST_OBJECT.saturating_sub(at).div_ceil(left).next_multiple_of(MIB).max(SINGLE_PUT_LIMIT);
        let growth = 1 + self.beyond / PARTS_OF_A_SIZE;
        self.beyond += 1;
        if growth > GROWTHS { enough } else { enough.min(first << growth) }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForS3 => f.write_str("S3 takes objects up to 5 TiB"),
            Self::ForMemory(part, most) => write!(
                f,
                "it would go in parts of {} MiB, and one may hold {} MiB of this process's memory; give it more",
                part.div_ceil(MIB),
                most / MIB
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    /// Sizes of the parts, without repetitions, in MiB, of an object of this length.
    fn parts(length: Length, object: u64) -> Vec<u64> {
        let mut sizes = PartSizes::of(length, 5 * GIB).unwrap();
        let (mut at, mut count, mut seen) = (0, 0, Vec::new());
        while at < object {
            let size = sizes.next(at).unwrap() as u64;
            assert!(size <= 5 * GIB, "{length:?}: a part of {size}");
            at += size;
            count += 1;
            seen.push(size / MIB);
        }
        assert!(count <= MAX_PARTS, "{count} parts for {length:?}");
        seen.dedup();
        seen
    }

    #[test]
    fn ten_thousand_parts_reach_the_largest_object_whatever_was_estimated() {
        for estimate in [0, 1, GIB, 16 * GIB, 94 * GIB, 500 * GIB, TIB, 3 * TIB, 5 * TIB, 50 * TIB] {
            parts(Length::Estimated(estimate), LARGEST_OBJECT);
        }
    }

    #[test]
    fn a_part_is_no_larger_than_the_documentation_says() {
        assert_eq!(parts(Length::Estimated(0), 16 * GIB), [16]);
        assert_eq!(parts(Length::Estimated(0), 250 * GIB), [16, 32, 64, 128, 256]);
        assert_eq!(parts(Length::Estimated(0), LARGEST_OBJECT), [16, 32, 64, 128, 256, 715, 714]);
        assert_eq!(parts(Length::Estimated(93 * GIB), 93 * GIB), [16]);
        assert_eq!(parts(Length::Estimated(TIB), TIB), [175]);
        assert_eq!(parts(Length::Estimated(TIB), TIB + 100 * GIB), [175, 350]);
        assert_eq!(parts(Length::Estimated(5 * TIB), 5 * TIB), [874]);
    }

    #[test]
    fn parts_of_a_known_length_cover_it_exactly() {
        for length in [1, SINGLE_PUT_LIMIT, SINGLE_PUT_LIMIT + 1, 160_000 * MIB, 5 * TIB] {
            let mut sizes = PartSizes::of(Length::Known(length), 5 * GIB).unwrap();
            let mut at = 0;
            while at < length {
                at += sizes.next(at).unwrap() as u64;
            }
            assert_eq!(at, length);
        }
        parts(Length::Known(5 * TIB), 5 * TIB);
    }

    #[test]
    fn no_part_exceeds_the_memory_there_is() {
        let most = 64 * MIB;
        let refused = |length| PartSizes::of(length, most).unwrap_err();
        assert_eq!(refused(Length::Known(626 * GIB)), TooLarge::ForMemory(80 * MIB, most));
        assert_eq!(refused(Length::Known(5 * TIB)), TooLarge::ForMemory(528 * MIB, most));
        assert!(matches!(refused(Length::Estimated(TIB)), TooLarge::ForMemory(part, _) if part / MIB == 104));
        assert_eq!(PartSizes::of(Length::Known(5 * TIB + 1), 5 * GIB).unwrap_err(), TooLarge::ForS3);

        for (estimate, fits) in [(0, 561), (500 * GIB, 625)] {
            let mut sizes = PartSizes::of(Length::Estimated(estimate), most).unwrap();
            let mut at = 0;
            let ended = loop {
                match sizes.next(at) {
                    Ok(size) => at += size as u64,
                    Err(ended) => break ended,
                }
                assert!(sizes.count <= MAX_PARTS);
            };
            assert_eq!((at / GIB, ended), (fits, TooLarge::ForMemory(LARGEST_OBJECT.div_ceil(MAX_PARTS), most)));
        }
    }

    #[test]
    fn a_stream_without_end_ends_at_the_largest_object() {
        let mut sizes = PartSizes::of(Length::Estimated(0), 5 * GIB).unwrap();
        let mut at = 0;
        while at < LARGEST_OBJECT {
            at += sizes.next(at).unwrap() as u64;
        }
        assert_eq!(sizes.next(at).unwrap_err(), TooLarge::ForS3);
    }
}
