//! A child that serves while others run: it says on its first line that it is ready, and ends with the value.

use std::io::{self, BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use super::{Process, check_interrupt};

/// How long the first line is awaited.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running child. It gets a stdin that stays open as long as the value lives, and is ended with it.
pub(crate) struct Background {
    handle: duct::Handle,
    _stdin: io::PipeWriter,
}

impl Process {
    /// Starts the child and waits for its first line on stdout, which is returned.
    pub(crate) fn serve(self) -> Result<(Background, String)> {
        check_interrupt()?;
        let command = self.shown();
        let starting = || format!("starting `{command}`");
        let (stdin, kept) = io::pipe().with_context(starting)?;
        let (reader, stdout) = io::pipe().with_context(starting)?;
        let expression = duct::cmd(&self.program, &self.args).stdin_file(stdin).stdout_file(stdout).unchecked();
        let expression = expression.before_spawn(|child| {
            std::os::unix::process::CommandExt::process_group(child, 0);
            Ok(())
        });
        let background = Background { handle: expression.start().with_context(starting)?, _stdin: kept };
        drop(expression);
        let (sender, first) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = String::new();
            let read = reader.read_line(&mut line).map(|_| line);
            // Nobody waits any more: the child was too slow.
            let _ = sender.send(read);
            // What it says later is of no interest, but must not block it.
            let _ = io::copy(&mut reader, &mut io::sink());
        });
        let line =
            first.recv_timeout(READY_WITHIN).with_context(|| format!("`{command}` does not say that it is ready"))?;
        let line = line.with_context(|| format!("reading what `{command}` says"))?;
        anyhow::ensure!(!line.trim().is_empty(), "`{command}` ended before it was ready");
        Ok((background, line))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for pid in self.handle.pids().into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // The group may be gone already.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = self.handle.wait();
    }
}
