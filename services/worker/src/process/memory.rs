//! How much memory this task may take, by the limit of its control group, and who gets it. Past the limit the kernel kills the
//! process, so what is in work at a time is bounded: one half is for the work itself, the other for what is on its way to S3.

use std::fs;

/// Where version 2 and version 1 of control groups show the limit.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// The process itself: code, connections, documents on their way.
const BASE: u64 = 64 << 20;
/// For what is on its way, where there is no limit: more makes nothing faster.
const BUFFERS: u64 = 128 << 20;

/// The memory of this task that is not spoken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In bytes. `None` where there is no limit.
    half: Option<u64>,
}

impl Memory {
    /// By the limit that this process runs under.
    pub fn of_this_task() -> Self {
        Self::within(LIMITS.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()))
    }

    fn within(limit: Option<u64>) -> Self {
        Self { half: limit.map(|limit| limit.saturating_sub(BASE) / 2) }
    }

    /// How many things of this size, in bytes, may be in work; at least one. Without a limit, any number.
    pub fn room_for(self, bytes: u64) -> u32 {
        let room = self.half.map_or(u64::MAX, |half| half / bytes.max(1));
        u32::try_from(room.max(1)).unwrap_or(u32::MAX)
    }

    /// For buffers of transfers, all together, in bytes.
    pub fn for_buffers(self) -> u64 {
        self.half.map_or(BUFFERS, |half| half.min(BUFFERS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_work_and_on_its_way_fits_into_the_limit() {
        let mib = |limit: u64| Memory::within(Some(limit << 20));
        assert_eq!((mib(512).room_for(32 << 20), mib(512).for_buffers()), (7, 128 << 20));
        assert_eq!((mib(128).room_for(32 << 20), mib(128).for_buffers()), (1, 32 << 20));
        assert_eq!(mib(1).room_for(1 << 20), 1, "one is always tried");
        for limit in [128_u64, 256, 512, 4096] {
            let taken = u64::from(mib(limit).room_for(32 << 20)) * (32 << 20) + mib(limit).for_buffers() + BASE;
            assert!(taken <= limit << 20, "{limit} MiB: {taken}");
        }
        let none = Memory::within(None);
        assert_eq!((none.room_for(1 << 40), none.for_buffers()), (u32::MAX, BUFFERS));
        // What version 1 says where there is no limit.
        let none = Memory::within(Some(9_223_372_036_854_771_712));
        assert_eq!((none.room_for(1), none.for_buffers()), (u32::MAX, BUFFERS));
    }
}
