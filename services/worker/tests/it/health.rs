//! `--health`, asked by a process of its own, as ECS does.

use rustix::process::Signal;

use crate::support::{Place, until};

#[test]
fn healthy_while_it_runs_unhealthy_while_it_is_stopped() {
    let place = Place::complete();
    let idle = place.start("idle", &[]);
    idle.logged("starts");
    let healthy = || {
        let ended = place.run("idle", &["--health"]);
        if ended.code == Some(0) && ended.stdout.starts_with("healthy: ") { Ok(()) } else { Err(format!("{ended:?}")) }
    };
    until(healthy);
    idle.signal(Signal::STOP);
    until(|| {
        let ended = place.run("idle", &["--health"]);
        let said = "idle: unhealthy: the main loop's last beat is ";
        let right = ended.code == Some(1) && ended.stderr.starts_with(said) && ended.stderr.lines().count() == 1;
        if right { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    idle.signal(Signal::CONT);
    until(healthy);
}

#[test]
fn unhealthy_before_it_runs_and_after_it_ended() {
    let place = Place::complete();
    let nothing_there = |place: &Place| {
        let ended = place.run("idle", &["--health"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let path = place.path("idle.health").display().to_string();
        let said = format!("idle: unhealthy: no heartbeat file {path}: no process runs, or it is not up yet\n");
        assert_eq!(ended.stderr, said);
    };
    nothing_there(&place);
    let mut idle = place.start("idle", &[]);
    idle.logged("starts");
    idle.signal(Signal::TERM);
    assert_eq!(idle.ended(), 0);
    nothing_there(&place);
}

#[test]
fn unhealthy_while_a_client_fails_for_too_long() {
    let place = Place::complete();
    let troubled = place.start("misbehaving", &["troubled"]);
    troubled.logged("starts");
    until(|| {
        let ended = place.run("misbehaving", &["--health"]);
        let said = "misbehaving: unhealthy: Redis has failed for ";
        if ended.code == Some(1) && ended.stderr.starts_with(said) { Ok(()) } else { Err(format!("{ended:?}")) }
    });
}

#[test]
fn unhealthy_after_it_was_killed() {
    let place = Place::complete();
    let mut idle = place.start("idle", &[]);
    idle.logged("starts");
    idle.signal(Signal::KILL);
    assert_eq!(idle.ended(), -Signal::KILL.as_raw());
    let ended = place.run("idle", &["--health"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("which wrote the heartbeat file, is gone"), "{ended:?}");
}
