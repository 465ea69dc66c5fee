//! The bags of the suite, with what must be known of them when they have been through. How bags are made is the crate `bags`'.

use bags::{APTRUST_INFO, Algorithm, BAG_INFO, Parts};
use bytes::Bytes;
use digests::Digests;
use model::{Manifest, Profile, StorageOption};

/// A bag, whose parts a test may change before it is packed.
#[derive(Debug, Clone)]
pub(crate) struct Bag {
    /// What its object will be called, without the institution; of its tar it is all but the ending.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What its tags ask for.
    pub(crate) option: StorageOption,
    /// The manifests that list its payload.
    pub(crate) manifests: &'static [Algorithm],
    pub(crate) parts: Parts,
}

/// Paths below `data`, and contents.
pub(crate) type Payload = Vec<(String, Bytes)>;

/// The institution that deposits.
pub(crate) const INSTITUTION: &str = "test.edu";

impl Bag {
    /// A good bag of APTrust's profile.
    pub(crate) fn good(name: &str, option: &StorageOption, payload: Payload) -> Self {
        let tags = [
            (APTRUST_INFO, "Access", "Consortia"),
            (APTRUST_INFO, "Storage-Option", option.as_str()),
            (BAG_INFO, "Internal-Sender-Identifier", "sender-1"),
        ];
        Self::assembled(name, option, payload, &tags, &[Algorithm::Md5, Algorithm::Sha256])
    }

    /// The same with one manifest, so that each fault has one message.
    pub(crate) fn plain(name: &str) -> Self {
        Self::assembled(name, &StorageOption::Standard, payload(), &[], &[Algorithm::Md5])
    }

    /// A good bag of the BTR profile.
    pub(crate) fn btr(name: &str, option: &StorageOption) -> Self {
        let tags = [
            (BAG_INFO, "BagIt-Profile-Identifier", Profile::BTR_IDENTIFIER),
            (BAG_INFO, "APTrust-Storage-Option", option.as_str()),
        ];
        Self::assembled(name, option, payload(), &tags, &[Algorithm::Sha512])
    }

    fn assembled(
        name: &str,
        option: &StorageOption,
        payload: Payload,
        tags: &[(&str, &str, &str)],
        manifests: &'static [Algorithm],
    ) -> Self {
        let title = format!("The bag {name}");
        let mut bag = bags::Bag::aptrust(name).tag(APTRUST_INFO, "Title", &title);
        for (file, label, value) in tags {
            bag = bag.tag(file, label, value);
        }
        for (path, bytes) in payload {
            bag = bag.file(&path, bytes);
        }
        let parts = bag.manifests(manifests).tag_manifests(manifests).parts();
        Self { name: name.to_owned(), title, option: option.clone(), manifests, parts }
    }

    pub(crate) fn tar_name(&self) -> String {
        format!("{}.tar", self.name)
    }

    pub(crate) fn identifier(&self) -> String {
        format!("{INSTITUTION}/{}", self.name)
    }

    /// What a part holds.
    pub(crate) fn part(&self, path: &str) -> &[u8] {
        let (_, bytes) = self.parts.files.iter().find(|(there, _)| there == path).expect("the bag has this part");
        bytes
    }

    /// Puts one text in the place of another in a part.
    pub(crate) fn replace(&mut self, path: &str, from: &str, to: &str) {
        self.parts.edit(path, |text| text.replace(from, to));
    }

    /// The parts that are preserved: neither manifests nor `bagit.txt`.
    pub(crate) fn preserved(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let kept = |path: &str| path != "bagit.txt" && Manifest::named(path).is_none();
        self.parts.files.iter().filter(move |(path, _)| kept(path)).map(|(path, bytes)| (path.as_str(), &bytes[..]))
    }
}

/// A small payload of several formats, one file of it empty.
pub(crate) fn payload() -> Payload {
    let files: [(&str, &[u8]); 5] = [
        ("notes.txt", b"These are notes.\nTwo lines of them.\n"),
        ("table.csv", b"name,number\none,1\ntwo,2\n"),
        ("record.json", b"{\"name\": \"record\", \"numbers\": [1, 2, 3]}\n"),
        ("deep/er/record.xml", b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<record><name>record</name></record>\n"),
        ("empty", b""),
    ];
    files.map(|(path, bytes)| (path.to_owned(), Bytes::from_static(bytes))).to_vec()
}

/// The md5 of some bytes.
pub(crate) fn md5(bytes: &[u8]) -> String {
    Digests::of(Algorithm::Md5, bytes).get(Algorithm::Md5).expect("it was computed").to_owned()
}
