//! The release that a template's images are of: one complete release, or none.

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
}

impl Release {
    fn of(manifest: Manifest, path: &Path) -> Self {
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
        }
    }

    /// What in the workloads is not of this release.
    pub(crate) fn foreign(&self, workloads: &[Workload]) -> Vec<String> {
        let strange = workloads.iter().filter(|workload| match &workload.image.pin {
            Pin::Digest(digest) => {
                !self.images.get(&workload.executable).is_some_and(|digests| digests.contains(digest))
            }
            Pin::Tag(tag) => *tag != self.tag,
            Pin::Nothing => true,
        });
        strange.map(|workload| format!("{} ({})", workload.executable, workload.image.short())).collect()
    }
}

/// The release of the manifest `given`, or of the manifest below `folder` that has all these images.
pub(crate) fn find(workloads: &[Workload], given: Option<&Path>, folder: &Path) -> Result<Option<Release>> {
    if let Some(path) = given {
        return read(path).map(Some);
    }
    let mut paths: Vec<PathBuf> = manifests(folder);
    paths.sort();
    // One that cannot be read is not the one that is looked for.
    let releases = paths.iter().filter_map(|path| read(path).ok());
    Ok(releases.into_iter().find(|release| release.foreign(workloads).is_empty()))
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

/// The one tag that all of them carry, besides tags that name contents instead of a release.
pub(crate) fn common_tag(tags: &[BTreeSet<String>]) -> Option<String> {
    let (first, rest) = tags.split_first()?;
    let common = first.iter().filter(|tag| !tag.starts_with("content-") && *tag != "latest");
    let mut common = common.filter(|tag| rest.iter().all(|tags| tags.contains(*tag)));
    common.next().cloned()
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
    fn a_digest_edited_by_hand_is_of_no_release() {
        let folder = tempfile::tempdir().unwrap();
        let tag = folder.path().join("1a-main");
        fs::create_dir(&tag).unwrap();
        let manifest = |published: bool| {
            format!(
                r#"{{"schema":"{SCHEMA}","tag":"1a-main","commit":"1a","dirty":false,"unfinished":false,"published":{published},"images":[
                {{"service":"a","digest":"sha256:a","platforms":[{{"manifest_digest":"sha256:a-amd64"}}]}},
                {{"service":"b","digest":"sha256:b","platforms":[]}}]}}"#
            )
        };
        let path = tag.join("release-1a-main.json");
        fs::write(&path, manifest(true)).unwrap();
        let good = [workload("a", "@sha256:a"), workload("b", "@sha256:b")];
        let release = find(&good, None, folder.path()).unwrap().unwrap();
        assert_eq!((release.tag.as_str(), release.images["a"].len()), ("1a-main", 2));
        let tagged = [workload("a", ":1a-main"), workload("b", ":1a-main")];
        assert!(find(&tagged, None, folder.path()).unwrap().is_some());
        let edited = [workload("a", "@sha256:a"), workload("b", "@sha256:c")];
        assert!(find(&edited, None, folder.path()).unwrap().is_none());
        assert_eq!(release.foreign(&edited), ["b (c)"]);
        fs::write(&path, manifest(false)).unwrap();
        assert!(find(&good, None, folder.path()).unwrap().is_none());
        assert_eq!(Exit::of(&find(&good, Some(&path), folder.path()).unwrap_err()), Exit::Refused);
    }

    #[test]
    fn the_common_tag_names_a_release() {
        let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<BTreeSet<_>>();
        let all = [tags(&["1a-main", "content-1", "latest"]), tags(&["1a-main", "latest", "0b-main"])];
        assert_eq!(common_tag(&all).as_deref(), Some("1a-main"));
        assert_eq!(common_tag(&[tags(&["1a-main"]), tags(&["2b-main"])]), None);
        assert_eq!(common_tag(&[]), None);
    }
}
