//! Bags made by code, digests, and what stands in for the caller: a small service that keeps records as a database would.

pub(crate) mod service;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bagit::{Bag, Finding, Options, Profile, Role, Severity, Verdict};
use md5::Md5;
use sha2::{Digest as _, Sha224, Sha256, Sha512};

/// A bag as its files, in no order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) files: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(crate) const ALGORITHMS: [&str; 4] = ["md5", "sha224", "sha256", "sha512"];

impl Sample {
    /// A good bag for any profile but BTR's: two payload files, md5 and sha256.
    pub(crate) fn good() -> Self {
        let mut sample = Self::bare("1.0");
        sample.put("aptrust-info.txt", "Title: Letters\nAccess: Institution\nStorage-Option: Standard\n");
        sample.seal(&["md5", "sha256"]);
        sample
    }

    /// Without manifests.
    pub(crate) fn bare(version: &str) -> Self {
        let mut sample = Self::default();
        sample.put("bagit.txt", format!("BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n"));
        sample.put("bag-info.txt", "Source-Organization: Example University\nPayload-Oxum: 22.2\n");
        sample.put("data/hello.txt", "Hello, archive.\n");
        sample.put("data/sub/page.xml", "<page>");
        sample
    }

    pub(crate) fn put(&mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.files.insert(path.as_ref().to_vec(), content.as_ref().to_vec());
    }

    pub(crate) fn remove(&mut self, path: &str) {
        assert!(self.files.remove(path.as_bytes()).is_some(), "the sample has no {path}");
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.files[path.as_bytes()].clone()).unwrap()
    }

    /// Edits a file as text.
    pub(crate) fn edit(&mut self, path: &str, edit: impl FnOnce(String) -> String) {
        let edited = edit(self.text(path));
        self.put(path, edited);
    }

    /// Drops lines of a file.
    pub(crate) fn keep_lines(&mut self, path: &str, keeps: impl Fn(usize, &str) -> bool) {
        let text = self.text(path);
        let kept: Vec<&str> = text
            .split_inclusive('\n')
            .enumerate()
            .filter(|(index, line)| keeps(*index, line))
            .map(|(_, line)| line)
            .collect();
        self.put(path, kept.concat());
    }

    /// Makes the manifests and tag manifests anew.
    pub(crate) fn seal(&mut self, algorithms: &[&str]) {
        self.files.retain(|path, _| !matches!(Role::of(path), Role::PayloadManifest { .. } | Role::TagManifest { .. }));
        for algorithm in algorithms {
            let text = self.manifest(algorithm, |role| role == Role::Payload);
            self.put(format!("manifest-{algorithm}.txt"), text);
        }
        self.seal_tags(algorithms);
    }

    /// Makes the tag manifests anew.
    pub(crate) fn seal_tags(&mut self, algorithms: &[&str]) {
        self.files.retain(|path, _| !matches!(Role::of(path), Role::TagManifest { .. }));
        let texts = algorithms.iter().map(|algorithm| self.manifest(algorithm, |role| role != Role::Payload));
        let texts: Vec<String> = texts.collect();
        for (algorithm, text) in algorithms.iter().zip(texts) {
            self.put(format!("tagmanifest-{algorithm}.txt"), text);
        }
    }

    fn manifest(&self, algorithm: &str, lists: impl Fn(Role<'_>) -> bool) -> String {
        let listed = self.files.iter().filter(|(path, _)| lists(Role::of(path)));
        let lines: Vec<String> = listed
            .map(|(path, content)| {
                format!("{}  {}\n", hex::encode(digest(algorithm, content)), String::from_utf8_lossy(path))
            })
            .collect();
        lines.concat()
    }

    pub(crate) fn findings(&self, profile: Profile) -> (Verdict, Vec<Finding>) {
        let files = self.files.iter().map(|(path, content)| (&path[..], &content[..]));
        judge(files, usize::MAX, Options::default(), profile)
    }
}

/// Judges, each file's bytes cut into chunks of this size.
pub(crate) fn judge<'a>(
    files: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    chunk: usize,
    options: Options,
    profile: Profile,
) -> (Verdict, Vec<Finding>) {
    fill(Bag::new(options, profile), files, chunk).findings()
}

pub(crate) fn fill<'a>(mut bag: Bag, files: impl Iterator<Item = (&'a [u8], &'a [u8])>, chunk: usize) -> Bag {
    for (path, content) in files {
        bag.file(path, content.len() as u64);
        if bag.wants_content(path) {
            content.chunks(chunk).for_each(|chunk| bag.content(chunk));
        }
        for algorithm in ALGORITHMS {
            bag.digest(algorithm, &digest(algorithm, content));
        }
    }
    bag
}

pub(crate) fn errors(findings: &[Finding]) -> Vec<String> {
    of(findings, Severity::Error)
}

pub(crate) fn warnings(findings: &[Finding]) -> Vec<String> {
    of(findings, Severity::Warning)
}

/// With their places.
fn of(findings: &[Finding], severity: Severity) -> Vec<String> {
    findings.iter().filter(|finding| finding.severity == severity).map(|finding| format!("{finding:#}")).collect()
}

pub(crate) fn digest(algorithm: &str, content: &[u8]) -> Vec<u8> {
    match algorithm {
        "md5" => Md5::digest(content).to_vec(),
        "sha224" => Sha224::digest(content).to_vec(),
        "sha256" => Sha256::digest(content).to_vec(),
        "sha512" => Sha512::digest(content).to_vec(),
        _ => panic!("no {algorithm} here"),
    }
}

/// A folder of bags and suites that others have made: named by `PRESERV_SHARED`, or `shared` beside the workspace. Says that
/// the test is skipped, if there is none.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = std::env::var_os("PRESERV_SHARED").map_or_else(beside, PathBuf::from).join(folder);
    if found.is_dir() {
        return Some(found);
    }
    eprintln!("skipped: there is no {}; PRESERV_SHARED names the folder that holds {folder}", found.display());
    None
}
