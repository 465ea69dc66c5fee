//! Numbers as people read them.

use xtask::ui::megabytes;

pub(crate) fn counted(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// Exact where that is short.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 100_000 { format!("{bytes} bytes") } else { megabytes(bytes) }
}
