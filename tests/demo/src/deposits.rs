//! The bags: made ones that show what there is to see, or those that the command line names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bags::{APTRUST_INFO, BAG_INFO, Bag, Tags, bag_folder};
use time::OffsetDateTime;
use xtask::cli::demo::Demo;
use xtask::demo::{Kind, Source, sources};
use xtask::ui::Ui;

use crate::words::{counted, size};

/// A bag on its way in.
#[derive(Debug)]
pub(crate) struct Deposit {
    /// The bag's name, and the key without `.tar`.
    pub(crate) name: String,
    /// What is special about it, for the report.
    pub(crate) about: &'static str,
    pub(crate) tar: PathBuf,
    pub(crate) expected: Expected,
}

/// What is to become of a bag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Preserved,
    Refused,
}

/// The smallest picture that is one.
const PICTURE: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
const MANY: u32 = 200;

/// Made bags, in two rounds: the second is a new version of one of the first.
pub(crate) fn made(folder: &Path) -> Result<[Vec<Deposit>; 2]> {
    let letters =
        |name: &str| Bag::aptrust(name).file("accounts.csv", "year,income\n1901,12\n").file("dot.gif", PICTURE);
    let first = |letter: &'static str| {
        letters("first-steps").tag(APTRUST_INFO, "Title", "First steps").file("letter.txt", letter)
    };
    let many = (1..=MANY).fold(Bag::aptrust("many-files"), |bag, number| {
        bag.file(&format!("notes/{number:04}.txt"), format!("Note {number} of {MANY}.\n"))
    });
    let made = [
        ("first-steps", "a small bag", Expected::Preserved, first("Dear reader,\n").tar()),
        ("many-files", "many files", Expected::Preserved, many.tag(APTRUST_INFO, "Storage-Option", "Wasabi-VA").tar()),
        (
            "altered-file",
            "a file was altered after it was bagged",
            Expected::Refused,
            letters("altered-file").but(|parts| parts.put("data/accounts.csv", "year,income\n1901,99\n")),
        ),
        (
            "missing-file",
            "a file is missing",
            Expected::Refused,
            letters("missing-file").but(|parts| parts.remove("data/dot.gif")),
        ),
        (
            "no-title",
            "it has no title",
            Expected::Refused,
            letters("no-title").without_tag(APTRUST_INFO, "Title").tar(),
        ),
    ];
    let again = first("Dear reader, this is a second version.\n").file("answer.txt", "Thank you.\n").tar();
    let again = ("first-steps", "its next version: a letter changed, an answer new", Expected::Preserved, again);
    let round = |number: u8, bags: Vec<(&str, &'static str, Expected, Vec<u8>)>| {
        let folder = folder.join(format!("bags/{number}"));
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        bags.into_iter()
            .map(|(name, about, expected, tar)| {
                let path = folder.join(format!("{name}.tar"));
                fs::write(&path, tar).with_context(|| format!("writing {}", path.display()))?;
                Ok(Deposit { name: name.to_owned(), about, tar: path, expected })
            })
            .collect::<Result<Vec<_>>>()
    };
    Ok([round(1, made.into())?, round(2, vec![again])?])
}

/// Those of the command line; folders are bagged.
pub(crate) async fn taken(args: &Demo, folder: &Path, ui: &Ui) -> Result<Vec<Deposit>> {
    let mut deposits = Vec::new();
    for Source { name, path, kind } in sources(args)? {
        let tar = match kind {
            Kind::Tar => path,
            Kind::Folder => {
                let bags = folder.join("bags");
                fs::create_dir_all(&bags).with_context(|| format!("making the folder {}", bags.display()))?;
                let tar = bags.join(format!("{name}.tar"));
                let bagged = bag_folder(&path, &name, tags(args, &name), &tar).await;
                let bagged = bagged.with_context(|| format!("bagging the folder {}", path.display()))?;
                ui.say(&format!("bagged {}: {}, {}", path.display(), counted(bagged.files), size(bagged.bytes)));
                tar
            }
        };
        deposits.push(Deposit { name, about: "", tar, expected: Expected::Preserved });
    }
    Ok(deposits)
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
