//! Which tree is released: whatever git was told to ignore or not to look at, and wherever its variables point.

use std::fs;

use super::{Ran, run};
use crate::support::workspace::{Fakes, Workspace};

fn looked_at(workspace: &Workspace) -> Ran {
    run(&mut workspace.xtask(&["release", "--no-push", "--dry-run"]))
}

/// Makes the tree another one than the commit's, so that git does not see it.
type Change = fn(&Workspace);

#[test]
fn what_hides_from_git_does_not_hide_from_a_release() {
    let lib = "services/apps/src/lib.rs";
    let changes: [(&str, Change); 6] = [
        ("services/apps/src/bin/extra.rs (untracked)", |w| {
            w.write("services/apps/src/bin/.gitignore", "*\n");
            w.write("services/apps/src/bin/extra.rs", "fn main() {}\n");
        }),
        ("services/apps/build.rs (untracked)", |w| {
            w.write("services/apps/.gitignore", "build.rs\n.gitignore\n");
            w.write("services/apps/build.rs", "fn main() {}\n");
        }),
        ("services/apps/build.rs (untracked)", |w| {
            w.write("services/apps/build.rs", "fn main() {}\n");
            fs::write(w.beside("excludes"), "build.rs\n").unwrap();
            w.git(&["config", "core.excludesFile", w.beside("excludes").to_str().unwrap()]);
        }),
        ("services/apps/src/lib.rs (modified)", |w| {
            // A monitor that has never seen a change.
            let fakes = Fakes::new(w.beside("monitor"));
            fakes.add("monitor", "printf 'token\\0'");
            w.git(&["config", "core.fsmonitor", w.beside("monitor/monitor").to_str().unwrap()]);
            w.git(&["update-index", "--fsmonitor"]);
            w.git(&["status"]);
            w.write("services/apps/src/lib.rs", "pub fn main(_: &str, _: bool) {}\n");
        }),
        ("services/apps/src/lib.rs (modified)", |w| {
            let path = w.root().join("services/apps/src/lib.rs");
            w.git(&["config", "core.autocrlf", "true"]);
            fs::write(&path, fs::read_to_string(&path).unwrap().replace('\n', "\r\n")).unwrap();
            w.git(&["add", "--renormalize", "."]);
        }),
        ("services/apps/src (untracked)", |w| {
            let folder = w.root().join("services/apps/src");
            fs::rename(&folder, w.beside("moved")).unwrap();
            std::os::unix::fs::symlink(w.beside("moved"), &folder).unwrap();
        }),
    ];
    for (what, change) in changes {
        let workspace = Workspace::new();
        change(&workspace);
        looked_at(&workspace).fails(3, what);
    }
    let workspace = Workspace::new();
    workspace.git(&["config", "core.autocrlf", "true"]);
    workspace.write("target/anything", "ignored by the commit");
    fs::create_dir(workspace.root().join("empty")).unwrap();
    looked_at(&workspace).succeeds();
    assert!(workspace.root().join(lib).is_file());
}

#[test]
fn the_variables_that_git_sets_for_a_hook_lead_nowhere() {
    let (workspace, other) = (Workspace::new(), Workspace::new());
    other.write("README.md", "another commit\n");
    other.commit("second");
    let state = |of: &Workspace| (of.git(&["rev-parse", "HEAD"]), of.git(&["status", "--porcelain"]));
    let before = state(&other);
    workspace.write("services/apps/src/bin/extra.rs", "fn main() {}\n");
    let led_away = |args: &[&str]| {
        let mut command = workspace.xtask(args);
        command.env("GIT_DIR", other.root().join(".git")).env("GIT_WORK_TREE", other.root());
        run(command.env("GIT_INDEX_FILE", other.root().join(".git/index")))
    };
    led_away(&["release", "--no-push", "--dry-run"]).fails(3, "extra.rs (untracked)");
    let ran = led_away(&["release", "--no-push", "--dry-run", "--allow-dirty"]).succeeds();
    assert!(ran.stdout.contains(&format!("{}-dirty", workspace.tag())), "{}", ran.stdout);
    assert_eq!(state(&other), before);
}
