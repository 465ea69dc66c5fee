//! What one would repeat in every review: rules of the repository, read from its files and from cargo's own answers.
//!
//! Each rule says in its failure what to do. Exceptions stand here, each with its reason, and must be needed.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::support::{git, root};

/// A file that grows beyond this has become two.
const LONGEST_FILE: usize = 600;

/// Files that may be longer, and why.
const LONG_FILES: [(&str, &str); 4] = [
    ("Cargo.lock", "cargo writes it"),
    ("tests/it/fixtures/cyclonedx/bom-1.5.SNAPSHOT.schema.json", "as its authors publish it"),
    ("tests/it/fixtures/cyclonedx/spdx.SNAPSHOT.schema.json", "as its authors publish it"),
    ("cloudformation/cfn-preserv-master.yml", "one template, since the console and the reviewers want one"),
];

/// What a newcomer waits for: the packages in a cold build of xtask, itself included.
const MOST_PACKAGES_OF_XTASK: usize = 80;

/// Packages that compile or look for C code.
const C_BUILDERS: [&str; 6] = ["cc", "cmake", "bindgen", "pkg-config", "vcpkg", "autotools"];

/// Packages with a `links` key that links nothing, and why they have it.
const HARMLESS_LINKS: [(&str, &str); 0] = [];

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<String> =
        sources(".rs").into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these do not open with a `//!` line that says what they are for: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let mut long: BTreeMap<String, usize> = sources("")
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .collect();
    for (path, reason) in LONG_FILES {
        assert!(long.remove(path).is_some(), "{path} needs no exception any more ({reason}): remove it");
    }
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines; split these: {long:#?}");
}

#[test]
fn nothing_names_a_developers_machine_or_is_left_for_later() {
    // Put together here, so that this file passes its own rule.
    let folders = [concat!("/ho", "me/"), concat!("/ro", "ot/")];
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut found = Vec::new();
    for (path, text) in sources("") {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if folders.iter().any(|folder| line.contains(folder)) || words.any(|word| notes.contains(&word)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "a path of one machine, or work left for later (that is an issue): {found:#?}");
}

/// Git sets variables for its hooks that lead every git below them to the user's own repository.
#[test]
fn git_is_called_in_one_place_of_the_program_and_one_of_the_tests() {
    let calls = ["Command", "Process"].map(|kind| format!("{kind}::new(\"git\")"));
    let calling = sources(".rs").into_iter().filter(|(_, text)| calls.iter().any(|call| text.contains(call)));
    let calling: Vec<String> = calling.map(|(path, _)| path).collect();
    let places = ["tests/it/support/mod.rs", "xtask/src/git.rs"];
    assert_eq!(calling, places, "take xtask::git::command, or support::git of the tests");
}

#[test]
fn the_crates_depend_on_each_other_as_the_picture_shows() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## Dependencies\n").nth(1).expect("ARCHITECTURE.md has a section `## Dependencies`");
    let block = section.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let picture: BTreeMap<String, BTreeSet<String>> = block
        .expect("the section has a fenced block marked `text`")
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, to) = line.split_once("->").unwrap_or_else(|| panic!("`{line}` is not `crate -> crate, crate`"));
            let to = to.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned);
            (name.trim().to_owned(), to.collect())
        })
        .collect();
    let lines = section.split("```").nth(1).unwrap_or_default().matches("->").count();
    assert_eq!(picture.len(), lines, "ARCHITECTURE.md: a crate stands in the picture twice");
    let packages = members();
    let names: BTreeSet<&str> = packages.iter().map(|package| text_of(package, "name")).collect();
    let edges: BTreeMap<String, BTreeSet<String>> = packages
        .iter()
        .map(|package| {
            let name = text_of(package, "name");
            // What a crate's own unit tests use is its business; the package `tests` has nothing but such dependencies.
            let counts = |dependency: &&Value| name == "tests" || dependency["kind"] != "dev";
            let to = list(package, "dependencies").iter().filter(counts).map(|dependency| text_of(dependency, "name"));
            (name.to_owned(), to.filter(|to| names.contains(to)).map(str::to_owned).collect())
        })
        .collect();
    assert_eq!(picture, edges, "left: the picture in ARCHITECTURE.md; right: the manifests");
}

#[test]
fn a_cold_build_of_xtask_is_small_and_compiles_no_c() {
    let tree = cargo(&[
        "tree",
        "--package",
        "xtask",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--target",
        "x86_64-unknown-linux-gnu",
    ]);
    // Name and version; cargo marks repetitions.
    let packages: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.split_once(" v").map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default())))
        .collect();
    assert!(
        packages.len() <= MOST_PACKAGES_OF_XTASK,
        "xtask compiles {} packages, and {MOST_PACKAGES_OF_XTASK} is the limit: {packages:#?}",
        packages.len()
    );
    let members = members();
    let own: BTreeSet<&str> = members.iter().map(|package| text_of(package, "name")).collect();
    let heavy: Vec<&str> = packages
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.starts_with("aws-") || *name == "tokio" || (own.contains(name) && *name != "xtask"))
        .collect();
    assert!(heavy.is_empty(), "xtask must compile in seconds, without {heavy:?}: what needs them goes to xtask/deploy");
    let compiling: Vec<&str> =
        packages.iter().map(|(name, _)| *name).filter(|name| C_BUILDERS.contains(name)).collect();
    assert!(compiling.is_empty(), "xtask compiles no C code, and these are there to do that: {compiling:?}");
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let linking: Vec<&str> = list(&metadata, "packages")
        .iter()
        .filter(|package| packages.contains(&(text_of(package, "name"), text_of(package, "version"))))
        .filter(|package| package["links"].is_string())
        .map(|package| text_of(package, "name"))
        .filter(|name| !HARMLESS_LINKS.iter().any(|(harmless, _)| harmless == name))
        .collect();
    assert!(linking.is_empty(), "these link a C library into xtask: {linking:?}");
}

