//! From start to end: the startup line, signals, the drain and the exit codes.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, example, sha256};

#[test]
fn the_first_line_tells_who_starts_and_with_which_numbers() {
    let place = Place::complete().set("IDLE_WORKERS", "7").set("IDLE_MAX_ATTEMPTS", "9");
    let idle = place.start("idle", &["-bufsize", "5", "--max-attempts=8", "-requeue-timeout=1m30s"]);
    idle.logged("starts");
    let log = idle.log();
    assert_eq!(log[0]["message"], "idle 0.1.0 starts");
    assert_eq!(log[0]["level"], "INFO");
    assert_eq!(log[0]["service"], "idle");
    assert_eq!(log[0]["version"], "0.1.0");
    assert_eq!(log[0]["sha256"], sha256(&example("idle")));
    assert_eq!(log[0]["topic"], "fixity_check");
    assert_eq!(log[0]["channel"], "fixity_check_worker_chan");
    assert_eq!(log[0]["buffer_size"], 5);
    assert_eq!(log[0]["workers"], 7);
    assert_eq!(log[0]["max_attempts"], 8);
    assert_eq!(log[0]["requeue_delay_seconds"], 90.0);
}

#[test]
fn sigterm_and_sigint_drain_and_end_with_0() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let place = Place::complete();
        let mut idle = place.start("idle", &[]);
        idle.logged("starts");
        idle.signal(signal);
        assert_eq!(idle.ended(), 0);
        idle.logged(&format!("received {name}"));
        idle.logged("finished");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_75() {
    let place = Place::complete();
    let mut misbehaving = place.start("misbehaving", &["forever"]);
    misbehaving.logged("starts");
    misbehaving.signal(Signal::TERM);
    misbehaving.logged("received SIGTERM");
    misbehaving.signal(Signal::INT);
    assert_eq!(misbehaving.ended(), 75);
    misbehaving.logged("received SIGINT as well");
}

#[test]
fn a_missed_drain_deadline_ends_it_with_75() {
    let place = Place::complete();
    let mut misbehaving = place.start("misbehaving", &["late"]);
    misbehaving.logged("starts");
    misbehaving.signal(Signal::TERM);
    assert_eq!(misbehaving.ended(), 75);
    misbehaving.logged("missed its deadline");
}

#[test]
fn a_stage_that_blocks_its_threads_holds_up_neither_signal_nor_deadline() {
    let place = Place::complete().set("TOKIO_WORKER_THREADS", "1");
    let mut misbehaving = place.start("misbehaving", &["block"]);
    misbehaving.logged("starts");
    misbehaving.signal(Signal::TERM);
    assert_eq!(misbehaving.ended(), 75);
    misbehaving.logged("missed its deadline");
}

#[test]
fn a_log_that_nobody_reads_stops_neither_life_nor_death() {
    let place = Place::complete();
    let (mut flood, _unread) = place.start_into_pipe("misbehaving", &["flood"]);
    // It beats once it has logged more than pipe and queue hold.
    place.beats("misbehaving");
    let health = place.run("misbehaving", &["--health"]);
    assert_eq!(health.code, Some(0), "{health:?}");
    flood.signal(Signal::TERM);
    assert_eq!(flood.ended(), 0);
}

#[test]
fn lines_that_were_dropped_are_told_of_once_the_log_is_read() {
    let place = Place::complete();
    let (mut flood, pipe) = place.start_into_pipe("misbehaving", &["flood"]);
    place.beats("misbehaving");
    let (send, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            send.send(serde_json::from_str::<Value>(&line.unwrap()).unwrap()).unwrap();
        }
    });
    let mut log = Vec::new();
    let told = loop {
        let line = lines.recv_timeout(Duration::from_mins(1)).unwrap();
        if line["message"].as_str().is_some_and(|text| text.starts_with("log lines were dropped")) {
            break line;
        }
        log.push(line);
    };
    let flooded = log.iter().filter(|line| line["line"].is_u64()).count();
    assert_eq!(told["lines"], 10_000 - flooded);
    flood.signal(Signal::TERM);
    assert_eq!(flood.ended(), 0);
    reader.join().unwrap();
    log.extend(lines);
    assert_eq!(log.last().unwrap()["message"], "finished");
}

#[test]
fn a_failure_is_logged_once_and_ends_it_with_1() {
    let place = Place::complete();
    let mut misbehaving = place.start("misbehaving", &["fail"]);
    assert_eq!(misbehaving.ended(), 1);
    assert_eq!(misbehaving.logged("failed: on purpose")["level"], "ERROR");
    assert_eq!(misbehaving.log().len(), 2);
}

#[test]
fn a_panic_is_logged_and_ends_it_with_1() {
    let place = Place::complete();
    let mut misbehaving = place.start("misbehaving", &["panic"]);
    assert_eq!(misbehaving.ended(), 1);
    let line = misbehaving.logged("panicked: on purpose");
    assert!(line["place"].as_str().unwrap().contains("misbehaving.rs"), "{line}");
}

#[test]
fn log_level_hides_what_is_less_severe() {
    let place = Place::complete().set("LOG_LEVEL", "error");
    let mut misbehaving = place.start("misbehaving", &["fail"]);
    assert_eq!(misbehaving.ended(), 1);
    assert_eq!(misbehaving.log().len(), 1);
}

#[test]
fn folders_are_made_and_log_dir_holds_the_log() {
    let place = Place::complete().set("LOG_DIR", "./logs");
    let mut idle = place.start("idle", &[]);
    let log = place.path("logs/idle.log");
    crate::support::until(|| match std::fs::read_to_string(&log) {
        Ok(text) if text.contains("idle 0.1.0 starts") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(place.path("scratch/ingest").is_dir());
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o644 & !umask());
    assert!(idle.log().is_empty());
    idle.signal(Signal::TERM);
    assert_eq!(idle.ended(), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_cause() {
    let place = Place::complete().file("scratch", "in the way");
    let ended = place.run("idle", &[]);
    assert_eq!(ended.code, Some(1));
    let path = place.path("scratch/ingest").display().to_string();
    assert!(ended.stderr.starts_with(&format!("idle: creating the folder {path}: ")), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn an_unfinished_program_starts_says_so_and_stops() {
    let place = Place::complete();
    let ended = place.run("unfinished", &[]);
    assert_eq!(ended.code, Some(69));
    let said = "unfinished: its stage is not built yet, so it opens no connection and does no work; see the table of \
                services in the README\n";
    assert_eq!(ended.stderr, said);
    assert_eq!(ended.stdout.lines().count(), 1, "the startup line: {}", ended.stdout);
    assert!(place.path("scratch/ingest").is_dir(), "it starts as it will when there is work");
}

fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}
