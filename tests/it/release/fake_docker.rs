//! What a real docker cannot be made to do: a stand-in on PATH that records its calls and fails on request.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Ran, files_below, gone, read_json, run, whole_line};
use crate::support::workspace::{Fakes, SERVICES, Workspace, real_program};
use crate::support::{root, skip, wait_for};

/// A docker whose registry is a folder of files: enough of it for a release, with faults by environment variable.
///
/// `FAIL`, `BLOCK` and `ASK` are extended regular expressions: a call whose arguments match fails, never ends, or asks the person at
/// the terminal, as a store of credentials does.
const DOCKER: &str = r#"
state="$FAKE_STATE"
echo "$*" >> "$state/calls"
if [ -n "$FAIL" ] && echo "$*" | grep -Eq "$FAIL"; then echo "${SAY:-fake docker was told to fail}" >&2; exit 1; fi
if [ -n "$BLOCK" ] && echo "$*" | grep -Eq "$BLOCK"; then echo $$ > "$state/blocked"; exec sleep 1000; fi
if [ -n "$ASK" ] && echo "$*" | grep -Eq "$ASK"; then read answer < /dev/tty; exit 1; fi
file() { echo "$state/registry/$(echo "$1" | tr '/:@' '___')"; }
case "$1" in
version) echo "${FAKE_VERSION:-28.2.2 20.10.24}" ;;
login) cat > "$state/password" ;;
load)
  mkdir -p "$state/load.$$" && tar -x -C "$state/load.$$"
  reference=$(sed 's/.*"RepoTags":\["\([^"]*\)".*/\1/' "$state/load.$$/manifest.json")
  folder="$state/images/$(echo "$reference" | tr '/:@' '___')"
  mkdir -p "$state/images" && rm -rf "$folder" && mv "$state/load.$$" "$folder" ;;
image)
  folder="$state/images/$(eval echo \${$#} | tr '/:@' '___')"
  case "$*" in
  *RepoDigests*) exit 1 ;;
  *inspect*)
    config=$(ls "$folder"/*.json | grep -v manifest.json)
    layers=$(sed 's/.*"diff_ids":\(\[[^]]*\]\).*/\1/' "$config")
    echo "{\"RootFS\":{\"Layers\":$layers},\"Config\":{\"User\":\"65532:65532\"},\"Architecture\":\"amd64\"}" ;;
  esac ;;
run)
  for last; do :; done
  reference=$(echo "$*" | sed 's/.* \([^ ]*\) --version/\1/')
  folder="$state/images/$(echo "$reference" | tr '/:@' '___')"
  name=$(basename "${reference%:*}")
  mkdir -p "$state/run.$$" && tar -xz -C "$state/run.$$" -f "$folder/layer.tar.gz" "$name" && "$state/run.$$/$name" --version
  rm -rf "$state/run.$$" ;;
tag) cp -r "$state/images/$(echo "$2" | tr '/:@' '___')" "$state/images/$(echo "$3" | tr '/:@' '___')" ;;
push)
  folder="$state/images/$(echo "$2" | tr '/:@' '___')"
  config=$(basename "$(ls "$folder"/*.json | grep -v manifest.json)" .json)
  mkdir -p "$state/registry"
  echo "{\"Descriptor\":{\"digest\":\"sha256:$config\",\"size\":1},\"SchemaV2Manifest\":{\"config\":{\"digest\":\"sha256:$config\",\"size\":1},\"layers\":[]}}" > "$(file "$2")"
  echo "x: Pushed"; echo "tag: digest: sha256:$config size: 1" ;;
pull) ;;
manifest)
  for last; do :; done
  if [ -f "$(file "$last")" ]; then cat "$(file "$last")"; else echo "no such manifest: $last" >&2; exit 1; fi ;;
*) echo "fake docker does not know $*" >&2; exit 125 ;;
esac
"#;

struct Stand {
    workspace: Workspace,
    fakes: Fakes,
}

