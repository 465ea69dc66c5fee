//! What the user sees: a narrative on stderr, the answer on stdout, JSON Lines for machines, progress on a terminal.
//!
//! With `--format json` stdout carries records only and everything for people goes to stderr. The records are written below `target/xtask/<command>/<run>` as well.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::cli::{Color, Format, Global};
use crate::exit::{Exit, Stop};
use crate::files;

/// The `schema` field of every record; raised when a field changes its meaning or goes.
const SCHEMA: &str = "preserv-xtask/1";

#[derive(Debug)]
pub struct Ui {
    command: &'static str,
    run_id: String,
    format: Format,
    verbosity: Verbosity,
    color: bool,
    bars: MultiProgress,
    interactive: bool,
    started: Instant,
    files: Mutex<Option<RunFiles>>,
    result: Mutex<Map<String, Value>>,
    /// Why the answer did not arrive, if it did not.
    lost: Mutex<Option<io::Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

#[derive(Debug)]
struct RunFiles {
    folder: PathBuf,
    records: File,
    log: File,
}

impl Ui {
    pub fn new(command: &'static str, global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let interactive = terminal && !global.quiet && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let target = if interactive { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self {
            command,
            run_id: format!("{}-{}", now.replace(['-', ':'], ""), process::id()),
            format: global.format,
            verbosity: match (global.quiet, global.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, true) => Verbosity::Verbose,
                (false, false) => Verbosity::Normal,
            },
            color,
            bars: MultiProgress::with_draw_target(target),
            interactive,
            started: Instant::now(),
            files: Mutex::new(None),
            result: Mutex::new(Map::new()),
            lost: Mutex::new(None),
        }
    }

    /// Keeps records and log of this run below `target`, and returns the folder.
    pub fn keep_below(&self, target: &Path) -> Result<PathBuf> {
        let folder = target.join("xtask").join(self.command).join("runs").join(&self.run_id);
        let opened = (|| -> io::Result<RunFiles> {
            fs::create_dir_all(&folder)?;
            let open = |name| File::options().append(true).create(true).open(folder.join(name));
            Ok(RunFiles { records: open("records.jsonl")?, log: open("log.txt")?, folder: folder.clone() })
        })();
        let files = opened.map_err(|error| {
            files::unwritable(error, &format!("making the folder of this run, {}", folder.display()))
        })?;
        *lock(&self.files) = Some(files);
        Ok(folder)
    }

    /// A line of the narrative.
    pub fn say(&self, line: &str) {
        self.log(line);
        if !self.is_quiet() {
            self.print(line);
        }
    }

    /// A line for `--verbose`; the log has it always.
    pub fn detail(&self, line: &str) {
        self.log(line);
        if self.verbosity == Verbosity::Verbose {
            self.print(&self.paint(Paint::Dim, line));
        }
    }

    pub fn warn(&self, line: &str) {
        self.log(&format!("warning: {line}"));
        if !self.is_quiet() {
            self.print(&format!("{} {line}", self.paint(Paint::Yellow, "warning:")));
        }
        self.record("warning", &json!({ "message": line }));
    }

    /// What the command was called for: to stdout, or to stderr when stdout carries records.
    pub fn answer(&self, text: &str) {
        self.log(text);
        if self.format == Format::Json {
            if !self.is_quiet() {
                self.print(text);
            }
            return;
        }
        self.to_stdout(text);
    }

    /// A record for machines. `fields` is an object.
    pub fn record(&self, kind: &str, fields: &Value) {
        let mut record = json!({
            "schema": SCHEMA,
            "ts": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            "command": self.command,
            "run_id": self.run_id,
            "type": kind,
        });
        if let (Some(record), Some(fields)) = (record.as_object_mut(), fields.as_object()) {
            record.extend(fields.clone());
        }
        let line = record.to_string();
        if let Some(files) = lock(&self.files).as_mut() {
            // The record on stdout is the one that counts; a full disk must not end a run that needs no more of it.
            let _ = writeln!(files.records, "{line}");
        }
        if self.format == Format::Json {
            self.to_stdout(&line);
        }
    }

    /// Adds a field to the final `result` record.
    pub fn result(&self, name: &str, value: Value) {
        lock(&self.result).insert(name.to_owned(), value);
    }

    /// Prints the error, if there is one, and the final record; gives the exit code. Who did not get the answer is not told that
    /// all is well.
    pub fn finish(&self, outcome: &Result<Exit>) -> Exit {
        let exit = self.end(outcome);
        self.told(exit)
    }

    /// The exit code, unless the answer did not arrive.
    pub(crate) fn told(&self, exit: Exit) -> Exit {
        match lock(&self.lost).take() {
            Some(error) if exit == Exit::Done => {
                self.print(&format!("{} writing to stdout: {error}", self.paint(Paint::Red, "error:")));
                Exit::Failed
            }
            _ => exit,
        }
    }

    fn end(&self, outcome: &Result<Exit>) -> Exit {
        let (exit, reason) = match outcome {
            Ok(exit) => (*exit, None),
            Err(error) => (Exit::of(error), Some(format!("{error:#}"))),
        };
        if let Err(error) = outcome {
            let mut text = format!("{} {error:#}", self.paint(Paint::Red, "error:"));
            if let Some(next) = Stop::next(error) {
                let _ = write!(text, "\n{} {next}", self.paint(Paint::Bold, "next:"));
            }
            if let Some(folder) = lock(&self.files).as_ref().map(|files| files.folder.clone()) {
                let _ =
                    write!(text, "\n{}", self.paint(Paint::Dim, &format!("log: {}", folder.join("log.txt").display())));
            }
            self.log(&text);
            self.print(&text);
        }
        let mut fields = json!({
            "status": exit.status(),
            "exit_code": exit as u8,
            "reason": reason,
            "seconds": self.started.elapsed().as_secs_f64(),
        });
        if let Some(fields) = fields.as_object_mut() {
            fields.append(&mut lock(&self.result));
        }
        self.record("result", &fields);
        exit
    }

    /// What tells this run from others.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Only the answer is wanted.
    pub fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// The time since the command began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Progress of `total` things (0: not known yet): a bar on a terminal, a plain line for each step elsewhere.
    pub fn progress(&self, what: impl Into<Cow<'static, str>>, total: u64) -> Progress<'_> {
        let what = what.into();
        let bar = self.bars.add(ProgressBar::new(total));
        let is_narrow = columns(io::stderr()).is_some_and(|columns| columns < 70);
        let (narrow, wide) =
            ("  {prefix} {pos}/{len} {wide_msg}", "  {prefix:<10} {bar:28} {pos}/{len}  {elapsed}  {wide_msg}");
        if let Ok(style) = ProgressStyle::with_template(if is_narrow { narrow } else { wide }) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(what.clone());
        if self.interactive {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { ui: self, what, bar }
    }

    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", paint as u8) } else { text.to_owned() }
    }

    fn to_stdout(&self, text: &str) {
        if let Err(error) = self.bars.suspend(|| emit(&mut io::stdout(), text)) {
            lock(&self.lost).get_or_insert(error);
        }
    }

    fn print(&self, text: &str) {
        // Where nobody can be told, it cannot be told that either.
        let _ = self.bars.suspend(|| emit(&mut io::stderr(), text));
    }

    fn log(&self, text: &str) {
        if let Some(files) = lock(&self.files).as_mut() {
            let _ = writeln!(files.log, "{text}");
        }
    }
}

