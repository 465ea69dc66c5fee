//! The bill of materials of an image: CycloneDX 1.5, from what cargo resolved and Cargo.lock fixes.
//!
//! All executables come from one package and are built in one go, and each links those of the package's dependencies that its source
//! names, with all that these need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cargo;
use crate::catalog::{APPS, Catalog};

/// The packages that are linked into the executables for one target.
#[derive(Debug)]
pub(crate) struct Packages {
    /// By cargo's id.
    linked: BTreeMap<String, Linked>,
    /// The ids that each executable's source names.
    roots: BTreeMap<String, Vec<String>>,
    /// About as many compilations as a build of all services has: for its progress.
    pub(crate) compilations: u64,
}

/// One package that is linked.
#[derive(Debug)]
struct Linked {
    url: String,
    component: Value,
    /// Ids.
    on: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    /// As sources call it.
    name: String,
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None for a normal dependency.
    kind: Option<String>,
}

impl Packages {
    /// Resolves them for a target.
    pub(crate) fn resolve(catalog: &Catalog, triple: &str) -> Result<Self> {
        let json = cargo::metadata(&["--locked", "--filter-platform", triple])?;
        let metadata: Metadata = serde_json::from_str(&json).context("reading the answer of `cargo metadata`")?;
        let lock = catalog.root.join("Cargo.lock");
        let text = fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        Self::new(&metadata, &checksums(&text).with_context(|| format!("reading {}", lock.display()))?, read)
    }

    /// `read` gives the source of an executable.
    fn new(
        metadata: &Metadata,
        checksums: &BTreeMap<(String, String), String>,
        read: impl Fn(&Path) -> Result<String>,
    ) -> Result<Self> {
        let packages: BTreeMap<&str, &Package> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let apps =
            metadata.packages.iter().find(|package| package.name == APPS).context("no package of the services")?;
        let describe = |id: &str| match (packages.get(id), nodes.get(id)) {
            (Some(package), Some(node)) => Ok((*package, *node)),
            _ => Err(anyhow::anyhow!("cargo resolved `{id}` but does not describe it")),
        };
        let libraries = |node: &'_ Node| -> Vec<(String, String)> {
            let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            let library = normal.filter(|dep| packages.get(dep.pkg.as_str()).is_some_and(|package| !is_macro(package)));
            library.map(|dep| (dep.name.clone(), dep.pkg.clone())).collect()
        };
        let own = libraries(describe(&apps.id)?.1);
        let mut linked = BTreeMap::new();
        let mut todo: Vec<String> = own.iter().map(|(_, id)| id.clone()).collect();
        while let Some(id) = todo.pop() {
            if linked.contains_key(&id) {
                continue;
            }
            let (package, node) = describe(&id)?;
            let on: Vec<String> = libraries(node).into_iter().map(|(_, id)| id).collect();
            todo.extend(on.iter().cloned());
            let checksum = checksums.get(&(package.name.clone(), package.version.clone()));
            let component = component(package, &node.features, checksum);
            linked.insert(id, Linked { url: url(package), component, on });
        }
        let mut roots = BTreeMap::new();
        for target in apps.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin")) {
            let source = read(&target.src_path)?;
            // What is in other files, or in the package's own library, may be anything of what the package depends on.
            let is_whole = !names(&source, APPS) && !source.lines().any(is_module_elsewhere);
            let named = own.iter().filter(|(name, _)| !is_whole || names(&source, name));
            roots.insert(target.name.clone(), named.map(|(_, id)| id.clone()).collect());
        }
        Ok(Self { linked, roots, compilations: compilations(&apps.id, &packages, &nodes) })
    }

    /// The document of one executable.
    pub(crate) fn document(&self, service: &str, version: &str, executable_sha256: &str) -> Value {
        let roots = self.roots.get(service).cloned().unwrap_or_default();
        let mut needed: BTreeMap<&str, &Linked> = BTreeMap::new();
        let mut todo: Vec<&String> = roots.iter().collect();
        while let Some(linked) = todo.pop().and_then(|id| self.linked.get(id)) {
            if needed.insert(&linked.url, linked).is_none() {
                todo.extend(&linked.on);
            }
        }
        let urls = |ids: &[String]| -> Vec<&str> {
            ids.iter().filter_map(|id| self.linked.get(id)).map(|linked| linked.url.as_str()).collect()
        };
        let name = format!("pkg:generic/{service}@{version}");
        let mut dependencies = vec![json!({ "ref": name, "dependsOn": urls(&roots) })];
        dependencies.extend(needed.values().map(|linked| json!({ "ref": linked.url, "dependsOn": urls(&linked.on) })));
        let components: Vec<&Value> = needed.values().map(|linked| &linked.component).collect();
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "component": {
                    "type": "application",
                    "bom-ref": name,
                    "name": service,
                    "version": version,
                    "hashes": [{ "alg": "SHA-256", "content": executable_sha256 }],
                },
                "tools": { "components": [{ "type": "application", "name": "cargo xtask release" }] },
            },
            "components": components,
            "dependencies": dependencies,
        })
    }
}

