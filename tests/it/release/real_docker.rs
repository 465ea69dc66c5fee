//! The train against a real engine and a real registry, with a proxy between them that misbehaves.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{read_json, registry, release, run};
use crate::support::registry::{Fault, Proxy};
use crate::support::skip;
use crate::support::workspace::{SERVICES, Workspace, real_program};

fn manifest(workspace: &Workspace) -> serde_json::Value {
    let tag = workspace.tag();
    read_json(&workspace.release_folder().join(&tag).join(format!("release-{tag}.json")))
}

#[test]
fn a_release_is_published_once_and_only_what_changed_is_sent() {
    let Some(registry) = registry("a_release_is_published_once_and_only_what_changed_is_sent") else { return };
    let proxy = Proxy::before(&registry, |_, _| Fault::None);
    let workspace = Workspace::new();
    let uploads =
        || proxy.requests().iter().filter(|request| request.starts_with("PUT") && request.contains("/blobs/")).count();
    let ran = release(&workspace, &proxy.name(), &[]).succeeds();
    assert!(ran.stderr.contains("3 tags set"), "{}", ran.stderr);
    let first = manifest(&workspace);
    for service in SERVICES {
        assert_eq!(registry.tags(service).len(), 2, "content tag and release tag");
        assert!(registry.tags(service).contains(&workspace.tag()));
    }
    let sent = uploads();
    assert_eq!(sent, 2 * SERVICES.len() + 1, "a layer and a configuration each, and the layer that all share, once");

    let ran = release(&workspace, &proxy.name(), &[]).succeeds();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    assert_eq!(uploads(), sent, "nothing was sent");
    assert_eq!(manifest(&workspace)["images"], first["images"]);

    workspace
        .write("services/apps/src/bin/beta.rs", "fn main() { apps::main(\"beta\", std::env::args().count() > 99) }\n");
    workspace.commit("touch one service");
    release(&workspace, &proxy.name(), &[]).succeeds();
    assert_eq!(uploads(), sent + 2, "one image was sent");
    let second = manifest(&workspace);
    assert_eq!(second["images"][0]["digest"], first["images"][0]["digest"]);
    assert_ne!(second["images"][1]["digest"], first["images"][1]["digest"]);
    for service in SERVICES {
        assert!(registry.tags(service).contains(&workspace.tag()));
    }
}

#[test]
fn e6_7_a_tag_that_stands_for_another_image_is_refused_before_anything_is_pushed() {
    let Some(registry) = registry("e6_7_a_tag_that_stands_for_another_image_is_refused_before_anything_is_pushed")
    else {
        return;
    };
    let workspace = Workspace::new();
    release(&workspace, &registry.name(), &[]).succeeds();
    let tag = workspace.tag();
    // Somebody moved alpha's tag to beta's image.
    let (alpha, beta) = (format!("{}/alpha:{tag}", registry.name()), format!("{}/beta:{tag}", registry.name()));
    for args in [vec!["pull", &beta], vec!["tag", &beta, &alpha], vec!["push", &alpha]] {
        run(Command::new("docker").args(&args)).succeeds();
    }
    let ran = release(&workspace, &registry.name(), &[]).fails(3, "1 of them stand for other images");
    assert!(
        ran.stderr.contains(&format!("/alpha:{tag} stands for an image with the configuration sha256:")),
        "{}",
        ran.stderr
    );
}

/// What the proxy does with a method and path.
type Choice = Box<dyn Fn(&str, &str) -> Fault + Send + Sync>;

