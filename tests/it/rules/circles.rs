//! No circle between the modules of a crate: of any two, at most one knows the other, directly or over others. Read from the paths
//! in the source, with `pub use` followed; what only tests use does not count, nor what a module and the ones inside it share.

use std::collections::{BTreeMap, BTreeSet};

use super::{list, members, sources, text_of};
use crate::support::root;

/// Crates that still have circles, and why. The way out of a circle is a third module with what both need.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("aws-sim", "every service acts on one world, which holds the state of each"),
    ("model", "an item makes its note, and the note is of an item"),
    ("stack", "the two sides of a protocol that are one file each: lists and their objects, pages and their changes"),
];

/// A module by its names from the crate's root on.
type Path = Vec<String>;

/// The modules of one crate, each with its text as far as it is not for tests.
type Modules = BTreeMap<Path, String>;

#[test]
fn no_crate_has_a_circle_between_its_modules() {
    let files = sources(".rs");
    let mut wrong = BTreeMap::new();
    for package in members() {
        let manifest = text_of(&package, "manifest_path");
        let folder = std::path::Path::new(manifest).parent().unwrap().strip_prefix(root()).unwrap();
        let source = format!("{}/src/", folder.display());
        let modules =
            modules(files.iter().filter_map(|(path, text)| Some((path.strip_prefix(&source)?, text.as_str()))));
        let has_library = list(&package, "targets").iter().any(|target| target["kind"][0] == "lib");
        assert!(!has_library || !modules.is_empty(), "no module was found in {source}");
        let circles = circles(&modules);
        if !circles.is_empty() {
            wrong.insert(text_of(&package, "name").to_owned(), circles);
        }
    }
    for (name, reason) in EXCEPTIONS {
        assert!(wrong.remove(name).is_some(), "{name} needs no exception any more ({reason}): remove it");
    }
    assert!(
        wrong.is_empty(),
        "these know each other in a circle; move what they share into a third module: {wrong:#?}"
    );
}

/// The rooms of `worker` know each other as ARCHITECTURE.md says.
#[test]
fn the_rooms_of_the_worker_are_as_pictured() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, block) = text.split_once("`worker` has four rooms").expect("ARCHITECTURE.md shows the rooms of `worker`");
    let block = block.split("```").nth(1).unwrap().trim_start_matches("text");
    let picture: BTreeMap<&str, BTreeSet<&str>> = block
        .lines()
        .filter_map(|line| line.split_once("->"))
        .map(|(room, uses)| (room.trim(), uses.split(',').map(str::trim).filter(|to| !to.is_empty()).collect()))
        .collect();
    let files = sources(".rs");
    let source = "services/worker/src/";
    let modules = modules(files.iter().filter_map(|(path, text)| Some((path.strip_prefix(source)?, text.as_str()))));
    let exports: BTreeMap<Path, Path> = modules.iter().flat_map(|(path, text)| exports(path, text)).collect();
    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (from, text) in modules.iter().filter(|(from, _)| !from.is_empty()) {
        let to = references(from, text).into_iter().map(|to| resolved(to, &modules, &exports));
        let rooms = to.filter_map(|to| to.first().cloned()).filter(|room| *room != from[0]);
        edges.entry(&from[0]).or_default().extend(rooms);
    }
    let edges: BTreeMap<&str, BTreeSet<&str>> =
        edges.iter().map(|(room, uses)| (*room, uses.iter().map(String::as_str).collect())).collect();
    assert_eq!(picture, edges, "left: the picture in ARCHITECTURE.md; right: the code");
}

/// The states of an item are the same in the picture and in the loop, in the same order.
#[test]
fn the_states_of_an_item_are_as_pictured() {
    let picture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let line =
        picture.lines().find(|line| line.starts_with("message ─▶")).expect("ARCHITECTURE.md shows an item's states");
    let shown: Vec<&str> = line.split("─▶").map(str::trim).collect();
    let code = std::fs::read_to_string(root().join("services/worker/src/items.rs")).unwrap();
    let rows = code.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let states: Vec<&str> = rows.filter_map(|row| row.split(" | ").next()).collect();
    assert_eq!(shown[1..shown.len() - 1], states, "left: the picture; right: the table in items.rs");
}

