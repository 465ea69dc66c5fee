//! The registry's side of a release, in two passes: first every image stands there under its content tag, then the release
//! tags are set.
//!
//! A content tag names the image's configuration digest, so what stands is never sent again. A release tag is set once: one that
//! stands for another image is refused, before anything is pushed.

use anyhow::{Result, bail, ensure};

use crate::docker::{Docker, Lookup, Registry, Stored};
use crate::exit::Exit;
use crate::image::{Image, Layer};
use crate::process;
use crate::release::build;
use crate::release::manifest::{Manifest, ManifestImage};
use crate::release::outcomes::all_or_list;
use crate::ui::{Ui, megabytes};

/// The state of an image for which there was nothing to do.
pub(crate) const UNCHANGED: &str = "unchanged";

/// Publishes all images under the tag and completes the manifest. Returns a word for each image.
pub(crate) fn all(
    docker: &Docker,
    registry: &Registry,
    tag: &str,
    images: &[Vec<Image>],
    manifest: &mut Manifest,
    jobs: u8,
    ui: &Ui,
) -> Result<Vec<&'static str>> {
    let items: Vec<Item<'_>> = manifest
        .images
        .iter()
        .zip(images)
        .map(|(entry, images)| Item { repository: registry.repository(&entry.service), entry, images })
        .collect();
    let names: Vec<String> = items.iter().map(|item| item.entry.service.clone()).collect();
    let jobs = usize::from(jobs);

    let standing = process::in_parallel(jobs, &items, |item| item.standing(docker, tag))?;
    let standing = all_or_list("looking at the tags that stand", &names, standing)?;
    let refused: Vec<String> = items
        .iter()
        .zip(&standing)
        .filter(|(_, standing)| matches!(standing, Standing::Another(_)))
        .map(|(item, standing)| format!("  {}:{tag} stands for {standing}", item.repository))
        .collect();
    if !refused.is_empty() {
        return Err(Exit::Refused.stop(
            format!(
                "tags are never moved, and {} of them stand for other images:\n{}",
                refused.len(),
                refused.join("\n")
            ),
            "commit what differs, or give the tag another name with --branch; nothing was pushed",
        ));
    }

    let progress = ui.progress("pushing", items.len() as u64);
    let work: Vec<(&Item<'_>, &Standing)> = items.iter().zip(&standing).collect();
    let push = |(item, before): &(&Item<'_>, &Standing)| {
        let pushed = item.push(docker, before)?;
        let bytes: u64 = pushed.iter().map(|pushed| pushed.sent_bytes).sum();
        let what = if bytes == 0 { "stands already".to_owned() } else { format!("{} sent", megabytes(bytes)) };
        progress.step(&format!("{} {what}", item.entry.service));
        Ok(pushed)
    };
    // The first one alone: then the registry has the common layer, and the others do not all send it at a time.
    let (first, others) = work.split_at(1.min(work.len()));
    let mut pushed = process::in_parallel(jobs, first, push)?;
    pushed.extend(process::in_parallel(jobs, others, push)?);
    drop(progress);
    let pushed = all_or_list("pushing the images (no release tag was set)", &names, pushed)?;

    let progress = ui.progress("tagging", items.len() as u64);
    let work: Vec<((&Item<'_>, &Standing), &Vec<Pushed>)> = items.iter().zip(&standing).zip(&pushed).collect();
    let tagged = process::in_parallel(jobs, &work, |((item, before), pushed)| {
        let done = item.tag(docker, tag, before, pushed)?;
        progress.step(&item.entry.service);
        Ok(done)
    })?;
    drop(progress);
    ui.say(&format!("  the registry was asked {} times what a name stands for", docker.times_asked()));
    ui.result("registry_questions", docker.times_asked().into());
    let stand = tagged.iter().zip(&names).filter(|(result, _)| result.is_ok()).map(|(_, name)| name.as_str());
    let stand: Vec<&str> = stand.collect();
    let doing = format!("setting the tag {tag} (it stands for {}; run the release again to complete it)", list(&stand));
    let tagged = all_or_list(&doing, &names, tagged)?;

    let content: Vec<String> = items.iter().flat_map(Item::content_references).collect();
    docker.untag(&content);
    let states = items.iter().zip(&tagged).zip(&pushed).map(|((_, (_, set)), pushed)| match (*set, sent(pushed)) {
        (false, _) => UNCHANGED,
        (true, 0) => "tagged",
        (true, _) => "pushed",
    });
    let states = states.collect();
    drop(work);
    for ((entry, (digest, _)), pushed) in manifest.images.iter_mut().zip(tagged).zip(pushed) {
        entry.digest = Some(digest);
        for (platform, pushed) in entry.platforms.iter_mut().zip(pushed) {
            platform.manifest_digest = Some(pushed.digest);
        }
    }
    manifest.published = true;
    Ok(states)
}

fn sent(pushed: &[Pushed]) -> u64 {
    pushed.iter().map(|pushed| pushed.sent_bytes).sum()
}

/// A service on its way.
struct Item<'a> {
    repository: String,
    entry: &'a ManifestImage,
    images: &'a [Image],
}

/// What the release tag stands for before the run.
enum Standing {
    /// The registry says that there is none.
    Nothing,
    These(Vec<Stored>),
    /// Configuration digests.
    Another(Vec<String>),
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Standing::Nothing => f.write_str("nothing"),
            Standing::These(_) => f.write_str("these images"),
            Standing::Another(configs) => write!(f, "an image with the configuration {}", configs.join(" and ")),
        }
    }
}

