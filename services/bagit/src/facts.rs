//! What the checks of a bag as a whole are made of.

use crate::tags::Tag;

/// What is known of a bag as a whole when all its files have been seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The media type of the file that holds the bag; `None` for a folder.
    pub serialization: Option<&'a str>,
    /// Whether there is a `fetch.txt`.
    pub has_fetch: bool,
    /// The algorithms of the payload manifests.
    pub manifests: &'a [String],
    /// The algorithms of the tag manifests.
    pub tag_manifests: &'a [String],
    /// The paths of the tag files.
    pub tag_files: &'a [String],
    /// The tags of `bagit.txt`, `bag-info.txt` and the files that the profile names, in the order of the files.
    pub tags: &'a [Tag],
    /// Looked at by [`Rules::Rfc`](crate::Rules::Rfc) only.
    pub payload: Payload,
}

/// The payload files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload {
    pub bytes: u64,
    pub files: u64,
}
