//! The tags of a bag, and the texts of its tag files and manifests.

use std::borrow::Cow;

/// The tag file of the RFC.
pub const BAG_INFO: &str = "bag-info.txt";
/// The tag file of APTrust's profile.
pub const APTRUST_INFO: &str = "aptrust-info.txt";

const BAGIT: &str = "bagit.txt";
const OXUM: &str = "Payload-Oxum";

/// Tags in the order in which they are written.
#[derive(Debug, Clone)]
pub struct Tags(Vec<Tag>);

#[derive(Debug, Clone)]
struct Tag {
    file: String,
    label: String,
    value: String,
}

impl Tags {
    /// What APTrust's profile wants, and the usual beside it.
    pub fn aptrust(title: &str) -> Self {
        let mut tags = Self(Vec::new());
        for (file, label, value) in [
            (BAGIT, "BagIt-Version", "1.0"),
            (BAGIT, "Tag-File-Character-Encoding", "UTF-8"),
            (BAG_INFO, "Source-Organization", "Test University"),
            (BAG_INFO, "Bagging-Date", "2024-02-29"),
            (APTRUST_INFO, "Title", title),
            (APTRUST_INFO, "Access", "Institution"),
            (APTRUST_INFO, "Storage-Option", "Standard"),
        ] {
            tags.set(file, label, value);
        }
        tags
    }

    /// Gives a tag this value; a new one comes last.
    pub fn set(&mut self, file: &str, label: &str, value: &str) {
        match self.0.iter_mut().find(|tag| tag.file == file && tag.label == label) {
            Some(tag) => value.clone_into(&mut tag.value),
            None => self.0.push(Tag { file: file.to_owned(), label: label.to_owned(), value: value.to_owned() }),
        }
    }

    /// Takes all tags of this name away.
    pub fn remove(&mut self, file: &str, label: &str) {
        self.0.retain(|tag| tag.file != file || tag.label != label);
    }

    /// Says how much payload there is, unless that is said already.
    pub(crate) fn weigh(&mut self, bytes: u64, files: u64) {
        if !self.0.iter().any(|tag| tag.file == BAG_INFO && tag.label == OXUM) {
            self.set(BAG_INFO, OXUM, &format!("{bytes}.{files}"));
        }
    }

    /// The tag files by name, with their texts.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = Vec::new();
        for Tag { file, label, value } in &self.0 {
            let line = format!("{label}: {value}\n");
            match files.iter_mut().find(|(name, _)| name == file) {
                Some((_, text)) => text.push_str(&line),
                None => files.push((file.clone(), line)),
            }
        }
        files
    }
}

/// A line of a manifest (RFC 8493, section 2.1.3).
pub(crate) fn line(digest: &str, path: &str) -> String {
    let path = if path.contains(['%', '\r', '\n']) {
        Cow::Owned(path.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"))
    } else {
        Cow::Borrowed(path)
    };
    format!("{digest}  {path}\n")
}
