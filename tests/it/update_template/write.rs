//! The write: others at the same file, full disks and kills. Whatever happens, the template is the old one or the new one.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::{PATH, TEMPLATE, beside_the_template, digest, fake_docker, manifest, text, update, with_pins, workspace};
use crate::release::{run, whole_line};
use crate::support::{self, wait_for};

const PIN: [&str; 5] = ["--offline", "--pin", "tag", "--tag", "1a2b3c4-main"];

/// A template of half a megabyte, so that a limit on the size of files stops its write.
fn large() -> String {
    format!("{TEMPLATE}{}", "# filler, which a full disk has no room for\n".repeat(12_000))
}

#[test]
fn what_somebody_else_writes_meanwhile_is_theirs() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let template = workspace.root().join(PATH);
    // While the registry is asked, somebody adds a line.
    let fakes = fake_docker(&workspace, &format!("echo '# theirs' >> '{}'", template.display()));
    let mut command = workspace.xtask(&["update-template"]);
    run(command.env("PATH", fakes.path())).fails(3, "was changed by somebody else while this ran");
    assert_eq!(text(&workspace), format!("{TEMPLATE}{}", "# theirs\n".repeat(3)));
    // And now somebody takes it away.
    let fakes = fake_docker(&workspace, &format!("rm -f '{}'", template.display()));
    run(workspace.xtask(&["update-template"]).env("PATH", fakes.path())).fails(1, "cfn-preserv-master.yml");
    assert!(!template.exists() && beside_the_template(&workspace).is_empty());
}

#[test]
fn e6_10_a_full_disk_leaves_the_template_as_it_was() {
    let workspace = workspace(&large());
    let script = format!("trap '' XFSZ; ulimit -f 64; exec \"$0\" update-template {}", PIN.join(" "));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(support::program("xtask")).current_dir(workspace.root());
    let ran = run(command.env("CARGO", env!("CARGO")).env_remove("CARGO_TARGET_DIR"));
    ran.fails(1, "File too large").fails(1, "nothing was changed");
    assert_eq!(text(&workspace), large());
    assert_eq!(beside_the_template(&workspace), [""; 0], "and nothing beside it");
}

#[test]
fn e6_10_a_kill_in_the_middle_of_the_write_leaves_the_template_as_it_was() {
    let workspace = workspace(&large());
    // The system itself kills the process, in the write that crosses the limit.
    let script = format!("ulimit -c 0; ulimit -f 64; exec \"$0\" update-template {}", PIN.join(" "));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(support::program("xtask")).current_dir(workspace.root());
    command.env("CARGO", env!("CARGO")).env_remove("CARGO_TARGET_DIR").stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().unwrap();
    assert_eq!(status.signal(), Some(25), "SIGXFSZ: {status}");
    assert_eq!(text(&workspace), large());
    assert_eq!(beside_the_template(&workspace).len(), 1, "half a file under another name");
    // The next run succeeds, and takes it away.
    update(&workspace, &PIN).succeeds();
    assert!(text(&workspace).starts_with(&with_pins(|_| ":1a2b3c4-main".to_owned())));
    assert_eq!(beside_the_template(&workspace), [""; 0]);
}

#[test]
fn e6_10_kill_9_as_soon_as_there_is_a_temporary_file() {
    let before = large();
    let workspace = workspace(&before);
    let after = before.replacen(TEMPLATE, &with_pins(|_| ":1a2b3c4-main".to_owned()), 1);
    for _ in 0..10 {
        workspace.write(PATH, &before);
        let mut command = workspace.xtask(&["update-template"]);
        let mut child = command.args(PIN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // No pause: the file is there for a few milliseconds only.
        while beside_the_template(&workspace).is_empty() && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        let now = text(&workspace);
        assert!(now == before || now == after, "neither the old template nor the new one: {} bytes", now.len());
    }
}

#[test]
fn a_kill_or_an_interrupt_while_the_registry_is_asked_changes_nothing() {
    for (signal, code) in [("KILL", None), ("INT", Some(130)), ("TERM", Some(143))] {
        let workspace = workspace(TEMPLATE);
        manifest(&workspace, |_| {});
        let mark = workspace.beside("asked");
        // It never answers, and ends when nobody waits for it any more.
        let waits = "while kill -0 $PPID 2>/dev/null; do sleep 0.05; done; exit 1";
        let fakes = fake_docker(&workspace, &format!("echo $$ > '{}'; {waits}", mark.display()));
        let mut command = workspace.xtask(&["update-template"]);
        command.env("PATH", fakes.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for("the question to the registry", || whole_line(&mark));
        run(Command::new("kill").args(["-s", signal, &child.id().to_string()])).succeeds();
        assert_eq!(child.wait().unwrap().code(), code);
        assert_eq!(text(&workspace), TEMPLATE);
        assert_eq!(beside_the_template(&workspace), [""; 0]);
    }
}

#[test]
fn two_at_a_time_are_busy_and_readers_are_not() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let folder = workspace.root().join("target/xtask/update-template");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    update(&workspace, &["--offline"]).fails(8, "another `cargo xtask update-template` is running");
    update(&workspace, &["--offline", "--check"]).fails(3, "is stale");
    update(&workspace, &["--offline", "--dry-run"]).succeeds();
    assert_eq!(text(&workspace), TEMPLATE);
}

#[test]
fn e6_12_what_the_registry_lacks_or_refuses_is_named_and_nothing_is_written() {
    let workspace = workspace(TEMPLATE);
    manifest(&workspace, |_| {});
    let refuse = |service: &str, says: &str| {
        format!("case \"$reference\" in */{service}[:@]*) echo '{says}' >&2; exit 1 ;; esac")
    };
    for (before, code, says) in [
        (refuse("beta", "no such manifest: x"), 3, "1 of the 3 images of".to_owned()),
        (refuse("beta", "no such manifest: x"), 3, format!("/beta@{} does not exist", digest("beta"))),
        (refuse("*", "manifest unknown"), 3, "3 of the 3 images of".to_owned()),
        (refuse("beta", "unauthorized: authentication required"), 4, "docker login".to_owned()),
        ("exec sed -n p /dev/null".to_owned(), 1, "reading what the registry says of".to_owned()),
    ] {
        let fakes = fake_docker(&workspace, &before);
        run(workspace.xtask(&["update-template"]).env("PATH", fakes.path())).fails(code, &says);
        assert_eq!(text(&workspace), TEMPLATE);
    }
    // The digest stands, but the tag was moved: `--pin tag` would run something else.
    let path = manifest(&workspace, |manifest| manifest["images"][2]["platforms"][0]["config_digest"] = "x".into());
    let fakes = fake_docker(&workspace, "");
    let mut command = workspace.xtask(&["update-template", "--pin", "tag", "--from", path.to_str().unwrap()]);
    run(command.env("PATH", fakes.path())).fails(3, "is another image than the manifest says");
    assert_eq!(text(&workspace), TEMPLATE);
}
