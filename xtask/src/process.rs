//! Child processes, and the signals that end them.
//!
//! A child gets an argument vector, never a shell line; a process group of its own; its lines as they come. On Ctrl-C,
//! SIGTERM or the time limit the group gets the signal, TERM after ten seconds and KILL after twenty, so nothing is left behind. Secrets
//! go in through stdin and are masked in everything that comes out.

mod background;
mod group;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::exit::Exit;

const TERM_AFTER: Duration = Duration::from_secs(10);
const KILL_AFTER: Duration = Duration::from_secs(20);
/// How long the output of a child is awaited after its end: a grandchild may hold the pipe.
const DRAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether a child waits for the terminal.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is kept of a child's output; what comes after is passed to the caller but not collected.
const KEPT_BYTES: usize = 64 << 20;

static DEADLINE: OnceLock<Instant> = OnceLock::new();
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Notes SIGINT, SIGTERM and a terminal that goes away from now on, and starts the clock of `--timeout`.
pub fn watch_signals(timeout: Option<Duration>) {
    let signal = SIGNAL.get_or_init(Arc::default);
    let hangup = (!ignores_hangup()).then_some(signal_hook::consts::SIGHUP);
    for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM].into_iter().chain(hangup) {
        // It fails only for signals that cannot be caught, which these can.
        let _ = signal_hook::flag::register_usize(number, Arc::clone(signal), number.unsigned_abs() as usize);
    }
    if let Some(timeout) = timeout {
        DEADLINE.get_or_init(|| Instant::now() + timeout);
    }
}

/// Started with `nohup`, it stays.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Why the run must end now, if it must.
fn ended() -> Option<Exit> {
    match SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed)) {
        0 => DEADLINE.get().filter(|deadline| Instant::now() >= **deadline).map(|_| Exit::TimedOut),
        number if number == signal_hook::consts::SIGINT as usize => Some(Exit::Interrupted),
        _ => Some(Exit::Terminated),
    }
}

/// Fails when the user or the time limit ended the run; called between the steps of a command.
pub fn check_interrupt() -> Result<()> {
    match ended() {
        None => Ok(()),
        Some(Exit::TimedOut) => Err(Exit::TimedOut.stop(
            "the time limit of --timeout ran out",
            "nothing half done was left behind; run it again with a longer limit",
        )),
        Some(exit) => Err(exit.stop("stopped on request", "nothing half done was left behind; run it again to go on")),
    }
}

