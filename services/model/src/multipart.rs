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

/// The part size for an upload whose size is only estimated: a restored bag. Between 5 and 500 MiB, since parts are held in
/// memory.
pub fn estimated_part_size(estimate: u64) -> u64 {
    let parts = if estimate >= 500 * GIB {
        10_000
    } else if estimate >= 100 * GIB {
        5_000
    } else if estimate >= 10 * GIB {
        2_500
    } else {
        500
    };
    estimate.div_ceil(parts).clamp(5 * MIB, 500 * MIB)
}

/// What a restored bag is likely to weigh, with its manifests and headers.
pub fn estimated_bag_size(object_size: u64) -> u64 {
    object_size.saturating_add(object_size / 10)
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
    fn estimates_give_a_share_between_5_and_500_mib() {
        for (size, expected) in [
            (3000, 5_242_880),
            (100 * MIB, 5_242_880),
            (3 * GIB, 6_442_451),
            (8 * GIB, 17_179_870),
            (80 * GIB, 34_359_739),
            (200 * GIB, 42_949_673),
            (600 * GIB, 64_424_510),
            (8 << 40, 524_288_000),
        ] {
            assert_eq!(estimated_part_size(size), expected, "{size}");
        }
        assert_eq!(estimated_bag_size(1000), 1100);
    }

    #[test]
    fn copies_of_more_than_5_gib_are_split() {
        assert_eq!((copy_parts(0), copy_parts(5 * GIB), copy_parts(5 * GIB + 1), copy_parts(11 * GIB)), (1, 1, 2, 3));
    }
}
