//! The real services through the whole train, once: built, pushed to a registry, run as what they are in production.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::{read_json, run};
use crate::rules::members;
use crate::support::registry::Registry;
use crate::support::{git, program, root, skip, wait_for, xtask};

/// A release of this checkout into OCI layouts, made once: the folder and the manifest.
pub(crate) fn released() -> &'static (std::path::PathBuf, Value) {
    static RELEASED: OnceLock<(std::path::PathBuf, Value)> = OnceLock::new();
    RELEASED.get_or_init(|| {
        let args = ["release", "--no-push", "--allow-dirty", "--branch", "test", "--format", "json"];
        let ran = run(xtask().args(args)).succeeds();
        let result: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
        let path = std::path::PathBuf::from(result["manifest"].as_str().unwrap());
        (path.parent().unwrap().to_owned(), read_json(&path))
    })
}

fn images() -> &'static Vec<Value> {
    released().1["images"].as_array().unwrap()
}

#[test]
fn every_bill_of_materials_follows_the_schema_of_cyclonedx() {
    let schemas = root().join("tests/it/fixtures/cyclonedx");
    let schema = |name: &str| read_json(&schemas.join(format!("{name}.SNAPSHOT.schema.json")));
    let id = |name: &str| format!("http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json");
    let mut registry = jsonschema::Registry::new();
    for name in ["spdx", "jsf-0.82"] {
        registry = registry.add(id(name), schema(name)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = jsonschema::options().with_registry(&registry).build(&schema("bom-1.5")).unwrap();
    for image in images() {
        let service = image["service"].as_str().unwrap();
        let sbom = read_json(&released().0.join(format!("{service}-amd64.cdx.json")));
        let errors: Vec<String> =
            validator.iter_errors(&sbom).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{service}: {errors:#?}");
        let components = sbom["components"].as_array().unwrap();
        let unknown: Vec<&Value> = components.iter().filter(|component| component["licenses"].is_null()).collect();
        assert!(unknown.is_empty(), "packages without a licence: {unknown:#?}");
        assert!(
            components
                .iter()
                .any(|component| component["name"] == "tokio" && component["hashes"][0]["content"].is_string())
        );
    }
    assert!(!validator.is_valid(&serde_json::json!({ "bomFormat": "CycloneDX" })), "the schema refuses what is none");
}

/// What panics in an executable names the file that it is in, with the package's version: none of a package that is not listed.
#[test]
fn a_bill_of_materials_has_all_that_the_executable_betrays_and_not_all_of_the_17() {
    let target = released().0.ancestors().nth(3).unwrap();
    let triple = released().1["builds"][0]["target"].as_str().unwrap();
    let mut counts = BTreeMap::new();
    for image in images() {
        let service = image["service"].as_str().unwrap();
        let sbom = read_json(&released().0.join(format!("{service}-amd64.cdx.json")));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let components = sbom["components"].as_array().unwrap().iter();
        let listed: BTreeSet<String> =
            components.map(|one| format!("{}-{}", text(&one["name"]), text(&one["version"]))).collect();
        let executable = std::fs::read(target.join(triple).join("dist").join(service)).unwrap();
        let betrayed = betrayed(&String::from_utf8_lossy(&executable));
        assert!(betrayed.len() > 10, "{service} betrays {betrayed:?}");
        assert_eq!(betrayed.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "{service}");
        counts.insert(service, listed.len());
    }
    assert!(counts["apt_queue"] < counts["ingest_format_identifier"], "{counts:?}");
}

/// The packages in paths such as `/cargo/registry/src/<index>/tokio-1.0.0/src/…`.
fn betrayed(text: &str) -> BTreeSet<String> {
    let paths = text.split("/cargo/registry/src/").skip(1);
    paths.filter_map(|path| path.split('/').nth(1)).map(str::to_owned).collect()
}

#[test]
fn all_17_run_from_their_images_as_the_unprivileged_user() {
    let test = "all_17_run_from_their_images_as_the_unprivileged_user";
    let registry = match Registry::start() {
        Ok(registry) => registry,
        Err(reason) => return skip(test, &reason),
    };
    released();
    // A tag of its own: what `released` left is being read by others.
    let args = ["release", "--allow-dirty", "--branch", "images", "--quiet", "--registry"];
    let ran = run(xtask().args(args).arg(registry.name())).succeeds();
    let references: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(references.len(), 17);
    let volume = format!("preserv-test-{}", std::process::id());
    for (reference, image) in references.iter().zip(images()) {
        let service = image["service"].as_str().unwrap();
        let docker = |args: &[&str]| run(Command::new("docker").args(args));
        let in_container = ["run", "--rm", "--read-only", "--network=none"];
        let version = docker(&[&in_container[..], &[reference, "--version"]].concat()).succeeds().stdout;
        let digest = image["platforms"][0]["executable_sha256"].as_str().unwrap();
        assert!(version.contains(&format!("sha256:{digest}")), "{service}: {version}");

        // Nothing set: the whole list, and 64. Everything set: 0.
        let listed =
            docker(&[&in_container[..], &[reference, "--check-settings"]].concat()).fails(64, "is not set").stdout;
        let settings = full_settings(&listed);
        let set: Vec<String> = settings.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let mut with_settings = in_container.to_vec();
        with_settings.extend(set.iter().map(String::as_str));
        docker(&[&with_settings[..], &[reference, "--check-settings"]].concat()).succeeds();

        // It starts, writes its log onto the mounted volume as its user, and lives until it is told to stop, though nothing is
        // there that it could reach.
        let mount = format!("--volume={volume}:/tmp");
        let start = [&with_settings[1..], &[&mount, "--env=LOG_DIR=/tmp/logs", reference]].concat();
        let name = format!("preserv-test-{service}-{}", std::process::id());
        let detached: Vec<&str> = start.iter().copied().filter(|arg| *arg != "--rm").collect();
        docker(&[&["run", "--detach", "--name", &name], &detached[..]].concat()).succeeds();
        let _container = Container(name.clone());
        let healthy = wait_for("the service in its container to be healthy", || {
            let asked = docker(&["exec", &name, &format!("/{service}"), "--health"]);
            if asked.code == Some(0) { Ok(asked.stdout) } else { Err(asked.stderr) }
        });
        assert!(healthy.starts_with("healthy"), "{healthy}");
        docker(&["stop", "--time", "100", &name]).succeeds();
        let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", &name]).succeeds().stdout;
        assert_eq!(code.trim(), "0", "{service} was told to stop");
    }
    let owners = logs_in(&volume);
    run(Command::new("docker").args(["volume", "rm", "--force", &volume]));
    run(Command::new("docker").args(["image", "rm", "--force"]).args(&references));
    let expected: BTreeMap<String, u32> =
        images().iter().map(|image| (format!("{}.log", image["service"].as_str().unwrap()), 65532)).collect();
    assert_eq!(owners, expected, "one log each on the volume, written by the unprivileged user");
}

/// A container that goes away with the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        run(Command::new("docker").args(["rm", "--force", &self.0]));
    }
}

/// A value for each required setting, by its kind.
fn full_settings(listed: &str) -> BTreeMap<String, String> {
    let rows = listed.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let required = rows.filter(|row| row.get(1) == Some(&"required"));
    required
        .map(|row| {
            let value = match row[2] {
                "host:port" => "localhost:1",
                "url" => "http://localhost:1",
                "host" => "localhost",
                "duration" => "5m",
                "integer" => "9",
                "path" => "/tmp/work",
                "bucket" => "some-staging-bucket",
                _ => "something",
            };
            (row[0].to_owned(), value.to_owned())
        })
        .collect()
}

/// Name and owner of each file in the volume's folder `logs`, seen from outside.
fn logs_in(volume: &str) -> BTreeMap<String, u32> {
    use std::os::unix::fs::MetadataExt as _;
    let format = "{{.Mountpoint}}";
    let place = run(Command::new("docker").args(["volume", "inspect", "--format", format, volume])).succeeds().stdout;
    let folder = std::path::Path::new(place.trim()).join("logs");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(Result::unwrap)
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().uid()))
        .collect()
}

