//! How far the engine looks, and what one file may cost.

/// How far from the beginning and the ending of a file signatures are looked for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub beginning: u64,
    pub ending: u64,
}

impl Default for Windows {
    /// What the records in archives were made with: 32,768 and 8,096.
    fn default() -> Self {
        Windows { beginning: 32_768, ending: 8_096 }
    }
}

impl Windows {
    /// Everything that is given as head and tail.
    pub const WHOLE: Windows = Windows { beginning: u64::MAX, ending: u64::MAX };
}

/// What one file may cost. Where a limit is reached the answer says so ([`crate::Trouble::TooMuchWork`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How often a container may ask for bytes.
    pub rounds: u32,
    /// Bytes that it may ask for in all.
    pub bytes: u64,
    /// Files of a container that are opened.
    pub files: u32,
    /// Comparisons, about.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { rounds: 32, bytes: 32 << 20, files: 64, steps: 4_000_000 }
    }
}