/// The files of a crate's `src` by their path in there. Programs in `bin` are crates of their own.
fn modules<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Modules {
    let mut modules = Modules::new();
    let mut for_tests = BTreeSet::new();
    for (file, text) in files.filter(|(file, _)| !file.starts_with("bin/")) {
        let mut path: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
            path.pop();
        }
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |text, line| text + line + "\n");
        // What is for tests stands last in a file, or in one of its own.
        let mut parts = text.split("#[cfg(test)]\n");
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let declared = part.trim_start().strip_prefix("pub(crate) ").unwrap_or(part.trim_start());
            match declared.strip_prefix("mod ").and_then(|rest| rest.split_once(';')) {
                Some((name, rest)) if !name.contains([' ', '{']) => {
                    for_tests.insert([&path[..], &[name.to_owned()]].concat());
                    kept.push_str(rest);
                }
                _ => {
                    // An item for tests, up to its end at the margin.
                    kept.push_str(part.split_once("\n}\n").map_or("", |(_, rest)| rest));
                }
            }
        }
        // A library and a program of the same package share their root.
        modules.entry(path).or_default().push_str(&kept);
    }
    modules.retain(|path, _| !for_tests.iter().any(|gone| path.starts_with(gone)));
    modules
}

/// Groups of siblings that reach each other.
fn circles(modules: &Modules) -> Vec<BTreeSet<String>> {
    let exports: BTreeMap<Path, Path> = modules.iter().flat_map(|(path, text)| exports(path, text)).collect();
    // Siblings by the module that they are in: who knows whom.
    let mut edges: BTreeMap<&[String], BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for (from, text) in modules {
        for to in references(from, text) {
            let to = resolved(to, modules, &exports);
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) else { continue };
            if modules.keys().any(|path| path.starts_with(&to[..=shared])) {
                edges.entry(&from[..shared]).or_default().entry(one).or_default().insert(other.clone());
            }
        }
    }
    let mut found = BTreeSet::new();
    for (parent, edges) in &edges {
        let reached = |start: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start.to_owned()]);
            while let Some(name) = next.pop() {
                let new = edges.get(name.as_str()).into_iter().flatten().filter(|to| seen.insert((*to).clone()));
                next.extend(new.cloned().collect::<Vec<_>>());
            }
            seen
        };
        let reach: BTreeMap<&str, BTreeSet<String>> = edges.keys().map(|name| (*name, reached(name))).collect();
        for (name, all) in reach.iter().filter(|(name, all)| all.contains(**name)) {
            let back = |other: &&String| reach.get(other.as_str()).is_some_and(|all| all.contains(*name));
            found.insert(
                all.iter().filter(back).map(|other| [parent, &[other.clone()][..]].concat().join("::")).collect(),
            );
        }
    }
    found.into_iter().collect()
}

/// Where a path leads once each `pub use` on the way is followed.
fn resolved(mut path: Path, modules: &Modules, exports: &BTreeMap<Path, Path>) -> Path {
    // No chain of them is longer; and one that leads back to itself must end.
    for _ in 0..8 {
        let length = (1..=path.len()).find(|length| !modules.contains_key(&path[..*length]));
        let Some(target) = length.and_then(|length| Some((length, exports.get(&path[..length])?))) else { break };
        path = [&target.1[..], &path[target.0..]].concat();
    }
    path
}

