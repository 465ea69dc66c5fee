//! What a deployment removes, as a list that a person reads and approves as a whole: a preview writes it, and
//! `--approve-removals` brings it back. It is good for one stack and one template.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::exit::Exit;
use xtask::files::write_atomic;

use crate::changes::Change;

/// The list in words. Its first line binds it.
fn text<'a>(stack: &str, template_sha256: &str, removed: impl Iterator<Item = &'a Change>) -> String {
    let mut text = format!("{}\n", head(stack, template_sha256));
    text.push_str("# Take out the line of what must stay; then approve the rest with --approve-removals.\n");
    for change in removed {
        let _ = writeln!(text, "{} {}", change.logical_id, change.kind);
    }
    text
}

fn head(stack: &str, template_sha256: &str) -> String {
    format!("removed from {stack} by the template {template_sha256}")
}

/// Writes the list into `folder`, over the one of before.
pub(crate) fn write<'a>(
    folder: &Path,
    stack: &str,
    template_sha256: &str,
    removed: impl Iterator<Item = &'a Change>,
) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(format!("removals-{stack}.txt"));
    write_atomic(&path, text(stack, template_sha256, removed).as_bytes())?;
    Ok(path)
}

/// The resources that the list approves.
pub(crate) fn read(path: &Path, stack: &str, template_sha256: &str) -> Result<BTreeSet<String>> {
    let refuse =
        |why: String| Exit::Refused.stop(format!("{} {why}", path.display()), "take the list that a preview writes");
    let text = fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != head(stack, template_sha256) {
        return Err(refuse(format!("is of another stack or template: it says `{first}`")));
    }
    let ids = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next());
    Ok(ids.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_approves_what_is_left_on_it_and_nothing_of_another_template() {
        let folder = tempfile::tempdir().unwrap();
        let change =
            |id: &str| Change { logical_id: id.to_owned(), kind: "AWS::SQS::Queue".to_owned(), ..Change::default() };
        let path = write(folder.path(), "stack", "ff", [change("One"), change("Two")].iter()).unwrap();
        let approved = |sha256: &str| read(&path, "stack", sha256).map_err(|error| error.to_string());
        assert_eq!(approved("ff"), Ok(["One".to_owned(), "Two".to_owned()].into()));
        let shorter = fs::read_to_string(&path).unwrap().replace("One AWS::SQS::Queue\n", "");
        fs::write(&path, shorter).unwrap();
        assert_eq!(approved("ff"), Ok(["Two".to_owned()].into()));
        assert!(approved("ee").unwrap_err().contains("another stack or template"));
    }
}