/// Waits, unless the run ends before.
pub fn pause(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        check_interrupt()?;
        thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// A text that must not be shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// One of a child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

type Feed = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

enum Input {
    Nothing,
    Secret(Secret),
    Feed(Feed),
}

/// A child process to be.
#[must_use]
pub struct Process {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    only_env: bool,
    without: Vec<OsString>,
    input: Input,
    limit: Option<Duration>,
    merged: bool,
    end_leftovers: bool,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What a child left.
#[derive(Debug)]
pub struct Finished {
    command: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// It was ended because its own limit ran out.
    pub over_limit: bool,
    /// Processes of its group outlived it, and were ended ([`Process::end_leftovers`]).
    pub leftovers: bool,
}

impl Finished {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The error for a child that failed: the command as one would type it, its end, and its last words.
    pub fn error(&self) -> anyhow::Error {
        let how = match self.code {
            Some(code) => format!("exited with {code}"),
            None => "was ended by a signal".to_owned(),
        };
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let said = last_lines(said, 12);
        let colon = if said.is_empty() { "" } else { ": " };
        anyhow::anyhow!("`{}` {how}{colon}{said}", self.command)
    }
}

/// The last lines of a text, for an error.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

impl Process {
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            only_env: false,
            without: Vec::new(),
            input: Input::Nothing,
            limit: None,
            merged: false,
            end_leftovers: false,
        }
    }

    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts from an empty environment, so that nothing but what [`Process::env`] says reaches the child.
    pub fn only_env(mut self) -> Self {
        self.only_env = true;
        self
    }

    /// Keeps these variables of the caller's environment from the child.
    pub fn without(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.without.extend(names);
        self
    }

    /// What the child reads from stdin; masked wherever the child repeats it.
    pub fn stdin_secret(mut self, secret: Secret) -> Self {
        self.input = Input::Secret(secret);
        self
    }

    /// Streams into the child's stdin from a thread of its own.
    pub fn stdin_feed(mut self, feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        self.input = Input::Feed(Box::new(feed));
        self
    }

    /// Ends the child after this time.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends both outputs through one pipe, as [`Stream::Out`], so that the order of their lines is kept.
    pub fn merge_outputs(mut self) -> Self {
        self.merged = true;
        self
    }

    /// Ends what is left of the child's group after the child itself, also when it ended by itself.
    pub fn end_leftovers(mut self) -> Self {
        self.end_leftovers = true;
        self
    }

    /// The command as one would type it.
    pub fn shown(&self) -> String {
        let words = std::iter::once(Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy())
            .chain(self.args.iter().map(|arg| arg.to_string_lossy()));
        let quoted = words.map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
        });
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// Becomes the command: terminal, signals and exit code are its own from here on. Returns only the reason why not.
    pub fn replace_this_process(self) -> anyhow::Error {
        let shown = self.shown();
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args).envs(self.env);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        anyhow::Error::new(error).context(format!("starting `{shown}`"))
    }

    /// Runs to the end and collects the output; a failing exit code is an error.
    pub fn check(self) -> Result<Finished> {
        let finished = self.run()?;
        if finished.success() { Ok(finished) } else { Err(finished.error()) }
    }

    /// Runs to the end and collects the output, whatever the exit code.
    pub fn run(self) -> Result<Finished> {
        self.lines(|_, _| {})
    }

    /// Runs to the end, handing over each line as it comes.
    pub fn lines(self, mut on_line: impl FnMut(Stream, &str)) -> Result<Finished> {
        check_interrupt()?;
        let command = self.shown();
        let starting = || format!("starting `{command}`");
        let (out_reader, out_writer) = io::pipe().with_context(starting)?;
        let (err_reader, err_writer) = if self.merged {
            (None, out_writer.try_clone().with_context(starting)?)
        } else {
            let (reader, writer) = io::pipe().with_context(starting)?;
            (Some(reader), writer)
        };
        let mut expression = duct::cmd(&self.program, &self.args)
            .stdout_file(out_writer)
            .stderr_file(err_writer)
            .unchecked()
            .before_spawn(|child| {
                std::os::unix::process::CommandExt::process_group(child, 0);
                Ok(())
            });
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        if self.only_env {
            expression = expression.full_env(self.env);
        } else {
            for name in self.without {
                expression = expression.env_remove(name);
            }
            for (name, value) in self.env {
                expression = expression.env(name, value);
            }
        }
        let mut mask = None;
        let mut feeder = None;
        expression = match self.input {
            Input::Nothing => expression.stdin_null(),
            Input::Secret(secret) => {
                let bytes = secret.0.clone().into_bytes();
                mask = Some(secret);
                expression.stdin_bytes(bytes)
            }
            Input::Feed(feed) => {
                let (reader, writer) = io::pipe().with_context(starting)?;
                feeder = Some((feed, writer));
                expression.stdin_file(reader)
            }
        };
        let handle = expression.start().with_context(starting)?;
        // The expression holds the pipes' other ends; the readers below would never see the end of the output.
        drop(expression);
        let feeder = feeder.map(|(feed, mut writer)| thread::spawn(move || feed(&mut writer)));

        let (sender, lines) = mpsc::sync_channel(1024);
        for (stream, reader) in [(Stream::Out, Some(out_reader)), (Stream::Err, err_reader)] {
            let Some(reader) = reader else { continue };
            let sender = sender.clone();
            thread::spawn(move || read_lines(stream, reader, &sender));
        }
        drop(sender);

        let mut kept = [String::new(), String::new()];
        let mut take = |stream: Stream, bytes: &[u8]| {
            let mut line = String::from_utf8_lossy(bytes).into_owned();
            if let Some(Secret(secret)) = mask.as_ref().filter(|Secret(secret)| !secret.is_empty()) {
                line = line.replace(secret.as_str(), "***");
            }
            let kept = &mut kept[stream as usize];
            if kept.len() < KEPT_BYTES {
                kept.push_str(&line);
                kept.push('\n');
            }
            on_line(stream, &line);
        };
        let started = Instant::now();
        let mut ending = Ending::default();
        let mut looked = started;
        let mut asked = false;
        let group = handle.pids();
        let status = loop {
            match lines.recv_timeout(Duration::from_millis(50)) {
                Ok((stream, bytes)) => take(stream, &bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(10)),
            }
            if let Some(output) = handle.try_wait().with_context(|| format!("waiting for `{command}`"))? {
                break output.status;
            }
            let over_limit = self.limit.is_some_and(|limit| started.elapsed() > limit);
            ending.step(over_limit, &group);
            if looked.elapsed() > LOOK_EVERY && !asked {
                looked = Instant::now();
                asked = group::waits_for_terminal(&group);
                if asked {
                    ending.kill(&group);
                }
            }
        };
        let leftovers = (ending.since.is_some() || self.end_leftovers) && ending.leftovers(&group);
        let drained_by = Instant::now() + DRAIN;
        while let Ok((stream, bytes)) = lines.recv_timeout(drained_by.saturating_duration_since(Instant::now())) {
            take(stream, &bytes);
        }
        if asked {
            return Err(Exit::Unavailable.stop(
                format!("`{command}` asks something on the terminal, where it gets no answer"),
                "answer it beforehand (for docker: unlock the store of your credentials, or `docker login`), then run again",
            ));
        }
        if ending.since.is_some() && !ending.over_limit {
            check_interrupt()?;
        }
        if let Some(fed) = feeder.and_then(|feeder| feeder.join().ok())
            && status.success()
        {
            // A child that fails closes the pipe: then its own words are the better error.
            fed.with_context(|| format!("feeding `{command}`"))?;
        }
        let [stdout, stderr] = kept;
        Ok(Finished { command, code: status.code(), stdout, stderr, over_limit: ending.over_limit, leftovers })
    }
}

