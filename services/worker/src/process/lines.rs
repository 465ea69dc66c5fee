//! Lines on their way to a file that may take them slowly or not at all: a pipe that nobody drains blocks whoever writes to
//! it, for ever. One thread writes; those who have something to say never wait, and what finds no room is dropped and counted.
//!
//! Of our own because `tracing-appender` counts lines, not bytes, and at the end of a process prints to the very stdout that
//! is blocked.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait at most; as many again are in the writer's hands.
const ROOM: usize = 4 << 20;

/// A queue of whole lines, and the thread that empties it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines, since the last that were told of.
    dropped: u64,
    writing: bool,
    ending: bool,
}

impl Lines {
    /// `tell` hears on the writer's thread, once lines are taken again, how many were dropped before.
    pub(crate) fn start(
        name: &str,
        to: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self::default());
        let writer = Arc::clone(&lines);
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.pass_on(to, tell))?;
        Ok(lines)
    }

    /// One line or several, with their line feeds: all of it or nothing.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > ROOM {
            state.dropped += count(line);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything is written, but no longer than this: what nobody takes is given up.
    pub(crate) fn end(&self, patience: Duration) {
        let mut state = self.state();
        state.ending = true;
        self.changed.notify_all();
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(self.changed.wait_timeout_while(state, patience, busy).unwrap_or_else(PoisonError::into_inner));
    }

    fn pass_on(&self, mut to: impl Write, tell: impl Fn(u64)) {
        let mut batch = Vec::new();
        while let Some(dropped) = self.take(&mut batch) {
            match to.write_all(&batch) {
                Ok(()) if dropped > 0 => tell(dropped),
                Ok(()) => {}
                // A full disk, or a pipe that was closed: told if lines are ever taken again.
                Err(_) => self.state().dropped += dropped + count(&batch),
            }
        }
    }

    /// Waits for something to write, and takes all of it and the number of lines that it lacks; none at the end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        batch.clear();
        let mut state = self.state();
        state.writing = false;
        self.changed.notify_all();
        let idle = |state: &mut State| state.waiting.is_empty() && !state.ending;
        state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            return None;
        }
        state.writing = true;
        std::mem::swap(batch, &mut state.waiting);
        Some(std::mem::take(&mut state.dropped))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As a formatter of log lines writes: each line in one call.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::mpsc::{self, Receiver, Sender, channel};
    use std::time::Instant;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(1);

    /// Takes one batch whenever the test lets it, with the outcome that the test wants.
    struct Gate {
        opened: Receiver<io::Result<()>>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.opened.recv().unwrap_or_else(|mpsc::RecvError| Err(io::ErrorKind::BrokenPipe.into()))?;
            // The test may be over.
            let _ = self.taken.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Test {
        lines: Arc<Lines>,
        open: Sender<io::Result<()>>,
        taken: Receiver<Vec<u8>>,
        told: Receiver<u64>,
    }

    fn start() -> Test {
        let ((open, opened), (taken_by, taken), (tell, told)) = (channel(), channel(), channel());
        let gate = Gate { opened, taken: taken_by };
        let lines = Lines::start("test", gate, move |dropped| tell.send(dropped).unwrap()).unwrap();
        Test { lines, open, taken, told }
    }

    impl Test {
        /// A line that the writer has in hand and cannot get rid of.
        fn blocked() -> Self {
            let test = start();
            test.lines.push(b"first\n");
            test.wait_until(|state| state.writing);
            test
        }

        fn wait_until(&self, reached: fn(&State) -> bool) {
            let deadline = Instant::now() + LONG;
            while !reached(&self.lines.state()) {
                assert!(Instant::now() < deadline, "it stays like this: {:?}", self.lines);
                thread::yield_now();
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_told_of_once_there_is_room() {
        let test = Test::blocked();
        let half = [vec![b'x'; ROOM / 2 - 1], b"\n".to_vec()].concat();
        for line in [&half, &half, &b"y\n".to_vec(), &b"z\nz\n".to_vec()] {
            test.lines.push(line);
        }
        test.open.send(Ok(())).unwrap();
        assert_eq!(test.taken.recv_timeout(LONG).unwrap(), b"first\n");
        assert!(test.told.try_recv().is_err());
        test.open.send(Ok(())).unwrap();
        assert_eq!(test.taken.recv_timeout(LONG).unwrap(), [&half[..], &half[..]].concat(), "whole lines, in order");
        assert_eq!(test.told.recv_timeout(LONG), Ok(3));
    }

    #[test]
    fn what_cannot_be_written_counts_as_dropped() {
        let test = Test::blocked();
        test.open.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        test.wait_until(|state| !state.writing);
        test.open.send(Ok(())).unwrap();
        test.lines.push(b"second\n");
        assert_eq!(test.taken.recv_timeout(LONG).unwrap(), b"second\n");
        assert_eq!(test.told.recv_timeout(LONG), Ok(1));
    }

    #[test]
    fn the_end_waits_for_what_is_taken_and_gives_up_what_is_not() {
        let test = Test::blocked();
        test.lines.push(b"second\n");
        test.lines.end(Duration::from_millis(10));
        assert!(test.lines.state().writing, "it came back although nothing was taken");

        let test = Test::blocked();
        test.lines.push(b"second\n");
        for _ in 0..2 {
            test.open.send(Ok(())).unwrap();
        }
        test.lines.end(LONG);
        assert_eq!(test.taken.try_iter().collect::<Vec<_>>().concat(), b"first\nsecond\n");
    }
}