#[test]
fn every_package_inherits_what_is_shared() {
    let mut wrong = Vec::new();
    for package in members() {
        let name = text_of(&package, "name").to_owned();
        let text = fs::read_to_string(text_of(&package, "manifest_path")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let inherits = |value: &toml::Value| value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        if !manifest.get("lints").is_some_and(inherits) {
            wrong.push(format!("{name}: [lints] workspace = true"));
        }
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            if !manifest["package"].get(field).is_some_and(inherits) {
                wrong.push(format!("{name}: {field}.workspace = true"));
            }
        }
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        let tables = targets.into_iter().flatten().filter_map(|(_, target)| target.as_table()).chain([&manifest]);
        for table in tables {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let dependencies = table.get(kind).and_then(toml::Value::as_table);
                for (dependency, _) in dependencies.into_iter().flatten().filter(|(_, value)| !inherits(value)) {
                    wrong.push(format!("{name}: {kind}: {dependency}.workspace = true"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "versions and lints stand once, in the manifest of the workspace: {wrong:#?}");
}

/// `test-all` compiles everything with one choice of packages and features, and tells its stages apart by the targets' names; what
/// has another name would not run.
#[test]
fn the_stages_of_test_all_run_every_test() {
    let mut wrong = Vec::new();
    for package in members() {
        let name = text_of(&package, "name");
        for target in list(&package, "targets") {
            let (kind, target_name) = (target["kind"][0].as_str().unwrap_or_default(), text_of(target, "name"));
            match kind {
                "test" if name == "apps" => wrong.push(format!("apps: the tests of {target_name} do not run")),
                "test" if target_name != own_target(name) => {
                    wrong.push(format!(
                        "{name}: the integration tests are one target `it` (tests/it), not `{target_name}`"
                    ));
                }
                "lib" | "proc-macro" if target["doctest"] == true => {
                    wrong.push(format!("{name}: [lib] doctest = false, and a unit test instead"));
                }
                _ => {}
            }
        }
        let chosen = |dependency: &&Value| {
            name == "apps"
                && (list(dependency, "features").len() > workspace_features(text_of(dependency, "name"))
                    || dependency["kind"] == "dev")
        };
        for dependency in list(&package, "dependencies").iter().filter(chosen) {
            let dependency = text_of(dependency, "name");
            wrong.push(format!(
                "apps: {dependency} with features, or for tests: that changes what everything else is compiled with"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a package's integration tests are called: two packages have a stage of their own.
fn own_target(package: &str) -> &str {
    match package {
        "tests" => "repository",
        "e2e" => "e2e",
        _ => "it",
    }
}

/// How many features the workspace's own manifest asks for.
fn workspace_features(dependency: &str) -> usize {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let features = manifest["workspace"]["dependencies"].get(dependency).and_then(|entry| entry.get("features"));
    features.and_then(toml::Value::as_array).map_or(0, Vec::len)
}

#[test]
fn exceptions_in_deny_toml_have_reasons() {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_entry = |line: &str| line.starts_with('{') || line.starts_with('"');
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_entry(line)) {
        // A comment stands above the entry, or above the group in which it is.
        let above = lines[..index].iter().rev().find(|line| !is_entry(line)).copied().unwrap_or_default();
        assert!(above.starts_with('#') || line.contains("reason"), "deny.toml: `{line}` has no comment that says why");
    }
}

#[test]
fn the_readme_lists_the_17_services() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let section = text.split("\n## Services\n").nth(1).expect("README.md has a section `## Services`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<String, bool> = rows
        .map(|row| {
            let name = row.split('`').nth(1).unwrap_or_default().to_owned();
            (name, row.contains("not built yet"))
        })
        .collect();
    assert_eq!(
        documented.len(),
        17,
        "the first column of the table under `## Services` is the executable in backticks"
    );
    let packages = members();
    let apps = packages.iter().find(|package| text_of(package, "name") == "apps").unwrap();
    let built: BTreeMap<String, bool> = list(apps, "targets")
        .iter()
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| {
            let source = fs::read_to_string(text_of(target, "src_path")).unwrap();
            (text_of(target, "name").to_owned(), source.contains("Stage::Unfinished"))
        })
        .collect();
    assert_eq!(
        documented, built,
        "left: README.md (true: not built yet); right: services/apps (true: Stage::Unfinished)"
    );
}

/// The text files that git knows or would know, by their path in the checkout.
fn sources(extension: &str) -> Vec<(String, String)> {
    let output = git(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).unwrap();
    paths
        .split('\0')
        .filter(|path| !path.is_empty() && path.ends_with(extension))
        // What is not UTF-8 is no text, and what git still lists may be gone.
        .filter_map(|path| Some((path.to_owned(), fs::read_to_string(root().join(path)).ok()?)))
        .collect()
}

/// The packages of this workspace, as cargo tells them.
pub(crate) fn members() -> Vec<Value> {
    list(&metadata(&["--no-deps"]), "packages").to_vec()
}

fn metadata(args: &[&str]) -> Value {
    serde_json::from_str(&cargo(&[&["metadata", "--format-version", "1"], args].concat())).unwrap()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
