//! The registry's word on a release: every image stands there, is what the manifest says, and for a tag which digest it has.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::catalog::Catalog;
use crate::cli::Pin;
use crate::docker::{Docker, Login, Lookup, Stored};
use crate::exit::Exit;
use crate::process;
use crate::release::manifest::ManifestImage;
use crate::release::outcomes::by_trouble;
use crate::ui::Ui;

use super::release::Release;

/// How many images are asked for at a time.
const JOBS: usize = 4;

/// What a service's image is pinned to.
#[derive(Debug)]
pub(super) struct Pinned {
    /// `@sha256:…` or `:tag`.
    pub(super) pin: String,
    /// Such as `linux/amd64`; empty if nobody told.
    pub(super) platforms: Vec<String>,
}

/// What can be told without asking the registry.
pub(super) fn known_pins(release: &Release, pin: Pin, catalog: &Catalog) -> BTreeMap<String, Pinned> {
    let known = |service: &String| {
        let image = release.images.as_ref().and_then(|images| images.get(service));
        let pin = match pin {
            Pin::Digest => format!("@{}", image?.digest.as_deref()?),
            Pin::Tag => format!(":{}", release.tag),
        };
        Some((service.clone(), Pinned { pin, platforms: image.map(platforms).unwrap_or_default() }))
    };
    catalog.services.iter().filter_map(known).collect()
}

/// The pin of each service, after the registry was asked for every one of them. A release is all of its services, whatever the
/// template has of them.
pub(super) fn verified_pins(
    release: &Release,
    pin: Pin,
    catalog: &Catalog,
    ui: &Ui,
) -> Result<BTreeMap<String, Pinned>> {
    let login = Login::from_environment()?;
    let docker = Docker::find(release.registry.clone(), login.as_ref()).map_err(|error| {
        let next = "mend that, or use --offline, which asks nobody and leaves the template unverified";
        Exit::of(&error).stop(error.to_string(), next)
    })?;
    if login.is_some() {
        docker.login(login.as_ref())?;
    }
    let progress = ui.progress("asking", catalog.services.len() as u64);
    let answers = process::in_parallel(JOBS, &catalog.services, |service| {
        let answer = ask(&docker, release, pin, service)?;
        progress.step(service);
        Ok(answer)
    })?;
    drop(progress);

    let (mut pins, mut absent, mut failed) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (service, answer) in catalog.services.iter().zip(answers) {
        match answer {
            Ok(Answer::Stands(pinned)) => {
                pins.insert(service.clone(), pinned);
            }
            Ok(Answer::Not(what)) => absent.push(format!("  {what}")),
            Err(error) => failed.push((service, error)),
        }
    }
    let total = catalog.services.len();
    if let Some((_, first)) = failed.first() {
        let exit = Exit::of(first);
        let exit = if failed.iter().all(|(_, error)| Exit::of(error) == exit) { exit } else { Exit::Failed };
        let next = match exit {
            Exit::Unavailable => "log in: `docker login`, or DOCKER_USER and DOCKER_PWD",
            _ => "run it again when the registry answers; --offline asks nobody and leaves the template unverified",
        };
        let what =
            format!("asking the registry for {} of {total} images failed:\n{}", failed.len(), by_trouble(&failed));
        return Err(exit.stop(what, next));
    }
    if !absent.is_empty() {
        return Err(Exit::Refused.stop(
            format!(
                "{} of the {total} images of {} are not as they should be:\n{}",
                absent.len(),
                release.tag,
                absent.join("\n")
            ),
            "`cargo xtask release` completes a release; is --registry the right one?",
        ));
    }
    Ok(pins)
}

enum Answer {
    Stands(Pinned),
    /// It is absent, or another one; in words.
    Not(String),
}

fn ask(docker: &Docker, release: &Release, pin: Pin, service: &str) -> Result<Answer> {
    let repository = release.registry.repository(service);
    let image = release.images.as_ref().and_then(|images| images.get(service));
    let digest = image.and_then(|image| image.digest.as_deref());
    let reference = match (digest, pin) {
        (Some(digest), Pin::Digest) => format!("{repository}@{digest}"),
        _ => format!("{repository}:{}", release.tag),
    };
    let Lookup::Found(stored) = docker.lookup(&reference)? else {
        return Ok(Answer::Not(format!("{reference} does not exist")));
    };
    if image.is_some_and(|image| !is_the_image_of(&stored, image)) {
        return Ok(Answer::Not(format!("{reference} is another image than the manifest says")));
    }
    let pin = match (pin, digest, stored.as_slice()) {
        (Pin::Tag, _, _) => format!(":{}", release.tag),
        (Pin::Digest, Some(digest), _) => format!("@{digest}"),
        (Pin::Digest, None, [one]) => format!("@{}", one.digest),
        (Pin::Digest, None, _) => format!("@{}", docker.list_digest(&repository, &release.tag)?),
    };
    let told = || stored.iter().filter_map(|stored| stored.platform.clone()).collect();
    Ok(Answer::Stands(Pinned { pin, platforms: image.map_or_else(told, platforms) }))
}

fn platforms(image: &ManifestImage) -> Vec<String> {
    image.platforms.iter().map(|platform| platform.platform.clone()).collect()
}

/// The same configurations, whatever order they come in: a tag can have been moved after the manifest was written.
fn is_the_image_of(stored: &[Stored], image: &ManifestImage) -> bool {
    let sorted = |mut digests: Vec<String>| {
        digests.sort();
        digests
    };
    let stored = stored.iter().map(|stored| stored.config_digest.clone()).collect();
    let expected = image.platforms.iter().map(|platform| platform.config_digest.clone()).collect();
    sorted(stored) == sorted(expected)
}