#[test]
fn each_service_names_itself_as_its_file_does() {
    for image in images() {
        let service = image["service"].as_str().unwrap();
        let version = run(Command::new(program(service)).arg("--version")).succeeds().stdout;
        assert!(version.starts_with(&format!("{service} ")), "{version}");
    }
}

/// What is ours is compiled again in the other folder; what others wrote is taken over compiled, since its flags name no folder. That
/// no executable has learned the first folder from it is looked at.
#[test]
fn two_clones_in_two_folders_give_the_same_executables() {
    let test = "two_clones_in_two_folders_give_the_same_executables";
    let scratch = crate::support::Scratch::new("clone");
    let clone = scratch.path().join("elsewhere/deep");
    run(git(root()).args(["clone", "--quiet", "--no-hardlinks"]).arg(root()).arg(&clone)).succeeds();
    if released().1["dirty"] == true {
        return skip(test, "the tree has uncommitted changes, which a clone does not have");
    }
    std::fs::write(clone.join("README.md"), "another commit, which no executable depends on\n").unwrap();
    let commit =
        ["-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--all", "--message=x"];
    run(git(&clone).args(commit)).succeeds();

    let target = released().0.ancestors().nth(3).unwrap();
    let triple = released().1["builds"][0]["target"].as_str().unwrap();
    for folder in ["dist".to_owned(), format!("{triple}/dist")] {
        let to = clone.join("target").join(&folder);
        std::fs::create_dir_all(&to).unwrap();
        run(Command::new("cp").args(["-a", "-T"]).arg(target.join(&folder)).arg(&to)).succeeds();
        forget_ours(&to.join(".fingerprint"));
    }
    let args = ["release", "--no-push", "--branch", "test", "--format", "json", "--verbose"];
    let ran = run(xtask().args(args).current_dir(&clone).env_remove("CARGO_TARGET_DIR")).succeeds();
    for compiled in ["Compiling worker v", "Compiling apps v"] {
        assert!(ran.stderr.contains(compiled), "`{compiled}` is not in\n{}", ran.stderr);
    }
    let result: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let manifest = read_json(std::path::Path::new(result["manifest"].as_str().unwrap()));
    assert_ne!(manifest["commit"], released().1["commit"]);
    assert_eq!(super::config_digests(&manifest), super::config_digests(&released().1));

    for image in images() {
        let service = image["service"].as_str().unwrap();
        let executable = std::fs::read(clone.join("target").join(triple).join("dist").join(service)).unwrap();
        for folder in [root(), target, &clone] {
            let folder = folder.to_str().unwrap();
            let holds = String::from_utf8_lossy(&executable).contains(folder);
            assert!(!holds, "{service} holds the path {folder}, in which it, or something in it, was compiled");
        }
    }
}

/// Makes cargo compile the packages of this workspace again.
fn forget_ours(fingerprints: &std::path::Path) {
    let ours: Vec<String> = members().iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect();
    for entry in std::fs::read_dir(fingerprints).unwrap() {
        let path = entry.unwrap().path();
        // `<package>-<16 hexadecimal digits>`.
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.rsplit_once('-').is_some_and(|(package, _)| ours.iter().any(|name| name == package)) {
            std::fs::remove_dir_all(&path).unwrap();
        }
    }
}