/// The names that a module hands on, and what they stand for.
fn exports(module: &Path, text: &str) -> Vec<(Path, Path)> {
    let marks = ["pub use ", "pub(crate) use ", "pub(super) use "];
    let statements = marks.iter().flat_map(|mark| text.split(*mark).skip(1));
    let mut found = Vec::new();
    for statement in statements {
        let mut paths = Vec::new();
        tree(statement, &[], &mut paths);
        for path in paths {
            let name = path.last().cloned().unwrap_or_default();
            let target = absolute(module, &path).unwrap_or_else(|| [&module[..], &path[..]].concat());
            found.push(([&module[..], &[name]].concat(), target));
        }
    }
    found
}

/// Every path in a module's text that begins with `crate` or `super`, from the crate's root on.
fn references(module: &Path, text: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for mark in ["crate::", "super::"] {
        for (start, _) in text.match_indices(mark) {
            let before = text[..start].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$') {
                tree(&text[start..], &[], &mut found);
            }
        }
    }
    found.iter().filter_map(|path| absolute(module, path)).collect()
}

fn absolute(module: &Path, path: &[String]) -> Option<Path> {
    match path.first().map(String::as_str) {
        Some("crate") => Some(path[1..].to_vec()),
        Some("self") => Some([&module[..], &path[1..]].concat()),
        Some("super") => {
            let up = path.iter().take_while(|part| *part == "super").count();
            Some([&module[..module.len().saturating_sub(up)], &path[up..]].concat())
        }
        _ => None,
    }
}

/// Reads a path such as `crate::a::{b, c::{d, e as f}, *}` into its single ones; returns what comes after it.
fn tree<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Path>) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut group) = rest.strip_prefix('{') {
            loop {
                group = group.trim_start();
                match group.chars().next() {
                    None => return group,
                    Some('}') => return &group[1..],
                    Some(',') => group = &group[1..],
                    Some(_) => {
                        let after = tree(group, &path, found);
                        // What is no path ends the reading: it was no `use` after all.
                        if after.len() == group.len() {
                            return after;
                        }
                        group = after;
                    }
                }
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            found.push(path);
            return rest.strip_prefix('*').unwrap_or(rest);
        }
        path.push(rest[..end].to_owned());
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) => rest = more,
            None => break,
        }
    }
    if let Some(renamed) = rest.trim_start().strip_prefix("as ") {
        rest = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    }
    found.push(path);
    rest
}

#[test]
fn a_planted_circle_is_found() {
    let of = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let circles = circles(&modules(files.iter().copied()));
        circles.into_iter().map(|circle| circle.into_iter().collect()).collect()
    };
    let none: Vec<Vec<String>> = Vec::new();
    let straight = [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "use crate::b::B;\n"), ("b.rs", "//! See crate::a.\n")];
    assert_eq!(of(&straight), none);
    for back in [
        "use crate::a::A;\n",
        "use crate::{c::C, a::{self, A}};\n",
        "fn f() {\n    super::a::g();\n}\n",
        "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n\nuse crate::a::A;\n",
        // Through the root, which hands it on.
        "use crate::A;\n",
    ] {
        let root = "mod a;\nmod b;\npub use a::A;\n";
        assert_eq!(of(&[("lib.rs", root), ("a.rs", "use crate::b::B;\n"), ("b.rs", back)]), [["a", "b"]], "{back}");
    }
    // Over a third, and inside a module.
    let long = [("x/a.rs", "use super::b::B;"), ("x/b.rs", "use super::c::C;"), ("x/c.rs", "use crate::x::a::A;")];
    assert_eq!(of(&long), [["x::a", "x::b", "x::c"]]);
    // A module and what is inside it are one; what tests use does not count.
    assert_eq!(of(&[("a.rs", "use self::b::B;"), ("a/b.rs", "use crate::a::A;")]), none);
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n";
    assert_eq!(of(&[("a.rs", "use crate::b::B;"), ("b.rs", tests)]), none);
    let beside = [("a.rs", "use crate::b::B;"), ("b.rs", "#[cfg(test)]\nmod t;\n"), ("b/t.rs", "use crate::a::A;")];
    assert_eq!(of(&beside), none);
}