/// An image that the registry holds under its content tag.
struct Pushed {
    digest: String,
    /// 0 if it stood there already.
    sent_bytes: u64,
}

impl Item<'_> {
    fn content_references(&self) -> Vec<String> {
        self.images.iter().map(|image| format!("{}:{}", self.repository, image.content_tag())).collect()
    }

    fn standing(&self, docker: &Docker, tag: &str) -> Result<Standing> {
        let Lookup::Found(stored) = docker.lookup(&format!("{}:{tag}", self.repository))? else {
            return Ok(Standing::Nothing);
        };
        let mut found: Vec<String> = stored.iter().map(|stored| stored.config_digest.clone()).collect();
        let mut ours: Vec<String> = self.images.iter().map(|image| image.config_digest.clone()).collect();
        found.sort();
        ours.sort();
        Ok(if found == ours { Standing::These(stored) } else { Standing::Another(found) })
    }

    /// First pass: every platform's image stands under its content tag, and was read back. What stands under the release tag was
    /// so when that was set, and need not be asked for again.
    fn push(&self, docker: &Docker, before: &Standing) -> Result<Vec<Pushed>> {
        if let Standing::These(stored) = before {
            let of = |image: &Image| stored.iter().find(|stored| stored.config_digest == image.config_digest);
            let pushed = |image| of(image).map(|stored| Pushed { digest: stored.digest.clone(), sent_bytes: 0 });
            return Ok(self.images.iter().filter_map(pushed).collect());
        }
        let push_one = |image: &Image, reference: &String| {
            if let Some(stored) = read(docker, reference, image)? {
                return Ok(Pushed { digest: stored.digest, sent_bytes: 0 });
            }
            docker.load(image, reference)?;
            if image.platform.is_native() {
                let executable = self.entry.platforms.iter().find(|platform| platform.platform == image.platform.name);
                let digest = executable.map(|executable| format!("sha256:{}", executable.executable_sha256));
                build::version(&self.entry.service, &digest.unwrap_or_default(), &docker.run_version(reference)?)?;
            }
            let (digest, sent) = docker.push(reference)?;
            match read(docker, reference, image)? {
                Some(stored) if stored.digest == digest => {
                    Ok(Pushed { digest, sent_bytes: sent_bytes(image, &stored, &sent) })
                }
                Some(stored) => bail!("{reference} was pushed as {digest}, but the registry gives {}", stored.digest),
                None => bail!("{reference} was pushed as {digest}, but the registry does not have it"),
            }
        };
        self.images
            .iter()
            .zip(&self.content_references())
            .map(|(image, reference)| push_one(image, reference))
            .collect()
    }

    /// Second pass: sets the release tag, unless it stood `before`, and reads it back. Returns its digest, and whether it
    /// had to be set.
    fn tag(&self, docker: &Docker, tag: &str, before: &Standing, pushed: &[Pushed]) -> Result<(String, bool)> {
        if let Standing::These(stored) = before {
            return Ok((self.digest(docker, tag, stored, pushed)?, false));
        }
        // The content tags were found by this very question a moment ago, so if it finds nothing here, there is nothing.
        match self.standing(docker, tag)? {
            Standing::Nothing => self.set(docker, tag, pushed)?,
            Standing::These(_) => {}
            now @ Standing::Another(_) => {
                let what = format!("{}:{tag} now stands for {now}: another release ran meanwhile", self.repository);
                return Err(Exit::Refused.stop(what, "find out who releases from where; tags are never moved"));
            }
        }
        match self.standing(docker, tag)? {
            Standing::These(stored) => Ok((self.digest(docker, tag, &stored, pushed)?, true)),
            now => bail!("the tag was set, but the registry says that it stands for {now}: do not use it"),
        }
    }

    fn set(&self, docker: &Docker, tag: &str, pushed: &[Pushed]) -> Result<()> {
        if let ([one], [image]) = (pushed, self.images) {
            return docker.tag(&self.repository, &image.content_tag(), &one.digest, tag);
        }
        let digests: Vec<String> = pushed.iter().map(|pushed| pushed.digest.clone()).collect();
        docker.tag_list(&self.repository, &digests, tag)
    }

    /// The digest of a tag that stands for `stored`, which must be the checked ones.
    fn digest(&self, docker: &Docker, tag: &str, stored: &[Stored], pushed: &[Pushed]) -> Result<String> {
        // Docker writes the parts of a list in no particular order.
        let sorted = |mut digests: Vec<String>| {
            digests.sort();
            digests
        };
        let found = sorted(stored.iter().map(|stored| stored.digest.clone()).collect());
        let expected = sorted(pushed.iter().map(|pushed| pushed.digest.clone()).collect());
        ensure!(found == expected, "the tag stands for {found:?}, but {expected:?} were checked: do not use it");
        match stored {
            [one] => Ok(one.digest.clone()),
            _ => docker.list_digest(&self.repository, tag),
        }
    }
}

