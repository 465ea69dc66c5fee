//! Where a template's images come from: one complete release, several of them (a mixed release), or what no release is known for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xtask::exit::Exit;

use crate::template::facts::{Pin, Workload};

const SCHEMA: &str = "preserv-release/1";

/// What of a release manifest counts here.
#[derive(Debug, Deserialize)]
struct Manifest {
    schema: String,
    tag: String,
    commit: String,
    dirty: bool,
    unfinished: bool,
    published: bool,
    images: Vec<ManifestImage>,
}

#[derive(Debug, Deserialize)]
struct ManifestImage {
    service: String,
    digest: Option<String>,
    platforms: Vec<ManifestPlatform>,
}

#[derive(Debug, Deserialize)]
struct ManifestPlatform {
    manifest_digest: Option<String>,
    #[serde(default)]
    compressed_bytes: u64,
}

/// One complete release, as far as deploying needs it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Release {
    pub(crate) tag: String,
    /// The full commit id; the registry's tags tell only its beginning.
    pub(crate) commit: String,
    /// What says so: a manifest, the registry's tags, or the record of an earlier deployment.
    pub(crate) known_from: String,
    pub(crate) dirty: bool,
    pub(crate) unfinished: bool,
    /// For each executable the digest of its image, and those of the platforms that it stands for.
    pub(crate) images: BTreeMap<String, BTreeSet<String>>,
    /// Those whose image in the template is of this release.
    pub(crate) executables: BTreeSet<String>,
    /// Compressed bytes of each image, of all its platforms; nothing that a record keeps.
    #[serde(skip)]
    pub(crate) bytes: BTreeMap<String, u64>,
}

/// Where the images of a template come from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Origin {
    /// The one of most images first.
    pub(crate) releases: Vec<Release>,
    /// The images of no release that is known, by executable: other digests, and tags that nobody can vouch for.
    pub(crate) others: BTreeMap<String, String>,
}

impl Origin {
    /// Gives each image to a release of `known`, to as few of them as possible.
    pub(crate) fn of(workloads: &[Workload], known: &[Release]) -> Self {
        let mut left: Vec<&Workload> = workloads.iter().collect();
        let mut releases = Vec::new();
        loop {
            let held = known.iter().map(|release| (release, release.holds(&left)));
            // The first of several, so that a manifest goes before a tag.
            let most = held.min_by_key(|(_, executables)| std::cmp::Reverse(executables.len()));
            let Some((release, executables)) = most.filter(|(_, executables)| !executables.is_empty()) else { break };
            left.retain(|workload| !executables.contains(&workload.executable));
            releases.push(Release { executables, ..release.clone() });
        }
        let others = left.into_iter().map(|workload| (workload.executable.clone(), workload.image.short()));
        Self { others: others.collect(), releases }
    }

    /// The one release that all the images are of.
    pub(crate) fn whole(&self) -> Option<&Release> {
        match &self.releases[..] {
            [release] if self.others.is_empty() => Some(release),
            _ => None,
        }
    }