impl Stand {
    fn new() -> Self {
        let workspace = Workspace::new();
        let fakes = Fakes::new(workspace.beside("bin"));
        fakes.add("docker", DOCKER);
        let stand = Self { workspace, fakes };
        fs::create_dir_all(stand.state()).unwrap();
        fs::create_dir_all(stand.scratch()).unwrap();
        stand
    }

    fn state(&self) -> PathBuf {
        self.workspace.beside("state")
    }

    fn release(&self, env: &[(&str, &str)]) -> Ran {
        run(&mut self.command(env))
    }

    fn command(&self, env: &[(&str, &str)]) -> Command {
        let mut command = self.workspace.xtask(&["release"]);
        command
            .env("PATH", self.fakes.path())
            .env("FAKE_STATE", self.state())
            .env("HOME", self.workspace.beside("home"))
            .env("TMPDIR", self.scratch());
        for name in ["RUSTUP_HOME", "CARGO_HOME"] {
            let default = format!(".{}", name.trim_end_matches("_HOME").to_lowercase());
            let real =
                std::env::var_os(name).map_or_else(|| std::env::home_dir().unwrap().join(default), PathBuf::from);
            command.env(name, real);
        }
        command.envs(env.iter().copied());
        command
    }

    /// TMPDIR of the runs.
    fn scratch(&self) -> PathBuf {
        self.workspace.beside("tmp")
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.state().join("calls")).unwrap_or_default()
    }

    /// The release tags that the registry holds.
    fn tags(&self) -> Vec<String> {
        let files = files_below(&self.state().join("registry"));
        let names = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| !name.contains("content-")).collect();
        names.sort();
        names
    }
}

#[test]
fn e6_1_one_image_that_fails_means_no_tag_at_all() {
    for service in SERVICES {
        let stand = Stand::new();
        let ran = stand.release(&[("FAIL", &format!("^push .*/{service}:content"))]);
        let ran = ran.fails(1, "pushing the images (no release tag was set): 1 of 3 failed");
        assert!(ran.stderr.contains(&format!("  {service}: ")), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "nothing is reported as published: {}", ran.stdout);
        assert_eq!(stand.tags(), Vec::<String>::new());
        let others = SERVICES.iter().filter(|other| **other != service);
        for other in others {
            assert!(stand.calls().contains(&format!("/{other}:content")), "the run went on with {other}");
        }
        // Run again, it completes; what was pushed before is not pushed again.
        let before = stand.calls().len();
        stand.release(&[]).succeeds();
        let pushes: Vec<String> =
            stand.calls()[before..].lines().filter(|call| call.starts_with("push")).map(str::to_owned).collect();
        assert_eq!(pushes.iter().filter(|call| call.contains(":content-")).count(), 1, "{pushes:?}");
        assert_eq!(stand.tags().len(), 3);
    }
}

#[test]
fn e6_1_an_image_that_does_not_load_or_run_is_named() {
    let stand = Stand::new();
    stand.release(&[("FAIL", "^image inspect .*/beta:content")]).fails(1, "  beta: ");
    assert_eq!(stand.tags(), Vec::<String>::new());
    let stand = Stand::new();
    stand.release(&[("FAIL", "^run .*/gamma:content")]).fails(1, "  gamma: ");
    assert_eq!(stand.tags(), Vec::<String>::new());
}

#[test]
fn e6_2_when_every_push_fails_nothing_is_reported_as_published() {
    let stand = Stand::new();
    let ran = stand.release(&[("FAIL", "^push")]).fails(1, "3 of 3 failed");
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    let tag = stand.workspace.tag();
    assert!(!stand.workspace.release_folder().join(&tag).join(format!("release-{tag}.json")).exists());
}

#[test]
fn a_failure_while_tagging_lists_what_stands_and_is_completed_later() {
    let stand = Stand::new();
    let tag = stand.workspace.tag();
    let ran = stand.release(&[("FAIL", &format!("^push .*/beta:{tag}"))]);
    ran.fails(1, &format!("setting the tag {tag} (it stands for alpha, gamma;")).fails(1, "  beta: ");
    assert_eq!(stand.tags().len(), 2);
    let ran = stand.release(&[]).succeeds();
    assert!(ran.stderr.contains("1 tags set"), "{}", ran.stderr);
    assert_eq!(stand.tags().len(), 3);
}

