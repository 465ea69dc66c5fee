//! `cargo xtask update-template`: on a miniature workspace whose template has every kind of image, with a real registry where
//! one is there, and with a stand-in for docker where it is to misbehave; and once on the real template.

mod bad_input;
mod offline;
mod real_docker;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

use super::release::{Ran, run};
use super::support::workspace::{Fakes, Workspace};

/// The miniature's services in three forms, between lines that only look like images. The tag is `multi`, as it was in the template
/// whose update once was a `sed`, which would rewrite the other `multi`s as well (04 A.5.11).
const TEMPLATE: &str = "\
# Not multi but one: aptrust/alpha:multi stands here for nothing.
Description: multi, with ✓ before the images
Mappings:
  Images:
    Release:
      Beta: beta:multi # a multi in a comment
Resources:
  AlphaTask:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: multi
      ContainerDefinitions:
        - Name: alpha
          Image: '${NotAVariable}/aptrust/alpha:multi'   # multi
          Command: [/alpha, alpha:multi]
        - Name: sidecar
          Image: docker.io/docker/sidecar:multi
  BetaTask:
    Type: AWS::ECS::TaskDefinition
    Properties:
      ContainerDefinitions:
        - Name: beta
          Image: !Sub ['${Prefix}${Image}', {Prefix: !Ref Prefix, Image: !FindInMap [Images, Release, Beta]}]
          Environment: [{Name: beta, Value: 'aptrust/beta:multi'}]
  GammaTask:
    Type: AWS::ECS::TaskDefinition
    Properties:
      ContainerDefinitions:
        - {Name: gamma, Image: !Sub '${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/docker-hub/aptrust/gamma:multi'}
";

/// Where the three images stand in [`TEMPLATE`].
const LINES: [usize; 3] = [6, 14, 29];

/// The template's path in a checkout.
const PATH: &str = "cloudformation/cfn-preserv-master.yml";

/// A miniature with a committed template.
fn workspace(template: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write(PATH, template);
    workspace.commit("template");
    workspace
}

fn update(workspace: &Workspace, args: &[&str]) -> Ran {
    run(workspace.xtask(&["update-template"]).args(args))
}

fn text(workspace: &Workspace) -> String {
    fs::read_to_string(workspace.root().join(PATH)).unwrap()
}

/// [`TEMPLATE`] with these pins of alpha, beta and gamma.
fn with_pins(pin: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for (index, line) in TEMPLATE.split_inclusive('\n').enumerate() {
        if LINES.contains(&(index + 1)) {
            let service = ["beta", "alpha", "gamma"].into_iter().find(|name| line.contains(&format!("{name}:multi")));
            let service = service.unwrap();
            text.push_str(&line.replacen(&format!("{service}:multi"), &format!("{service}{}", pin(service)), 1));
        } else {
            text.push_str(line);
        }
    }
    text
}

/// What is left of the run besides the template.
fn beside_the_template(workspace: &Workspace) -> Vec<String> {
    let folder = workspace.root().join(PATH).parent().unwrap().to_owned();
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| *name != Path::new(PATH).file_name().unwrap().to_str().unwrap()).collect()
}

/// A release manifest of the miniature's HEAD, as `release` writes it.
fn manifest(workspace: &Workspace, change: impl Fn(&mut serde_json::Value)) -> PathBuf {
    let tag = workspace.tag();
    let image = |service: &str| {
        serde_json::json!({
            "service": service,
            "reference": format!("docker.io/aptrust/{service}:{tag}"),
            "digest": digest(service),
            "platforms": [{
                "platform": "linux/amd64", "config_digest": config_digest(service), "content_tag": "content-0",
                "manifest_digest": digest(service), "executable_sha256": "00", "executable_bytes": 1,
                "compressed_bytes": 1, "unfinished": false, "run_by": "native",
            }],
        })
    };
    let images = ["alpha", "beta", "gamma"].map(image);
    let mut manifest = serde_json::json!({
        "schema": "preserv-release/1", "tag": tag, "commit": workspace.git(&["rev-parse", "HEAD"]), "branch": "main",
        "dirty": false, "unfinished": false, "registry": "docker.io/aptrust", "published": true, "builds": [],
        "images": images,
    });
    change(&mut manifest);
    let tag = manifest["tag"].as_str().unwrap();
    let path = workspace.release_folder().join(tag).join(format!("release-{tag}.json"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, manifest.to_string()).unwrap();
    path
}

fn digest(service: &str) -> String {
    super::support::sha256(service.as_bytes())
}

fn config_digest(service: &str) -> String {
    super::support::sha256(format!("{service}'s configuration").as_bytes())
}

/// A docker for which every image of [`manifest`] stands. `before` is a shell command that runs before each answer; `$6` is
/// the reference that is asked for.
fn fake_docker(workspace: &Workspace, before: &str) -> Fakes {
    let fakes = Fakes::new(workspace.beside("bin"));
    let answer = |service: &str| {
        let (digest, config) = (digest(service), config_digest(service));
        format!(
            "*/{service}[:@]*) echo '{{\"Ref\":\"x\",\"Descriptor\":{{\"digest\":\"{digest}\",\"size\":1,\"platform\":{{\"architecture\":\"amd64\",\"os\":\"linux\"}}}},\"SchemaV2Manifest\":{{\"config\":{{\"digest\":\"{config}\",\"size\":1}},\"layers\":[]}}}}' ;;"
        )
    };
    let answers = ["alpha", "beta", "gamma"].map(answer).join("\n");
    fakes.add(
        "docker",
        &format!(
            "[ \"$1\" = version ] && {{ echo 28.0.0 28.0.0; exit 0; }}\nfor reference; do :; done\n{before}\ncase \"$reference\" in\n{answers}\n*) echo \"no such manifest: $reference\" >&2; exit 1 ;;\nesac"
        ),
    );
    fakes
}
