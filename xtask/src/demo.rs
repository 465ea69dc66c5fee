//! `demo`: bags preserved before one's eyes. Handed over to the program `preserv-demo` (tests/demo), which is compiled when it is first
//! needed and takes this process's place. What it is to preserve is looked at here, so that a wrong name is told before anything
//! is compiled.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::catalog::{APPS, Catalog};
use crate::cli::demo::Demo;
use crate::exit::Exit;
use crate::process::Process;
use crate::programs::Programs;
use crate::ui::Ui;

const PACKAGE: &str = "demo";
const PROGRAM: &str = "preserv-demo";
/// The packages that the first compilation goes through, for the progress bar.
const PACKAGES: u64 = 330;
const NOTICE: &str =
    "Compiling the embedded servers and the services. Once; it takes about five minutes on two cores, less on more.";

/// Something to preserve.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The bag's name.
    pub name: String,
    pub path: PathBuf,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tar,
    Folder,
}

/// What the command line names, if all of it can be preserved under names of its own.
pub fn sources(args: &Demo) -> Result<Vec<Source>> {
    let mut names = BTreeSet::new();
    let mut sources = Vec::new();
    for path in &args.bags {
        let source = source(path)?;
        if !names.insert(source.name.clone()) {
            return Err(Exit::Usage.stop(
                format!("two of them would be the bag {}", source.name),
                "a bag of the name of another is its next version: preserve them one after the other with `up --services`",
            ));
        }
        sources.push(source);
    }
    let has_tags = args.tags.title.is_some() || args.tags.description.is_some();
    if has_tags && sources.iter().all(|source| source.kind == Kind::Tar) {
        return Err(Exit::Usage.stop("a tar has its tags already", "leave --title and --description out"));
    }
    Ok(sources)
}

fn source(path: &Path) -> Result<Source> {
    let unreadable = || format!("reading {}", path.display());
    let is_folder = fs::metadata(path).with_context(unreadable)?.is_dir();
    let whole = path.canonicalize().with_context(unreadable)?;
    let Some(file) = whole.file_name().and_then(|name| name.to_str()) else {
        return Err(Exit::Usage.stop(format!("{} has no name that a bag can have", path.display()), "rename it"));
    };
    let (name, kind) = if is_folder {
        (bag_name(file), Kind::Folder)
    } else if let Some(name) = file.strip_suffix(".tar") {
        File::open(path).with_context(unreadable)?;
        (name.to_owned(), Kind::Tar)
    } else {
        return Err(Exit::Usage.stop(
            format!("{} is neither a folder nor named .tar, as bags are", path.display()),
            "put it into a folder and name that",
        ));
    };
    Ok(Source { name, path: whole, kind })
}

/// Whether a page can be written there: told before anything is compiled.
fn check_target(page: &Path) -> Result<()> {
    let folder = page.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if page.is_dir() || !folder.is_dir() {
        let what = format!("no page can be written to {}", page.display());
        return Err(Exit::Usage.stop(what, "name a file in a folder that is there"));
    }
    Ok(())
}

/// Without what is awkward in keys and URLs.
fn bag_name(folder: &str) -> String {
    let plain =
        |character: char| if character.is_alphanumeric() || "-._".contains(character) { character } else { '_' };
    folder.trim_start_matches('.').chars().map(plain).collect()
}

/// Ends in the other program; returns only if that could not be started, or if nothing is to be done.
pub(crate) fn hand_over(args: &Demo, dry_run: bool, ui: &Ui) -> Result<Exit> {
    let sources = sources(args)?;
    if let Some(page) = &args.html {
        check_target(page)?;
    }
    if dry_run {
        let mut text =
            "would start NSQ, Redis, S3, the Registry and all services on loopback, preserve and give back".to_owned();
        if sources.is_empty() {
            text.push_str(" bags that are made for it");
        }
        for Source { name, path, kind } in &sources {
            let how = if *kind == Kind::Folder { ", bagged" } else { "" };
            let _ = write!(text, "\n  {name} ({}{how})", path.display());
        }
        if let Some(page) = &args.html {
            let _ = write!(text, "\nand write the page {}", page.display());
        }
        ui.answer(&text);
        return Ok(Exit::Done);
    }
    let catalog = Catalog::load()?;
    let programs = Programs { packages: &[PACKAGE, APPS], known_by: PROGRAM, expected: PACKAGES, notice: NOTICE };
    let program = programs.compile(&catalog, ui)?.join(PROGRAM);
    Err(Process::new(program).args(std::env::args_os().skip(1)).replace_this_process())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_is_named_after_its_folder() {
        assert_eq!(bag_name("Photos 2024 (best)"), "Photos_2024__best_");
        assert_eq!(bag_name(".config-é"), "config-é");
        let source = source(Path::new("src/..")).unwrap();
        assert_eq!((source.name.as_str(), source.kind), ("xtask", Kind::Folder));
    }

    #[test]
    fn what_is_no_bag_is_told_at_once() {
        let told = |path: &str| format!("{:#}", source(Path::new(path)).unwrap_err());
        assert!(told("Cargo.toml").contains("neither a folder nor named .tar"), "{}", told("Cargo.toml"));
        assert!(told("absent.tar").contains("reading absent.tar"), "{}", told("absent.tar"));
    }
}
