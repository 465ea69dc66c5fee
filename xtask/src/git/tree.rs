//! Whether the files of a checkout are those of its commit.
//!
//! Git's own comparison believes its index, a monitor, filters for line ends, and any list of what to ignore. The build reads
//! the files. So the files themselves are hashed, as they are, and of the ignore files only the commit's count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{command, read};

/// What the commit has at a path.
struct Committed {
    /// As git writes it: 100644, 100755, 120000 for a link, 160000 for another repository.
    mode: String,
    object: String,
}

/// Everything that makes the tree another one than the commit's, each path with the reason.
pub(super) fn differences(root: &Path) -> Result<Vec<String>> {
    let committed = committed(root)?;
    let mut found = changed(root, &committed)?;
    found.extend(untracked(root, &committed)?.into_iter().map(|path| format!("{path} (untracked)")));
    found.extend(marked(root)?);
    Ok(found)
}

fn committed(root: &Path) -> Result<BTreeMap<String, Committed>> {
    let listed = read(root, &["ls-tree", "-r", "-z", "--full-tree", "HEAD"])?;
    let entry = |line: &str| {
        let (what, path) = line.split_once('\t')?;
        let mut words = what.split(' ');
        let (mode, _, object) = (words.next()?, words.next()?, words.next()?);
        Some((path.to_owned(), Committed { mode: mode.to_owned(), object: object.to_owned() }))
    };
    Ok(listed.split('\0').filter_map(entry).collect())
}

/// Files of the commit that are not there, or not as it has them.
fn changed(root: &Path, committed: &BTreeMap<String, Committed>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for (path, expected) in committed {
        let full = root.join(path);
        let metadata = fs::symlink_metadata(&full);
        let what = match (&metadata, expected.mode.as_str()) {
            (Err(_), _) => Some("deleted"),
            (Ok(_), "160000") => Some("another repository"),
            (Ok(now), "120000") if now.is_symlink() => {
                let target = fs::read_link(&full).with_context(|| format!("reading the link {}", full.display()))?;
                let target = target.as_os_str().as_bytes().to_vec();
                let hashed = command(root).args(["hash-object", "--stdin"]).stdin_feed(move |to| to.write_all(&target));
                (hashed.check()?.stdout.trim() != expected.object).then_some("modified")
            }
            (Ok(now), mode) => {
                let executable = now.permissions().mode() & 0o100 != 0;
                if now.is_file() && mode == if executable { "100755" } else { "100644" } {
                    files.push((path, &expected.object));
                    None
                } else {
                    Some("modified")
                }
            }
        };
        found.extend(what.map(|what| format!("{path} ({what})")));
    }
    let objects = hashes(root, &files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>())?;
    let differ = files.iter().zip(&objects).filter(|((_, expected), object)| expected != object);
    found.extend(differ.map(|((path, _), _)| format!("{path} (modified)")));
    found.sort();
    Ok(found)
}

/// The objects that git would make of these files as they are.
fn hashes(root: &Path, paths: &[&str]) -> Result<Vec<String>> {
    let quoted =
        |path: &&str| format!("\"{}\"\n", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let input: String = paths.iter().map(quoted).collect();
    let hashed = command(root)
        .args(["hash-object", "--no-filters", "--stdin-paths"])
        .stdin_feed(move |to| to.write_all(input.as_bytes()))
        .check()?;
    let objects: Vec<String> = hashed.stdout.lines().map(str::to_owned).collect();
    ensure!(objects.len() == paths.len(), "git hashed {} of {} files", objects.len(), paths.len());
    Ok(objects)
}

/// Files that the commit does not have, and that none of its ignore files names.
fn untracked(root: &Path, committed: &BTreeMap<String, Committed>) -> Result<Vec<String>> {
    let mut folders: BTreeSet<&str> = BTreeSet::from([""]);
    for path in committed.keys() {
        folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    let mut strange = Vec::new();
    for folder in &folders {
        strange.extend(entries(root, folder)?.into_iter().filter(|(path, is_folder)| {
            if *is_folder { !folders.contains(path.as_str()) } else { !committed.contains_key(path) }
        }));
    }
    let mut found = Vec::new();
    // One level at a time: what is in an ignored folder is not looked at.
    while !strange.is_empty() {
        let ignored = ignored(root, &strange, committed)?;
        strange.retain(|(path, _)| !ignored.contains(path));
        let mut next = Vec::new();
        for (path, is_folder) in strange {
            if is_folder { next.extend(entries(root, &path)?) } else { found.push(path) }
        }
        strange = next;
    }
    found.sort();
    Ok(found)
}

/// What is in a folder of the checkout, by its path from the root, and whether it is a folder itself. Git's own is left out.
fn entries(root: &Path, folder: &str) -> Result<Vec<(String, bool)>> {
    let full = root.join(folder);
    let context = || format!("looking into {}", full.display());
    // A link in the place of one of the commit's folders is strange itself; what it leads to is not of the checkout.
    if full.canonicalize().ok() != root.canonicalize().ok().map(|root| root.join(folder).components().collect()) {
        return Ok(Vec::new());
    }
    let listed = match fs::read_dir(&full) {
        Ok(listed) => listed,
        // A file in the place of a folder is strange itself.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(context),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.with_context(context)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != ".git" {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            found.push((path, entry.file_type().with_context(context)?.is_dir()));
        }
    }
    Ok(found)
}

/// Which of these an ignore file of the commit names.
fn ignored(root: &Path, paths: &[(String, bool)], committed: &BTreeMap<String, Committed>) -> Result<BTreeSet<String>> {
    let line = |(path, is_folder): &(String, bool)| [path.as_str(), if *is_folder { "/" } else { "" }, "\0"].concat();
    let input = paths.iter().map(line).collect::<Vec<_>>().concat();
    let answer = command(root)
        .args(["check-ignore", "-z", "--stdin", "--verbose", "--no-index"])
        .stdin_feed(move |to| to.write_all(input.as_bytes()))
        .run()?;
    // 1: none of them is ignored.
    ensure!(matches!(answer.code, Some(0 | 1)), answer.error());
    let fields: Vec<&str> = answer.stdout.trim_end_matches('\n').split('\0').collect();
    // Source, line, pattern and path; a pattern with `!` takes a path out again.
    let matched = fields.chunks_exact(4).filter(|field| committed.contains_key(field[0]) && !field[2].starts_with('!'));
    Ok(matched.map(|field| field[3].trim_end_matches('/').to_owned()).collect())
}

/// Files at which git was told not to look: what it says of the tree elsewhere is then no help. A lower-case tag is
/// assume-unchanged, S is skip-worktree.
fn marked(root: &Path) -> Result<Vec<String>> {
    let tags = read(root, &["ls-files", "-v", "-z"])?;
    let marked = tags.split('\0').filter_map(|line| {
        let (tag, path) = line.split_once(' ')?;
        match tag {
            "S" | "s" => Some(format!("{path} (skip-worktree)")),
            tag if tag.chars().all(|c| c.is_ascii_lowercase()) => Some(format!("{path} (assume-unchanged)")),
            _ => None,
        }
    });
    Ok(marked.collect())
}
