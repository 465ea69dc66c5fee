//! Executables and their images: built once for all services, each looked at and run before it goes anywhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, Toolchain};
use crate::catalog::{APPS, Catalog};
use crate::elf;
use crate::image::{self, Image, Layer, MAX_COMPRESSED_BYTES, Platform};
use crate::process::{self, Process};
use crate::release::outcomes::all_or_list;
use crate::release::sbom::Packages;
use crate::ui::{Ui, megabytes};

/// One service and its executables, one per platform.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) service: String,
    pub(crate) executables: Vec<Executable>,
}

/// An executable that is what it claims to be.
#[derive(Debug)]
pub(crate) struct Executable {
    pub(crate) platform: &'static Platform,
    pub(crate) bytes: Vec<u8>,
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) version: String,
    /// It says itself that its work is not built yet.
    pub(crate) unfinished: bool,
    /// Who ran it: `native`, an emulator's name, or `nobody`.
    pub(crate) run_by: String,
}

/// Builds all services, once per platform, and checks each executable.
pub(crate) fn all(
    catalog: &Catalog,
    platforms: &[&'static Platform],
    toolchains: &[Toolchain],
    packages: &[Packages],
    ui: &Ui,
) -> Result<Vec<Built>> {
    let mut built: Vec<Built> =
        catalog.services.iter().map(|service| Built { service: service.clone(), executables: Vec::new() }).collect();
    for ((platform, toolchain), packages) in platforms.iter().zip(toolchains).zip(packages) {
        ui.say(&format!("building {} services for {} ({})", catalog.services.len(), platform.name, toolchain.triple));
        let wanted = cargo::Wanted {
            root: &catalog.root,
            target: &catalog.target,
            package: APPS,
            names: &catalog.services,
            compilations: packages.compilations,
        };
        let paths = cargo::build(&wanted, toolchain, ui)?;
        let emulator = if platform.is_native() { None } else { which::which(platform.emulator).ok() };
        if !platform.is_native() && emulator.is_none() {
            ui.warn(&format!(
                "the {} executables are not run: `{}` is not on PATH (apt-get install qemu-user-static)",
                platform.name, platform.emulator
            ));
        }
        let checked = process::in_parallel(cores(), &catalog.services, |service| {
            check(service, &paths[service], platform, emulator.as_deref())
        })?;
        for (built, executable) in
            built.iter_mut().zip(all_or_list("checking the executables", &catalog.services, checked)?)
        {
            built.executables.push(executable);
        }
    }
    Ok(built)
}

/// Puts each executable into an image; per service, one per platform.
pub(crate) fn images(
    built: &[Built],
    platforms: &[&'static Platform],
    source: &str,
    jobs: u8,
    ui: &Ui,
) -> Result<Vec<Vec<Image>>> {
    let common = Layer::common()?;
    let progress = ui.progress("assembling", built.len() as u64);
    let names: Vec<String> = built.iter().map(|built| built.service.clone()).collect();
    let results = process::in_parallel(usize::from(jobs).min(cores()), built, |built| {
        let images: Result<Vec<Image>> = built
            .executables
            .iter()
            .zip(platforms)
            .map(|(executable, platform)| {
                let image = Image::assemble(&built.service, platform, &executable.bytes, source, &common)?;
                ensure!(
                    image.compressed_bytes() <= MAX_COMPRESSED_BYTES,
                    "the image for {} has {} compressed; {} is the limit",
                    platform.name,
                    megabytes(image.compressed_bytes()),
                    megabytes(MAX_COMPRESSED_BYTES)
                );
                Ok(image)
            })
            .collect();
        progress.step(&built.service);
        images
    })?;
    all_or_list("assembling the images", &names, results)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Sees that an executable is for the platform, needs no loader, and knows its own digest.
fn check(service: &str, path: &Path, platform: &'static Platform, emulator: Option<&Path>) -> Result<Executable> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let header = elf::read(&bytes).with_context(|| format!("{}", path.display()))?;
    ensure!(
        header.machine == platform.machine,
        "{} is for machine {:#x}, and {} is {:#x}",
        path.display(),
        header.machine,
        platform.name,
        platform.machine
    );
    ensure!(header.is_static, "{} needs a dynamic loader, which the image does not have", path.display());
    let digest = image::digest(&bytes);
    let sha256 = digest["sha256:".len()..].to_owned();
    let (process, run_by) = match emulator {
        None if platform.is_native() => (Process::new(path), "native".to_owned()),
        Some(emulator) => (Process::new(emulator).args([path]), platform.emulator.to_owned()),
        None => {
            let (version, unfinished) = (String::new(), false);
            return Ok(Executable { platform, bytes, sha256, version, unfinished, run_by: "nobody".to_owned() });
        }
    };
    let said = process.args(["--version"]).only_env().limit(Duration::from_mins(1)).check()?.stdout;
    let (version, unfinished) = version(service, &digest, &said)?;
    Ok(Executable { platform, bytes, sha256, version, unfinished, run_by })
}

/// Reads what `--version` says: name and version, the executable's digest, and whether it is unfinished.
pub(crate) fn version(service: &str, digest: &str, said: &str) -> Result<(String, bool)> {
    let mut lines = said.lines();
    let first = lines.next().unwrap_or_default();
    let Some(version) = first.strip_prefix(service).and_then(|rest| rest.strip_prefix(' ')) else {
        bail!("{service} --version says `{first}` where its name and version should stand");
    };
    let second = lines.next().unwrap_or_default();
    ensure!(second == digest, "{service} --version says that it is `{second}`, but the file is {digest}");
    match lines.next() {
        None => Ok((version.to_owned(), false)),
        Some("unfinished") => Ok((version.to_owned(), true)),
        Some(other) => bail!("{service} --version says `{other}`, which release does not understand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_must_name_the_service_and_its_digest() {
        let good = "apt_delete 0.1.0\nsha256:aa\n";
        assert_eq!(version("apt_delete", "sha256:aa", good).unwrap(), ("0.1.0".to_owned(), false));
        let unfinished = "apt_delete 0.1.0\nsha256:aa\nunfinished\n";
        assert!(version("apt_delete", "sha256:aa", unfinished).unwrap().1);
        for wrong in
            ["", "apt_fixity 0.1.0\nsha256:aa\n", "apt_delete 0.1.0\nsha256:bb\n", "apt_delete 0.1.0\nsha256:aa\nwhat"]
        {
            version("apt_delete", "sha256:aa", wrong).unwrap_err();
        }
    }
}
