//! `cargo xtask deploy` before the deployer is compiled: what is missing on this machine is said at once. What the deployer does is
//! tested beside it.

use std::fs;

use super::release::run;
use super::support::workspace::Workspace;

const CONFIG: &str = "[environments.staging]\naccount = '123456789012'\nregion = 'us-east-1'\n";

#[test]
fn without_a_configuration_nothing_is_compiled() {
    let workspace = Workspace::new();
    for command in ["deploy", "rollback", "status", "logs"] {
        let mut command = workspace.xtask(&[command, "staging"]);
        run(command.env_remove("XTASK_CONFIG").env_remove("XTASK_PROGRAMS")).fails(3, "no file says which account");
    }
    let config = workspace.beside("config.toml");
    fs::write(&config, CONFIG).unwrap();
    run(workspace.xtask(&["status", "demo"]).arg("--config").arg(&config)).fails(3, "says nothing about demo");
    assert!(!workspace.root().join("target").exists());
}

#[test]
fn all_that_a_deployment_lacks_here_is_said_before_anything_is_compiled() {
    let workspace = Workspace::new();
    let config = workspace.beside("config.toml");
    fs::write(&config, CONFIG).unwrap();
    workspace.write("NEW", "");
    let deploy = || {
        let mut command = workspace.xtask(&["deploy", "staging"]);
        run(command.env("XTASK_CONFIG", &config).env_remove("XTASK_PROGRAMS"))
    };
    let ran = deploy().fails(3, "3 things stand in the way");
    for part in ["cfn-preserv-master.yml", "NEW (untracked)", "no test report at"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    workspace.write("cloudformation/cfn-preserv-master.yml", "Resources: {a: !Sub 'b'}\n");
    workspace.commit("template");
    deploy().fails(3, "there is no test report at");
    // Nothing is lacking: now it would be compiled, and the miniature has no deployer.
    workspace.write("target/xtask/test-all/test-report.json", "{}");
    deploy().fails(1, "xtask-deploy does not compile");
}
