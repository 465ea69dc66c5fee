//! `rehearse`: the whole train without an account. A release into OCI layouts, the template pinned to it, a deployment to the
//! simulator `aws-sim`, and one that fails and is rolled back.
//!
//! It works in a clone of HEAD below target, and runs the same commands as an operator. A release of this very commit that lies here
//! is taken as it is: the same executables would come out again. Two things stand in for the world: the layouts' digests for what a
//! registry would answer, and the simulator for AWS.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::deploy;
use crate::exit::Exit;
use crate::files::Lock;
use crate::git;
use crate::image::digest;
use crate::process::{Process, Stream};
use crate::programs::Programs;
use crate::release::manifest::{self, Manifest};
use crate::ui::{Paint, Ui};

const TEMPLATE: &str = "cloudformation/cfn-preserv-master.yml";
const STACK: &str = "preserv-services-staging";
const ACCOUNT: &str = "111122223333";
const BUCKET: &str = "rehearsal-templates";
/// The simulator's package and program.
const SIMULATOR: &str = "aws-sim";
/// The platform of the template.
const PLATFORM: &str = "linux/amd64";
/// The service whose release fails, and its name in ECS.
const BROKEN: (&str, &str) = ("ingest_validator", "ecs-validator");
/// Services that the first deployment changes; the others run the release already.
const CHANGED: [&str; 3] = ["apt_delete", "apt_queue", "ingest_validator"];
/// Simulated seconds in a second, and a look at AWS every four simulated seconds.
const SPEED: &str = "80";
const POLL: &str = "50ms";

pub(crate) fn run(dry_run: bool, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    if dry_run {
        ui.answer("a rehearsal leaves nothing outside target/xtask/rehearse and sends nothing: run it");
        return Ok(Exit::Done);
    }
    ui.keep_below(&catalog.target)?;
    let home = catalog.target.join("xtask/rehearse");
    let _lock = Lock::take(&home.join("lock"), "rehearse")?;
    let packages = [deploy::PROGRAM, SIMULATOR];
    let programs =
        Programs { packages: &packages, known_by: SIMULATOR, expected: deploy::PACKAGES, notice: deploy::NOTICE };
    let programs = programs.compile(&catalog, ui)?;
    let stage = Stage { checkout: home.join("checkout"), target: home.join("target"), programs, ui };

    title(ui, "1. A release, into OCI layouts");
    git::clone_head(&catalog.root, &stage.checkout)?;
    let manifest = answered(&stage.released(&catalog)?)?;

    title(ui, "2. The template is pinned to it");
    let before = fs::read_to_string(stage.checkout.join(TEMPLATE))?;
    let first = stage.pin(&manifest, "rehearsal")?;
    ensure!(first != before, "the template was not pinned");

    title(ui, "3. It is deployed: preview, events, verified tasks");
    let old =
        CHANGED.iter().fold(first.clone(), |text, name| text.replace(&pin(&manifest, name), &digest(name.as_bytes())));
    let code = stage.deploy(&old, &json!({}))?;
    ensure!(code == Exit::Done as i32, "the deployment ended with {code}");

    title(ui, "4. A release whose validator crashes: it is rolled back, and the cause is named");
    let mut broken = manifest.clone();
    for image in broken["images"].as_array_mut().into_iter().flatten().filter(|image| image["service"] == BROKEN.0) {
        image["digest"] = digest(b"broken").into();
    }
    stage.pin(&broken, "broken")?;
    let fault = json!({ "fails": "crash", "exit_code": 64, "log": ["ingest_validator: REDIS_URL is not set; set it to `host:port`"] });
    let code = stage.deploy(&first, &json!({ "services": { BROKEN.1: fault } }))?;
    ensure!(
        code == Exit::RolledBack as i32,
        "the failing deployment ended with {code} and not with {}",
        Exit::RolledBack as i32
    );

    let done =
        format!("rehearsed in {:.0} s: one release deployed and verified, one rolled back", ui.elapsed().as_secs_f64());
    ui.answer(&ui.paint(Paint::Green, &done));
    ui.say(&format!("what it left, records included, is below {}", home.display()));
    Ok(Exit::Done)
}

