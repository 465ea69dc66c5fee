//! Bags made by code: a good one of its profile, whose parts a test then takes away, adds to or changes. Manifests are made before that.

use digests::{Algorithm, Digests};
use model::metadata::query_escape;
use model::{Manifest, Profile, StorageOption, Time};

/// A bag before it is packed.
#[derive(Debug, Clone)]
pub(crate) struct Bag {
    /// What its object will be called, without the institution; of its tar it is all but the ending.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What its tags ask for.
    pub(crate) option: StorageOption,
    /// The manifests that list its payload.
    pub(crate) manifests: Vec<Algorithm>,
    /// Path in the bag, contents; in the order of the tar.
    pub(crate) parts: Vec<(String, Vec<u8>)>,
}

/// The institution that deposits.
pub(crate) const INSTITUTION: &str = "test.edu";

impl Bag {
    /// A good bag of APTrust's profile.
    pub(crate) fn good(name: &str, option: &StorageOption, payload: Vec<(String, Vec<u8>)>) -> Self {
        let title = format!("The bag {name}");
        let info =
            "Source-Organization: Test University\nBagging-Date: 2026-01-02\nInternal-Sender-Identifier: sender-1\n";
        let aptrust =
            format!("Title: {title}\nAccess: Consortia\nDescription: Made by code\nStorage-Option: {option}\n");
        let tags = vec![("bag-info.txt", info.to_owned()), ("aptrust-info.txt", aptrust)];
        Self::assembled(name, title, option, payload, tags, &[Algorithm::Md5, Algorithm::Sha256])
    }

    /// The same with one manifest, so that each fault has one message.
    pub(crate) fn plain(name: &str) -> Self {
        let mut bag = Self::good(name, &StorageOption::Standard, payload());
        bag.manifests = vec![Algorithm::Md5];
        bag.parts.retain(|(path, _)| !path.ends_with("manifest-sha256.txt"));
        let tags = bag.parts.iter().filter(|(path, _)| !path.starts_with("data/") && !path.starts_with("tagmanifest"));
        let manifest = listed(Algorithm::Md5, tags);
        bag.set("tagmanifest-md5.txt", &manifest);
        bag
    }

    /// A good bag of the BTR profile.
    pub(crate) fn btr(name: &str, option: &StorageOption) -> Self {
        let title = format!("The bag {name}");
        let info = format!(
            "Source-Organization: Test University\nBagging-Date: 2026-01-02\nPayload-Oxum: 1.1\nInternal-Identifier: {title}\n\
             BagIt-Profile-Identifier: {}\nAPTrust-Storage-Option: {option}\n",
            Profile::BTR_IDENTIFIER
        );
        Self::assembled(name, title, option, payload(), vec![("bag-info.txt", info)], &[Algorithm::Sha512])
    }

    fn assembled(
        name: &str,
        title: String,
        option: &StorageOption,
        payload: Vec<(String, Vec<u8>)>,
        tags: Vec<(&str, String)>,
        algorithms: &[Algorithm],
    ) -> Self {
        let bagit = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_owned();
        let mut others: Vec<(String, Vec<u8>)> =
            [("bagit.txt", bagit)].into_iter().chain(tags).map(|(path, text)| (path.to_owned(), text.into())).collect();
        for algorithm in algorithms {
            others.push((format!("manifest-{}.txt", algorithm.as_str()), listed(*algorithm, &payload)));
        }
        let tag_manifests: Vec<_> = algorithms
            .iter()
            .map(|algorithm| (format!("tagmanifest-{}.txt", algorithm.as_str()), listed(*algorithm, &others)))
            .collect();
        let parts = others.into_iter().chain(payload).chain(tag_manifests).collect();
        Self { name: name.to_owned(), title, option: option.clone(), manifests: algorithms.to_vec(), parts }
    }

    pub(crate) fn tar_name(&self) -> String {
        format!("{}.tar", self.name)
    }

    pub(crate) fn identifier(&self) -> String {
        format!("{INSTITUTION}/{}", self.name)
    }

    /// What a part holds.
    pub(crate) fn part(&self, path: &str) -> &[u8] {
        let (_, bytes) = self.parts.iter().find(|(there, _)| there == path).expect("the bag has this part");
        bytes
    }

    /// Puts other contents in the place of a part, or adds one at the end.
    pub(crate) fn set(&mut self, path: &str, bytes: &[u8]) {
        match self.parts.iter_mut().find(|(there, _)| there == path) {
            Some((_, old)) => bytes.clone_into(old),
            None => self.parts.push((path.to_owned(), bytes.to_owned())),
        }
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.parts.retain(|(there, _)| there != path);
    }

    /// Puts one text in the place of another in a part.
    pub(crate) fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.part(path).to_owned()).expect("a tag file");
        assert!(text.contains(from), "{path} holds no `{from}`");
        self.set(path, text.replace(from, to).as_bytes());
    }

    /// The parts that are preserved: neither manifests nor `bagit.txt`.
    pub(crate) fn preserved(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let kept = |path: &str| path != "bagit.txt" && Manifest::named(path).is_none();
        self.parts.iter().filter(move |(path, _)| kept(path)).map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    pub(crate) fn tar(&self) -> Vec<u8> {
        self.packed(&self.name)
    }

    /// With all parts below this folder; below none if it is empty.
    pub(crate) fn packed(&self, folder: &str) -> Vec<u8> {
        let (mut writer, mut tar) = (tarball::Writer::default(), Vec::new());
        // Always the same, so that the tar is; without a fraction, so that a plain header will do.
        let modified = "2026-01-02T03:04:05Z".parse::<Time>().expect("a time").inner();
        for (path, bytes) in &self.parts {
            let name = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
            let header = tarball::Header::file(&name, bytes.len() as u64, modified).expect("a name for tars");
            tar.extend_from_slice(&writer.entry(&header).expect("the entry before is whole"));
            writer.data(bytes).expect("as long as its header says");
            tar.extend_from_slice(bytes);
        }
        tar.extend_from_slice(&writer.finish().expect("the last entry is whole"));
        tar
    }
}

/// A small payload of several formats, one file of it empty.
pub(crate) fn payload() -> Vec<(String, Vec<u8>)> {
    let files: [(&str, &[u8]); 5] = [
        ("data/notes.txt", b"These are notes.\nTwo lines of them.\n"),
        ("data/table.csv", b"name,number\none,1\ntwo,2\n"),
        ("data/record.json", b"{\"name\": \"record\", \"numbers\": [1, 2, 3]}\n"),
        (
            "data/deep/er/record.xml",
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<record><name>record</name></record>\n",
        ),
        ("data/empty", b""),
    ];
    files.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())).to_vec()
}

/// The digest of some bytes.
pub(crate) fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
    Digests::of(algorithm, bytes).get(algorithm).expect("it was computed").to_owned()
}

/// A path as it stands in the metadata of a copy.
pub(crate) fn encoded(path: &str) -> String {
    query_escape(path)
}

fn listed<'p>(algorithm: Algorithm, parts: impl IntoIterator<Item = &'p (String, Vec<u8>)>) -> Vec<u8> {
    let line = |(path, bytes): &(String, Vec<u8>)| format!("{}  {path}\n", digest(algorithm, bytes));
    parts.into_iter().map(line).collect::<String>().into_bytes()
}
