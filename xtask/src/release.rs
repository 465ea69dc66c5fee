//! `release`: from a clean checkout to images that are published under one tag, all of them or none.
//!
//! [`run`] reads as the list of steps. What is built and checked is in `build`, what happens with the registry in
//! `publish`, the names in `tag`, the documents in `manifest`, `sbom` and `provenance`.

mod build;
pub(crate) mod manifest;
pub(crate) mod outcomes;
mod provenance;
mod publish;
mod sbom;
mod tag;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cargo::{self, Toolchain};
use crate::catalog::Catalog;
use crate::cli;
use crate::docker::{Docker, Login, Lookup, Registry};
use crate::exit::{Exit, Stop};
use crate::files::{self, Lock};
use crate::git::Checkout;
use crate::image::{self, Platform};
use crate::page::{Page, Service};
use crate::process;
use crate::ui::{Paint, Ui, megabytes, table};

use build::Built;
use manifest::{Build, Manifest, ManifestImage, ManifestPlatform};
use provenance::Provenance;
use tag::Marks;

pub(crate) fn run(args: &cli::Release, dry_run: bool, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let platforms = platforms(args)?;
    let registry = Registry::parse(&args.registry)?;
    let login = if args.no_push { None } else { Login::from_environment()? };
    let home = catalog.target.join("xtask/release");
    if !dry_run {
        ui.keep_below(&catalog.target)?;
    }
    let _lock = if dry_run { None } else { Some(Lock::take(&home.join("lock"), "release")?) };

    let preflight = Preflight::run(args, &catalog, &platforms, &registry, login.as_ref())?;
    let Preflight { checkout, tag, toolchains, docker } = &preflight;
    announce(&preflight, args, &catalog, &registry, ui);
    if let Some(docker) = docker {
        docker.login(login.as_ref())?;
    }
    if dry_run {
        return plan(&preflight, args, &catalog, &registry, ui);
    }

    let packages: Vec<sbom::Packages> = toolchains
        .iter()
        .map(|toolchain| sbom::Packages::resolve(&catalog, &toolchain.triple))
        .collect::<Result<_>>()?;
    let built = build::all(&catalog, &platforms, toolchains, &packages, ui)?;
    refuse_unfinished(&built, args.allow_unfinished)?;
    let folder = home.join(tag);
    let images = build::images(&built, &platforms, SOURCE, args.jobs, ui)?;

    let mut manifest = Manifest {
        schema: manifest::SCHEMA.to_owned(),
        tag: tag.clone(),
        commit: checkout.commit.clone(),
        branch: checkout.branch.clone(),
        dirty: !checkout.differences.is_empty(),
        unfinished: built.iter().flat_map(|built| &built.executables).any(|executable| executable.unfinished),
        registry: format!("{}/{}", registry.host, registry.prefix),
        published: false,
        builds: platforms
            .iter()
            .zip(toolchains)
            .map(|(platform, toolchain)| build_record(platform, toolchain))
            .collect(),
        images: built.iter().zip(&images).map(|(built, images)| entry(built, images, &registry, tag)).collect(),
    };
    let fresh = files::sibling(&folder, "partial");
    remove_leftovers(&home);
    let written = (|| -> Result<()> {
        for (entry, images) in manifest.images.iter().zip(&images) {
            image::write_layout(&fresh.join(&entry.service), images, &entry.reference, tag)?;
        }
        write_papers(&catalog, &packages, &built, &manifest, &fresh, ui)?;
        process::check_interrupt()?;
        files::replace_folder(&fresh, &folder)
    })();
    if written.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    written?;

    let states = match docker {
        Some(docker) => publish::all(docker, &registry, tag, &images, &mut manifest, args.jobs, ui)?,
        None => vec!["written"; images.len()],
    };
    let path = folder.join(format!("release-{tag}.json"));
    files::write_atomic(&path, &serde_json::to_vec_pretty(&manifest)?)?;
    let page_path = folder.join(format!("release-{tag}.html"));
    page(&manifest).write(&page_path)?;
    report(&manifest, &states, &folder, &path, ui);
    ui.say(&format!("page: {}", page_path.display()));
    ui.result("page", Value::from(page_path.display().to_string()));
    Ok(Exit::Done)
}

/// Where the code of the images is; a label of every image.
const SOURCE: &str = env!("CARGO_PKG_REPOSITORY");

