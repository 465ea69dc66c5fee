//! Small bags, in memory.

use bytes::Bytes;
use digests::{Algorithm, Digests};
use time::OffsetDateTime;

use crate::tags::{Tags, line};

/// A good bag, until [`Bag::but`] makes it something else.
#[derive(Debug, Clone)]
pub struct Bag {
    name: String,
    tags: Tags,
    payload: Vec<(String, Bytes)>,
    manifests: Vec<Algorithm>,
    tag_manifests: Vec<Algorithm>,
}

/// The files of a bag, which need not fit together.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The folder at the top of the tar; there is none if it is empty.
    pub top: String,
    /// By their paths in the bag, in the order in which they are written.
    pub files: Vec<(String, Bytes)>,
    tag_manifests: Vec<Algorithm>,
}

impl Bag {
    /// One that APTrust takes, with md5 and sha256 in manifests and tag manifests, and no payload yet.
    pub fn aptrust(name: &str) -> Self {
        let both = vec![Algorithm::Md5, Algorithm::Sha256];
        Self {
            name: name.to_owned(),
            tags: Tags::aptrust(name),
            payload: Vec::new(),
            manifests: both.clone(),
            tag_manifests: both,
        }
    }

    /// Adds a payload file; the path is the one below `data/`.
    #[must_use]
    pub fn file(mut self, path: &str, contents: impl Into<Bytes>) -> Self {
        self.payload.push((format!("data/{path}"), contents.into()));
        self
    }

    /// Gives a tag this value.
    #[must_use]
    pub fn tag(mut self, file: &str, label: &str, value: &str) -> Self {
        self.tags.set(file, label, value);
        self
    }

    /// Leaves a tag out.
    #[must_use]
    pub fn without_tag(mut self, file: &str, label: &str) -> Self {
        self.tags.remove(file, label);
        self
    }

    /// Lists the payload in manifests of these algorithms.
    #[must_use]
    pub fn manifests(mut self, algorithms: &[Algorithm]) -> Self {
        self.manifests = algorithms.to_vec();
        self
    }

    /// Lists the other files in tag manifests of these algorithms.
    #[must_use]
    pub fn tag_manifests(mut self, algorithms: &[Algorithm]) -> Self {
        self.tag_manifests = algorithms.to_vec();
        self
    }

    /// The tar.
    pub fn tar(self) -> Vec<u8> {
        self.parts().tar()
    }

    /// The tar, after something was made wrong.
    pub fn but(self, change: impl FnOnce(&mut Parts)) -> Vec<u8> {
        let mut parts = self.parts();
        change(&mut parts);
        parts.tar()
    }

    /// Taken apart.
    pub fn parts(self) -> Parts {
        let Self { name, mut tags, payload, manifests, tag_manifests } = self;
        let bytes = payload.iter().map(|(_, contents)| contents.len() as u64).sum();
        tags.weigh(bytes, payload.len() as u64);
        let manifests = manifests.into_iter().map(|algorithm| {
            let text: String =
                payload.iter().map(|(path, contents)| line(&digest(algorithm, contents), path)).collect();
            (format!("manifest-{algorithm}.txt"), text)
        });
        let texts: Vec<_> = tags.files().into_iter().chain(manifests).collect();
        let mut parts = Parts { top: name, files: Vec::new(), tag_manifests };
        parts.files.extend(texts.into_iter().map(|(path, text)| (path, text.into())));
        parts.files.extend(payload);
        parts.list_tags();
        parts
    }
}

impl Parts {
    /// Puts a file in, in the place of another of that path or as the last.
    pub fn put(&mut self, path: &str, contents: impl Into<Bytes>) {
        match self.files.iter_mut().find(|(name, _)| name == path) {
            Some((_, now)) => *now = contents.into(),
            None => self.files.push((path.to_owned(), contents.into())),
        }
    }

    /// Takes a file out.
    ///
    /// # Panics
    /// When there is none of that path: the test would not be about what it says.
    pub fn remove(&mut self, path: &str) {
        let before = self.files.len();
        self.files.retain(|(name, _)| name != path);
        assert!(self.files.len() < before, "the bag has no file {path}");
    }

    /// Changes the text of a file.
    ///
    /// # Panics
    /// When there is none of that path, or the change changes nothing.
    pub fn edit(&mut self, path: &str, change: impl FnOnce(&str) -> String) {
        let (_, contents) = self.files.iter_mut().find(|(name, _)| name == path).expect("the file to edit is there");
        let text = String::from_utf8_lossy(contents).into_owned();
        let changed = change(&text);
        assert_ne!(text, changed, "the change of {path} changes nothing");
        *contents = changed.into();
    }

    /// Makes the tag manifests anew, so that they agree with what was changed.
    pub fn list_tags(&mut self) {
        self.files.retain(|(path, _)| !path.starts_with("tagmanifest-"));
        for algorithm in &self.tag_manifests {
            let listed = self.files.iter().filter(|(path, _)| !path.starts_with("data/") && !is_tag_manifest(path));
            let text: String = listed.map(|(path, contents)| line(&digest(*algorithm, contents), path)).collect();
            self.files.push((format!("tagmanifest-{algorithm}.txt"), text.into()));
        }
    }

    /// The tar of them, each file modified at the beginning of 2024.
    ///
    /// # Panics
    /// When a path is none that a tar can hold.
    pub fn tar(&self) -> Vec<u8> {
        let modified = OffsetDateTime::from_unix_timestamp(1_704_067_200).expect("a time");
        let (mut writer, mut tar) = (tarball::Writer::default(), Vec::new());
        for (path, contents) in &self.files {
            let name = if self.top.is_empty() { path.clone() } else { format!("{}/{path}", self.top) };
            let header = tarball::Header::file(&name, contents.len() as u64, modified).expect("a name for a tar");
            tar.extend_from_slice(&writer.entry(&header).expect("the sizes are those of the contents"));
            writer.data(contents).expect("the sizes are those of the contents");
            tar.extend_from_slice(contents);
        }
        tar.extend_from_slice(&writer.finish().expect("the sizes are those of the contents"));
        tar
    }
}

fn is_tag_manifest(path: &str) -> bool {
    path.starts_with("tagmanifest-")
}

fn digest(algorithm: Algorithm, contents: &[u8]) -> String {
    Digests::of(algorithm, contents).get(algorithm).unwrap_or_default().to_owned()
}
