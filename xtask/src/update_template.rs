//! `update-template`: points the CloudFormation template at the images of one release, and changes nothing else in it.
//!
//! [`run`] reads as the list of steps. Which texts are images is decided in `images`, which release is meant in `release`, whether
//! it stands in the registry in `verify`; `splice` writes the pins into the bytes and proves that only they changed.

mod images;
#[cfg(test)]
mod property;
mod reference;
mod release;
mod splice;
mod template;
#[cfg(test)]
mod tests;
mod verify;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, absolute};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::{self, Pin};
use crate::docker::Registry;
use crate::exit::Exit;
use crate::files::{self, Lock};
use crate::process;
use crate::ui::{Paint, Ui, table};

use images::{Found, Image};
use release::Release;
use splice::Edit;
use template::Template;
use verify::Pinned;

/// The template of this repository.
const TEMPLATE: &str = "cloudformation/cfn-preserv-master.yml";

pub(crate) fn run(args: &cli::UpdateTemplate, dry_run: bool, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let path = match &args.template {
        Some(path) => absolute(path).with_context(|| format!("finding {}", path.display()))?,
        None => catalog.root.join(TEMPLATE),
    };
    let writes = !dry_run && !args.check;
    if writes {
        ui.keep_below(&catalog.target)?;
    }
    let lock = catalog.target.join("xtask/update-template/lock");
    let _lock = if writes { Some(Lock::take(&lock, "update-template")?) } else { None };
    if writes {
        files::remove_leftovers(&path);
    }

    let template = Template::read(&path)?;
    let prefix = Registry::parse(release::registry(args))?.prefix;
    let found = images::find(&template.text, &template.yaml, &catalog.services, &prefix);
    let shown = path.strip_prefix(&catalog.root).unwrap_or(&path);
    let images = usable(found, shown, ui)?;
    let missing = warn_of_missing(&images, &catalog, ui);
    let images = only(images, &args.only, shown)?;

    let release = release::choose(args, &catalog, &path, ui)?;
    announce(&release, args, shown, ui);
    let pins = pins(args, &release, &catalog, ui)?;
    refuse_other_platforms(&images, &pins, &release.tag)?;
    let changes = changes(&images, &pins)?;
    let edits: Vec<Edit> = changes.iter().map(|(image, pin)| Edit::new(image, pin)).collect();
    let text = splice::splice(&template.text, &edits);
    splice::prove(&template.text, &text, &edits).context("more than the images would change; nothing was written")?;
    template::fits(text.len() as u64).map_err(|size| {
        Exit::Refused.stop(format!("with these images {} {size}", shown.display()), "--pin tag is shorter")
    })?;

    list(&images, &changes, ui);
    ui.result("template", Value::from(path.display().to_string()));
    ui.result("tag", Value::from(release.tag.clone()));
    ui.result("registry", Value::from(format!("{}/{}", release.registry.host, release.registry.prefix)));
    ui.result("verified", Value::from(!args.offline));
    ui.result("images", Value::from(images.len()));
    ui.result("changed", Value::from(changes.len()));
    ui.result("missing", Value::from(missing));

    let (stale, total, tag) = (changes.len(), images.len(), &release.tag);
    let done = |text: String| ui.say(&ui.paint(Paint::Green, &text));
    if stale == 0 {
        done(format!("nothing to do: all {total} images of {} are those of {tag}", shown.display()));
    } else if args.check {
        return Err(Exit::Refused.stop(
            format!("{} is stale: {stale} of its {total} images are not those of {tag}", shown.display()),
            "run the command without --check, and commit the template",
        ));
    } else if dry_run {
        done(format!("would pin {stale} of {total} images of {} to {tag}", shown.display()));
    } else {
        process::check_interrupt()?;
        files::replace_content(&path, &template.bytes(&template.text), &template.bytes(&text))?;
        done(format!("pinned {stale} of {total} images of {} to {tag}", shown.display()));
        ui.say("look at it with `git diff`, then commit it");
    }
    Ok(Exit::Done)
}

/// The images of a template that can be pinned as a whole.
fn usable(found: Found, shown: &Path, ui: &Ui) -> Result<Vec<Image>> {
    for mention in &found.mentions {
        ui.say(&format!("{}, {mention}; left alone", shown.display()));
        ui.record("mention", &json!({ "message": mention }));
    }
    if !found.problems.is_empty() {
        let lines: Vec<String> = found.problems.iter().map(|problem| format!("  {problem}")).collect();
        return Err(Exit::Refused.stop(
            format!("{} cannot be pinned:\n{}", shown.display(), lines.join("\n")),
            "an image is one text that ends in <service>:<tag> or <service>@<digest>, and stands once for each service; \
             containers that share one read it from Mappings",
        ));
    }
    if found.images.is_empty() {
        return Err(Exit::Refused.stop(
            format!("{} has no image of any of our services", shown.display()),
            "an image is the Image of a ContainerDefinitions element, or a value of Mappings that one reads",
        ));
    }
    Ok(found.images)
}

