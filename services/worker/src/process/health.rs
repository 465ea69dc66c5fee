//! Whether a running process is alive, told through a small file: the process writes it, and `--health`, another process
//! of the same executable, judges it. Needs no shell, no port, and no clock that an administrator can set.
//!
//! The file holds the boot-time clock's reading at the main loop's last beat, for each message in work the reading by
//! which it must be touched, and for a client in trouble the reading at its first failure. It also names the process by number and start time: in a container every process has number
//! 1, and the file of an earlier container may lie in the same volume.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::process::limits::Limits;

/// The sign of life of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Mutex<Pulse>>);

/// A message in work, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct InWork {
    heartbeat: Heartbeat,
    key: u64,
}

/// What the file will say.
#[derive(Debug)]
struct Pulse {
    path: PathBuf,
    process: Process,
    beat: Duration,
    work: BTreeMap<u64, Work>,
    next_key: u64,
    /// When each client that fails began to.
    troubled: BTreeMap<&'static str, Duration>,
    /// The file is rewritten at most this often.
    pause: Duration,
    written: Duration,
    failing: bool,
}

#[derive(Debug)]
struct Work {
    id: String,
    touch_by: Duration,
}

impl Heartbeat {
    /// Writes the first beat. The file is never older than a thirtieth of `stale_after` while the process beats.
    pub(crate) fn start(path: &Path, stale_after: Duration) -> Result<Self> {
        let process = Process::own().context("reading this process's start time from /proc")?;
        let now = now();
        let mut pulse = Pulse {
            path: path.to_owned(),
            process,
            beat: now,
            work: BTreeMap::new(),
            next_key: 0,
            troubled: BTreeMap::new(),
            pause: stale_after / 30,
            written: now,
            failing: false,
        };
        pulse.write().with_context(|| format!("writing the heartbeat file {}", path.display()))?;
        Ok(Self(Arc::new(Mutex::new(pulse))))
    }

    /// The main loop lives. Cheap: the file is written only now and then.
    pub fn beat(&self) {
        let mut pulse = self.pulse();
        pulse.beat = now();
        pulse.write_if_due();
    }

    /// A message is being worked on, and will be touched within this time from now.
    pub fn in_work(&self, id: impl Into<String>, touch_within: Duration) -> InWork {
        let mut pulse = self.pulse();
        let key = pulse.next_key;
        pulse.next_key += 1;
        pulse.work.insert(key, Work { id: id.into().escape_default().to_string(), touch_by: now() + touch_within });
        pulse.write_if_due();
        InWork { heartbeat: self.clone(), key }
    }

    /// The client of this name has failed since then, or no longer does. After [`Limits::troubled_after`] the process counts
    /// as unhealthy, and is replaced.
    ///
    /// For Redis alone: without it claims are lost and work stops anyhow, and a new process may find what this one cannot.
    /// To end tasks because the Registry is away would throw away work that only waits to be saved.
    pub fn troubled(&self, name: &'static str, since: Option<Instant>) {
        let mut pulse = self.pulse();
        match since {
            Some(since) => pulse.troubled.insert(name, now().saturating_sub(since.elapsed())),
            None => pulse.troubled.remove(name),
        };
        pulse.write_if_due();
    }

    /// The process ends: no file is better than one that grows old.
    pub(crate) fn end(&self) {
        let path = self.pulse().path.clone();
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!("cannot remove the heartbeat file {}: {error}", path.display());
        }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        // Nothing here can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InWork {
    /// The message was touched, and will be again within this time from now.
    pub fn touched(&self, touch_within: Duration) {
        let mut pulse = self.heartbeat.pulse();
        if let Some(work) = pulse.work.get_mut(&self.key) {
            work.touch_by = now() + touch_within;
        }
        pulse.write_if_due();
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        let mut pulse = self.heartbeat.pulse();
        pulse.work.remove(&self.key);
        pulse.write_if_due();
    }
}