/// The configuration, and those layers that docker says it pushed; others the registry had already, under this name or another.
fn sent_bytes(image: &Image, stored: &Stored, sent: &[String]) -> u64 {
    let was_sent = |layer: &Layer| sent.iter().any(|name| layer.is_named(name));
    let layers = image.layers.iter().zip(&stored.layer_bytes).filter(|(layer, _)| was_sent(layer));
    stored.config_bytes + layers.map(|(_, bytes)| bytes).sum::<u64>()
}

/// What the registry has under a content tag, if it is this image.
fn read(docker: &Docker, reference: &str, image: &Image) -> Result<Option<Stored>> {
    let Lookup::Found(stored) = docker.lookup(reference)? else { return Ok(None) };
    match stored.as_slice() {
        [one] if one.config_digest == image.config_digest => Ok(Some(one.clone())),
        other => bail!("{reference} should hold the configuration {}, but holds {other:?}", image.config_digest),
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none of them".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Platform;

    #[test]
    fn what_is_told_as_sent_is_what_docker_sent() {
        let common = Layer::common().unwrap();
        let platform = Platform::named("linux/amd64").unwrap();
        let image = Image::assemble("apt_delete", platform, b"executable", "source", &common).unwrap();
        let stored = Stored {
            digest: "sha256:a".into(),
            config_digest: image.config_digest.clone(),
            config_bytes: 10,
            layer_bytes: vec![100, 1000],
            platform: None,
        };
        let short = image.diff_ids().map(|digest| digest["sha256:".len()..][..12].to_owned());
        assert_eq!(sent_bytes(&image, &stored, &short), 1110);
        assert_eq!(sent_bytes(&image, &stored, &short[1..]), 1010);
        assert_eq!(sent_bytes(&image, &stored, &["x".to_owned()]), 10);
    }
}