/// Those of the images that are to be pinned.
fn only(mut images: Vec<Image>, services: &[String], shown: &Path) -> Result<Vec<Image>> {
    if services.is_empty() {
        return Ok(images);
    }
    let is_missing = |service: &&String| !images.iter().any(|image| image.service == **service);
    let missing: Vec<&str> = services.iter().filter(is_missing).map(String::as_str).collect();
    if !missing.is_empty() {
        let there: Vec<&str> = images.iter().map(|image| image.service.as_str()).collect();
        return Err(Exit::Refused.stop(
            format!("{} has no image of {}", shown.display(), missing.join(", ")),
            format!("--only takes services of the template: {}", there.join(", ")),
        ));
    }
    images.retain(|image| services.contains(&image.service));
    Ok(images)
}

/// The services of which the template has no image.
fn warn_of_missing(images: &[Image], catalog: &Catalog, ui: &Ui) -> Vec<String> {
    let has: BTreeSet<&str> = images.iter().map(|image| image.service.as_str()).collect();
    let missing: Vec<String> =
        catalog.services.iter().filter(|service| !has.contains(service.as_str())).cloned().collect();
    if !missing.is_empty() {
        ui.warn(&format!("the template does not run {} (no image of them is in it)", missing.join(", ")));
    }
    missing
}

/// A task that asks for a processor for which there is no image would never start.
fn refuse_other_platforms(images: &[Image], pins: &BTreeMap<String, Pinned>, tag: &str) -> Result<()> {
    let wrong = images.iter().filter_map(|image| {
        let platform = match image.architecture.as_deref()? {
            "X86_64" => "linux/amd64",
            "ARM64" => "linux/arm64",
            _ => return None,
        };
        let built = &pins.get(&image.service)?.platforms;
        let lacks = !built.is_empty() && !built.iter().any(|built| built == platform);
        lacks.then(|| format!("  line {}: {} for {platform}, not {}", image.line, image.service, built.join(", ")))
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Exit::Refused.stop(
        format!("{tag} was not built for the processors that the template asks for:\n{}", wrong.join("\n")),
        "release with --platform, or change the template's RuntimePlatform",
    ))
}

fn announce(release: &Release, args: &cli::UpdateTemplate, shown: &Path, ui: &Ui) {
    let what = match args.pin {
        Pin::Digest => "digests",
        Pin::Tag => "tag",
    };
    let (doing, to) = if args.check { ("comparing", "with") } else { ("pinning", "to") };
    let Registry { host, prefix } = &release.registry;
    let tag = ui.paint(Paint::Bold, &release.tag);
    ui.say(&format!("{doing} {} {to} the {what} of {tag} in {host}/{prefix}", shown.display()));
}

/// The pin of each service, asked of the registry or taken on trust.
fn pins(args: &cli::UpdateTemplate, release: &Release, catalog: &Catalog, ui: &Ui) -> Result<BTreeMap<String, Pinned>> {
    if args.offline {
        ui.warn("the registry was not asked (--offline): these images may not exist");
        return Ok(verify::known_pins(release, args.pin, catalog));
    }
    verify::verified_pins(release, args.pin, catalog, ui)
}

/// The images whose pin is another one, with the new one.
fn changes<'a>(images: &'a [Image], pins: &'a BTreeMap<String, Pinned>) -> Result<Vec<(&'a Image, &'a str)>> {
    let mut changes = Vec::new();
    for image in images {
        let new = pins.get(&image.service).with_context(|| format!("there is no pin for {}", image.service))?;
        if new.pin != image.pin {
            changes.push((image, new.pin.as_str()));
        }
    }
    Ok(changes)
}

fn list(images: &[Image], changes: &[(&Image, &str)], ui: &Ui) {
    let mut rows = Vec::new();
    for image in images {
        let change = changes.iter().find(|(changed, _)| changed.node == image.node);
        let old = format!("{}{}", image.service, image.pin);
        let new = change.map_or(old.clone(), |(_, pin)| format!("{}{pin}", image.service));
        ui.record(
            "image",
            &json!({ "service": image.service, "line": image.line, "old": old, "new": new, "changed": change.is_some() }),
        );
        if change.is_some() {
            rows.push(vec![old, "->".to_owned(), new]);
        }
    }
    if !rows.is_empty() {
        ui.answer(&table(&rows));
    }
}