impl Pulse {
    fn write_if_due(&mut self) {
        let now = now();
        if now < self.written + self.pause {
            return;
        }
        match self.write() {
            Ok(()) => self.failing = false,
            // Said once; `--health` notices by itself that the file grows old.
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!("cannot write the heartbeat file {}: {error}", self.path.display());
            }
            Err(_) => {}
        }
        self.written = now;
    }

    /// Replaces the file as a whole, so that nobody reads half of one.
    fn write(&mut self) -> std::io::Result<()> {
        let Self { process: Process { id, start }, beat, .. } = self;
        let head = [format!("process {id} {start}\n"), format!("beat {}\n", beat.as_millis())];
        let work = self.work.values().map(|Work { id, touch_by }| format!("work {} {id}\n", touch_by.as_millis()));
        let troubled = self.troubled.iter().map(|(name, since)| format!("troubled {} {name}\n", since.as_millis()));
        let text: String = head.into_iter().chain(work).chain(troubled).collect();
        let new = self.path.with_extension("health.new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.path)
    }
}

/// A process that is well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Healthy {
    age: Duration,
    in_work: usize,
}

impl std::fmt::Display for Healthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "healthy: last beat {} ms ago, {} in work", self.age.as_millis(), self.in_work)
    }
}

/// What is wrong with a process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    #[error("no heartbeat file {}: no process runs, or it is not up yet", .0.display())]
    Absent(PathBuf),
    #[error("the heartbeat file {} cannot be read: {why}", .path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("process {0}, which wrote the heartbeat file, is gone")]
    Gone(u32),
    #[error("the main loop's last beat is {} ms old, more than the {} ms allowed", .age.as_millis(), .limit.as_millis())]
    Stale { age: Duration, limit: Duration },
    #[error("message {id} is in work and should have been touched {} ms ago", .late.as_millis())]
    Untouched { id: String, late: Duration },
    #[error("{name} has failed for {} s, more than the {} s allowed", .time.as_secs(), .limit.as_secs())]
    Troubled { name: String, time: Duration, limit: Duration },
}

/// Judges the process that writes this file.
pub(crate) fn check(path: &Path, limits: Limits) -> Result<Healthy, Unhealthy> {
    let Limits { stale_after, troubled_after, .. } = limits;
    let unreadable = |why: String| Unhealthy::Unreadable { path: path.to_owned(), why };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Unhealthy::Absent(path.to_owned())),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let Record { process, beat, work, troubled } =
        Record::parse(&text).ok_or_else(|| unreadable("not in the form that this version writes".to_owned()))?;
    if !process.lives() {
        return Err(Unhealthy::Gone(process.id));
    }
    let now = now();
    let age = now.saturating_sub(beat);
    if age > stale_after {
        return Err(Unhealthy::Stale { age, limit: stale_after });
    }
    for Work { id, touch_by } in &work {
        if let Some(late) = now.checked_sub(*touch_by) {
            return Err(Unhealthy::Untouched { id: id.clone(), late });
        }
    }
    for (name, since) in troubled {
        let time = now.saturating_sub(since);
        if time > troubled_after {
            return Err(Unhealthy::Troubled { name, time, limit: troubled_after });
        }
    }
    Ok(Healthy { age, in_work: work.len() })
}

/// What the file says.
struct Record {
    process: Process,
    beat: Duration,
    work: Vec<Work>,
    troubled: Vec<(String, Duration)>,
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (id, start) = lines.next()?.strip_prefix("process ")?.split_once(' ')?;
        let process = Process { id: id.parse().ok()?, start: start.parse().ok()? };
        let beat = milliseconds(lines.next()?.strip_prefix("beat ")?)?;
        let mut record = Self { process, beat, work: Vec::new(), troubled: Vec::new() };
        for line in lines {
            let (kind, rest) = line.split_once(' ')?;
            let (time, name) = rest.split_once(' ')?;
            let (time, name) = (milliseconds(time)?, name.to_owned());
            match kind {
                "work" => record.work.push(Work { id: name, touch_by: time }),
                "troubled" => record.troubled.push((name, time)),
                _ => return None,
            }
        }
        Some(record)
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    id: u32,
    /// In clock ticks since the machine started.
    start: u64,
}

impl Process {
    fn own() -> Result<Self> {
        let id = std::process::id();
        let (_, start) = stat(id).context("no such entry")?;
        Ok(Self { id, start })
    }

