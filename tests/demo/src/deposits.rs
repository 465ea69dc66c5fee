//! The bags: made ones that show what there is to see, or those that the command line names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bags::{APTRUST_INFO, BAG_INFO, Tags, bag_folder};
use time::OffsetDateTime;
use xtask::cli::demo::Demo;
use xtask::demo::{Kind, Source, sources};
use xtask::ui::Ui;

use crate::words::{counted, size};

/// A bag with all that is to happen to it.
#[derive(Debug)]
pub(crate) struct Bag {
    /// Its name, and the key without `.tar`.
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) ending: Ending,
    /// Deposited one after the other.
    pub(crate) versions: Vec<Version>,
}

/// A bag as it is deposited. The tar stays, to be compared with what comes back.
#[derive(Debug)]
pub(crate) struct Version {
    /// What is special about it, for the report.
    pub(crate) about: &'static str,
    pub(crate) tar: PathBuf,
}

/// What is to become of a bag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Preserved,
    Refused,
}

/// What happens to a bag in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Kept,
    Deleted,
}

/// The smallest picture that is one.
const PICTURE: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const MANY: u32 = 200;

/// Made bags.
pub(crate) fn made(folder: &Path) -> Result<Vec<Bag>> {
    let letters =
        |name: &str| bags::Bag::aptrust(name).file("accounts.csv", "year,income\n1901,12\n").file("dot.gif", PICTURE);
    let first = |letter: &'static str| {
        letters("first-steps").tag(APTRUST_INFO, "Title", "First steps").file("letter.txt", letter)
    };
    let again = first("Dear reader, this is a second version.\n").file("answer.txt", "Thank you.\n").tar();
    let many = (1..=MANY).fold(bags::Bag::aptrust("many-files"), |bag, number| {
        bag.file(&format!("notes/{number:04}.txt"), format!("Note {number} of {MANY}.\n"))
    });
    let cold = letters("cold-storage").tag(APTRUST_INFO, "Title", "Cold storage");
    // With one manifest, so that each fault is told once.
    let broken = |name: &str| letters(name).manifests(&[bags::Algorithm::Md5]);
    let altered = broken("altered-file").but(|parts| parts.put("data/accounts.csv", "year,income\n1901,99\n"));
    let missing = broken("missing-file").but(|parts| parts.remove("data/dot.gif"));
    let untitled = letters("no-title").without_tag(APTRUST_INFO, "Title").tar();
    let versions = [
        ("first-steps", "a small bag", first("Dear reader,\n").tar()),
        ("first-steps", "then its next version: a letter changed, an answer new", again),
        ("many-files", "many small files", many.tag(APTRUST_INFO, "Storage-Option", "Wasabi-VA").tar()),
        ("cold-storage", "kept in Glacier", cold.tag(APTRUST_INFO, "Storage-Option", "Glacier-OH").tar()),
        ("altered-file", "a file was altered after it was bagged", altered),
        ("missing-file", "a file is missing", missing),
        ("no-title", "it has no title", untitled),
    ];
    let mut made: Vec<Bag> = Vec::new();
    for (number, (name, about, tar)) in versions.into_iter().enumerate() {
        let path = below(folder)?.join(format!("{number}.tar"));
        fs::write(&path, tar).with_context(|| format!("writing {}", path.display()))?;
        let version = Version { about, tar: path };
        if let Some(bag) = made.iter_mut().find(|bag| bag.name == name) {
            bag.versions.push(version);
            continue;
        }
        let is_good = ["first-steps", "many-files", "cold-storage"].contains(&name);
        made.push(Bag {
            name: name.to_owned(),
            expected: if is_good { Expected::Preserved } else { Expected::Refused },
            ending: if name == "first-steps" { Ending::Deleted } else { Ending::Kept },
            versions: vec![version],
        });
    }
    Ok(made)
}

/// Where tars are made.
fn below(folder: &Path) -> Result<PathBuf> {
    let bags = folder.join("bags");
    fs::create_dir_all(&bags).with_context(|| format!("making the folder {}", bags.display()))?;
    Ok(bags)
}

/// Those of the command line; folders are bagged.
pub(crate) async fn taken(args: &Demo, folder: &Path, ui: &Ui) -> Result<Vec<Bag>> {
    let mut taken = Vec::new();
    for Source { name, path, kind } in sources(args)? {
        let tar = match kind {
            Kind::Tar => path,
            Kind::Folder => {
                let tar = below(folder)?.join(format!("{name}.tar"));
                let bagged = bag_folder(&path, &name, tags(args, &name), &tar).await;
                let bagged = bagged.with_context(|| format!("bagging the folder {}", path.display()))?;
                ui.say(&format!("bagged {}: {}, {}", path.display(), counted(bagged.files), size(bagged.bytes)));
                tar
            }
        };
        taken.push(Bag {
            name,
            expected: Expected::Preserved,
            ending: if args.delete { Ending::Deleted } else { Ending::Kept },
            versions: vec![Version { about: "", tar }],
        });
    }
    Ok(taken)
}

fn tags(args: &Demo, name: &str) -> Tags {
    let given = &args.tags;
    let mut tags = Tags::aptrust(given.title.as_deref().unwrap_or(name));
    tags.set(BAG_INFO, "Bagging-Date", &OffsetDateTime::now_utc().date().to_string());
    tags.set(BAG_INFO, "Source-Organization", &given.source_organization);
    tags.set(APTRUST_INFO, "Access", &given.access);
    tags.set(APTRUST_INFO, "Storage-Option", &given.storage_option);
    if let Some(description) = &given.description {
        tags.set(APTRUST_INFO, "Description", description);
    }
    tags
}

#[cfg(test)]
mod tests {
    use xtask::cli::demo::{ACCESS, STORAGE_OPTIONS};

    #[test]
    fn the_options_are_what_the_validator_accepts() {
        assert_eq!(STORAGE_OPTIONS, bagit::aptrust::STORAGE_OPTIONS);
        assert_eq!(ACCESS.map(str::to_lowercase), bagit::aptrust::ACCESS);
    }
}