/// The source uses this crate: without its name, rustc does not link it.
fn names(source: &str, krate: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| {
        line.match_indices(krate).any(|(at, _)| {
            !is_part(line[..at].chars().next_back()) && !is_part(line[at + krate.len()..].chars().next())
        })
    })
}

fn is_module_elsewhere(line: &str) -> bool {
    let line = line.trim();
    line.ends_with(';') && (line.starts_with("mod ") || line.starts_with("pub mod ") || line.contains("include!("))
}

/// Every package that is compiled, once, and its build script, once more.
fn compilations(apps: &str, packages: &BTreeMap<&str, &Package>, nodes: &BTreeMap<&str, &Node>) -> u64 {
    let mut seen = BTreeSet::new();
    let mut todo = vec![apps];
    let mut count = 0;
    while let Some(id) = todo.pop() {
        let (Some(package), Some(node), true) = (packages.get(id), nodes.get(id), seen.insert(id)) else { continue };
        let counted =
            |target: &&Target| !target.kind.iter().any(|kind| matches!(kind.as_str(), "test" | "example" | "bench"));
        count += package.targets.iter().filter(counted).count() as u64;
        let needed = |dep: &&Dependency| dep.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        todo.extend(node.deps.iter().filter(needed).map(|dep| dep.pkg.as_str()));
    }
    count
}

fn is_macro(package: &Package) -> bool {
    package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
}

fn url(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package, features: &[String], checksum: Option<&String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": url(package),
        "name": package.name,
        "version": package.version,
        "purl": url(package),
        "properties": [{ "name": "cargo:features", "value": features.join(" ") }],
    });
    if let Some(license) = &package.license {
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let (Some(checksum), Some(_)) = (checksum, &package.source) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// Cargo.lock's checksums by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let table: toml::Table = lock.parse()?;
    let packages = table.get("package").and_then(toml::Value::as_array).context("it lists no packages")?;
    let entries = packages.iter().filter_map(|package| {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        Some(((field("name")?, field("version")?), field("checksum")?))
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_executable_links_is_listed_with_licence_features_and_checksum() {
        let target = |name: &str, kind: &str| json!({ "name": name, "kind": [kind], "src_path": name });
        let with = |name: &str, targets: Value| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": "registry", "targets": targets });
        let package = |name: &str, kind: &str| with(name, json!([target(name, kind)]));
        let dependency =
            |name: &str, kind: Option<&str>| json!({ "name": name, "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let bins = json!([
            target("apt_delete", "bin"),
            target("apt_queue", "bin"),
            target("other", "bin"),
            target("parts", "bin")
        ]);
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [with("apps", bins), package("lib", "lib"), package("more", "lib"), package("macro", "proc-macro"),
                package("build", "lib"), package("deep", "lib")],
            "resolve": { "nodes": [
                { "id": "apps", "features": [], "deps": [dependency("lib", None), dependency("more", None), dependency("macro", None),
                    dependency("build", Some("build"))] },
                { "id": "lib", "features": ["std"], "deps": [dependency("deep", None)] },
                { "id": "more", "features": [], "deps": [dependency("deep", None)] },
                { "id": "deep", "features": [], "deps": [] },
                { "id": "macro", "features": [], "deps": [] },
                { "id": "build", "features": [], "deps": [] },
            ] },
        }))
        .unwrap();
        let lock = checksums("[[package]]\nname = 'lib'\nversion = '1.0.0'\nchecksum = 'abc'\n").unwrap();
        let source = |path: &Path| {
            Ok(match path.to_str().unwrap() {
                "apt_delete" => "use lib::Program; // as more does\nfn main() {}",
                "apt_queue" => "fn main() { more::run() }",
                "parts" => "mod part;\nfn main() {}",
                _ => "fn main() { no_more(); }",
            }
            .to_owned())
        };
        let packages = Packages::new(&metadata, &lock, source).unwrap();
        assert_eq!(packages.compilations, 9);
        let document = |service: &str| packages.document(service, "0.1.0", "00");
        let names = |service: &str| -> Vec<String> {
            let document = document(service);
            let components = document["components"].as_array().unwrap();
            components.iter().map(|component| component["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("apt_delete"), ["deep", "lib"]);
        assert_eq!(names("apt_queue"), ["deep", "more"]);
        assert_eq!(names("other"), Vec::<String>::new());
        assert_eq!(names("parts"), ["deep", "lib", "more"]);
        let lib = &document("apt_delete")["components"][1];
        assert_eq!(lib["hashes"][0]["content"], "abc");
        assert_eq!(lib["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(lib["properties"][0]["value"], "std");
        assert_eq!(document("apt_delete")["dependencies"][0]["dependsOn"], json!(["pkg:cargo/lib@1.0.0"]));
    }
}