    fn lives(self) -> bool {
        // A zombie has ended and waits for its parent to notice.
        stat(self.id).is_some_and(|(state, start)| start == self.start && !matches!(state, 'Z' | 'X'))
    }
}

/// State and start time of a process: fields 3 and 22 of proc_pid_stat(5).
fn stat(id: u32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in field 2 may hold anything, blanks and brackets included.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Time since the machine started: the same for all its processes, counting while it sleeps, and set by nobody.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_hours(1);

    fn check(path: &Path, stale_after: Duration) -> Result<Healthy, Unhealthy> {
        super::check(path, Limits { stale_after, ..Limits::STANDARD })
    }

    fn heartbeat(stale_after: Duration) -> (tempfile::TempDir, PathBuf, Heartbeat) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.health");
        let heartbeat = Heartbeat::start(&path, stale_after).unwrap();
        (folder, path, heartbeat)
    }

    #[test]
    fn work_that_is_not_touched_in_time_is_unhealthy() {
        let (_folder, path, heartbeat) = heartbeat(Duration::ZERO);
        let on_time = heartbeat.in_work("1", LONG);
        let late = heartbeat.in_work("2 \n3", Duration::ZERO);
        assert!(matches!(check(&path, LONG), Err(Unhealthy::Untouched { id, .. }) if id == "2 \\n3"));
        late.touched(LONG);
        assert_eq!(check(&path, LONG).unwrap().in_work, 2);
        drop((on_time, late));
        assert_eq!(check(&path, LONG).unwrap().in_work, 0);
    }

    #[test]
    fn a_client_that_fails_for_too_long_is_unhealthy() {
        let (_folder, path, heartbeat) = heartbeat(Duration::ZERO);
        let within =
            |troubled_after| super::check(&path, Limits { stale_after: LONG, troubled_after, ..Limits::STANDARD });
        let since = Instant::now();
        heartbeat.troubled("Redis", Some(since));
        assert!(within(LONG).is_ok());
        // A reading counts whole milliseconds.
        while since.elapsed() < Duration::from_millis(2) {}
        let unhealthy = within(Duration::ZERO).unwrap_err();
        assert!(matches!(&unhealthy, Unhealthy::Troubled { name, .. } if name == "Redis"), "{unhealthy}");
        heartbeat.troubled("Redis", None);
        assert!(within(Duration::ZERO).is_ok());
    }

    #[test]
    fn the_file_is_written_now_and_then_only() {
        let (_folder, path, heartbeat) = heartbeat(LONG);
        let before = fs::read_to_string(&path).unwrap();
        let _work = heartbeat.in_work("1", LONG);
        heartbeat.beat();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }

    #[test]
    fn work_does_not_pass_for_a_beat() {
        let (_folder, path, heartbeat) = heartbeat(Duration::ZERO);
        let _work = heartbeat.in_work("1", LONG);
        assert!(matches!(check(&path, Duration::ZERO), Err(Unhealthy::Stale { .. })));
    }

    #[test]
    fn a_process_that_took_over_the_number_does_not_count() {
        let (_folder, path, heartbeat) = heartbeat(LONG);
        let Process { id, start } = heartbeat.pulse().process;
        for (id, start) in [(id, start + 1), (u32::MAX, start)] {
            fs::write(&path, format!("process {id} {start}\nbeat 0\n")).unwrap();
            assert!(matches!(check(&path, LONG), Err(Unhealthy::Gone(gone)) if gone == id));
        }
    }

    #[test]
    fn a_file_that_is_no_heartbeat_is_said_to_be_so() {
        let (_folder, path, _heartbeat) = heartbeat(LONG);
        for text in
            ["", "process 1", "process 1 2\nbeat x", "process 1 2\nbeat 3\nwork 4", "process 1 2\nbeat 3\nrest 4 5"]
        {
            fs::write(&path, text).unwrap();
            assert!(matches!(check(&path, LONG), Err(Unhealthy::Unreadable { .. })), "{text}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(check(&path, LONG), Err(Unhealthy::Unreadable { .. })));
    }
}