    pub(crate) fn release(&self, executable: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.executables.contains(executable))
    }

    /// What the template is called in the archive: the tag that all share, or a name of its own for a mixture.
    pub(crate) fn name(&self, template_sha256: &str) -> String {
        let tags: BTreeSet<&str> = self.tags().collect();
        match tags.first() {
            Some(tag) if tags.len() == 1 && is_release_tag(tag) => (*tag).to_owned(),
            _ => format!("mixed-{}", template_sha256.get(..8).unwrap_or(template_sha256)),
        }
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.releases.iter().map(|release| release.tag.as_str()).chain(self.others.values().map(String::as_str))
    }

    /// Which images are of what, in a line.
    pub(crate) fn text(&self) -> String {
        let some = |names: Vec<String>| match names.len() {
            0..=3 => names.join(", "),
            count => format!("{count} images"),
        };
        let others = self.others.iter().map(|(executable, image)| format!("{executable} {image}"));
        let parts = self
            .releases
            .iter()
            .map(|release| format!("{} ({})", release.tag, some(release.executables.iter().cloned().collect())))
            .chain((!self.others.is_empty()).then(|| format!("no known release ({})", some(others.collect()))));
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl Release {
    fn of(manifest: Manifest, path: &Path) -> Self {
        let bytes = manifest.images.iter().map(|image| {
            (image.service.clone(), image.platforms.iter().map(|platform| platform.compressed_bytes).sum())
        });
        let bytes = bytes.collect();
        let images = manifest.images.into_iter().map(|image| {
            let platforms = image.platforms.into_iter().filter_map(|platform| platform.manifest_digest);
            (image.service, image.digest.into_iter().chain(platforms).collect())
        });
        Self {
            tag: manifest.tag,
            commit: manifest.commit,
            known_from: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            dirty: manifest.dirty,
            unfinished: manifest.unfinished,
            images: images.collect(),
            executables: BTreeSet::new(),
            bytes,
        }
    }

    /// Those of the workloads whose image is of this release.
    fn holds(&self, workloads: &[&Workload]) -> BTreeSet<String> {
        let held = workloads.iter().filter(|workload| {
            self.images.get(&workload.executable).is_some_and(|digests| match &workload.image.pin {
                Pin::Digest(digest) => digests.contains(digest),
                Pin::Tag(tag) => *tag == self.tag,
                Pin::Nothing => false,
            })
        });
        held.map(|workload| workload.executable.clone()).collect()
    }
}

/// The releases of the manifests `given`, or of all manifests below `folder`.
pub(crate) fn known(given: &[PathBuf], folder: &Path) -> Result<Vec<Release>> {
    if !given.is_empty() {
        return given.iter().map(|path| read(path)).collect();
    }
    let mut paths: Vec<PathBuf> = manifests(folder);
    paths.sort();
    // One that cannot be read is not the one that is looked for.
    Ok(paths.iter().filter_map(|path| read(path).ok()).collect())
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let files = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files(folder.to_owned())
        .filter(|path| path.is_dir())
        .flat_map(files)
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("release-") && path.extension().is_some_and(|extension| extension == "json")
        })
        .collect()
}

fn read(path: &Path) -> Result<Release> {
    let refuse = |why: String| {
        Exit::Refused.stop(
            format!("{} is no release manifest: {why}", path.display()),
            "give a release-<tag>.json of cargo xtask release",
        )
    };
    let text = fs::read(path)
        .with_context(|| format!("reading {}", path.display()))
        .map_err(|error| refuse(format!("{error:#}")))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    if manifest.schema != SCHEMA {
        return Err(refuse(format!("its schema is {}, and this program reads {SCHEMA}", manifest.schema)));
    }
    if !manifest.published {
        return Err(refuse("its images were not pushed".to_owned()));
    }
    Ok(Release::of(manifest, path))
}

/// The releases that the registry's tags tell of: `release` sets its tag on no image before all of them stand.
pub(crate) fn tagged(workloads: &[Workload], tags: &BTreeMap<String, BTreeSet<String>>) -> Vec<Release> {
    let mut releases: BTreeMap<&str, Release> = BTreeMap::new();
    for workload in workloads {
        let Pin::Digest(digest) = &workload.image.pin else { continue };
        for tag in tags.get(&workload.executable).into_iter().flatten().filter(|tag| is_release_tag(tag)) {
            let release = releases.entry(tag).or_insert_with(|| Release {
                tag: tag.clone(),
                commit: tag.split(['-', '_']).next().unwrap_or_default().to_owned(),
                known_from: "the registry's tags".to_owned(),
                dirty: tag.contains("-dirty"),
                unfinished: tag.ends_with("-unfinished"),
                ..Release::default()
            });
            release.images.entry(workload.executable.clone()).or_default().insert(digest.clone());
        }
    }
    releases.into_values().collect()
}

