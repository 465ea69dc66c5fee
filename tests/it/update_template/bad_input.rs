//! Templates that cannot be pinned: each is refused with the reason, and stays as it was.

use std::fs;

use super::{PATH, TEMPLATE, update, workspace};
use crate::release::run;

const PIN: [&str; 5] = ["--offline", "--pin", "tag", "--tag", "1a2b3c4-main"];

#[test]
fn texts_that_are_refused() {
    let workspace = workspace(TEMPLATE);
    let too_large = format!("{TEMPLATE}# {}\n", "x".repeat(1_048_576));
    let barely = format!("{TEMPLATE}# {}\n", "x".repeat(1_048_576 - TEMPLATE.len() - 3));
    let twice = TEMPLATE.replace("aptrust/gamma:multi", "aptrust/alpha:multi");
    let unknown = TEMPLATE.replace("aptrust/gamma:multi", "aptrust/gama:multi");
    for (text, why) in [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("words\n", "is no template"),
        ("a: [b\n", "is not YAML: "),
        (&format!("{TEMPLATE}---\nsecond: document\n"), "holds a second document, in line 31"),
        ("Resources: {}\n", "has no image of any of our services"),
        (&too_large, "bytes, and CloudFormation takes 1048576 at most"),
        (&barely, "with these images cloudformation/cfn-preserv-master.yml has"),
        (&twice, "the containers of lines 13 and 29 all have an image of alpha"),
        (
            &unknown,
            "line 29: `${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/docker-hub/aptrust/gama:multi` names no service",
        ),
        (&TEMPLATE.replace("aptrust/gamma:multi", "aptrust/gamma:${Tag}"), "line 29: `:${Tag}` of"),
        (
            &TEMPLATE.replace("      Beta: ", "      Beta: x\n      Beta: "),
            "has the key `Beta` twice in one mapping, in lines 6 and 7",
        ),
    ] {
        workspace.write(PATH, text);
        update(&workspace, &PIN).fails(3, why);
        assert_eq!(super::text(&workspace), text);
    }
}

/// Nine levels of nine: four hundred million nodes, if one follows the aliases.
#[test]
fn aliases_that_multiply_are_refused_before_anything_follows_them() {
    let filler = "# x\n- [a, b, c, d, e, f, g, h]\n".repeat(5000);
    let level = |n: usize| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(", "));
    let bomb: String = (1..=9).map(level).collect();
    let text = format!("{TEMPLATE}filler:\n{filler}l0: &l0 x\n{bomb}");
    let workspace = workspace(&text);
    update(&workspace, &PIN).fails(3, "has aliases that make more than 1000000 nodes of it");
    workspace.write(PATH, &format!("{TEMPLATE}Self: &self [*self]\n"));
    update(&workspace, &PIN).fails(3, "has aliases that make more than");
}

#[test]
fn a_tag_that_moves_is_no_pin() {
    let workspace = workspace(TEMPLATE);
    update(&workspace, &["--offline", "--pin", "tag", "--tag", "latest"]).fails(3, "`latest` is of no release");
    assert_eq!(super::text(&workspace), TEMPLATE);
}

/// Some editors of Windows write a mark before the text.
#[test]
fn a_byte_order_mark_before_the_first_key_stays() {
    let body = TEMPLATE.split_once('\n').unwrap().1;
    let workspace = workspace(&format!("\u{feff}{body}"));
    update(&workspace, &PIN).succeeds();
    let text = super::text(&workspace);
    assert!(text.starts_with("\u{feff}Description: multi"), "{text}");
    assert_eq!(text.matches("1a2b3c4-main").count(), 3);
    update(&workspace, &PIN).succeeds();
}

#[test]
fn bytes_that_are_no_text() {
    let workspace = workspace(TEMPLATE);
    let path = workspace.root().join(PATH);
    let bytes = [TEMPLATE.as_bytes(), b"# \xff\n"].concat();
    fs::write(&path, &bytes).unwrap();
    update(&workspace, &PIN).fails(3, "is not UTF-8, from byte");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let workspace = workspace(TEMPLATE);
    let real = workspace.root().join(PATH);
    let refused = |name: &str, why: &str| {
        let path = workspace.beside(name);
        run(workspace.xtask(&["update-template"]).args(PIN).arg("--template").arg(path)).fails(3, why);
    };
    refused("absent.yml", "does not exist");
    fs::create_dir(workspace.beside("folder")).unwrap();
    refused("folder", "is a directory");
    std::os::unix::fs::symlink(&real, workspace.beside("link")).unwrap();
    refused("link", &format!("is a link to {}", real.display()));
    std::os::unix::fs::symlink("nowhere", workspace.beside("dangling")).unwrap();
    refused("dangling", "is a link to nowhere");
    // Reading it would wait for a writer for ever.
    let fifo = workspace.beside("fifo");
    run(std::process::Command::new("mkfifo").arg(&fifo)).succeeds();
    refused("fifo", "is no regular file");
    assert_eq!(super::text(&workspace), TEMPLATE);
    assert!(workspace.beside("link").is_symlink());
}

#[test]
fn an_image_for_another_processor_is_refused() {
    let workspace = workspace(&TEMPLATE.replace("Family: multi", "RuntimePlatform: {CpuArchitecture: ARM64}"));
    super::manifest(&workspace, |_| {});
    let text = super::text(&workspace);
    update(&workspace, &["--offline"]).fails(3, "line 14: alpha for linux/arm64, not linux/amd64");
    assert_eq!(super::text(&workspace), text);
}
