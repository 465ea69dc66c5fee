//! Git: which commit is checked out, on which branch, and whether the tree is that commit.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use crate::exit::Exit;
use crate::process::Process;

/// The state of a checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// At least seven of them, as many as make it unambiguous.
    pub short: String,
    /// None on a detached HEAD.
    pub branch: Option<String>,
    /// Paths that differ from the commit, with the reason; what a build would read although no clone has it.
    pub differences: Vec<String>,
    /// Some remote branch has the commit.
    pub published: bool,
}

impl Checkout {
    /// Reads the state of the checkout at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let sh = Shell::new().context("finding the current folder")?;
        sh.change_dir(root);
        if which::which("git").is_err() {
            return Err(Exit::Unavailable.stop("git is not on PATH", "apt-get install git"));
        }
        if !succeeds(cmd!(sh, "git rev-parse --git-dir")) {
            let said = cmd!(sh, "git rev-parse --git-dir").quiet().ignore_status().read_stderr().unwrap_or_default();
            return Err(Exit::Refused.stop(
                format!("{} is not a git checkout: {}", root.display(), said.trim()),
                "release from a clone: the tag names the commit",
            ));
        }
        let head = "HEAD^{commit}";
        if !succeeds(cmd!(sh, "git rev-parse --quiet --verify {head}")) {
            return Err(
                Exit::Refused.stop("there is no commit yet on this branch", "commit first: the tag names the commit")
            );
        }
        let commit = read(cmd!(sh, "git rev-parse HEAD"))?;
        let short = read(cmd!(sh, "git rev-parse --short=7 HEAD"))?;
        let branch = cmd!(sh, "git symbolic-ref --short --quiet HEAD").quiet().ignore_status().read()?;
        let published = !read(cmd!(sh, "git branch --remotes --contains HEAD"))?.is_empty();
        Ok(Self {
            commit,
            short,
            branch: (!branch.is_empty()).then_some(branch),
            differences: differences(&sh)?,
            published,
        })
    }
}

/// Everything that makes the tree another one than the commit's. Only the committed ignore files count: what a user's own
/// or the clone's exclude list hides would still be read by the build.
fn differences(sh: &Shell) -> Result<Vec<String>> {
    let changed = read(cmd!(
        sh,
        "git -c core.fileMode=true diff --name-status -z --no-renames --ignore-submodules=none HEAD --"
    ))?;
    let mut fields = changed.split('\0').filter(|field| !field.is_empty());
    let mut found = Vec::new();
    while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
        let what = match status {
            "A" => "added",
            "D" => "deleted",
            "U" => "unmerged",
            _ => "modified",
        };
        found.push(format!("{path} ({what})"));
    }
    let untracked = read(cmd!(sh, "git ls-files -z --others --exclude-per-directory=.gitignore"))?;
    found.extend(untracked.split('\0').filter(|path| !path.is_empty()).map(|path| format!("{path} (untracked)")));
    // A lower-case tag is assume-unchanged, S is skip-worktree: git would not look at the file.
    let tags = read(cmd!(sh, "git ls-files -v -z"))?;
    found.extend(tags.split('\0').filter_map(|line| {
        let (tag, path) = line.split_once(' ')?;
        match tag {
            "S" | "s" => Some(format!("{path} (skip-worktree)")),
            tag if tag.chars().all(|c| c.is_ascii_lowercase()) => Some(format!("{path} (assume-unchanged)")),
            _ => None,
        }
    }));
    Ok(found)
}

/// What HEAD has that a commit before it has not.
#[derive(Clone, Debug)]
pub struct Since {
    /// How many commits lie between.
    pub commits: u64,
    /// The paths that differ, from the checkout's root.
    pub files: Vec<String>,
}

impl Since {
    /// Compares HEAD with `commit`; none if HEAD does not descend from it, or this clone has no such commit.
    pub fn commit(root: &Path, commit: &str) -> Result<Option<Self>> {
        let sh = Shell::new().context("finding the current folder")?;
        sh.change_dir(root);
        if !succeeds(cmd!(sh, "git merge-base --is-ancestor {commit} HEAD")) {
            return Ok(None);
        }
        let range = format!("{commit}..HEAD");
        let commits = read(cmd!(sh, "git rev-list --count {range}"))?;
        let files = read(cmd!(sh, "git diff --name-only -z --no-renames --ignore-submodules=none {commit} HEAD --"))?;
        Ok(Some(Self {
            commits: commits.parse().with_context(|| format!("git counted `{commits}` commits"))?,
            files: files.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        }))
    }
}

/// One line for each commit that `new` has and `old` has not, newest first; none if git does not know both.
pub fn one_liners(root: &Path, old: &str, new: &str, most: usize) -> Vec<String> {
    let finished = Process::new("git")
        .args(["log", "--oneline", "--no-decorate", &format!("--max-count={most}"), &format!("{old}..{new}"), "--"])
        .dir(root)
        .run();
    let lines = finished.ok().filter(crate::process::Finished::success).map(|finished| finished.stdout);
    lines.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Clones HEAD of the checkout at `root` to `to`, on a branch of its own; what stood there is removed.
pub(crate) fn clone_head(root: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("removing {}", to.display()))?;
    }
    let commit = Checkout::read(root)?.commit;
    Process::new("git").args(["clone", "--quiet", "--no-checkout"]).args([root, to]).check()?;
    Process::new("git").args(["checkout", "--quiet", "-B", "rehearsal", &commit]).dir(to).check()?;
    Ok(())
}

/// Commits everything in a clone of ours.
pub(crate) fn commit_all(root: &Path, message: &str) -> Result<()> {
    let settings = ["user.name=cargo xtask", "user.email=xtask@localhost", "commit.gpgSign=false"];
    let settings = settings.iter().flat_map(|setting| ["-c", setting]);
    Process::new("git").args(settings).args(["commit", "--quiet", "--all", "--message", message]).dir(root).check()?;
    Ok(())
}

/// What `git --version` says.
pub fn version(limit: Duration) -> Result<String> {
    Ok(Process::new("git").args(["--version"]).limit(limit).check()?.stdout.trim().to_owned())
}

fn read(command: Cmd<'_>) -> Result<String> {
    command.quiet().read().map_err(|error| anyhow::anyhow!("{error}"))
}

fn succeeds(command: Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