fn title(ui: &Ui, text: &str) {
    ui.say(&format!("\n{}", ui.paint(Paint::Bold, text)));
    ui.record("step", &json!({ "title": text }));
}

/// A service's digest in a manifest.
fn pin(manifest: &Value, service: &str) -> String {
    let images = manifest["images"].as_array();
    let image = images.into_iter().flatten().find(|image| image["service"] == service);
    image.and_then(|image| image["digest"].as_str()).unwrap_or_default().to_owned()
}

/// Where it is rehearsed.
struct Stage<'a> {
    checkout: PathBuf,
    target: PathBuf,
    /// Where deployer and simulator are.
    programs: PathBuf,
    ui: &'a Ui,
}

impl Stage<'_> {
    /// Runs a command of this very xtask in the clone.
    fn xtask(&self, args: &[&str]) -> Result<()> {
        self.ui.say(&self.ui.paint(Paint::Dim, &format!("$ cargo xtask {}", args.join(" "))));
        let code = self.show(self.in_clone(&std::env::current_exe()?).args(args))?;
        ensure!(code == 0, "`cargo xtask {}` ended with {code}", args.join(" "));
        Ok(())
    }

    fn in_clone(&self, program: &Path) -> Process {
        Process::new(program).dir(&self.checkout).env("CARGO_TARGET_DIR", &self.target)
    }

    fn show(&self, process: Process) -> Result<i32> {
        let finished = process.merge_outputs().lines(|_: Stream, line| self.ui.say(&format!("  {line}")))?;
        Ok(finished.code.unwrap_or(-1))
    }

    /// The manifest of a release of the clone's commit: one that lies here, or a fresh one.
    fn released(&self, catalog: &Catalog) -> Result<PathBuf> {
        let git::Checkout { commit, short, .. } = git::Checkout::read(&self.checkout)?;
        for path in manifest::all(&catalog.target)? {
            // One that cannot be read, or is of something else, is no reason not to rehearse.
            let Ok(found) = Manifest::read(&path) else { continue };
            let platforms: Vec<&str> = found.builds.iter().map(|build| build.platform.as_str()).collect();
            if found.commit == commit && !found.dirty && platforms == [PLATFORM] {
                self.ui.say(&format!("  taking the release {}, which is of this commit", found.tag));
                return Ok(path);
            }
        }
        self.xtask(&["release", "--no-push", "--branch", "rehearsal"])?;
        let tag = format!("{short}-rehearsal");
        Ok(self.target.join("xtask/release").join(&tag).join(format!("release-{tag}.json")))
    }

    /// Pins the clone's template to a release, commits it, and returns its text.
    fn pin(&self, manifest: &Value, name: &str) -> Result<String> {
        let mut manifest = manifest.clone();
        let short = git::Checkout::read(&self.checkout)?.short;
        let tag = format!("{short}-{name}");
        manifest["tag"] = tag.clone().into();
        let path = self.target.join("xtask/release").join(&tag).join(format!("release-{tag}.json"));
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, manifest.to_string()).with_context(|| format!("writing {}", path.display()))?;
        self.xtask(&["update-template", "--offline", "--from", &path.display().to_string()])?;
        git::commit_all(&self.checkout, "Pin the template")?;
        Ok(fs::read_to_string(self.checkout.join(TEMPLATE))?)
    }

    /// Deploys the clone's template to a simulated AWS whose stack has the template `running`; returns the exit code.
    fn deploy(&self, running: &str, more: &Value) -> Result<i32> {
        let mut scenario = json!({
            "seed": 1,
            "exports": exports(running),
            "buckets": [{ "name": BUCKET }],
            "stacks": [{ "name": STACK, "template": running, "parameters": self.parameters()?, "age_days": 12 }],
        });
        if let (Some(scenario), Some(more)) = (scenario.as_object_mut(), more.as_object()) {
            scenario.extend(more.clone());
        }
        let scenario_path = self.target.join("scenario.json");
        fs::write(&scenario_path, scenario.to_string())?;
        let config = self.target.join("config.toml");
        let access = format!("account = \"{ACCOUNT}\"\nregion = \"us-east-1\"\ntemplate_bucket = \"{BUCKET}\"\n");
        fs::write(&config, format!("[environments.staging]\n{access}capabilities = [\"CAPABILITY_IAM\"]\n"))?;

        let scenario_path = scenario_path.display().to_string();
        let args = ["--until-stdin-closes", "--account", ACCOUNT, "--speed", SPEED, "--scenario", &scenario_path];
        let (_simulator, ready) = Process::new(self.programs.join(SIMULATOR)).args(args).serve()?;
        let environment: Value = serde_json::from_str(&ready).context("reading what the simulator says")?;
        let args = ["deploy", "staging", "--yes", "--bake", "30s", "--skip-test-gate", "a rehearsal"];
        self.ui.say(&self.ui.paint(Paint::Dim, "$ cargo xtask deploy staging"));
        // Nothing of the caller's own access to AWS may reach it: a rehearsal must not be able to touch an account.
        let inherited = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("AWS_"));
        let process = inherited
            .fold(Process::new(self.programs.join(deploy::PROGRAM)).only_env(), |process, (name, value)| {
                process.env(name, value)
            });
        let process = process.dir(&self.checkout).env("CARGO_TARGET_DIR", &self.target).env("XTASK_CONFIG", config);
        let mut process = process.args(args).args(["--poll", POLL]);
        for (name, value) in environment.as_object().into_iter().flatten() {
            process = process.env(name, value.as_str().unwrap_or_default());
        }
        self.show(process)
    }

    /// The stack's parameters: those of the committed file, and the one that it leaves out.
    fn parameters(&self) -> Result<Value> {
        let text = fs::read_to_string(self.checkout.join("cloudformation/staging.json"))?;
        let entries: Vec<Value> = serde_json::from_str(&text).context("reading cloudformation/staging.json")?;
        let mut parameters = json!({ "SearchDomainDigest": digest(b"the search-domain container") });
        for entry in entries {
            parameters[entry["ParameterKey"].as_str().unwrap_or_default()] = entry["ParameterValue"].clone();
        }
        Ok(parameters)
    }
}

