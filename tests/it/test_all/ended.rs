//! A run that is ended leaves nothing of its own behind, and everything else alone.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::super::release::run;
use super::super::support::{Scratch, is_alive, wait_for};
use super::{PASSES, Small, notes};

/// A test that waits for ever, with two children of its own: one as programs are, one that does not mind Ctrl-C.
const WAITS: &str = r#"    #[test]
    fn waits() {
        let note = std::env::var("NOTE").unwrap();
        let spawn = |script: &str| std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
        let mut children = [spawn("sleep 1000"), spawn("trap '' INT; sleep 1000")];
        let ids: Vec<String> = children.iter().map(|child| child.id().to_string()).collect();
        std::fs::write(format!("{note}.new"), ids.join(" ")).unwrap();
        std::fs::rename(format!("{note}.new"), &note).unwrap();
        for child in &mut children {
            child.wait().unwrap();
        }
    }
"#;

/// A run of which the test above has begun, and the processes that must go with it.
struct Running {
    child: Child,
    pids: Vec<String>,
    _notes: Scratch,
}

impl Running {
    fn start(small: &Small, args: &[&str]) -> Self {
        let notes = notes();
        let note = notes.path().join("pids");
        let mut command = small.test_all(&[&["--stage", "integration"], args].concat());
        command.env("NOTE", &note).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let pids = wait_for("the test inside to begin", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("test-all ended early: {status}");
            }
            fs::read_to_string(&note).map_err(|error| error.to_string())
        });
        Self { child, pids: pids.split(' ').map(str::to_owned).collect(), _notes: notes }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The exit code; nothing of the run may be alive then.
    fn end(mut self) -> Option<i32> {
        let status = wait_for("test-all to end", || {
            self.child
                .try_wait()
                .unwrap()
                .ok_or_else(|| format!("alive: {:?}", self.pids.iter().filter(|pid| is_alive(pid)).collect::<Vec<_>>()))
        });
        for pid in &self.pids {
            assert!(!is_alive(pid), "process {pid} is left");
        }
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// A process that has nothing to do with the run, under the name of one of ours. E.6, check 28.
struct Foreign(Child);

impl Foreign {
    fn named(name: &str, scratch: &Scratch) -> Self {
        let path = scratch.path().join(name);
        let sleep = super::super::support::workspace::real_program("sleep").unwrap();
        fs::copy(sleep, &path).unwrap();
        Self(Command::new(path).arg("1000").spawn().unwrap())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ctrl_c_and_sigterm_leave_nothing_behind_and_foreign_processes_alone() {
    let small = Small::new(PASSES, WAITS);
    let scratch = Scratch::new("foreign");
    let names = ["alpha", "cargo", "redis-server", "it"];
    let mut foreign: Vec<Foreign> = names.iter().map(|name| Foreign::named(name, &scratch)).collect();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let running = Running::start(&small, &[]);
        running.signal(signal);
        assert_eq!(running.end(), Some(code));
    }
    for (foreign, name) in foreign.iter_mut().zip(names) {
        assert!(foreign.0.try_wait().unwrap().is_none(), "the foreign `{name}` was ended");
    }
    assert!(!small.report_path().exists(), "an ended run has no report");
}

#[test]
fn the_time_limit_ends_a_run_like_a_signal() {
    let small = Small::new(PASSES, WAITS);
    // Built before, so that the limit meets the test and not the compiler; if it should, the code is the same.
    run(&mut small.test_all(&["--stage", "unit"])).succeeds();
    let note = notes();
    let mut command = small.test_all(&["--stage", "integration", "--timeout", "8s"]);
    run(command.env("NOTE", note.path().join("pids"))).fails(7, "--timeout");
    for pid in fs::read_to_string(note.path().join("pids")).unwrap_or_default().split(' ').filter(|pid| !pid.is_empty())
    {
        assert!(!is_alive(pid), "process {pid} is left");
    }
}

/// E.6, check 27 in today's shape: there are no fixed ports to be taken, but there is a lock.
#[test]
fn a_second_run_is_refused_while_the_first_goes_on() {
    let small = Small::new(PASSES, WAITS);
    let running = Running::start(&small, &[]);
    run(&mut small.test_all(&["--stage", "unit"])).fails(8, &format!("process {}", running.child.id()));
    assert!(running.pids.iter().all(|pid| is_alive(pid)), "the first run was disturbed");
    running.signal("-TERM");
    assert_eq!(running.end(), Some(143));
    run(&mut small.test_all(&["--stage", "unit"])).succeeds();
}

/// E.6, check 29.
#[test]
fn nothing_in_the_home_folder_is_touched() {
    let small = Small::new(PASSES, PASSES);
    fs::create_dir_all(small.home.join("tmp/redis")).unwrap();
    fs::write(small.home.join("tmp/redis/dump.rdb"), "mine").unwrap();
    run(&mut small.test_all(&[])).succeeds();
    let home: Vec<_> = fs::read_dir(&small.home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(home, ["tmp"]);
    assert_eq!(fs::read_to_string(small.home.join("tmp/redis/dump.rdb")).unwrap(), "mine");
}
