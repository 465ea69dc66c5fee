//! What needs no docker: layouts, tags, refusals, interrupts.

use std::fs;
use std::process::{Command, Stdio};

use super::{Ran, config_digests, gone, read_json, run, whole_line};
use crate::support::workspace::{Fakes, SERVICES, Workspace, real_program};
use crate::support::{self, skip, wait_for};

const NO_PUSH: [&str; 2] = ["release", "--no-push"];

fn no_push(workspace: &Workspace, more: &[&str]) -> Ran {
    run(workspace.xtask(&NO_PUSH).args(more))
}

#[test]
fn layouts_sboms_and_manifest_are_written() {
    let workspace = Workspace::new();
    let ran = no_push(&workspace, &[]).succeeds();
    assert!(ran.stderr.contains("3 OCI layouts written"), "{}", ran.stderr);
    let folder = workspace.release_folder().join(workspace.tag());
    let manifest = read_json(&folder.join(format!("release-{}.json", workspace.tag())));
    assert_eq!(manifest["commit"], workspace.git(&["rev-parse", "HEAD"]));
    assert_eq!((&manifest["published"], &manifest["dirty"]), (&false.into(), &false.into()));
    let page = fs::read_to_string(folder.join(format!("release-{}.html", workspace.tag()))).unwrap();
    for text in SERVICES.iter().copied().chain([manifest["commit"].as_str().unwrap(), &workspace.tag()]) {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    for (service, image) in SERVICES.iter().zip(manifest["images"].as_array().unwrap()) {
        assert_eq!(image["service"], *service);
        assert_eq!(image["reference"], format!("docker.io/aptrust/{service}:{}", workspace.tag()));
        let platform = &image["platforms"][0];
        let sbom = read_json(&folder.join(format!("{service}-amd64.cdx.json")));
        assert_eq!(sbom["metadata"]["component"]["hashes"][0]["content"], platform["executable_sha256"]);
        let statement = read_json(&folder.join(format!("{service}-amd64.intoto.json")));
        assert_eq!(statement["subject"][0]["digest"]["sha256"], platform["executable_sha256"]);
        let made = &statement["predicate"]["buildDefinition"];
        assert_eq!(made["resolvedDependencies"][0]["digest"]["gitCommit"], manifest["commit"]);
        assert_eq!(made["internalParameters"]["rustc"], manifest["builds"][0]["rustc"]);
        if run(Command::new("docker").arg("info")).code == Some(0) {
            let load = format!("tar -C {} -cf - . | docker load --quiet", folder.join(service).display());
            let loaded = run(Command::new("sh").args(["-c", &load])).succeeds().stdout;
            let reference = image["reference"].as_str().unwrap().trim_start_matches("docker.io/");
            assert!(loaded.contains(reference), "{loaded}");
            run(Command::new("docker").args(["image", "rm", reference])).succeeds();
        } else {
            skip("layouts_sboms_and_manifest_are_written", "no docker engine answers, so none loaded the layouts");
        }
        if real_program("skopeo").is_none() {
            skip("layouts_sboms_and_manifest_are_written", "skopeo is not on PATH, so it did not read the layouts");
            continue;
        }
        let layout = format!("oci:{}:{}", folder.join(service).display(), workspace.tag());
        let seen = run(Command::new("skopeo").args(["inspect", "--config", &layout])).succeeds();
        let config: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"][0], format!("/{service}"));
        let raw = run(Command::new("skopeo").args(["inspect", "--raw", "--config", &layout])).succeeds();
        let digest = run(Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum", &raw.stdout])).stdout;
        assert_eq!(platform["config_digest"], format!("sha256:{}", digest.split(' ').next().unwrap()));
    }
}

#[test]
fn images_depend_on_the_executables_alone() {
    let (one, two) = (Workspace::new(), Workspace::new());
    two.write("README.md", "a commit that no executable depends on\n");
    two.commit("second");
    two.git(&["branch", "--move", "other"]);
    let digests = |workspace: &Workspace| {
        no_push(workspace, &[]).succeeds();
        let folder = workspace.release_folder().join(workspace.tag());
        config_digests(&read_json(&folder.join(format!("release-{}.json", workspace.tag()))))
    };
    let (first, second) = (digests(&one), digests(&two));
    assert_eq!(first.len(), SERVICES.len());
    assert_eq!(first, second, "another folder, commit and branch, but the same executables");
    two.write_service("beta", "changed");
    two.write("services/apps/src/bin/beta.rs", "fn main() { apps::main(\"beta\", std::env::args().count() > 99) }\n");
    two.commit("third");
    let third = digests(&two);
    assert_eq!((&third[0], &third[2]), (&second[0], &second[2]));
    assert_ne!(third[1], second[1]);
}

/// Makes the tree another one than the commit's.
type Change = fn(&Workspace);

#[test]
fn a_tree_that_is_not_the_commit_is_refused() {
    let workspace = Workspace::new();
    let hidden = "services/apps/src/bin/hidden.rs";
    let changes: [(&str, Change); 5] = [
        ("services/apps/src/lib.rs (modified)", |w| {
            w.write("services/apps/src/lib.rs", "pub fn main(_: &str, _: bool) {}\n");
        }),
        ("services/apps/src/bin/new.rs (untracked)", |w| w.write("services/apps/src/bin/new.rs", "fn main() {}\n")),
        ("services/apps/src/bin/hidden.rs (untracked)", |w| {
            w.write("services/apps/src/bin/hidden.rs", "fn main() {}\n");
            w.write(".git/info/exclude", "hidden.rs\n");
        }),
        ("Cargo.lock (assume-unchanged)", |w| {
            w.git(&["update-index", "--assume-unchanged", "Cargo.lock"]);
        }),
        ("Cargo.lock (skip-worktree)", |w| {
            w.git(&["update-index", "--no-assume-unchanged", "Cargo.lock"]);
            w.git(&["update-index", "--skip-worktree", "Cargo.lock"]);
        }),
    ];
    for (what, change) in changes {
        workspace.git(&["stash", "--include-untracked", "--quiet"]);
        let _ = fs::remove_file(workspace.root().join(hidden));
        change(&workspace);
        no_push(&workspace, &[]).fails(3, what);
    }
    assert!(!workspace.release_folder().join(workspace.tag()).exists());
}

#[test]
fn uncommitted_work_gets_a_tag_that_says_so() {
    let workspace = Workspace::new();
    workspace.write("NEW", "");
    no_push(&workspace, &["--allow-dirty"]).succeeds();
    let tag = format!("{}-dirty", workspace.tag());
    let manifest = read_json(&workspace.release_folder().join(&tag).join(format!("release-{tag}.json")));
    assert_eq!(manifest["dirty"], true);
}

#[test]
fn branches_and_detached_heads() {
    let workspace = Workspace::new();
    for (branch, part) in [("feature/a", "feature_a"), ("a&b#c", "a_b_c-")] {
        workspace.git(&["checkout", "--quiet", "-b", branch]);
        let ran = run(&mut workspace.xtask(&["release", "--no-push", "--dry-run"])).succeeds();
        assert!(ran.stdout.contains(&format!("-{part}")), "{}", ran.stdout);
    }
    workspace.git(&["checkout", "--quiet", "--detach"]);
    no_push(&workspace, &["--dry-run"]).fails(3, "HEAD is detached").fails(3, "--branch");
    let ran = no_push(&workspace, &["--dry-run", "--branch", "fix/1"]).succeeds();
    assert!(ran.stdout.contains("-fix_1"), "{}", ran.stdout);
}

#[test]
fn no_repository_no_commit_no_git() {
    let workspace = Workspace::new();
    let git = workspace.root().join(".git");
    fs::remove_dir_all(&git).unwrap();
    no_push(&workspace, &[]).fails(3, "is not a git checkout");
    workspace.git(&["init", "--quiet", "--initial-branch=main"]);
    no_push(&workspace, &[]).fails(3, "there is no commit yet");
    let path = Fakes::new(workspace.beside("bin")).only_with(&["cargo", "rustc", "cc", "sh"]);
    run(workspace.xtask(&NO_PUSH).env("PATH", path)).fails(4, "git is not on PATH");
}

#[test]
fn services_that_do_not_compile_are_all_named() {
    let workspace = Workspace::new();
    for service in ["alpha", "gamma"] {
        workspace.write_service(service, "");
        workspace.write(&format!("services/apps/src/bin/{service}.rs"), "fn main() { let x: u8 = \"\"; }\n");
    }
    workspace.commit("broken");
    let ran = no_push(&workspace, &[]).fails(1, "cargo could not build alpha, gamma");
    assert!(ran.stderr.contains("mismatched types"), "{}", ran.stderr);
    assert!(!workspace.release_folder().join(workspace.tag()).exists());
}

#[test]
fn unfinished_services_are_refused_or_marked() {
    let workspace = Workspace::new();
    workspace.write_service("beta", "unfinished");
    workspace.commit("beta is not built yet");
    no_push(&workspace, &[]).fails(3, "1 of 3 executables do no work yet: beta");
    no_push(&workspace, &["--allow-unfinished"]).succeeds();
    let tag = format!("{}-unfinished", workspace.tag());
    let manifest = read_json(&workspace.release_folder().join(&tag).join(format!("release-{tag}.json")));
    assert_eq!(manifest["unfinished"], true);
    assert_eq!(manifest["images"][1]["platforms"][0]["unfinished"], true);
    assert_eq!(manifest["images"][0]["platforms"][0]["unfinished"], false);
}

#[test]
fn an_executable_of_the_wrong_machine_is_refused() {
    let workspace = Workspace::new();
    let wrong = workspace.beside("wrong");
    let mut bytes = fs::read(support::program("xtask")).unwrap();
    bytes[18..20].copy_from_slice(&0xb7_u16.to_le_bytes());
    fs::write(&wrong, bytes).unwrap();
    let fakes = Fakes::new(workspace.beside("bin"));
    let cargo = real_program("cargo").unwrap();
    fakes.add(
        "cargo",
        &format!(
            "\"{}\" \"$@\" | sed 's|\"executable\":\"[^\"]*/alpha\"|\"executable\":\"{}\"|'",
            cargo.display(),
            wrong.display()
        ),
    );
    run(workspace.xtask(&NO_PUSH).env("PATH", fakes.path())).fails(1, "is for machine 0xb7").fails(1, "alpha:");
}

#[test]
fn an_executable_that_belies_its_digest_is_refused() {
    let workspace = Workspace::new();
    workspace.write("services/apps/src/bin/alpha.rs", "fn main() { println!(\"alpha 0.1.0\\nsha256:00\") }\n");
    workspace.commit("a lie");
    no_push(&workspace, &[]).fails(1, "alpha --version says that it is `sha256:00`");
}

#[test]
fn cargo_configuration_outside_the_checkout_is_refused() {
    let workspace = Workspace::new();
    let folder = workspace.beside(".cargo");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.toml"), "[build]\nrustflags = [\"-Ctarget-cpu=native\"]\n").unwrap();
    no_push(&workspace, &[]).fails(3, "build.rustflags");
    fs::write(folder.join("config.toml"), "[net]\nretry = 5\n").unwrap();
    no_push(&workspace, &[]).succeeds();
}

#[test]
fn a_second_release_at_a_time_is_busy() {
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.release_folder()).unwrap();
    let lock = fs::File::create(workspace.release_folder().join("lock")).unwrap();
    lock.lock().unwrap();
    no_push(&workspace, &[]).fails(8, "another `cargo xtask release` is running");
}

#[test]
fn a_full_disk_leaves_the_last_release_as_it_was() {
    let workspace = Workspace::new();
    no_push(&workspace, &[]).succeeds();
    let folder = workspace.release_folder();
    let manifest = folder.join(workspace.tag()).join(format!("release-{}.json", workspace.tag()));
    let before = fs::read(&manifest).unwrap();
    // A limit of 32 KiB per file stands in for the full disk: the images' blobs are larger. The build has nothing to write.
    let xtask = support::program("xtask");
    let script = format!("trap '' XFSZ; ulimit -f 64; exec {} release --no-push", xtask.display());
    let ran = run(Command::new("bash")
        .args(["-c", &script])
        .current_dir(workspace.root())
        .env("CARGO", env!("CARGO"))
        .env_remove("CARGO_TARGET_DIR"));
    let ran = ran.fails(1, "writing ");
    assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
    assert_eq!(fs::read(&manifest).unwrap(), before);
    let left: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.contains("partial")), "{left:?}");
    no_push(&workspace, &[]).succeeds();
}