/// A release's tag begins with its commit; `latest` and tags that name contents do not.
fn is_release_tag(tag: &str) -> bool {
    let commit = tag.split(['-', '_']).next().unwrap_or_default();
    commit.len() >= 7 && commit != tag && commit.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::facts::{Image, Runner};

    fn workload(executable: &str, pin: &str) -> Workload {
        Workload {
            executable: executable.to_owned(),
            image: Image::parse(&format!("r/{executable}{pin}")),
            container: String::new(),
            task_definition: String::new(),
            runner: Runner::Nothing,
            secrets: BTreeSet::new(),
            cpu: None,
            memory: None,
            capacity: None,
        }
    }

    #[test]
    fn each_image_is_given_to_the_release_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |tag: &str, mark: char, published: bool| {
            let text = format!(
                r#"{{"schema":"{SCHEMA}","tag":"{tag}","commit":"{mark}","dirty":false,"unfinished":false,"published":{published},"images":[
                {{"service":"a","digest":"sha256:a{mark}","platforms":[{{"manifest_digest":"sha256:a{mark}-amd64"}}]}},
                {{"service":"b","digest":"sha256:b{mark}","platforms":[]}}]}}"#
            );
            let path = folder.path().join(tag).join(format!("release-{tag}.json"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let path = write("1111111-main", '1', true);
        write("2222222-main", '2', true);
        let origin = |one: &str, other: &str| {
            Origin::of(&[workload("a", one), workload("b", other)], &known(&[], folder.path()).unwrap())
        };
        let whole = origin("@sha256:a1", "@sha256:b1");
        assert_eq!(whole.whole().map(|release| release.images["a"].len()), Some(2));
        assert_eq!(whole.name("ffffffffff"), "1111111-main");
        assert!(origin(":2222222-main", ":2222222-main").whole().is_some());
        let mixed = origin("@sha256:a1", "@sha256:b2");
        assert!(mixed.whole().is_none() && mixed.others.is_empty());
        assert_eq!(mixed.release("b").map(|release| release.commit.as_str()), Some("2"));
        assert_eq!(
            (mixed.name("ffffffffff"), mixed.text()),
            ("mixed-ffffffff".to_owned(), "1111111-main (a), 2222222-main (b)".to_owned())
        );
        let edited = origin("@sha256:a1", "@sha256:c");
        assert!(edited.whole().is_none());
        assert_eq!(edited.text(), "1111111-main (a), no known release (b c)");
        // Another family of images: they share a tag, and no release vouches for it.
        let foreign = origin(":abcdef0-master", ":abcdef0-master");
        assert_eq!((foreign.whole(), foreign.name("ffffffffff").as_str()), (None, "abcdef0-master"));
        assert!(Origin::of(&[], &known(&[], folder.path()).unwrap()).whole().is_none(), "of nothing is no release");
        write("1111111-main", '1', false);
        assert!(origin("@sha256:a1", "@sha256:b1").whole().is_none());
        assert_eq!(Exit::of(&known(&[path], folder.path()).unwrap_err()), Exit::Refused);
    }

    #[test]
    fn the_registrys_tags_tell_releases() {
        let workloads = [workload("a", "@sha256:a"), workload("b", "@sha256:b")];
        let origin = |one: &[&str], other: &[&str]| {
            let tags = [("a", one), ("b", other)]
                .map(|(name, tags)| (name.to_owned(), tags.iter().map(|&tag| tag.to_owned()).collect()));
            Origin::of(&workloads, &tagged(&workloads, &tags.into()))
        };
        let both = origin(&["1a1a1a1-main", "content-1a1a1a1a", "latest"], &["0b0b0b0-main", "1a1a1a1-main", "latest"]);
        assert_eq!(both.whole().map(|release| release.tag.as_str()), Some("1a1a1a1-main"));
        assert!(origin(&["1a1a1a1-main"], &["2b2b2b2-main"]).whole().is_none());
        assert!(origin(&["latest"], &["latest"]).releases.is_empty());
    }
}
