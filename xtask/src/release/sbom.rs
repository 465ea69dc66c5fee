//! The bill of materials of an image: CycloneDX 1.5, from what cargo resolved and Cargo.lock fixes.
//!
//! All executables come from one package and are built in one go, so they share one set of dependencies; that is said in each document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cargo;
use crate::catalog::{APPS, Catalog};

/// The packages that are linked into the executables for one target.
#[derive(Debug)]
pub(crate) struct Packages {
    components: Vec<Value>,
    dependencies: Vec<Value>,
    roots: Vec<String>,
    /// About as many compilations as a build of all services has: for its progress.
    pub(crate) compilations: u64,
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
    kind: Vec<String>,
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
        Self::new(&metadata, &checksums(&text).with_context(|| format!("reading {}", lock.display()))?)
    }

    fn new(metadata: &Metadata, checksums: &BTreeMap<(String, String), String>) -> Result<Self> {
        let packages: BTreeMap<&str, &Package> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let apps =
            metadata.packages.iter().find(|package| package.name == APPS).context("no package of the services")?;
        let linked = |node: &Node| -> Vec<String> {
            let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            let library = normal.filter(|dep| packages.get(dep.pkg.as_str()).is_some_and(|package| !is_macro(package)));
            library.map(|dep| dep.pkg.clone()).collect()
        };
        let compilations = compilations(&apps.id, &packages, &nodes);
        let mut seen = BTreeSet::new();
        let mut todo = vec![apps.id.clone()];
        let (mut components, mut dependencies, mut roots) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(id) = todo.pop() {
            let (Some(package), Some(node)) = (packages.get(id.as_str()), nodes.get(id.as_str())) else {
                anyhow::bail!("cargo resolved `{id}` but does not describe it");
            };
            let on = linked(node);
            let names: Vec<String> =
                on.iter().filter_map(|id| packages.get(id.as_str())).map(|package| url(package)).collect();
            if id == apps.id {
                roots = names;
            } else if seen.insert(id.clone()) {
                let checksum = checksums.get(&(package.name.clone(), package.version.clone()));
                components.push(component(package, &node.features, checksum));
                dependencies.push(json!({ "ref": url(package), "dependsOn": names }));
            } else {
                continue;
            }
            todo.extend(on);
        }
        let key = |value: &Value| value["bom-ref"].as_str().or(value["ref"].as_str()).unwrap_or_default().to_owned();
        components.sort_by_key(key);
        dependencies.sort_by_key(key);
        Ok(Self { components, dependencies, roots, compilations })
    }

    /// The document of one executable.
    pub(crate) fn document(&self, service: &str, version: &str, executable_sha256: &str) -> Value {
        let name = format!("pkg:generic/{service}@{version}");
        let mut dependencies = vec![json!({ "ref": name, "dependsOn": self.roots })];
        dependencies.extend(self.dependencies.iter().cloned());
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
                    "properties": [{
                        "name": "preserv:shared-dependencies",
                        "value": "all services are built from one package and share this set of dependencies",
                    }],
                },
                "tools": { "components": [{ "type": "application", "name": "cargo xtask release" }] },
            },
            "components": self.components,
            "dependencies": dependencies,
        })
    }
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
    fn only_what_is_linked_is_listed_with_licence_features_and_checksum() {
        let package = |name: &str, kind: &str| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": "registry", "targets": [{ "kind": [kind] }] });
        let dependency = |name: &str, kind: Option<&str>| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [package("apps", "bin"), package("lib", "lib"), package("macro", "proc-macro"), package("build", "lib"), package("deep", "lib")],
            "resolve": { "nodes": [
                { "id": "apps", "features": [], "deps": [dependency("lib", None), dependency("macro", None), dependency("build", Some("build"))] },
                { "id": "lib", "features": ["std"], "deps": [dependency("deep", None)] },
                { "id": "deep", "features": [], "deps": [] },
                { "id": "macro", "features": [], "deps": [] },
                { "id": "build", "features": [], "deps": [] },
            ] },
        }))
        .unwrap();
        let lock = checksums("[[package]]\nname = 'lib'\nversion = '1.0.0'\nchecksum = 'abc'\n").unwrap();
        let packages = Packages::new(&metadata, &lock).unwrap();
        assert_eq!(packages.compilations, 5);
        let document = packages.document("apt_delete", "0.1.0", "00");
        let names: Vec<&str> =
            document["components"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(names, ["deep", "lib"]);
        let lib = &document["components"][1];
        assert_eq!(lib["hashes"][0]["content"], "abc");
        assert_eq!(lib["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(lib["properties"][0]["value"], "std");
        assert_eq!(document["dependencies"][0]["dependsOn"], json!(["pkg:cargo/lib@1.0.0"]));
    }
}
