//! Which release a template is pinned to: a tag, a manifest by name, or the newest one that fits HEAD.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::catalog::Catalog;
use crate::cli;
use crate::docker::Registry;
use crate::exit::Exit;
use crate::git::{Checkout, Since};
use crate::release::manifest::{self, Manifest, ManifestImage};
use crate::ui::Ui;

use super::reference::{is_digest, is_tag};

/// A release to pin to.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) tag: String,
    /// Where its images are looked up.
    pub(super) registry: Registry,
    /// By service; none if only a tag is known.
    pub(super) images: Option<BTreeMap<String, ManifestImage>>,
}

/// The release that the command line means for this template.
pub(super) fn choose(args: &cli::UpdateTemplate, catalog: &Catalog, template: &Path, ui: &Ui) -> Result<Release> {
    if let Some(tag) = &args.tag {
        if !is_tag(tag) {
            return Err(Exit::Usage.stop(format!("`{tag}` is no image tag"), "a tag looks like 1a2b3c4-main"));
        }
        if args.offline && args.pin == cli::Pin::Digest {
            return Err(Exit::Usage.stop(
                "--offline does not ask the registry, and only the registry knows the digests of a tag",
                "leave --offline out, or use --pin tag, or --from <manifest>",
            ));
        }
        refuse_marked(args, tag, false, false)?;
        if args.pin == cli::Pin::Tag && !names_a_commit(tag) {
            return Err(Exit::Refused.stop(
                format!("the tag `{tag}` is of no release: what it stands for may change"),
                "take a tag that begins with the commit, such as 1a2b3c4-main, or leave --pin tag out",
            ));
        }
        return Ok(Release { tag: tag.clone(), registry: Registry::parse(registry(args))?, images: None });
    }
    let manifest = match &args.from {
        Some(path) => {
            let manifest = Manifest::read(path)?;
            refuse_marked(args, &manifest.tag, manifest.dirty, manifest.unfinished)?;
            if let Err(why) = complete(&manifest, catalog) {
                let next = "finish it with `cargo xtask release`, or take another one";
                return Err(Exit::Refused.stop(format!("{} {why}", path.display()), next));
            }
            manifest
        }
        None => newest(args, catalog, template, ui)?,
    };
    let registry = Registry::parse(args.registry.as_deref().unwrap_or(&manifest.registry))?;
    let images = manifest.images.into_iter().map(|image| (image.service.clone(), image)).collect();
    Ok(Release { tag: manifest.tag, registry, images: Some(images) })
}

/// A release's tag begins with its commit; tags that move (`latest`) do not.
fn names_a_commit(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(commit, _)| commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit()))
}

/// `--registry`, or the one that everybody uses.
pub(super) fn registry(args: &cli::UpdateTemplate) -> &str {
    args.registry.as_deref().unwrap_or("docker.io/aptrust")
}

/// The template is one file for all environments and travels by commit, so what may not reach demo and prod stays out of it
/// unless it is asked for. `deploy` refuses it there once more.
fn refuse_marked(args: &cli::UpdateTemplate, tag: &str, dirty: bool, unfinished: bool) -> Result<()> {
    let unfinished_tag = tag.ends_with("-unfinished");
    let dirty = dirty || tag.trim_end_matches("-unfinished").ends_with("-dirty");
    for (marked, allowed, mark, what) in [
        (dirty, args.allow_dirty, "dirty", "was built from uncommitted work"),
        (unfinished || unfinished_tag, args.allow_unfinished, "unfinished", "holds executables that do no work yet"),
    ] {
        if marked && !allowed {
            return Err(Exit::Refused.stop(
                format!("the release {tag} {what}, and the template is for demo and prod too (--allow-{mark})"),
                format!("pin another release, or use --allow-{mark} for a template that only staging gets"),
            ));
        }
    }
    Ok(())
}

