//! How large the parts of an upload are.

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A larger object is uploaded in parts.
pub const SINGLE_PUT_LIMIT: u64 = 16 * MIB;

/// A larger object is copied in parts.
pub const SINGLE_COPY_LIMIT: u64 = 5 * GIB;

/// S3 takes no more parts.
pub const MAX_PARTS: u64 = 10_000;

/// The part size for an object of known size, or none where a single PUT will do: a multiple of 16 MiB of which ten
/// thousand parts are enough.
pub fn part_size(size: u64) -> Option<u64> {
    (size > SINGLE_PUT_LIMIT).then(|| size.div_ceil(MAX_PARTS).div_ceil(SINGLE_PUT_LIMIT) * SINGLE_PUT_LIMIT)
}

/// Even parts for a copy on the server: how many, so that none is over 5 GiB.
pub fn copy_parts(size: u64) -> u64 {
    size.div_ceil(SINGLE_COPY_LIMIT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sizes_go_in_parts_of_16_mib_up_to_156_gib() {
        assert_eq!(part_size(0), None);
        assert_eq!(part_size(16 * MIB), None);
        assert_eq!(part_size(16 * MIB + 1), Some(16 * MIB));
        assert_eq!(part_size(156 * GIB), Some(16 * MIB));
        assert_eq!(part_size(157 * GIB), Some(32 * MIB));
        for size in [16 * MIB + 1, 160_000 * MIB, 160_000 * MIB + 9_999, 160_000 * MIB + 10_000, 5 << 40] {
            let part = part_size(size).unwrap();
            assert!(size.div_ceil(part) <= MAX_PARTS && part <= 5 * GIB, "{size}: {part}");
        }
    }

    #[test]
    fn copies_of_more_than_5_gib_are_split() {
        assert_eq!((copy_parts(0), copy_parts(5 * GIB), copy_parts(5 * GIB + 1), copy_parts(11 * GIB)), (1, 1, 2, 3));
    }
}
