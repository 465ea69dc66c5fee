//! The way of a release into the template, with a real engine and a real registry, and what a registry can do to it.

use std::process::Command;

use super::{TEMPLATE, manifest, text, update, with_pins, workspace};
use crate::release::{read_json, registry, release, run};
use crate::support::registry::{Fault, Proxy};
use crate::support::skip;
use crate::support::workspace::{Workspace, real_program};

/// The digest that `release` recorded for a service.
fn released(workspace: &Workspace, tag: &str) -> impl Fn(&str) -> String {
    let manifest = read_json(&workspace.release_folder().join(tag).join(format!("release-{tag}.json")));
    move |service| {
        let images = manifest["images"].as_array().unwrap();
        let image = images.iter().find(|image| image["service"] == service).unwrap();
        format!("@{}", image["digest"].as_str().unwrap())
    }
}

#[test]
fn a_release_goes_into_the_template_by_tag_and_only_images_change() {
    let Some(registry) = registry("a_release_goes_into_the_template_by_tag_and_only_images_change") else { return };
    let workspace = workspace(TEMPLATE);
    release(&workspace, &registry.name(), &[]).succeeds();
    let (tag, name) = (workspace.tag(), registry.name());
    let expected = with_pins(released(&workspace, &tag));
    let by_tag = ["--tag", &tag, "--registry", &name];

    update(&workspace, &[&by_tag[..], &["--check"]].concat()).fails(3, "3 of its 3 images are not those of");
    let ran = update(&workspace, &by_tag).succeeds();
    assert!(ran.stderr.contains("pinned 3 of 3 images"), "{}", ran.stderr);
    assert_eq!(text(&workspace), expected);
    let changed = workspace.git(&["diff", "--unified=0"]);
    let changed: Vec<&str> =
        changed.lines().filter(|line| line.starts_with(['+', '-']) && !line.contains("cfn-preserv")).collect();
    assert_eq!(changed.len(), 6, "{changed:#?}");
    assert!(changed.iter().all(|line| ["alpha", "beta", "gamma"].iter().any(|name| line.contains(name))));
    update(&workspace, &[&by_tag[..], &["--check"]].concat()).succeeds();

    // The commit moves HEAD; the release that its manifest names is still the one.
    workspace.commit("pin the template");
    let ran = update(&workspace, &["--registry", &name]).succeeds();
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    // Another clone has no manifest, and needs none.
    let clone = workspace.beside("clone");
    workspace.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    let mut command = workspace.xtask(&["update-template", "--check"]);
    run(command.args(by_tag).current_dir(&clone)).succeeds();

    update(&workspace, &["--registry", &name, "--pin", "tag"]).succeeds();
    assert_eq!(text(&workspace), with_pins(|_| format!(":{tag}")));
}

#[test]
fn e6_12_a_tag_that_is_not_complete_is_refused() {
    let Some(registry) = registry("e6_12_a_tag_that_is_not_complete_is_refused") else { return };
    // The template runs two of three; a release is all three.
    let template = TEMPLATE.replace("aptrust/gamma:multi", "docker/other:multi");
    let workspace = workspace(&template);
    release(&workspace, &registry.name(), &[]).succeeds();
    let by_tag = ["--tag", "partial", "--registry", &registry.name()];
    update(&workspace, &by_tag).fails(3, "3 of the 3 images of partial");
    for (service, left) in [("alpha", 2), ("beta", 1)] {
        let (from, to) = (
            format!("{}/{service}:{}", registry.name(), workspace.tag()),
            format!("{}/{service}:partial", registry.name()),
        );
        for args in [
            vec!["pull", "--quiet", &from],
            vec!["tag", &from, &to],
            vec!["push", "--quiet", &to],
            vec!["image", "rm", &from, &to],
        ] {
            run(Command::new("docker").args(&args)).succeeds();
        }
        update(&workspace, &by_tag)
            .fails(3, &format!("{left} of the 3 images of partial"))
            .fails(3, "/gamma:partial does not exist");
    }
    assert_eq!(text(&workspace), template);
    let ran = update(&workspace, &["--registry", &registry.name()]).succeeds();
    assert!(ran.stderr.contains("the template does not run gamma"), "{}", ran.stderr);
}

/// What a proxy does with method and path.
type Choice = Box<dyn Fn(&str, &str) -> Fault + Send + Sync>;

#[test]
fn registries_that_are_away_fail_or_refuse() {
    let Some(registry) = registry("registries_that_are_away_fail_or_refuse") else { return };
    let workspace = workspace(TEMPLATE);
    release(&workspace, &registry.name(), &[]).succeeds();
    let tag = workspace.tag();
    let is_beta = |path: &str| path.contains("beta/manifests");
    let faults: [(&str, i32, Choice); 4] = [
        ("refused", 4, Box::new(|_, _| Fault::Status(401))),
        ("refused", 4, Box::new(move |_, path| if is_beta(path) { Fault::Status(403) } else { Fault::None })),
        ("tried 3 times", 1, Box::new(move |_, path| if is_beta(path) { Fault::Status(500) } else { Fault::None })),
        ("tried 3 times", 1, Box::new(move |_, path| if is_beta(path) { Fault::Cut } else { Fault::None })),
    ];
    for (says, code, choose) in faults {
        let proxy = Proxy::before(&registry, choose);
        update(&workspace, &["--tag", &tag, "--registry", &proxy.name()]).fails(code, says).fails(code, "beta");
        assert_eq!(text(&workspace), TEMPLATE);
    }
    // A manifest of a registry that is gone.
    manifest(&workspace, |manifest| manifest["registry"] = "127.0.0.1:9/try".into());
    update(&workspace, &["--registry", "127.0.0.1:9/try"]).fails(1, "asking the registry for 3 of 3 images failed");
    assert_eq!(text(&workspace), TEMPLATE);
}

#[test]
fn a_release_for_two_platforms_is_pinned_by_the_digest_of_its_list() {
    let test = "a_release_for_two_platforms_is_pinned_by_the_digest_of_its_list";
    if real_program("aarch64-linux-gnu-gcc").is_none() || real_program("qemu-aarch64-static").is_none() {
        return skip(test, "aarch64-linux-gnu-gcc and qemu-aarch64-static are not on PATH");
    }
    let Some(registry) = registry(test) else { return };
    let template = TEMPLATE.replace("Family: multi", "RuntimePlatform: {CpuArchitecture: ARM64}");
    let workspace = workspace(&template);
    release(&workspace, &registry.name(), &["--platform", "linux/amd64,linux/arm64"]).succeeds();
    let tag = workspace.tag();
    let expected =
        with_pins(released(&workspace, &tag)).replace("Family: multi", "RuntimePlatform: {CpuArchitecture: ARM64}");
    update(&workspace, &["--tag", &tag, "--registry", &registry.name()]).succeeds();
    assert_eq!(text(&workspace), expected, "asked of the registry");
    let ran = update(&workspace, &["--registry", &registry.name()]).succeeds();
    assert!(ran.stderr.contains("nothing to do"), "the manifest says the same: {}", ran.stderr);
}