#[test]
fn an_interrupt_at_any_step_leaves_nothing_half_done() {
    let stand = Stand::new();
    let tag = stand.workspace.tag();
    let release_tag = format!("^push .*:{tag}$");
    for step in ["^version", "^manifest", "^load", "^image", "^run", "^push .*:content", "^tag", &release_tag] {
        let blocked = stand.state().join("blocked");
        let _ = fs::remove_file(&blocked);
        let mut command = stand.command(&[("BLOCK", step)]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = wait_for("docker to be called", || whole_line(&blocked));
        run(Command::new("kill").args(["-s", "INT", &child.id().to_string()])).succeeds();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{step}: {said}");
        assert!(output.stdout.is_empty(), "{step}: nothing is reported as published");
        assert_eq!(stand.tags(), Vec::<String>::new(), "{step}");
        wait_for("docker to end", || gone(&pid));
        let left = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let scratch: Vec<_> = left(stand.scratch()).collect();
        assert!(scratch.is_empty(), "{step}: {scratch:?}");
        let mut half = left(stand.workspace.release_folder()).filter(|name| name.to_string_lossy().starts_with('.'));
        assert_eq!(half.next(), None, "{step}");
    }
    stand.release(&[]).succeeds();
    assert_eq!(stand.tags().len(), 3);
}

#[test]
fn e6_5_the_password_arrives_intact_and_shows_nowhere() {
    let stand = Stand::new();
    let password = "p$HOME & ; \" ' `id` \\ ü";
    let ran = stand.release(&[("DOCKER_USER", "someone"), ("DOCKER_PWD", password)]).succeeds();
    assert_eq!(fs::read_to_string(stand.state().join("password")).unwrap(), password);
    assert!(stand.calls().contains("login --username someone --password-stdin"), "{}", stand.calls());
    let shown = format!("{}{}{}", ran.stdout, ran.stderr, stand.calls());
    assert!(!shown.contains(password));
    for path in files_below(&stand.workspace.root().join("target/xtask")) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(password.len()).any(|window| window == password.as_bytes()), "{}", path.display());
    }
    // A docker that repeats what it read gets it masked.
    stand.fakes.add("docker", &format!("case $1 in login) cat; exit 1;; esac\n{DOCKER}"));
    let ran = stand.release(&[("DOCKER_USER", "someone"), ("DOCKER_PWD", password)]).fails(4, "refused the login");
    assert!(!ran.stderr.contains(password), "{}", ran.stderr);
}

#[test]
fn an_empty_configuration_is_none_as_docker_takes_it() {
    let stand = Stand::new();
    let folder = stand.workspace.beside("home/.docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), "").unwrap();
    stand.release(&[]).succeeds();
}

#[test]
fn a_question_on_the_terminal_ends_the_run_and_is_named() {
    let test = "a_question_on_the_terminal_ends_the_run_and_is_named";
    if real_program("script").is_none() {
        return skip(test, "`script`, which gives a program a terminal, is not on PATH: apt-get install bsdutils");
    }
    let stand = Stand::new();
    let command = stand.command(&[("ASK", "^push .*/beta")]);
    let line = format!("{} release", command.get_program().to_str().unwrap());
    let mut on_terminal = Command::new("script");
    on_terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(stand.workspace.root());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            on_terminal.env(name, value)
        } else {
            on_terminal.env_remove(name)
        };
    }
    let ran = run(&mut on_terminal);
    assert_eq!(ran.code, Some(4), "{}", ran.stdout);
    assert!(ran.stdout.contains("asks something on the terminal"), "{}", ran.stdout);
    assert_eq!(stand.tags(), Vec::<String>::new());
}