fn platforms(args: &cli::Release) -> Result<Vec<&'static Platform>> {
    let mut platforms: Vec<&'static Platform> = Vec::new();
    for name in &args.platform {
        let platform = Platform::named(name)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if args.target.is_some() && platforms.len() > 1 {
        return Err(Exit::Usage.stop("--target goes with one platform", "give one --platform, or leave --target out"));
    }
    Ok(platforms)
}

/// Everything that can be known before the first thing is built.
struct Preflight {
    checkout: Checkout,
    tag: String,
    toolchains: Vec<Toolchain>,
    docker: Option<Docker>,
}

impl Preflight {
    /// Looks at everything, so that all that is wrong is reported at once.
    fn run(
        args: &cli::Release,
        catalog: &Catalog,
        platforms: &[&'static Platform],
        registry: &Registry,
        login: Option<&Login>,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let checkout = note(Checkout::read(&catalog.root), &mut problems);
        if let Some(checkout) = &checkout {
            note(refuse_dirty(checkout, args.allow_dirty), &mut problems);
        }
        note(cargo::refuse_foreign_configuration(&catalog.root), &mut problems);
        let tag = checkout.as_ref().and_then(|checkout| {
            let marks = Marks { dirty: !checkout.differences.is_empty(), unfinished: args.allow_unfinished };
            note(tag::tag(checkout, args.branch.as_deref(), |name| std::env::var(name).ok(), marks), &mut problems)
        });
        let triples = platforms.iter().map(|platform| args.target.as_deref().unwrap_or(platform.triple));
        let toolchains: Vec<Toolchain> =
            triples.filter_map(|triple| note(Toolchain::find(triple, &catalog.root), &mut problems)).collect();
        let docker = if args.no_push { None } else { note(Docker::find(registry.clone(), login), &mut problems) };
        match (checkout, tag) {
            (Some(checkout), Some(tag)) if problems.is_empty() => Ok(Self { checkout, tag, toolchains, docker }),
            _ => Err(together(problems)),
        }
    }
}

pub(crate) fn note<T>(result: Result<T>, problems: &mut Vec<anyhow::Error>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// One error for several, with the first one's exit code.
pub(crate) fn together(mut problems: Vec<anyhow::Error>) -> anyhow::Error {
    if problems.len() == 1 {
        return problems.remove(0);
    }
    let exit = problems.first().map_or(Exit::Failed, Exit::of);
    let mut text = format!("{} things stand in the way:", problems.len());
    for problem in &problems {
        let _ = write!(text, "\n  - {problem:#}");
        if let Some(next) = Stop::next(problem) {
            let _ = write!(text, "\n    next: {next}");
        }
    }
    exit.stop(text, "nothing has been built or sent")
}

fn refuse_dirty(checkout: &Checkout, allowed: bool) -> Result<()> {
    const SHOWN: usize = 10;
    if checkout.differences.is_empty() || allowed {
        return Ok(());
    }
    let mut list: Vec<String> = checkout.differences.iter().take(SHOWN).map(|path| format!("  {path}")).collect();
    if checkout.differences.len() > SHOWN {
        list.push(format!("  and {} more", checkout.differences.len() - SHOWN));
    }
    Err(Exit::Refused.stop(
        format!("the tree is not the commit {}:\n{}", checkout.short, list.join("\n")),
        "commit or remove these, or use --allow-dirty for a tag that ends in -dirty",
    ))
}

fn refuse_unfinished(built: &[Built], allowed: bool) -> Result<()> {
    let unfinished: Vec<&str> = built
        .iter()
        .filter(|built| built.executables.iter().any(|executable| executable.unfinished))
        .map(|built| built.service.as_str())
        .collect();
    if unfinished.is_empty() || allowed {
        return Ok(());
    }
    Err(Exit::Refused.stop(
        format!("{} of {} executables do no work yet: {}", unfinished.len(), built.len(), unfinished.join(", ")),
        "--allow-unfinished releases them under a tag that ends in -unfinished",
    ))
}

fn announce(preflight: &Preflight, args: &cli::Release, catalog: &Catalog, registry: &Registry, ui: &Ui) {
    let Preflight { checkout, tag, docker, .. } = preflight;
    let to = if args.no_push { "OCI layouts".to_owned() } else { format!("{}/{}", registry.host, registry.prefix) };
    ui.say(&format!("release {} of {} services to {to}", ui.paint(Paint::Bold, tag), catalog.services.len()));
    ui.detail(&format!(
        "commit {}, docker {}",
        checkout.commit,
        docker.as_ref().map_or("not used", |docker| &docker.version)
    ));
    if !checkout.published {
        ui.warn(&format!(
            "commit {} is on no remote branch: others cannot see what this release is made of",
            checkout.short
        ));
    }
    ui.record(
        "plan",
        &json!({
            "tag": tag,
            "commit": checkout.commit,
            "registry": format!("{}/{}", registry.host, registry.prefix),
            "push": !args.no_push,
            "services": catalog.services,
        }),
    );
}

/// What a release would do, without doing it.
fn plan(preflight: &Preflight, args: &cli::Release, catalog: &Catalog, registry: &Registry, ui: &Ui) -> Result<Exit> {
    let stands = process::in_parallel(args.jobs.into(), &catalog.services, |service| {
        let reference = format!("{}:{}", registry.repository(service), preflight.tag);
        Ok(match preflight.docker.as_ref().map(|docker| docker.lookup(&reference)).transpose()? {
            Some(Lookup::Found(stored)) => stored.first().map(|stored| stored.digest.clone()),
            Some(Lookup::Absent) | None => None,
        })
    })?;
    let stands = outcomes::all_or_list("asking the registry", &catalog.services, stands)?;
    let mut rows = vec![vec!["SERVICE".to_owned(), "PLAN".to_owned(), "REFERENCE".to_owned()]];
    let mut images = Vec::new();
    for (service, stands) in catalog.services.iter().zip(stands) {
        let reference = format!("{}:{}", registry.repository(service), preflight.tag);
        let (action, what) = match (&stands, args.no_push) {
            (Some(_), _) => ("build_and_compare", "build, compare with the tag that stands"),
            (None, true) => ("build_and_write_layout", "build, write the OCI layout"),
            (None, false) => ("build_and_push", "build, push what the registry lacks, set the tag"),
        };
        rows.push(vec![service.clone(), what.to_owned(), reference.clone()]);
        images.push(json!({ "service": service, "reference": reference, "standing_digest": stands, "action": action }));
    }
    ui.answer(&table(&rows));
    ui.result("tag", Value::from(preflight.tag.clone()));
    ui.result("commit", Value::from(preflight.checkout.commit.clone()));
    ui.result(
        "platforms",
        Value::from(preflight.toolchains.iter().map(|toolchain| toolchain.triple.clone()).collect::<Vec<_>>()),
    );
    ui.result("images", Value::from(images));
    Ok(Exit::Done)
}

fn build_record(platform: &'static Platform, toolchain: &Toolchain) -> Build {
    Build {
        platform: platform.name.to_owned(),
        target: toolchain.triple.clone(),
        rustc: toolchain.rustc.clone(),
        linker: toolchain.linker_version.clone(),
        libc: toolchain.libc.clone(),
    }
}

fn entry(built: &Built, images: &[image::Image], registry: &Registry, tag: &str) -> ManifestImage {
    let platform = |(executable, image): (&build::Executable, &image::Image)| ManifestPlatform {
        platform: image.platform.name.to_owned(),
        config_digest: image.config_digest.clone(),
        content_tag: image.content_tag(),
        manifest_digest: None,
        executable_sha256: executable.sha256.clone(),
        executable_bytes: executable.bytes.len() as u64,
        compressed_bytes: image.compressed_bytes(),
        unfinished: executable.unfinished,
        run_by: executable.run_by.clone(),
    };
    ManifestImage {
        service: built.service.clone(),
        reference: format!("{}:{tag}", registry.repository(&built.service)),
        digest: None,
        platforms: built.executables.iter().zip(images).map(platform).collect(),
    }
}

/// The bill of materials and the provenance of each executable.
fn write_papers(
    catalog: &Catalog,
    packages: &[sbom::Packages],
    built: &[Built],
    manifest: &Manifest,
    folder: &Path,
    ui: &Ui,
) -> Result<()> {
    let lock = catalog.root.join("Cargo.lock");
    let lock = fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
    let now = SystemTime::now();
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    let provenance = Provenance {
        manifest,
        lock_sha256: image::digest(&lock).trim_start_matches("sha256:").to_owned(),
        run_id: ui.run_id(),
        started: time(now - ui.elapsed()),
        finished: time(now),
    };
    for (index, (packages, build)) in packages.iter().zip(&manifest.builds).enumerate() {
        for built in built {
            let executable = &built.executables[index];
            let name = format!("{}-{}", built.service, executable.platform.architecture);
            let bill = packages.document(&built.service, &executable.version, &executable.sha256);
            let statement = provenance.statement(&built.service, executable, build, |name| std::env::var(name).ok());
            for (kind, document) in [("cdx", bill), ("intoto", statement)] {
                let path = folder.join(format!("{name}.{kind}.json"));
                fs::write(&path, serde_json::to_vec_pretty(&document)?)
                    .with_context(|| format!("writing {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes what a killed run left half written; the lock says that no other is at it.
fn remove_leftovers(home: &Path) {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let leftover = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with('.') && (name.contains(".partial-") || name.contains(".old-"))
        })
    };
    for path in entries.map(|entry| entry.path()).filter(leftover) {
        // If it cannot go it does no harm; writing to the same disk will report the cause.
        let _ = fs::remove_dir_all(path);
    }
}

/// What was released, for people. Where it runs, `status --html` tells.
fn page(manifest: &Manifest) -> Page {
    let mut facts = vec![("Commit", manifest.commit.clone())];
    facts.extend(manifest.branch.iter().map(|branch| ("Branch", branch.clone())));
    let place = if manifest.published { manifest.registry.clone() } else { "OCI layouts beside this page".to_owned() };
    facts.push(("Images", place));
    for build in &manifest.builds {
        let Build { platform, target, rustc, linker, libc } = build;
        facts.push(("Built for", format!("{platform} ({target}): {rustc}; {linker}; {libc}")));
    }
    for (mark, what) in [
        (manifest.dirty, "built from uncommitted work"),
        (manifest.unfinished, "holds executables that do no work yet"),
    ] {
        if mark {
            facts.push(("Not for demo and prod", what.to_owned()));
        }
    }
    let service = |image: &ManifestImage| Service {
        name: image.service.clone(),
        tag: manifest.tag.clone(),
        digest: image.digest.clone().unwrap_or_else(|| format!("configuration {}", image.platforms[0].config_digest)),
        bytes: Some(image.platforms.iter().map(|platform| platform.compressed_bytes).sum()),
        commit: manifest.commit.clone(),
        runs: "cargo xtask status <env> --html tells".to_owned(),
        ..Service::default()
    };
    Page {
        title: format!("Release {}", manifest.tag),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        services: manifest.images.iter().map(service).collect(),
    }
}

fn report(manifest: &Manifest, states: &[&str], folder: &Path, path: &Path, ui: &Ui) {
    // The registry's digest of the image is one thing, and the configuration's, which a layout is known by, another.
    let digest = if manifest.published { "DIGEST" } else { "CONFIGURATION" };
    let mut rows = vec![["SERVICE", "STATE", "SIZE", digest].map(str::to_owned).to_vec()];
    for (image, state) in manifest.images.iter().zip(states) {
        let size: u64 = image.platforms.iter().map(|platform| platform.compressed_bytes).sum();
        let digest = image.digest.as_deref().unwrap_or(&image.platforms[0].config_digest);
        rows.push(vec![image.service.clone(), (*state).to_owned(), megabytes(size), digest.to_owned()]);
        ui.record("image", &json!({ "state": state, "image": image }));
    }
    if ui.is_quiet() {
        let reference = |image: &ManifestImage| match &image.digest {
            Some(digest) => format!("{}@{digest}", image.reference.rsplit_once(':').map_or("", |(name, _)| name)),
            None => format!("oci:{}:{}", folder.join(&image.service).display(), manifest.tag),
        };
        ui.answer(&manifest.images.iter().map(reference).collect::<Vec<_>>().join("\n"));
    } else {
        ui.answer(&table(&rows));
    }
    let changed = states.iter().filter(|state| **state != publish::UNCHANGED).count();
    let what = match (manifest.published, changed) {
        (false, _) => format!("{} OCI layouts written below {}", states.len(), folder.display()),
        (true, 0) => format!("nothing to do: {} is published already", manifest.tag),
        (true, count) => format!("published {}: {count} tags set", manifest.tag),
    };
    ui.say(&format!("{} in {:.1} s", ui.paint(Paint::Green, &what), ui.elapsed().as_secs_f64()));
    ui.say(&format!("manifest: {}", path.display()));
    ui.result("tag", Value::from(manifest.tag.clone()));
    ui.result("published", Value::from(manifest.published));
    ui.result("manifest", Value::from(path.display().to_string()));
}