#[test]
fn registries_that_refuse_fail_cut_or_lose() {
    let Some(registry) = registry("registries_that_refuse_fail_cut_or_lose") else { return };
    let workspace = Workspace::new();
    let is_put = |method: &str, path: &str, part: &str| method == "PUT" && path.contains(part);
    let faults: [(&str, i32, Choice); 6] = [
        ("refused", 4, Box::new(|_, _| Fault::Status(401))),
        (
            "refused",
            4,
            Box::new(move |m, p| if is_put(m, p, "beta/manifests") { Fault::Status(403) } else { Fault::None }),
        ),
        (
            "tried 3 times",
            1,
            Box::new(move |m, p| if is_put(m, p, "beta/manifests") { Fault::Status(429) } else { Fault::None }),
        ),
        (
            "tried 3 times",
            1,
            Box::new(move |m, p| if is_put(m, p, "beta/manifests") { Fault::Status(500) } else { Fault::None }),
        ),
        (
            "tried 3 times",
            1,
            Box::new(move |m, p| if is_put(m, p, "beta/manifests") { Fault::Cut } else { Fault::None }),
        ),
        (
            "does not have it",
            1,
            Box::new(move |m, p| if is_put(m, p, "beta/manifests") { Fault::Lose } else { Fault::None }),
        ),
    ];
    for (text, code, choose) in faults {
        let proxy = Proxy::before(&registry, choose);
        let ran = release(&workspace, &proxy.name(), &[]).fails(code, text);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        for service in SERVICES {
            let tags = registry.tags(service);
            assert!(!tags.contains(&workspace.tag()), "{text}: {service} has {tags:?}");
        }
        assert!(
            !workspace
                .release_folder()
                .join(workspace.tag())
                .join(format!("release-{}.json", workspace.tag()))
                .exists()
        );
    }
    // The registry is well again: the same command completes the release.
    release(&workspace, &registry.name(), &[]).succeeds();
    for service in SERVICES {
        assert!(registry.tags(service).contains(&workspace.tag()));
    }
}

#[test]
fn a_fault_that_passes_is_survived() {
    let Some(registry) = registry("a_fault_that_passes_is_survived") else { return };
    let workspace = Workspace::new();
    let left = AtomicUsize::new(2);
    let proxy = Proxy::before(&registry, move |method, path| {
        let hit = method == "PUT" && path.contains("gamma/manifests");
        if hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            Fault::Status(503)
        } else {
            Fault::None
        }
    });
    release(&workspace, &proxy.name(), &[]).succeeds();
}

#[test]
fn two_platforms_are_joined_in_one_list() {
    let test = "two_platforms_are_joined_in_one_list";
    if real_program("aarch64-linux-gnu-gcc").is_none() || real_program("qemu-aarch64-static").is_none() {
        return skip(test, "aarch64-linux-gnu-gcc and qemu-aarch64-static are not on PATH");
    }
    let Some(registry) = registry(test) else { return };
    let workspace = Workspace::new();
    let both = ["--platform", "linux/amd64,linux/arm64"];
    release(&workspace, &registry.name(), &both).succeeds();
    let first = manifest(&workspace);
    let platforms = first["images"][0]["platforms"].as_array().unwrap();
    let run_by: Vec<&str> = platforms.iter().map(|platform| platform["run_by"].as_str().unwrap()).collect();
    assert_eq!(run_by, ["native", "qemu-aarch64-static"]);
    let ran = release(&workspace, &registry.name(), &both).succeeds();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    assert_eq!(manifest(&workspace)["images"], first["images"], "the list's digest is the same when it is only read");
    if real_program("skopeo").is_some() {
        let list = format!("docker://{}/alpha@{}", registry.name(), first["images"][0]["digest"].as_str().unwrap());
        let raw = run(Command::new("skopeo").args(["inspect", "--tls-verify=false", "--raw", &list])).succeeds();
        let list: serde_json::Value = serde_json::from_str(&raw.stdout).unwrap();
        let listed = list["manifests"].as_array().unwrap();
        let mut listed: Vec<(&str, &str)> = listed
            .iter()
            .map(|part| (part["platform"]["architecture"].as_str().unwrap(), part["digest"].as_str().unwrap()))
            .collect();
        listed.sort_unstable();
        let expected: Vec<(&str, &str)> = ["amd64", "arm64"]
            .into_iter()
            .zip(platforms.iter().map(|platform| platform["manifest_digest"].as_str().unwrap()))
            .collect();
        assert_eq!(listed, expected);
    }
}

#[test]
fn two_machines_and_a_tag_set_by_neither_of_their_engines() {
    // The content stands, pushed by another engine; this one has never seen the image and must still set the very same digest.
    let test = "two_machines_and_a_tag_set_by_neither_of_their_engines";
    let Some(registry) = registry(test) else { return };
    let workspace = Workspace::new();
    release(&workspace, &registry.name(), &[]).succeeds();
    let first = manifest(&workspace);
    workspace.write("README.md", "");
    workspace.commit("another commit, the same executables");
    let ran = release(&workspace, &registry.name(), &[]).succeeds();
    assert!(ran.stdout.contains("tagged"), "{}", ran.stdout);
    let second = manifest(&workspace);
    for index in 0..SERVICES.len() {
        assert_eq!(first["images"][index]["digest"], second["images"][index]["digest"]);
    }
}
