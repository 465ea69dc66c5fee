//! Git: which commit is checked out, on which branch, and whether the tree is that commit. No other module calls `git`.

mod tree;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::exit::Exit;
use crate::process::{Finished, Process};

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
        if which::which("git").is_err() {
            return Err(Exit::Unavailable.stop("git is not on PATH", "apt-get install git"));
        }
        let found = command(root).args(["rev-parse", "--git-dir"]).run()?;
        if !found.success() {
            return Err(Exit::Refused.stop(
                format!("{} is not a git checkout: {}", root.display(), found.stderr.trim()),
                "release from a clone: the tag names the commit",
            ));
        }
        if !command(root).args(["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]).run()?.success() {
            return Err(
                Exit::Refused.stop("there is no commit yet on this branch", "commit first: the tag names the commit")
            );
        }
        let commit = read(root, &["rev-parse", "HEAD"])?;
        let short = read(root, &["rev-parse", "--short=7", "HEAD"])?;
        // On a detached HEAD it fails, and says nothing.
        let branch = command(root).args(["symbolic-ref", "--short", "--quiet", "HEAD"]).run()?.stdout.trim().to_owned();
        let published = !read(root, &["branch", "--remotes", "--contains", "HEAD"])?.is_empty();
        Ok(Self {
            commit,
            short,
            branch: (!branch.is_empty()).then_some(branch),
            differences: tree::differences(root)?,
            published,
        })
    }
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
        if !command(root).args(["merge-base", "--is-ancestor", commit, "HEAD"]).run()?.success() {
            return Ok(None);
        }
        let commits = read(root, &["rev-list", "--count", &format!("{commit}..HEAD")])?;
        let names = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none"];
        let files = read(root, &[&names, [commit, "HEAD", "--"].as_slice()].concat())?;
        Ok(Some(Self {
            commits: commits.parse().with_context(|| format!("git counted `{commits}` commits"))?,
            files: files.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        }))
    }
}

/// One line for each commit that `new` has and `old` has not, newest first; none if git does not know both.
pub fn one_liners(root: &Path, old: &str, new: &str, most: usize) -> Vec<String> {
    let finished = command(root)
        .args(["log", "--oneline", "--no-decorate", &format!("--max-count={most}"), &format!("{old}..{new}"), "--"])
        .run();
    let lines = finished.ok().filter(Finished::success).map(|finished| finished.stdout);
    lines.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Clones HEAD of the checkout at `root` to `to`, on a branch of its own; what stood there is removed.
pub(crate) fn clone_head(root: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("removing {}", to.display()))?;
    }
    let commit = Checkout::read(root)?.commit;
    command(root).args(["clone", "--quiet", "--no-checkout"]).args([root, to]).check()?;
    // Whatever the user's configuration does to line ends: the clone has the bytes of the commit.
    command(to).args(["config", "core.autocrlf", "false"]).check()?;
    command(to).args(["checkout", "--quiet", "-B", "rehearsal", &commit]).check()?;
    Ok(())
}

/// Commits everything in a clone of ours.
pub(crate) fn commit_all(root: &Path, message: &str) -> Result<()> {
    let settings = ["user.name=cargo xtask", "user.email=xtask@localhost", "commit.gpgSign=false"];
    let settings = settings.iter().flat_map(|setting| ["-c", setting]);
    command(root).args(settings).args(["commit", "--quiet", "--no-verify", "--all", "--message", message]).check()?;
    Ok(())
}

/// What `git --version` says.
pub fn version(limit: Duration) -> Result<String> {
    Ok(command(Path::new(".")).args(["--version"]).limit(limit).check()?.stdout.trim().to_owned())
}

/// Git in the folder `root`, without what leads it elsewhere or shows it something else than what is there: the variables that git
/// sets for its hooks (`git rev-parse --local-env-vars`) and all others of its own, a monitor of the file system, replaced objects.
pub fn command(root: &Path) -> Process {
    // With this one a git that was moved finds its own parts.
    let ours = |name: &str| name.starts_with("GIT_") && name != "GIT_EXEC_PATH";
    let names = std::env::vars_os().map(|(name, _)| name).filter(|name| ours(&name.to_string_lossy()));
    let settings = "'core.fsmonitor=false' 'core.excludesFile=/dev/null'";
    let git = Process::new("git").without(names).dir(root).env("LC_ALL", "C");
    git.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_CONFIG_PARAMETERS", settings)
}

fn read(root: &Path, args: &[&str]) -> Result<String> {
    Ok(command(root).args(args).check()?.stdout.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ScratchFolder;

    /// Runs this test once more with the variables that git sets for its hooks: a process cannot change its own.
    #[test]
    fn a_hook_of_another_repository_is_not_where_we_commit() {
        const INNER: &str = "XTASK_TEST_CLONE";
        if let Some(folder) = std::env::var_os(INNER) {
            let (from, to) = (Path::new(&folder).join("from"), Path::new(&folder).join("to"));
            clone_head(&from, &to).unwrap();
            std::fs::write(to.join("file"), "changed").unwrap();
            return commit_all(&to, "second").unwrap();
        }
        let scratch = ScratchFolder::new("git-test").unwrap();
        for name in ["from", "hooked"] {
            let root = scratch.path().join(name);
            std::fs::create_dir(&root).unwrap();
            command(&root).args(["init", "--quiet", "--initial-branch=main"]).check().unwrap();
            std::fs::write(root.join("file"), name).unwrap();
            command(&root).args(["add", "file"]).check().unwrap();
            commit_all(&root, "first").unwrap();
        }
        let hooked = scratch.path().join("hooked");
        let state = || read(&hooked, &["for-each-ref"]).unwrap();
        let before = state();
        Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "git::tests::a_hook_of_another_repository_is_not_where_we_commit"])
            .env(INNER, scratch.path())
            .env("GIT_DIR", hooked.join(".git"))
            .env("GIT_INDEX_FILE", hooked.join(".git/index"))
            .check()
            .unwrap();
        assert_eq!(state(), before);
        assert_eq!(read(&scratch.path().join("to"), &["rev-list", "--count", "HEAD"]).unwrap(), "2");
    }
}