/// A release's manifest with the digests that a registry would have answered: those of the layouts beside it.
fn answered(path: &Path) -> Result<Value> {
    let folder = path.parent().context("a file has a folder")?;
    let read = |path: PathBuf| -> Result<Value> {
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    };
    let mut manifest = read(path.to_owned())?;
    manifest["published"] = true.into();
    for image in manifest["images"].as_array_mut().into_iter().flatten() {
        let service = image["service"].as_str().unwrap_or_default();
        let manifest_digest = read(folder.join(service).join("index.json"))?["manifests"][0]["digest"].clone();
        image["platforms"][0]["manifest_digest"] = manifest_digest.clone();
        image["digest"] = manifest_digest;
    }
    Ok(manifest)
}

/// What the template imports from other stacks, with a value each.
fn exports(template: &str) -> Value {
    let imports = template.split("!ImportValue {'Fn::Sub': '").skip(1).filter_map(|rest| rest.split("-${DNS}").next());
    imports
        .map(|name| (format!("{name}-staging"), json!(format!("{}-0", name.to_lowercase()))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_of_the_template_gets_a_value() {
        let text = "Subnets: [!ImportValue {'Fn::Sub': 'PrivateSubnet0-${DNS}'}, !ImportValue {'Fn::Sub': 'NameSpace-${DNS}'}]";
        assert_eq!(
            exports(text),
            json!({ "PrivateSubnet0-staging": "privatesubnet0-0", "NameSpace-staging": "namespace-0" })
        );
    }
}
