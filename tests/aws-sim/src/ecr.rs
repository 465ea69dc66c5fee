//! ECR: which images there are, by tag and by digest.
//!
//! Pages: "DescribeImages", "BatchGetImage" of the ECR API reference.

use serde_json::{Value, json};

use crate::chance::digest;
use crate::input::{Input, field};
use crate::scenario::Image;
use crate::wire::{Answer, Call, Fault};
use crate::world::World;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Debug, Default)]
pub(crate) struct Ecr {
    /// None: every image exists, but for the tag `unreleased`.
    images: Option<Vec<Image>>,
}

/// `registry/repository`, and what names the image in it.
struct Reference<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn parse(image: &str) -> Reference<'_> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    match path.rsplit_once(':') {
        Some((repository, tag)) => Reference { repository, tag: Some(tag), digest },
        None => Reference { repository: path, tag: digest.is_none().then_some("latest"), digest },
    }
}

/// A digest for an image that nobody has told of.
fn made_up(text: &str) -> String {
    format!("sha256:{}", digest(text.as_bytes()))
}

impl Ecr {
    /// From now on these exist, and no others.
    pub(crate) fn only(&mut self, images: &[Image]) {
        self.images = Some(images.to_vec());
    }

    fn find(&self, repository: &str, tag: Option<&str>, digest: Option<&str>) -> Option<Image> {
        let Some(images) = &self.images else {
            if tag == Some("unreleased") {
                return None;
            }
            let digest =
                digest.map_or_else(|| made_up(&format!("{repository}:{}", tag.unwrap_or_default())), str::to_owned);
            let tags = tag.map(str::to_owned).into_iter().collect();
            return Some(Image { repository: repository.to_owned(), digest, tags, platform_digest: None });
        };
        let mut of_repository = images.iter().filter(|image| image.repository == repository);
        of_repository
            .find(|image| match (tag, digest) {
                (_, Some(digest)) => image.digest == digest || image.platform_digest.as_deref() == Some(digest),
                (Some(tag), None) => image.tags.iter().any(|own| own == tag),
                (None, None) => false,
            })
            .cloned()
    }

    fn knows(&self, repository: &str) -> bool {
        self.images.as_ref().is_none_or(|images| images.iter().any(|image| image.repository == repository))
    }

    /// Whether ECS can pull the image. Repositories that the scenario does not list at all, such as that of a sidecar, are
    /// taken to hold whatever is asked for.
    pub(crate) fn pullable(&self, image: &str) -> bool {
        let reference = parse(image);
        let known = self.images.is_some() && self.knows(reference.repository);
        if known || self.images.is_none() {
            return self.find(reference.repository, reference.tag, reference.digest).is_some();
        }
        true
    }

    /// The digest that a task shows: of an index, that of the platform's image.
    pub(crate) fn running_digest(&self, image: &str) -> Option<String> {
        let reference = parse(image);
        match self.find(reference.repository, reference.tag, reference.digest) {
            Some(found) => Some(found.platform_digest.unwrap_or(found.digest)),
            None => reference.digest.map(str::to_owned).or_else(|| Some(made_up(image))),
        }
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Answer {
    match call.operation.as_str() {
        "DescribeImages" => describe(world, &call.input),
        "BatchGetImage" => get(world, &call.input),
        _ => Err(Fault::unknown_operation(call)),
    }
}

fn repository<'a>(world: &World, input: &'a Input) -> Result<&'a str, Fault> {
    let name = input.text("repositoryName").unwrap_or_default();
    if world.ecr.knows(name) {
        return Ok(name);
    }
    let text = format!("The repository with name '{name}' does not exist in the registry with id '{}'", world.account);
    Err(Fault::new("RepositoryNotFoundException", text))
}

fn describe(world: &World, input: &Input) -> Answer {
    let repository = repository(world, input)?;
    let mut details = Vec::new();
    let wanted = input.list("imageIds");
    let all: Vec<Image> = if wanted.is_empty() {
        let images = world.ecr.images.iter().flatten();
        images.filter(|image| image.repository == repository).cloned().collect()
    } else {
        let mut found = Vec::new();
        for id in wanted {
            let (tag, digest) = (text(id, "imageTag"), text(id, "imageDigest"));
            let image = world.ecr.find(repository, tag, digest).ok_or_else(|| {
                Fault::new("ImageNotFoundException", format!(
                    "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{repository}' in the registry with id '{}'",
                    digest.unwrap_or("null"), tag.unwrap_or("null"), world.account
                ))
            })?;
            found.push(image);
        }
        found
    };
    for image in all {
        details.push(json!({
            "registryId": world.account,
            "repositoryName": repository,
            "imageDigest": image.digest,
            "imageTags": image.tags,
            "imageSizeInBytes": 4_000_000,
            "imagePushedAt": world.now.epoch(),
            "imageManifestMediaType": if image.platform_digest.is_some() { INDEX } else { MANIFEST },
        }));
    }
    Ok(json!({"imageDetails": details}))
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    Some(field(value, name)).filter(|text| !text.is_empty())
}

fn get(world: &World, input: &Input) -> Answer {
    let repository = repository(world, input)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in input.list("imageIds") {
        let (tag, digest) = (text(id, "imageTag"), text(id, "imageDigest"));
        match world.ecr.find(repository, tag, digest) {
            Some(image) => images.push(json!({
                "registryId": world.account,
                "repositoryName": repository,
                "imageId": {"imageDigest": image.digest, "imageTag": tag},
                "imageManifest": manifest(&image),
                "imageManifestMediaType": if image.platform_digest.is_some() { INDEX } else { MANIFEST },
            })),
            None => failures.push(json!({
                "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
            })),
        }
    }
    Ok(json!({"images": images, "failures": failures}))
}

/// A manifest of the right form; its digest is not that of its bytes.
fn manifest(image: &Image) -> String {
    let value = match &image.platform_digest {
        Some(child) => json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": child, "size": 500, "platform": {"architecture": "amd64", "os": "linux"}},
        ]}),
        None => json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": made_up(&image.digest), "size": 500},
            "layers": []}),
    };
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let whole = parse("1.dkr.ecr.us-east-1.amazonaws.com/docker-hub/aptrust/apt_delete@sha256:ab");
        assert_eq!(
            (whole.repository, whole.tag, whole.digest),
            ("docker-hub/aptrust/apt_delete", None, Some("sha256:ab"))
        );
        let short = parse("localhost:5000/aptrust/x:tag");
        assert_eq!((short.repository, short.tag), ("aptrust/x", Some("tag")));
        assert_eq!(parse("aptrust/x").tag, Some("latest"));
    }

    #[test]
    fn a_task_shows_the_platforms_digest() {
        let mut ecr = Ecr::default();
        assert!(ecr.pullable("a/b:any"));
        assert!(!ecr.pullable("a/b:unreleased"));
        ecr.only(&[Image {
            repository: "a/b".to_owned(),
            digest: "sha256:index".to_owned(),
            tags: vec!["t".to_owned()],
            platform_digest: Some("sha256:child".to_owned()),
        }]);
        assert_eq!(ecr.running_digest("a/b@sha256:index").as_deref(), Some("sha256:child"));
        assert!(ecr.pullable("a/b:t"));
        assert!(!ecr.pullable("a/b:other"));
        assert!(ecr.pullable("side/car:1"));
    }
}
