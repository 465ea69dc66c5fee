//! A stand for one test: a checkout in miniature, a simulated AWS, and the built program between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sim::{Options, Pace, Scenario, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const BUCKET: &str = "preserv-templates";

/// The executables of the miniature.
pub(crate) const EXECUTABLES: [&str; 3] = ["alpha", "beta", "gamma"];

const TEMPLATE: &str = include_str!("template.yml");

/// One look of the deployer in simulated time is about what it is in real life: 20 ms stand for 4 s.
const POLL: &str = "20ms";
const SPEED: f64 = 200.0;

pub(crate) struct Stand {
    scratch: TempDir,
    pub(crate) aws: Simulator,
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Checks the exit code, showing what was said if it is another.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Checks that this was said, on either output.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "`{text}` is not in:\n{}", self.all());
        self
    }

    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "`{text}` is in:\n{}", self.all());
        self
    }

    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stderr, self.stdout)
    }

    /// The records of `--format json`; every line must be one, and the last the result with the exit code.
    #[track_caller]
    pub(crate) fn records(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let records: Vec<Value> = self.stdout.lines().map(parse).collect();
        let last = records.last().unwrap_or_else(|| panic!("no record; stderr:\n{}", self.stderr));
        assert_eq!(last["type"], "result", "{last}");
        assert_eq!(last["exit_code"].as_i64(), self.code.map(i64::from), "{last}");
        for record in &records {
            for field in ["schema", "ts", "command", "run_id", "type"] {
                assert!(record[field].is_string(), "{field} is not in {record}");
            }
        }
        records
    }
}

/// The digest of an executable in a release, which is one character.
pub(crate) fn digest(release: char, executable: &str) -> String {
    let first = executable.chars().next().unwrap_or('x');
    let mark = char::from_digit(u32::from(first) % 16, 16).unwrap_or('0');
    format!("sha256:{}{mark}", release.to_string().repeat(63))
}

/// The miniature's template, pinned to a release.
pub(crate) fn template(release: char) -> String {
    EXECUTABLES
        .iter()
        .fold(TEMPLATE.to_owned(), |text, name| text.replace(&format!("sha256:{{{name}}}"), &digest(release, name)))
}

/// A scenario with everything that the miniature needs, a stack of release `1`, and these fields besides.
pub(crate) fn scenario(environment: &str, more: Value) -> Value {
    let mut scenario = with_stack(environment, &template('1'), json!({}));
    merge(&mut scenario, more);
    scenario
}

/// The same with another template in the stack, and fields of the stack besides.
pub(crate) fn with_stack(environment: &str, template: &str, more: Value) -> Value {
    let mut stack = json!({
        "name": format!("preserv-services-{environment}"),
        "template": template,
        "parameters": parameters(environment),
        "age_days": 3,
    });
    merge(&mut stack, more);
    let mut scenario = empty(environment, json!({}));
    scenario["stacks"] = json!([stack]);
    scenario
}