#[test]
fn an_interrupt_stops_the_build_and_leaves_nothing_half_done() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 143)] {
        let workspace = Workspace::new();
        let fakes = Fakes::new(workspace.beside("bin"));
        let mark = workspace.beside("started");
        fakes.add("cargo", &format!("echo $$ > {}; exec sleep 1000", mark.display()));
        let mut command = workspace.xtask(&NO_PUSH);
        let child = command
            .env("PATH", fakes.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = wait_for("the build to start", || whole_line(&mark));
        run(Command::new("kill").args(["-s", signal, &child.id().to_string()])).succeeds();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        wait_for("the build to end", || gone(&pid));
        assert!(!workspace.release_folder().join(workspace.tag()).exists());
    }
}

#[test]
fn a_missing_target_and_linker_name_the_command() {
    let workspace = Workspace::new();
    no_push(&workspace, &["--target", "riscv64gc-unknown-linux-gnu"])
        .fails(4, "rustup target add riscv64gc-unknown-linux-gnu");
    let fakes = Fakes::new(workspace.beside("bin"));
    fakes.add("cargo", &format!("exec \"{}\" \"$@\"", real_program("cargo").unwrap().display()));
    let path = fakes.only_with(&["rustc", "git", "sh"]);
    run(workspace.xtask(&NO_PUSH).env("PATH", path)).fails(4, "no linker for x86_64-unknown-linux-gnu");
}

#[test]
fn the_time_limit_ends_the_run() {
    let workspace = Workspace::new();
    let fakes = Fakes::new(workspace.beside("bin"));
    fakes.add("cargo", "exec sleep 1000");
    run(workspace.xtask(&["release", "--no-push", "--timeout", "2s"]).env("PATH", fakes.path())).fails(7, "--timeout");
}