/// The three steps in which a child is ended.
#[derive(Default)]
struct Ending {
    since: Option<Instant>,
    over_limit: bool,
    sent: usize,
}

impl Ending {
    fn step(&mut self, over_limit: bool, pids: &[u32]) {
        let why = ended();
        if why.is_none() && !over_limit {
            return;
        }
        self.over_limit = why.is_none();
        self.signal(if why == Some(Exit::Interrupted) { Signal::INT } else { Signal::TERM }, pids);
    }

    /// Ends what the child left of its group, and tells whether there was anything.
    fn leftovers(&mut self, pids: &[u32]) -> bool {
        let found = group::is_alive(pids);
        let killed_by = self.since.unwrap_or_else(Instant::now) + KILL_AFTER + DRAIN;
        while group::is_alive(pids) && Instant::now() < killed_by {
            self.signal(Signal::TERM, pids);
            thread::sleep(Duration::from_millis(20));
        }
        found
    }

    /// At once: what the terminal has stopped takes no other signal.
    fn kill(&mut self, pids: &[u32]) {
        self.since.get_or_insert_with(Instant::now);
        for pid in pids.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // The group may be gone already.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }

    fn signal(&mut self, first: Signal, pids: &[u32]) {
        let since = *self.since.get_or_insert_with(Instant::now);
        let steps = [(Duration::ZERO, first), (TERM_AFTER, Signal::TERM), (KILL_AFTER, Signal::KILL)];
        while let Some((_, signal)) = steps.get(self.sent).filter(|(after, _)| since.elapsed() >= *after) {
            for pid in pids.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                // The group may be gone already.
                let _ = rustix::process::kill_process_group(pid, *signal);
            }
            self.sent += 1;
        }
    }
}

