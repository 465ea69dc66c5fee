//! `cargo xtask rehearse`: the whole train, from this checkout's commit to verified tasks and to a rollback, on the simulator.

use crate::release::real_services::released;
use crate::release::run;
use crate::support::xtask;

#[test]
fn a_rehearsal_deploys_a_release_and_sees_a_broken_one_rolled_back() {
    // Of a tree that is the commit, the executables that the other tests released serve here too.
    let part = if released().1["dirty"] == true { "17 OCI layouts written" } else { "which is of this commit" };
    // Whatever leads the caller's own calls to AWS must not lead a rehearsal's there; nothing listens at this address.
    let elsewhere = [("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:1"), ("AWS_PROFILE", "production")];
    let ran = run(xtask().arg("rehearse").envs(elsewhere)).succeeds();
    assert!(ran.stdout.contains("one release deployed and verified, one rolled back"), "{}", ran.stdout);
    for part in [part, "ECS runs what was shipped", "UPDATE_ROLLBACK_COMPLETE", "REDIS_URL is not set"] {
        assert!(ran.stderr.contains(part), "`{part}` is not in\n{}", ran.stderr);
    }
}