/// Registries count what is asked of them.
#[test]
fn the_registry_is_asked_once_for_what_stands_and_the_questions_are_counted() {
    let stand = Stand::new();
    let asked = |count: usize| {
        let before = stand.calls().len();
        let ran = stand.release(&[]).succeeds();
        let questions = stand.calls()[before..].lines().filter(|call| call.starts_with("manifest inspect")).count();
        assert_eq!(questions, count, "{}", &stand.calls()[before..]);
        assert!(ran.stderr.contains(&format!("the registry was asked {count} times")), "{}", ran.stderr);
    };
    // What the tag stands for, what the content tag stands for before and after the push; the tag again before and after it is set.
    asked(5 * SERVICES.len());
    asked(SERVICES.len());
}

#[test]
fn half_a_login_is_a_usage_error() {
    let stand = Stand::new();
    stand.release(&[("DOCKER_USER", "someone")]).fails(2, "DOCKER_PWD is not");
    stand.release(&[("DOCKER_PWD", "x")]).fails(2, "DOCKER_USER is not");
    stand.release(&[("CI", "true")]).fails(4, "there is no login for docker.io");
}

#[test]
fn docker_missing_stopped_or_too_old() {
    let stand = Stand::new();
    stand.release(&[("FAKE_VERSION", "19.03.15 20.10.24")]).fails(4, "the docker client is version `19.03.15`");
    stand.release(&[("FAKE_VERSION", "28.2.2 18.09.1")]).fails(4, "the docker engine is version `18.09.1`");
    stand.release(&[("FAIL", "^version")]).fails(4, "the docker engine does not answer");
    let refused =
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
    stand.release(&[("FAIL", "^version"), ("SAY", refused)]).fails(4, "usermod -aG docker");
    let elsewhere = ("DOCKER_HOST", "tcp://127.0.0.1:1");
    stand.release(&[("FAIL", "^version"), elsewhere]).fails(4, "DOCKER_HOST leads to tcp://127.0.0.1:1");
    fs::remove_file(stand.workspace.beside("bin").join("docker")).unwrap();
    let path = stand.fakes.only_with(&["cargo", "rustc", "cc", "git", "sh"]);
    run(stand.workspace.xtask(&["release"]).env("PATH", path)).fails(4, "docker is not on PATH");
    assert_eq!(stand.tags(), Vec::<String>::new());
}

#[test]
fn all_that_stands_in_the_way_is_said_at_once() {
    let stand = Stand::new();
    stand.workspace.write("NEW", "");
    stand.workspace.git(&["checkout", "--quiet", "--detach"]);
    let ran = stand.release(&[("FAIL", "^version")]).fails(3, "3 things stand in the way");
    for part in ["NEW (untracked)", "HEAD is detached", "the docker engine does not answer"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[test]
fn a_dry_run_changes_nothing_and_its_plan_follows_the_schema() {
    let stand = Stand::new();
    let target = stand.workspace.root().join("target");
    let mut command = stand.workspace.xtask(&["release", "--dry-run", "--format", "json"]);
    let ran = run(command.env("PATH", stand.fakes.path()).env("FAKE_STATE", stand.state())).succeeds();
    assert!(!target.exists() && !stand.state().join("registry").exists());
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let schema = read_json(&root().join("xtask/schema/release-plan.schema.json"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&last).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let images = last["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    assert_eq!(images[0]["reference"], format!("docker.io/aptrust/alpha:{}", stand.workspace.tag()));
}

#[test]
fn a_quiet_release_prints_the_references_and_nothing_else() {
    let stand = Stand::new();
    let mut command = stand.workspace.xtask(&["release", "--quiet"]);
    let ran = run(command.env("PATH", stand.fakes.path()).env("FAKE_STATE", stand.state())).succeeds();
    assert_eq!(ran.stderr, "");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3);
    for (line, service) in lines.iter().zip(SERVICES) {
        assert!(line.starts_with(&format!("docker.io/aptrust/{service}@sha256:")), "{line}");
    }
}