/// A release counts only if all services stand in the registry.
fn complete(manifest: &Manifest, catalog: &Catalog) -> Result<(), String> {
    if !manifest.published {
        return Err("is of a release that was not published (--no-push)".to_owned());
    }
    if !is_tag(&manifest.tag) {
        return Err(format!("has the tag `{}`, which is none", manifest.tag));
    }
    let stands = |service: &&String| {
        let image = manifest.images.iter().find(|image| image.service == **service);
        !image.is_some_and(|image| image.digest.as_deref().is_some_and(is_digest))
    };
    let missing: Vec<&str> = catalog.services.iter().filter(stands).map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("has no digest of {}", missing.join(", "))) }
}

/// The complete release of HEAD, or of the nearest ancestor from which HEAD differs in nothing that an image depends on. Committing
/// a pinned template moves HEAD, and must not leave its own release behind.
fn newest(args: &cli::UpdateTemplate, catalog: &Catalog, template: &Path, ui: &Ui) -> Result<Manifest> {
    let checkout = Checkout::read(&catalog.root)?;
    let mut fitting: Vec<(u64, std::cmp::Reverse<SystemTime>, Manifest)> = Vec::new();
    let mut passed_over = Vec::new();
    for path in manifest::all(&catalog.target)? {
        match fits(&path, args, catalog, template) {
            Ok((distance, manifest)) => {
                let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
                let modified = modified.unwrap_or(SystemTime::UNIX_EPOCH);
                fitting.push((distance, std::cmp::Reverse(modified), manifest));
            }
            Err(why) => passed_over.push(format!("  {}: {why}", name(&path))),
        }
    }
    fitting.sort_by_key(|(distance, modified, _)| (*distance, *modified));
    if !passed_over.is_empty() && !fitting.is_empty() {
        ui.detail(&format!("passed over:\n{}", passed_over.join("\n")));
    }
    if let Some((_, _, manifest)) = fitting.into_iter().next() {
        return Ok(manifest);
    }
    let known = if passed_over.is_empty() { String::new() } else { format!(":\n{}", passed_over.join("\n")) };
    Err(Exit::Refused.stop(
        format!("no release of commit {} to {} is known here{known}", checkout.short, registry(args)),
        "run `cargo xtask release`, or name one: --tag <tag> or --from <manifest>",
    ))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How many commits a release is behind HEAD, if it can be taken without being named.
fn fits(path: &Path, args: &cli::UpdateTemplate, catalog: &Catalog, template: &Path) -> Result<(u64, Manifest)> {
    let manifest = Manifest::read(path)?;
    refuse_marked(args, &manifest.tag, manifest.dirty, manifest.unfinished)?;
    complete(&manifest, catalog).map_err(|why| anyhow::anyhow!(why))?;
    anyhow::ensure!(manifest.registry == registry(args), "was published to {} (--registry)", manifest.registry);
    let since = Since::commit(&catalog.root, &manifest.commit)?;
    let since = since.with_context(|| format!("HEAD does not descend from its commit {}", short(&manifest.commit)))?;
    let matters = |file: &&String| !is_apart_from_images(file) && catalog.root.join(file) != *template;
    if let Some(file) = since.files.iter().find(matters) {
        anyhow::bail!("{file} changed since its commit {}", short(&manifest.commit));
    }
    Ok((since.commits, manifest))
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// A path that no image is made of, whatever it holds. A list of what is known to be apart, not of what matters: a file that nobody
/// thought of makes a release stale rather than wrong. Files beside code may be compiled in, so of those not even `*.md` is on it.
fn is_apart_from_images(path: &str) -> bool {
    let top_level_text = !path.contains('/') && Path::new(path).extension().is_some_and(|extension| extension == "md");
    path.starts_with("cloudformation/") || path.starts_with("docs/") || top_level_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_image_depends_on_is_a_short_list() {
        for path in ["cloudformation/cfn-preserv-master.yml", "cloudformation/prod.json", "docs/a.png", "README.md"] {
            assert!(is_apart_from_images(path), "{path}");
        }
        for path in ["Cargo.lock", "services/bagit/README.md", "xtask/src/image.rs", "rust-toolchain.toml", "docs"] {
            assert!(!is_apart_from_images(path), "{path}");
        }
    }
}
