//! What is wrong with a tar, and where.

/// A tar that cannot be read on. The same bytes fail in the same way every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at byte {offset} of the tar")]
pub struct Error {
    pub fault: Fault,
    /// Bytes from the beginning: of the header that is wrong, or of the end that came too soon.
    pub offset: u64,
}

/// What is wrong (07-rulings J 70).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the tar ends in the middle of an entry")]
    Truncated,
    #[error("the check sum of the header is wrong; this may be no tar at all")]
    CheckSum,
    #[error("the size in the header is no number, negative or too large")]
    Size,
    #[error("a block of zeros is neither the end nor followed by another one")]
    LoneZeros,
    #[error("the extended header is longer than is read")]
    ExtensionTooLong,
    #[error("the extended header has a record with a wrong length, a bad key or a NUL in a path")]
    Record,
    #[error("the extended header gives a size that is no number or too large")]
    RecordSize,
    #[error("the extended header belongs to no entry")]
    Orphan,
    #[error("the map of the sparse file contradicts itself")]
    SparseMap,
    #[error("the sparse file has a format or type that is not read")]
    SparseFormat,
    #[error("the sparse file is larger than any that can be stored")]
    SparseSize,
}
