//! The images in ECR: are they there, what do their digests stand for, and which tags do they carry.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecr::types::ImageIdentifier;
use serde::Deserialize;

use crate::aws::{Aws, Trouble};
use crate::template::facts::{Image, Pin, Workload};

/// What ECR says about the images of the workloads.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// For each executable the digest of its image and those of the platforms in it.
    pub(crate) digests: BTreeMap<String, BTreeSet<String>>,
    /// References that ECR does not have.
    pub(crate) missing: Vec<String>,
    /// Not there yet, but the pull-through cache will fetch them.
    pub(crate) uncached: Vec<String>,
    /// References to other registries, which nobody looked at.
    pub(crate) elsewhere: Vec<String>,
}

/// A reference to ECR, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    account: &'a str,
    repository: &'a str,
}

/// An image index, as far as it matters: what it stands for.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<IndexEntry>,
}

#[derive(Deserialize)]
struct IndexEntry {
    digest: String,
}

/// Looks every image up.
pub(crate) async fn look_up(aws: &Aws<'_>, workloads: &[Workload]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut cached: Option<Vec<String>> = None;
    for workload in workloads {
        let image = &workload.image;
        let Some(place) = place(image) else {
            found.elsewhere.push(image.reference.clone());
            continue;
        };
        match manifest(aws, &place, image).await {
            Ok(Some((digest, manifest))) => {
                let index: Option<Index> = serde_json::from_str(&manifest).ok();
                let inside = index.into_iter().flat_map(|index| index.manifests).map(|entry| entry.digest);
                found.digests.insert(workload.executable.clone(), inside.chain([digest]).collect());
            }
            Ok(None) => {
                if cached.is_none() {
                    cached = Some(cache_prefixes(aws).await);
                }
                let is_cached =
                    cached.iter().flatten().any(|prefix| place.repository.starts_with(&format!("{prefix}/")));
                let list = if is_cached { &mut found.uncached } else { &mut found.missing };
                list.push(image.reference.clone());
            }
            Err(trouble) => return Err(trouble.stop()),
        }
    }
    Ok(found)
}

/// The tags that ECR knows for the digest of each image, by executable; of an image that it has not there are none.
pub(crate) async fn tags<'a>(
    aws: &Aws<'_>,
    workloads: impl Iterator<Item = &'a Workload>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Trouble> {
    let mut all = BTreeMap::new();
    for workload in workloads {
        let (Some(place), Pin::Digest(digest)) = (place(&workload.image), &workload.image.pin) else { continue };
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let answer = aws
            .attempt("asking ECR for the tags of an image", async || {
                aws.ecr
                    .describe_images()
                    .registry_id(place.account)
                    .repository_name(place.repository)
                    .image_ids(id.clone())
                    .send()
                    .await
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) if trouble.is_missing() => continue,
            Err(trouble) => return Err(trouble),
        };
        let details = answer.image_details().iter();
        let tags = details.flat_map(aws_sdk_ecr::types::ImageDetail::image_tags).cloned().collect();
        all.insert(workload.executable.clone(), tags);
    }
    Ok(all)
}

/// Digest and manifest of an image; none if ECR has it not.
async fn manifest(aws: &Aws<'_>, place: &Place<'_>, image: &Image) -> Result<Option<(String, String)>, Trouble> {
    let id = match &image.pin {
        Pin::Digest(digest) => ImageIdentifier::builder().image_digest(digest).build(),
        Pin::Tag(tag) => ImageIdentifier::builder().image_tag(tag).build(),
        Pin::Nothing => return Ok(None),
    };
    let answer = aws
        .attempt("asking ECR for an image", async || {
            aws.ecr
                .batch_get_image()
                .registry_id(place.account)
                .repository_name(place.repository)
                .image_ids(id.clone())
                .send()
                .await
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(trouble) if trouble.is_missing() => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    Ok(answer.images().first().and_then(|image| {
        Some((image.image_id()?.image_digest()?.to_owned(), image.image_manifest().unwrap_or_default().to_owned()))
    }))
}

/// Prefixes of repositories that ECR fills from other registries. Not being allowed to ask is as having none.
async fn cache_prefixes(aws: &Aws<'_>) -> Vec<String> {
    let answer = aws
        .attempt("asking ECR for its pull-through caches", async || {
            aws.ecr.describe_pull_through_cache_rules().send().await
        })
        .await;
    let rules = answer.ok().and_then(|answer| answer.pull_through_cache_rules).unwrap_or_default();
    rules.iter().filter_map(|rule| rule.ecr_repository_prefix().map(str::to_owned)).collect()
}

fn place(image: &Image) -> Option<Place<'_>> {
    let (host, repository) = image.repository.split_once('/')?;
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    rest.contains(".amazonaws.com").then_some(Place { account, repository })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_ecr_are_recognised() {
        let image = Image::parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/docker-hub/aptrust/a@sha256:1");
        let expected = Place { account: "123456789012", repository: "docker-hub/aptrust/a" };
        assert_eq!(place(&image), Some(expected));
        assert_eq!(place(&Image::parse("docker.io/aptrust/a:1")), None);
    }
}