fn read_lines(stream: Stream, reader: impl io::Read, sender: &mpsc::SyncSender<(Stream, Vec<u8>)>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        // A line beyond all that is kept comes in pieces.
        match (&mut reader).take(KEPT_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        if sender.send((stream, line)).is_err() {
            return;
        }
    }
}

/// Runs `work` on every item in at most `jobs` threads and returns the results in the order of the items. It goes on after a
/// failure, so that all of them can be reported, but not after an interrupt.
pub fn in_parallel<T: Sync, R: Send>(
    jobs: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<Result<R>>> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, Result<R>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, items.len().max(1)))
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    while ended().is_none() {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(index) else { break };
                        done.push((index, work(item)));
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    check_interrupt()?;
    anyhow::ensure!(results.len() == items.len(), "a worker thread of xtask panicked; this is a defect of xtask");
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_collected_and_failure_names_the_command() {
        let finished = Process::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).run().unwrap();
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(finished.code, Some(3));
        assert_eq!(finished.error().to_string(), "`sh -c 'echo out; echo err >&2; exit 3'` exited with 3: err");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Process::new("no-such-program").run().unwrap_err();
        assert!(format!("{error:#}").contains("starting `no-such-program`"), "{error:#}");
    }

    #[test]
    fn a_secret_arrives_intact_and_is_masked_in_the_output() {
        let secret = "a$b & ;\"'c d";
        let script =
            format!("read -r line; test \"$line\" = '{}' && echo same; echo \"$line\"", secret.replace('\'', "'\\''"));
        let finished = Process::new("sh").args(["-c", &script]).stdin_secret(Secret::new(secret.into())).run().unwrap();
        assert_eq!(finished.stdout, "same\n***\n");
        assert_eq!(format!("{:?}", Secret::new(secret.into())), "<secret>");
    }

    #[test]
    fn a_feed_larger_than_a_pipe_arrives_whole() {
        let finished = Process::new("wc")
            .args(["-c"])
            .stdin_feed(|to| (0..64).try_for_each(|_| to.write_all(&vec![b'x'; 65536])))
            .check()
            .unwrap();
        assert_eq!(finished.stdout.trim(), (64 * 65536).to_string());
    }

    #[test]
    fn a_child_over_its_limit_is_ended_with_its_own_children() {
        let finished = Process::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .limit(Duration::from_millis(200))
            .run()
            .unwrap();
        assert!(finished.over_limit && !finished.success());
        assert!(!is_alive(finished.stdout.trim()));
    }

    /// A zombie whose parent has not taken note of it yet still counts as a process, but not as alive.
    fn is_alive(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[test]
    fn what_a_child_leaves_of_its_group_is_ended() {
        let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
        let finished = Process::new("sh").args(["-c", script]).end_leftovers().run().unwrap();
        assert!(finished.success() && finished.leftovers && !finished.over_limit);
        assert!(!is_alive(finished.stdout.trim()));
        assert!(!Process::new("sh").args(["-c", "true"]).end_leftovers().run().unwrap().leftovers);
    }

    #[test]
    fn merged_outputs_keep_their_order() {
        let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
        let finished = Process::new("sh").args(["-c", script]).merge_outputs().run().unwrap();
        assert_eq!(finished.stdout, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
        assert_eq!(finished.stderr, "");
    }

    #[test]
    fn parallel_results_keep_their_order_and_all_failures() {
        let results = in_parallel(3, &[1, 2, 3, 4, 5], |n| {
            anyhow::ensure!(n % 2 == 1, "even {n}");
            Ok(n * 10)
        })
        .unwrap();
        let shown: Vec<String> =
            results.into_iter().map(|result| result.map_or_else(|e| e.to_string(), |n| n.to_string())).collect();
        assert_eq!(shown, ["10", "even 2", "30", "even 4", "50"]);
    }
}