/// The same without a stack.
pub(crate) fn empty(environment: &str, more: Value) -> Value {
    let mut scenario = json!({
        "seed": 7,
        "exports": { format!("PrivateSubnet0-{environment}"): "subnet-1" },
        "buckets": [{ "name": BUCKET }],
    });
    merge(&mut scenario, more);
    scenario
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// The parameters of the miniature in an environment.
pub(crate) fn parameters(environment: &str) -> Value {
    json!({
        "DNS": environment, "FamTag": environment[..1], "ClusterName": format!("ecs-preserv-{environment}"),
        "Envn": environment.to_uppercase(), "MaxContainers": "3",
    })
}

impl Stand {
    /// A checkout at release `2`, tested, and AWS as the scenario says.
    pub(crate) fn new(scenario: &Value) -> Self {
        Self::with_template(scenario, &template('2'), &EXECUTABLES)
    }

    pub(crate) fn with_template(scenario: &Value, template: &str, executables: &[&str]) -> Self {
        let scenario = Scenario::parse(&scenario.to_string()).unwrap();
        let options = Options {
            pace: Pace::Scaled(SPEED),
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            scenario,
            port: 0,
        };
        let aws = Simulator::start(options).unwrap();
        let stand = Self { scratch: tempfile::tempdir().unwrap(), aws };
        stand.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"services/apps\"]\n");
        stand.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"apps\"\nversion = \"0.1.0\"\n");
        stand.write(".gitignore", "/target\n");
        stand
            .write("services/apps/Cargo.toml", "[package]\nname = \"apps\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        for name in executables {
            stand.write(&format!("services/apps/src/bin/{name}.rs"), "fn main() {}\n");
        }
        stand.git(&["init", "--quiet", "--initial-branch=main"]);
        stand.pin(template);
        stand.write_release('1', executables);
        stand.write_release('2', executables);
        stand.write_report(&json!({}));
        fs::write(stand.config(), CONFIG).unwrap();
        stand
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("checkout")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.scratch.path().join("config.toml")
    }

    /// A file beside the checkout.
    pub(crate) fn beside(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scratch.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits this template.
    pub(crate) fn pin(&self, template: &str) {
        self.write("cloudformation/cfn-preserv-master.yml", template);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "Pin the template"]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let ours = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"];
        xtask::git::command(&self.root()).args(ours).args(args).check().unwrap().stdout.trim().to_owned()
    }

    /// The commit that stands for both releases.
    pub(crate) fn commit(&self) -> String {
        self.git(&["rev-list", "--max-parents=0", "HEAD"])
    }

    /// The manifest of a release.
    pub(crate) fn write_release(&self, release: char, executables: &[&str]) {
        let images: Vec<Value> = executables
            .iter()
            .map(|name| json!({ "service": name, "digest": digest(release, name), "platforms": [] }))
            .collect();
        let tag = tag(release);
        let manifest = json!({
            "schema": "preserv-release/1", "tag": tag, "commit": self.commit(), "dirty": false, "unfinished": false,
            "published": true, "images": images,
        });
        self.write(&format!("target/xtask/release/{tag}/release-{tag}.json"), &manifest.to_string());
    }

    /// A passing report of the release's commit, with these fields instead.
    pub(crate) fn write_report(&self, more: &Value) {
        let mut report = json!({
            "schema": "preserv-test-report/1", "commit": self.commit(), "dirty": false, "complete": true, "passed": true,
            "real": true, "totals": { "passed": 7, "failed": 0, "skipped": 0 }, "stages": [],
        });
        merge(&mut report, more.clone());
        self.write("target/xtask/test-all/test-report.json", &report.to_string());
    }

    /// The program, ready to run; its arguments end with those that every test wants.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-deploy"));
        command.args(args).args(["--poll", POLL]).current_dir(self.root()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("XTASK_CONFIG", self.config()).envs(self.aws.environment());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `deploy` with confirmation and without a long look afterwards.
    pub(crate) fn deploy(&self, args: &[&str]) -> Ran {
        self.run(&[&["deploy"], args, &["--yes", "--bake", "0s"]].concat())
    }

    /// A run that goes on while the test looks at it.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Running { child }
    }

    /// How often AWS was called so, `service.Operation`.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.aws.counters()["operations"][name].as_u64().unwrap_or(0)
    }

    /// The recorded calls of an operation.
    pub(crate) fn recorded(&self, operation: &str) -> Vec<Value> {
        let calls = self.aws.calls();
        calls.as_array().into_iter().flatten().filter(|call| call["operation"] == operation).cloned().collect()
    }

    /// Operations that change something, of those that were called.
    pub(crate) fn writes(&self) -> Vec<String> {
        const WRITES: [&str; 10] = [
            "cloudformation.CreateChangeSet",
            "cloudformation.ExecuteChangeSet",
            "cloudformation.DeleteChangeSet",
            "cloudformation.DeleteStack",
            "cloudformation.CancelUpdateStack",
            "cloudformation.ContinueUpdateRollback",
            "s3.PutObject",
            "s3.DeleteObject",
            "ecs.RunTask",
            "ecs.UpdateService",
        ];
        WRITES.iter().filter(|name| self.calls(name) > 0).map(|name| (*name).to_owned()).collect()
    }

    /// Waits until the condition holds; the test fails with the reason if it never does.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..3000 {
            if condition(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("waited in vain until {what}; calls: {}", self.aws.counters());
    }

    /// The record of the last deployment.
    pub(crate) fn record(&self) -> Value {
        let folder = self.root().join("target/xtask/deploy");
        let newest = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort_by_key(|path| newest(path));
        serde_json::from_slice(&fs::read(paths.last().expect("a record")).unwrap()).unwrap()
    }
}

/// The tag of a release.
pub(crate) fn tag(release: char) -> String {
    format!("{}-main", release.to_string().repeat(7))
}

const CONFIG: &str = r#"
[environments.staging]
account = "123456789012"
region = "us-east-1"
template_bucket = "preserv-templates"
capabilities = ["CAPABILITY_IAM"]

[environments.demo]
account = "123456789012"
region = "us-east-1"
template_bucket = "preserv-templates"
capabilities = ["CAPABILITY_IAM"]

[environments.prod]
account = "123456789012"
region = "us-east-1"
template_bucket = "preserv-templates"
confirm = "stack-name"
capabilities = ["CAPABILITY_IAM"]
"#;

/// A program that runs.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ran {
        let output = self.child.wait_with_output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