/// A progress bar, or plain lines.
#[derive(Debug)]
pub struct Progress<'a> {
    ui: &'a Ui,
    what: Cow<'static, str>,
    bar: ProgressBar,
}

impl Progress<'_> {
    /// One more is done.
    pub fn step(&self, name: &str) {
        self.at(self.bar.position() + 1, name);
    }

    /// So many are done.
    pub fn at(&self, done: u64, name: &str) {
        self.bar.set_position(done);
        self.bar.set_message(name.to_owned());
        if !self.ui.interactive {
            let total = self.bar.length().unwrap_or(0);
            self.ui.say(&format!("  {:<10} {done}/{total}  {name}", self.what));
        }
    }

    /// `done` of `total` are done; for steps too many to print each as a line.
    pub fn set(&self, done: u64, total: u64, name: &str) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(name.to_owned());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.ui.bars.remove(&self.bar);
    }
}

/// The few colours in use; the numbers are the terminal's codes.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Paint {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Magenta = 35,
    Cyan = 36,
}

/// Prints a line. A closed pipe (`| head`) is no error of the command; a full disk is one.
pub fn emit(to: &mut dyn Write, text: &str) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Aligns the rows of a table; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How many characters fit in a line: of the terminal that this is, else what COLUMNS says; none where it does not matter.
pub(crate) fn columns(stream: impl AsFd) -> Option<usize> {
    let terminal = rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(told).filter(|columns| *columns > 0)
}

/// Breaks the lines that are too long between columns and words; what follows in the next line is indented.
pub(crate) fn fold(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.lines().map(|line| fold_line(line, columns)).collect::<Vec<_>>().join("\n")
}

fn fold_line(line: &str, columns: usize) -> String {
    let length = |text: &str| text.chars().count();
    if length(line) <= columns {
        return line.to_owned();
    }
    let indent = length(line) - length(line.trim_start());
    let hanging = " ".repeat((indent + 4).min(columns / 4));
    let mut lines = vec![" ".repeat(indent)];
    let mut gap = "";
    // Two spaces part columns: what of one has no room begins a line of its own.
    for column in line.split("  ").map(str::trim).filter(|column| !column.is_empty()) {
        for (index, word) in column.split(' ').enumerate() {
            let needed = if index == 0 { length(column) } else { length(word) };
            let last = lines.last_mut().map_or(0, |last| length(last));
            if last + length(gap) + needed > columns && last > hanging.len() {
                lines.push(hanging.clone());
                gap = "";
            }
            if let Some(last) = lines.last_mut() {
                last.push_str(gap);
                last.push_str(word);
            }
            gap = " ";
        }
        gap = "  ";
    }
    lines.join("\n")
}

/// A count of bytes for people.
pub fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_do_not_pad_the_last_column() {
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), "a    bb\nccc  d");
    }

    #[test]
    fn long_lines_break_between_columns_and_words() {
        let row = "  skopeo                 missing  tests of release  apt-get install skopeo";
        let folded = fold(row, Some(30));
        assert_eq!(folded, "  skopeo  missing\n      tests of release\n      apt-get install skopeo");
        assert_eq!(fold(row, Some(200)), row);
        assert_eq!(fold(row, None), row);
        assert_eq!(fold("a bb ccc", Some(4)), "a bb\n ccc");
    }

    #[test]
    fn sizes_are_decimal_megabytes() {
        assert_eq!(megabytes(1_250_000), "1.2 MB");
    }
}
