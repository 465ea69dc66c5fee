//! How much memory this task may take, by the limit of its control group. Past it the kernel kills the process, so the limit
//! bounds how much is in work at a time.

use std::fs;

/// Where version 2 and version 1 of control groups show the limit.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// The process itself: code, connections, documents on their way.
const BASE: u64 = 64 << 20;

/// How many things of this size fit; at least one. Without a limit, any number.
pub(crate) fn room_for(bytes: u64) -> u32 {
    let limit = LIMITS.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    room(limit, bytes)
}

fn room(limit: Option<u64>, bytes: u64) -> u32 {
    let Some(limit) = limit else { return u32::MAX };
    let room = limit.saturating_sub(BASE) / bytes.max(1);
    u32::try_from(room.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_work_fits_into_the_limit() {
        assert_eq!(room(Some(512 << 20), 32 << 20), 14);
        assert_eq!(room(Some(512 << 20), 400 << 20), 1);
        assert_eq!(room(Some(1), 1 << 20), 1, "one is always tried");
        assert_eq!(room(None, 1 << 40), u32::MAX);
        // What version 1 says where there is no limit.
        assert_eq!(room(Some(9_223_372_036_854_771_712), 1), u32::MAX);
    }
}
